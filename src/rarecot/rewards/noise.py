"""A verifier that errs, on purpose: what does RL still add when some wrong answers are rewarded (PAPER §4, question 4)?"""

import functools
import hashlib
from collections.abc import Sequence
from typing import Any

from rarecot.rewards.guard import Reward


def noisy(reward: Reward, false_positive_rate: float, false_negative_rate: float, seed: int) -> Reward:
    """A reward of 0 or 1 that is sometimes the other one.

    The error belongs to the response: whoever writes the same text for the same problem again gets the same reward, as from a
    real verifier that misreads a certain answer. So a run that resumes sees the same errors, and several rewards of one response
    err together.

    Args:
        reward: gives 0, 1 or None (which stays).
        false_positive_rate: probability that 0 becomes 1.
        false_negative_rate: probability that 1 becomes 0.
        seed: of the errors.
    """

    @functools.wraps(reward)
    def call(completions: Sequence[str], problem_id: Sequence[str], **columns: Any) -> list[float | None]:
        values = reward(completions=completions, problem_id=problem_id, **columns)
        rate = {0.0: false_positive_rate, 1.0: false_negative_rate}
        return [
            value if value is None or _draw(seed, name, text) >= rate[value] else 1.0 - value
            for value, name, text in zip(values, problem_id, completions, strict=True)
        ]

    return call


def _draw(seed: int, problem_id: str, text: str) -> float:
    """A number in [0, 1) that only these three decide."""
    digest = hashlib.sha256(f"{seed}\0{problem_id}\0{text}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
