"""Tuples, sets, intervals, lists, matrices, equations and inequalities, compared part by part.

math-verify decides on scalars alone: left to itself it reads two boxes as a set, a list as a tuple, or takes one of several
candidates, and each of these gives credit where none is due.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from rarecot.verify import notation

Same = Callable[[str, str], bool]

_OPEN, _CLOSE = "({[⦃", ")}]⦄"
_RELATION = re.compile(
    r"\\le(?![A-Za-z])|\\ge(?![A-Za-z])|\\ne(?![A-Za-z])|<=|>=|!=|<|>|=|\\in(?![A-Za-z])|\\to(?![A-Za-z])"
)
_RELATIONS = {"<=": "\\le", ">=": "\\ge", "!=": "\\ne"}
_FLIPPED = {"<": ">", ">": "<", "\\le": "\\ge", "\\ge": "\\le"}
_MATRIX = re.compile(r"\\begin\{([pbvB]?matrix|array)\}(?:\{[^{}]*\})?(.*)\\end\{\1\}")
_VARIABLE = re.compile(
    r"[A-Za-z](?:_\{?[0-9A-Za-z]\}?)?(?:\([A-Za-z]\))?|\\(?:theta|alpha|beta|gamma|phi|lambda|mu)|[A-Z]{2,3}|\([A-Za-z](?:,\s*[A-Za-z])+\)"
)


@dataclass(frozen=True)
class Node:
    """An answer by its structure.

    Args:
        kind: what it is; `many` is a set or a list of solutions, in any order.
        parts: its parts in normal notation; a scalar has one.
        marks: what must be the same besides: brackets, relations, row lengths.
    """

    kind: Literal["scalar", "many", "ordered", "union", "matrix", "relation"]
    parts: tuple[str, ...]
    marks: tuple[str, ...] = ()


def read(s: str) -> Node:
    """The structure of an answer in normal notation (`notation.normal`)."""
    s = s.strip()
    if notation.number(s) is not None:
        return Node("scalar", (s,))
    if len(pieces := split(s, re.compile(r"\\cup(?![A-Za-z])"))) > 1:
        return Node("union", tuple(pieces))
    relation = split(s, _RELATION, keep=True)
    if len(relation) > 1 and len(split(s, _LIST)) == 1:
        marks = tuple(_RELATIONS.get(mark, mark) for mark in relation[1::2])
        if marks == ("\\in",):
            return read(relation[2])
        return Node("relation", tuple(part.strip() for part in relation[::2]), marks)
    if s[:1] in ("(", "[") and s[-1:] in (")", "]") and _matched(s):
        items = split(s[1:-1], _COMMA, thousands=False)
        if len(items) > 1:
            return Node("ordered", tuple(items), (s[0], s[-1]))
        if s[0] == "(" and s[-1] == ")":
            return read(s[1:-1])
    if s.startswith("⦃") and s.endswith("⦄") and _matched(s):
        return Node("many", tuple(split(s[1:-1], _COMMA)), ("⦃",))
    if (matrix := _MATRIX.fullmatch(s)) is not None:
        rows = [[cell.strip() for cell in row.split("&")] for row in matrix[2].split("⏎") if row.strip()]
        kind = "v" if matrix[1] == "vmatrix" else ""
        return Node("matrix", tuple(cell for row in rows for cell in row), (kind, *(str(len(row)) for row in rows)))
    items = split(s, _LIST)
    if len(items) > 1:
        return Node("many", tuple(item for piece in items for item in _both_signs(piece)))
    return Node("many", signs) if len(signs := _both_signs(s)) > 1 else Node("scalar", (s,))


_COMMA = re.compile(r"[,;]")
_LIST = re.compile(
    r",\s*(?:\\text\s*\{\s*(?:and|or)\s*\}|and |or )|[,;]|\\text\s*\{\s*(?:and|or)\s*\}| and | or ", re.IGNORECASE
)


def compare(gold: str, answer: str, same: Same) -> bool:
    """Whether two answers in normal notation are the same object.

    Args:
        gold: what is right.
        answer: what was written.
        same: decides on two scalars.
    """
    a, b = read(gold), read(answer)
    if b.kind == "relation" and a.kind != "relation":
        b = _solved(b, same)
    elif a.kind == "relation" and b.kind != "relation":
        a = _solved(a, same)
    if a.kind != b.kind or len(a.parts) != len(b.parts):
        return False
    if a.kind == "scalar":
        return same(a.parts[0], b.parts[0])
    if a.kind in ("many", "union"):
        return _any_order(a.parts, b.parts, same)
    if a.kind == "relation":
        return _relations(a, b, same)
    if a.marks != b.marks:
        return False
    return all(compare(x, y, same) for x, y in zip(a.parts, b.parts, strict=True))


def scalars(s: str) -> list[str]:
    """The scalars that an answer is made of."""
    node = read(s)
    if node.kind == "scalar":
        return [node.parts[0]]
    return [leaf for part in node.parts for leaf in ([part] if part == s else scalars(part))]


def split(s: str, separator: re.Pattern[str], keep: bool = False, thousands: bool = True) -> list[str]:
    """Pieces of `s` between separators that stand outside brackets; with `keep`, the separators in between. A comma
    that groups thousands does not separate."""
    depths, depth = [], 0
    for c in s:
        depth += (c in _OPEN) - (c in _CLOSE)
        depths.append(depth)
    pieces, start = [], 0
    for match in separator.finditer(s):
        if depths[match.start()] != 0 or "\\begin" in s[: match.start()]:
            continue
        if thousands and match[0] == "," and _is_thousands(s, match.start()):
            continue
        pieces.append(s[start : match.start()].strip())
        if keep:
            pieces.append(match[0])
        start = match.end()
    pieces.append(s[start:].strip())
    return pieces


def _is_thousands(s: str, at: int) -> bool:
    """Whether a comma groups the digits of a number that is all there is to the left and right of it."""
    left, right = (
        re.search(r"(?:^|[^0-9,.])([0-9]{1,3}(?:,[0-9]{3})*)$", s[:at]),
        re.match(r"[0-9]{3}(?![0-9])", s[at + 1 :]),
    )
    return bool(left and right) and notation.number(re.sub(r"[^0-9,.]", "", s)) is not None and "(" not in s


def _matched(s: str) -> bool:
    depth = 0
    for i, c in enumerate(s):
        depth += (c in _OPEN) - (c in _CLOSE)
        if depth == 0:
            return i == len(s) - 1
    return False


def _both_signs(s: str) -> tuple[str, ...]:
    if s.count("\\pm") != 1:
        return (s,)
    before, after = (part.strip() for part in s.split("\\pm"))
    return (f"{before} + {after}", f"{before} - {after}") if before else (after, f"-{after}")


def _solved(node: Node, same: Same) -> Node:
    """`x = 5` and `2 + 3 = 5` → 5, `(x, y) = (3, 4)` → (3, 4); other relations stay what they are."""
    if set(node.marks) != {"="}:
        return node
    first, last = node.parts[0], node.parts[-1]
    named = is_label(first)
    sides = node.parts[1:-1] if named else node.parts[:-1]
    if named and not sides:
        return read(last)
    value = notation.number(notation.split_unit(last)[0])
    try:
        if value is not None and all(same(side, last) for side in sides):
            return read(last)
    except notation.UnparseableGold:
        pass  # it is the answer that cannot be read here
    return node


def is_label(s: str) -> bool:
    """Whether the left side of an equation only names what the right side is: a variable, a word, variables in their order."""
    letters = re.findall(r"[A-Za-z]", s)
    if s.startswith("("):
        return bool(_VARIABLE.fullmatch(s)) and letters == sorted(letters)
    return bool(_VARIABLE.fullmatch(s)) or re.fullmatch(r"(?:\\text\{)?[A-Za-z][A-Za-z ]{2,30}\}?", s) is not None


def _relations(a: Node, b: Node, same: Same) -> bool:
    if a.marks == b.marks and all(compare(x, y, same) for x, y in zip(a.parts, b.parts, strict=True)):
        return True
    turned = tuple(_FLIPPED.get(mark, mark) for mark in reversed(b.marks))
    return a.marks == turned and all(compare(x, y, same) for x, y in zip(a.parts, reversed(b.parts), strict=True))


def _any_order(gold: tuple[str, ...], answer: tuple[str, ...], same: Same) -> bool:
    if len(gold) > 40:
        return False
    labels = [[part.split("=")[0].strip() for part in side if "=" in part] for side in (gold, answer)]
    if len(set(labels[0])) != len(set(labels[1])) and max(len(set(names)) for names in labels) > 1:
        # several variables named on one side alone: the values must stand in their order
        names = max(labels, key=len)
        return names == sorted(names) and all(compare(x, y, same) for x, y in zip(gold, answer, strict=True))
    left = list(answer)
    for part in gold:
        match = next((other for other in left if compare(part, other, same)), None)
        if match is None:
            return False
        left.remove(match)
    return True
