"""Response text → steps and answer. One place that knows what a response of each style looks like."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from rarecot.types import Kind, Verdict


@dataclass(frozen=True)
class Parsed:
    """A response taken apart.

    Args:
        steps: what was written before the answer, in order; empty for a short response.
        answer: the final answer, or None when there is nothing to read one from.
    """

    steps: tuple[str, ...]
    answer: str | None

    @property
    def kind(self) -> Kind:
        """`long` when anything was reasoned before the answer."""
        return "long" if self.steps else "short"


def _parse_bits(text: str) -> Parsed:
    """Parity: a string of bits, one running prefix each; the last one is the answer."""
    if not re.fullmatch(r"[01]+", text):
        return Parsed(steps=tuple(text[:-1]), answer=None)
    return Parsed(steps=tuple(text[:-1]), answer=text[-1])


STYLES: dict[str, Callable[[str], Parsed]] = {"bits": _parse_bits}


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
    return STYLES[style](text)


def judge(text: str, gold: str, style: str, finished: bool = True) -> Verdict:
    """Whether a response answers the problem.

    A response that was cut off is `truncated`, whatever its last token happens to be: the answer is what the model
    ends on, and it did not end.
    """
    if not finished:
        return "truncated"
    answer = parse(text, style).answer
    if answer is None:
        return "no_answer"
    return "correct" if answer == gold else "wrong"
