r"""Prompts that give their own answer away: marked as the answer, as the worked solution, or by an example that is the problem itself.

That an answer occurs as a number in its question is no fault ("5 boxes of 2 … how many boxes?"): it is counted, in the manifest, and left.
"""

import math
import re
from collections.abc import Iterator, Sequence

from rarecot.parsing import HASHES, closing_brace, parse
from rarecot.tasks.corpus import plain_words
from rarecot.verify.compare import at_once

SOLUTION_WORDS = 12  # a worked solution of fewer words may be a phrase of its question
SOME = 0.1  # share of the problems; where more give their answer away, it is not the problems that are at fault
_ENDS_IN_STATEMENT = re.compile(r"\banswer(?: is)? ?[:=]? ?\S[^\n]{0,80}$", re.IGNORECASE)
_BOXES = re.compile(r"\\(?:boxed|fbox)\s*")
_TOKEN = re.compile(r"[0-9A-Za-z.,/+-]*[0-9A-Za-z]")
LONGEST = 400  # characters of a marked answer
_FIGURE = re.compile(r"-?\d[\d,]*(?:\.\d+)?")


def given_away(prompt: str, gold: str, solution: str = "") -> str | None:
    """How a prompt gives its answer away, in a few words; None: it does not.

    Args:
        prompt: what the model reads.
        gold: the answer.
        solution: the worked solution; empty: none is known.
    """
    if mark := next((mark for mark, answer in dict.fromkeys(marked(prompt)) if at_once(gold, answer)), None):
        return f"the prompt marks its own answer: {mark[:80]}"
    last_line = prompt.rstrip()[-LONGEST:].rpartition("\n")[2]
    if (end := _ENDS_IN_STATEMENT.search(last_line)) and at_once(gold, parse(end[0], "any").answer or ""):
        return f"the prompt ends in its own answer: {end[0][:80]}"
    words = plain_words(solution)
    if len(words) >= SOLUTION_WORDS and f" {' '.join(words)} " in f" {' '.join(plain_words(prompt))} ":
        return f"the prompt holds the worked solution: {solution.strip()[:80]}"
    return None


def marked(text: str) -> Iterator[tuple[str, str]]:
    r"""Every `#### …` and `\boxed{…}` of a text that says something: as it stands there, and what it says. In one pass, however many."""
    for part in text.split(HASHES)[1:]:
        answer = part[:LONGEST].partition("\n")[0].strip()
        if answer:
            yield f"{HASHES} {answer}", answer
    for box in _BOXES.finditer(text):
        rest = text[box.end() : box.end() + LONGEST]
        if rest.startswith("{"):
            end = closing_brace(rest, 0)
            answer = rest[1:end].strip() if end else ""
        else:
            token = _TOKEN.match(rest)
            answer = token[0] if token else ""
        if answer:
            yield f"{box[0]}{{{answer}}}", answer


def too_many(count: int, n: int) -> bool:
    """Whether so many of n problems give their answer away that a wrong column or a wrong template is behind it."""
    return count > max(1, SOME * n)


def in_constant_text(text: str, golds: Sequence[str], where: str) -> list[str]:
    """The sentence for a text that stands around every problem and marks the answer of most of them; or none.

    Args:
        text: what the system, a template or a protocol says.
        golds: of the problems.
        where: the text's name, the start of the sentence.
    """
    answers = [answer for _, answer in marked(text)]
    told = sum(any(at_once(gold, answer) for answer in answers) for gold in golds)
    if 2 * told <= len(golds):  # fewer may have it by chance: one of four letters
        return []
    return [
        f"{where} marks the answer of {told} of the {len(golds)} problems ({', '.join(dict.fromkeys(answers))}), so that copying it "
        f"would be rewarded. Take the answer out of it."
    ]


def has_gold_as_number(prompt: str, gold: str) -> bool:
    """Whether a gold that is a number stands as a number in its prompt."""
    value = _value(gold)
    return value is not None and any(_value(figure) == value for figure in _FIGURE.findall(prompt))


def _value(text: str) -> float | None:
    plain = text.strip().strip("$").replace(",", "").rstrip(".")
    try:
        value = float(plain)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
