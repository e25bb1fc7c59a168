"""The two rewards of the paper (§2): end-to-end correctness, and exactness of the whole response."""

from collections.abc import Sequence
from typing import Any

from rarecot.parsing import judge

Texts = Sequence[str]


def answer(completions: Texts, answer: Texts, style: Texts | None = None, **_: Any) -> list[float]:
    """r_e2e: 1 when the final answer is right, whatever stands before it.

    Args:
        completions: B decoded responses.
        answer: B gold answers.
        style: B response styles (keys of `rarecot.parsing.STYLES`); parity's `bits` when absent.
    """
    styles = style or ["bits"] * len(completions)
    return [
        float(judge(text, gold, how) == "correct") for text, gold, how in zip(completions, answer, styles, strict=True)
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
