"""The two rewards of the paper (§2): end-to-end correctness, and exactness of the whole response; and correctness in form."""

from collections.abc import Sequence
from typing import Any

from rarecot.parsing import parse
from rarecot.verify import verify_all

Texts = Sequence[str]


def answer(completions: Texts, answer: Texts, style: Texts | None = None, **_: Any) -> list[float | None]:
    """r_e2e: 1 when the final answer is right, whatever stands before it; None where nothing can be held against the gold.

    Args:
        completions: B decoded responses.
        answer: B gold answers.
        style: B response styles (keys of `rarecot.parsing.STYLES`); parity's `bits` when absent.
    """
    verdicts = verify_all(answer, completions, style or ["bits"] * len(completions))
    return [None if verdict == "unparseable_gold" else float(verdict == "correct") for verdict in verdicts]


def format(completions: Texts, answer: Texts, style: Texts | None = None, **_: Any) -> list[float | None]:
    """1 when the answer is right *and* stands as it should: the style's own mark, once, and nothing behind it.

    Gated by correctness, so that form alone is never learned instead of answers.

    Args:
        completions: B decoded responses.
        answer: B gold answers.
        style: as for `answer`.
    """
    styles = style or ["bits"] * len(completions)
    right = verify_all(answer, completions, styles)
    return [
        None if verdict == "unparseable_gold" else float(verdict == "correct" and parse(text, how).well_formed)
        for verdict, text, how in zip(right, completions, styles, strict=True)
    ]


def chain(completions: Texts, long: Texts, short: Texts, **_: Any) -> list[float]:
    """r_cot: 1 when the whole response equals the exact long or the exact short demonstration.

    Args:
        completions: B decoded responses.
        long: B long demonstrations, free of noise.
        short: B short demonstrations.
    """
    return [
        float(text in (exact_long, exact_short))
        for text, exact_long, exact_short in zip(completions, long, short, strict=True)
    ]
