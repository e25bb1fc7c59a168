"""Response text → steps and answer, and back. The one place that knows what a response of each style looks like."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from rarecot import extraction
from rarecot.extraction import Found
from rarecot.types import Kind

HASHES = "####"
BOX = "\\boxed"


@dataclass(frozen=True)
class Parsed:
    """A response taken apart.

    Args:
        steps: what was written before the answer, in order; empty for a short response.
        answer: the final answer; None when there is nothing to read one from, empty when its mark is there but what it
            should hold is missing or broken (a box that never closes).
        well_formed: the style's own mark, once, and nothing after the answer.
    """

    steps: tuple[str, ...]
    answer: str | None
    well_formed: bool = False

    @property
    def kind(self) -> Kind:
        """`long` when anything was reasoned before the answer."""
        return "long" if self.steps else "short"


@dataclass(frozen=True)
class Style:
    """How responses are written.

    Args:
        parse: a response → its parts.
        write: steps (may be empty) and answer → a response.
        exact: answers are strings of symbols, right only where they equal the gold character by character; otherwise they
            are compared as mathematical objects.
    """

    parse: Callable[[str], Parsed]
    write: Callable[[str, str], str]
    exact: bool = False


def _parse_bits(text: str) -> Parsed:
    """Parity: a string of bits, one running prefix each; the last one is the answer."""
    if not re.fullmatch(r"[01]+", text):
        return Parsed(steps=tuple(text[:-1]), answer=None)
    return Parsed(steps=tuple(text[:-1]), answer=text[-1], well_formed=True)


def _parse_digits(text: str) -> Parsed:
    """Multiplication: partial products joined by `+`, then `#` and the answer; digits alone are a short response."""
    before, mark, after = text.rpartition("#")
    is_number = re.fullmatch(r"[0-9]+", after) is not None
    if not mark and is_number:
        return Parsed((), text, True)
    if not mark:
        return Parsed(tuple(text.split("+")) if "+" in text else (), None)
    valid = is_number and "#" not in before
    return Parsed(tuple(before.split("+")) if before else (), after if valid else "", valid)


def last_hashes(text: str) -> Found | None:
    """The last `#### answer`; the answer ends with its line."""
    start = text.rfind(HASHES)
    if start < 0:
        return None
    end = text.find("\n", start)
    end = len(text) if end < 0 else end
    return Found(start, end, text[start + len(HASHES) : end].strip())


def last_box(text: str) -> Found | None:
    r"""The last `\boxed{answer}` (or `\fbox{answer}`, or `\boxed 7`). A box that is not closed holds nothing."""
    start = max(text.rfind(BOX), text.rfind("\\fbox"))
    return None if start < 0 else _box_at(text, start, lambda opening: closing_brace(text, opening))


_AFTER_BOX = re.compile(r"\s*")


def _box_at(text: str, start: int, closing: Callable[[int], int | None]) -> Found:
    opening = _AFTER_BOX.match(text, start + len(BOX if text.startswith(BOX, start) else "\\fbox")).end()
    if opening == len(text) or text[opening] != "{":
        token = re.compile(r"[0-9A-Za-z.,/+-]*[0-9A-Za-z]").match(text, opening)
        goes_on = token is not None and text[token.end() : token.end() + 1] in ("\\", "^", "_", "!")
        return Found(start, token.end() if token else opening, "" if token is None or goes_on else token.group())
    end = closing(opening)
    if end is None:
        return Found(start, len(text), "")
    return Found(start, end + 1, text[opening + 1 : end].strip())


def closing_brace(text: str, opening: int) -> int | None:
    """Where the brace at `opening` closes; None if it never does. Escaped braces are ordinary characters."""
    depth, i = 0, opening
    while i < len(text):
        if text[i] == "\\":
            i += 1
        elif text[i] == "{":
            depth += 1
        elif text[i] == "}":
            depth -= 1
            if depth == 0:
                return i
        i += 1
    return None


# "The answer is", alone before a mark, is not a step.
_LEAD_IN = re.compile(
    r"^(so|thus|therefore|hence|and)?[\s,]*(the|my)?\s*(final\s+)?answer(\s+is)?\s*[:=]?$", re.IGNORECASE
)
_STATED = re.compile(r"\banswer(?: is)? ?[:=]? ?|\*\*(?P<bold>[^*\n]+)\*\*", re.IGNORECASE)
_TAIL = 2000  # characters; a stated answer stands at the end


def _steps(before: str, answer: str = "") -> tuple[str, ...]:
    """The lines before an answer that say something: not a heading, not "the answer is", not the answer itself."""
    before = before.replace("<think>", "").replace("</think>", "") if len(before) < 200 else before
    plain = before.strip().strip("$*\\[(#` \n")
    if len(plain) < 80:
        plain = re.sub(r"[\s*#$]+", " ", plain).strip()
        plain = re.sub(r"[A-Za-z] ?=$", "", plain).strip()
        if _LEAD_IN.match(plain) or plain == answer:
            return ()
    return tuple(line.strip() for line in before.strip().splitlines() if re.search(r"[^\W_]", line))


_LEADS_IN = re.compile(
    r"(?:\b(?:so|thus|therefore|hence|and)\b[\s,]*)?\b(?:(?:the|my)\s+)?(?:final\s+)?(?:answer\b)?(?:\s+is\b)?[\s:=*$]?$",
    re.IGNORECASE,
)
_BLANKS = "".join(filter(str.isspace, map(chr, range(0x3001))))  # what `\s` matches
_LEAD_IN_LENGTH = 200  # characters; without a bound, pages of blanks cost the square of their length


def _stated_after(before: str, answer: str = "") -> tuple[str, ...]:
    """The steps before an answer that is stated in a sentence, whose own beginning ("So the answer is") is none."""
    said = before[: len(before.rstrip(_BLANKS + ":=*$")) + 1]
    found = _LEADS_IN.search(said, max(0, len(said) - _LEAD_IN_LENGTH))
    return _steps(said[: found.start()] if found else before, answer)


def _unmarked(text: str) -> Parsed:
    """A response without an answer mark is all steps; a single word is none."""
    return Parsed(_steps(text) if len(text.split(None, 2)) > 1 else (), None)


_Mark = Callable[[str], Found | None]


def _marked(own: _Mark, other: _Mark) -> Callable[[str], Parsed]:
    """A parser that reads the last mark of its own, or where there is none the last of the other kind."""

    def parse(text: str) -> Parsed:
        mine = own(text)
        found = mine or other(text)
        if found is None:
            return _unmarked(text)
        before, after = text[: found.start], text[found.end :]
        clean = found is mine and found.answer != "" and own(before) is None and not after.strip(" \n$.*\\])")
        return Parsed(_steps(before, found.answer), found.answer, clean)

    return parse


def _parse_any(text: str) -> Parsed:
    """Lenient: either mark; without one, what is stated last as the answer or in bold."""
    boxed, hashes = last_box(text), last_hashes(text)
    if boxed or hashes:
        return (_BOXED if boxed else _HASHES)(text)
    tail = re.sub(r"[ \t]+", " ", text[-_TAIL:])
    tail = re.sub(r"\*\*((?:the )?(?:final )?answer(?: is)?:?)\*\*", r"\1", tail, flags=re.IGNORECASE)
    stated = list(_STATED.finditer(tail))
    if not stated:
        return _unmarked(text)
    last = stated[-1]
    answer = last["bold"] or re.split(r"\.\s|\.? ?$", tail[last.end() :].split("\n")[0])[0]
    return Parsed(_stated_after(text[:-_TAIL] + tail[: last.start()]), answer.strip(" *$."))


def _read(find: _Mark, boxes: bool = False) -> Callable[[str], Parsed]:
    """A parser that reads what `find` takes for the answer; with `boxes`, first the last box that holds something."""

    def parse(text: str) -> Parsed:
        box = last_box(text) if boxes else None
        found = box if box is not None and box.answer else find(text)
        return (
            _unmarked(text) if found is None else Parsed(_stated_after(text[: found.start], found.answer), found.answer)
        )

    return parse


_HASHES, _BOXED = _marked(last_hashes, last_box), _marked(last_box, last_hashes)


def _after_steps(answer: str, steps: str) -> str:
    return f"{steps}\n{answer}" if steps else answer


def _marking(mark: str) -> Callable[[str, str], str]:
    """Writes a response whose answer stands in the place of `{}` in `mark`."""
    return lambda steps, answer: _after_steps(mark.replace("{}", answer), steps)


STYLES: dict[str, Style] = {
    "bits": Style(_parse_bits, lambda steps, answer: steps + answer, exact=True),
    "digits": Style(_parse_digits, lambda steps, answer: f"{steps}#{answer}" if steps else answer, exact=True),
    "hashes": Style(_HASHES, _marking(f"{HASHES} {{}}")),
    "boxed": Style(_BOXED, _marking(f"{BOX}{{{{}}}}")),
    "any": Style(_parse_any, _marking("The answer is {}")),
    # Those of published protocols.
    "hashes_number": Style(_read(extraction.hashes_number), _marking(f"{HASHES} {{}}")),
    "last_number": Style(_read(extraction.last_number), _marking("The answer is {}")),
    "final_answer": Style(_read(extraction.final_answer), _marking("The final answer is {}")),
    "stated_number": Style(_read(extraction.stated_number, boxes=True), _marking("The answer is {}")),
    "answer_is": Style(_read(extraction.answer_is, boxes=True), _marking("The answer is {}")),
}

MARKED = ("hashes", "boxed")  # the styles in which a corpus in words can be written


def parse(text: str, style: str) -> Parsed:
    """Take a response apart.

    Args:
        text: the decoded response, without special tokens.
        style: a key of `STYLES`; a task names the style its responses are written in.

    Raises:
        ValueError: the style is not known.
    """
    if style not in STYLES:
        raise ValueError(f"unknown response style '{style}'; known: {', '.join(STYLES)}")
    return STYLES[style].parse(text)


def write(steps: str, answer: str, style: str) -> str:
    """A response; `parse` inverts it. With empty steps it is a short one."""
    return STYLES[style].write(steps.strip(), answer)


def unwrap_boxes(text: str) -> str:
    r"""A worked solution without its boxes: `\boxed{2}` becomes `2`, so that the answer is marked in one place."""
    ends = _closing_braces(text)
    gone: list[tuple[int, int]] = []
    for box in reversed(list(re.finditer(r"\\(?:boxed|fbox)", text))):
        opening = _AFTER_BOX.match(text, box.end()).end()
        if opening == len(text) or text[opening] != "{":
            found = _box_at(text, box.start(), ends.get)
            first, last, end = opening, found.end if found.answer else opening, found.end
        else:  # in place: boxes in boxes hold the same text many times
            end = ends.get(opening, opening) + 1
            first, last = _AFTER_BOX.match(text, opening + 1).end(), end - 1
            while last > first and text[last - 1].isspace():
                last -= 1
        if last <= first:
            break
        gone += [(box.start(), first), (last, end)]
    pieces, done = [], 0
    for start, end in sorted(gone):
        pieces.append(text[done:start])
        done = end
    return "".join([*pieces, text[done:]])


def _closing_braces(text: str) -> dict[int, int]:
    """Each brace that is closed → where; as `closing_brace`, for all of a text at the cost of one."""
    ends, opened = {}, []
    for brace in re.finditer(r"\\.|[{}]", text, re.DOTALL):
        if brace[0] == "{":
            opened.append(brace.start())
        elif brace[0] == "}" and opened:
            ends[opened.pop()] = brace.start()
    return ends
