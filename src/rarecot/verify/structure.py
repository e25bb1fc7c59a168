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
    if len(sides := split(s, _ABOUT)) == 2 and notation.number(sides[0]) is None:
        return read(sides[0])
    if len(pieces := split(s, re.compile(r"\\(?:big)?cup(?![A-Za-z])"))) > 1:
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


_ABOUT = re.compile(r"\\approx(?![A-Za-z])")
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
    if {a.kind, b.kind} == {"relation", "ordered"} or {a.kind, b.kind} == {"many", "union"}:
        a, b = _as_interval(a), _as_interval(b)
    if a.kind == "ordered" and b.kind == "many" and (values := _in_order(b)):
        b = Node("ordered", values, a.marks if a.marks == ("(", ")") else ())
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
    if _VARIABLE.fullmatch(s) or _MEASURE.fullmatch(s):
        return True
    words = re.fullmatch(r"(?:\\text\s*\{)?([A-Za-z][A-Za-z ]{2,30})\}?", s)
    return words is not None and not any(word in notation.NO_LABEL for word in words[1].lower().split())


_MEASURE = re.compile(
    r"\|?\\?(?:overline\{)?[A-Z]{2}\}?\|?|\[[A-Z]{3,4}\]|m?\\angle ?[A-Z]{1,3}|[a-zA-Z]\(-?[0-9]+\)|[A-Za-z]_\{[0-9]+\}|[a-z] ?\+ ?[a-z]"
)


def _as_interval(node: Node) -> Node:
    """`x \\ge 46` and `0 < x \\le 1` as intervals, and several of them as a union; anything else as it is."""
    if node.kind == "many":
        parts = [_interval(read(part)) for part in node.parts]
        return Node("union", tuple(parts)) if all(parts) else node
    text = _interval(node)
    return read(text) if text else node


def _interval(node: Node) -> str | None:
    if node.kind != "relation" or not set(node.marks) <= set(_FLIPPED):
        return None
    parts, marks = list(node.parts), list(node.marks)
    if len(parts) == 2 and not is_variable(parts[0]):
        parts, marks = parts[::-1], [_FLIPPED[marks[0]]]
    if len(parts) == 2 and is_variable(parts[0]):
        end, closed = parts[1], "\\" in marks[0]
        if marks[0] in ("<", "\\le"):
            return f"(-\\infty,{end}{']' if closed else ')'}"
        return f"{'[' if closed else '('}{end},\\infty)"
    if len(parts) == 3 and is_variable(parts[1]):
        if all(mark in (">", "\\ge") for mark in marks):
            parts, marks = parts[::-1], [_FLIPPED[mark] for mark in marks[::-1]]
        if all(mark in ("<", "\\le") for mark in marks):
            left, right = ("[", "(")[marks[0] == "<"], ("]", ")")[marks[1] == "<"]
            return f"{left}{parts[0]},{parts[2]}{right}"
    return None


def is_variable(s: str) -> bool:
    """One letter."""
    return re.fullmatch(r"[A-Za-z]", s) is not None


def _in_order(node: Node) -> tuple[str, ...]:
    """The values of `x = 2, y = -1` where the variables differ and stand in their order; empty otherwise."""
    pairs = [part.split("=") for part in node.parts]
    names = [pair[0].strip() for pair in pairs]
    if any(len(pair) != 2 for pair in pairs) or len(set(names)) < len(names) or names != sorted(names):
        return ()
    return tuple(pair[1].strip() for pair in pairs) if all(map(is_variable, names)) else ()


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
