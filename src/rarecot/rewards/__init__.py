"""Rewards with TRL's signature. One function a reward, one line here.

TRL calls `reward(prompts, completions, completion_ids, **columns)` with one entry a response and expects one number a
response. Our columns are those of the mixture's RL split: `answer`, `long`, `short`, `style`, `problem_id`; `bind` adds what a
run has set: `eos_token_ids`, `max_completion_length`, `soft_overlong_tokens`.
"""

from collections.abc import Sequence

from rarecot.rewards.correctness import answer, chain, format
from rarecot.rewards.guard import Observer, Reward, bind
from rarecot.rewards.length import length_penalty, soft_overlong
from rarecot.rewards.noise import noisy

CORRECTNESS: dict[str, Reward] = {"answer": answer, "chain": chain, "format": format}  # 0 or 1
REWARDS: dict[str, Reward] = {**CORRECTNESS, "length_penalty": length_penalty, "soft_overlong": soft_overlong}

__all__ = ["CORRECTNESS", "REWARDS", "Observer", "Reward", "bind", "named", "noisy"]


def named(
    names: Sequence[str], false_positive_rate: float = 0.0, false_negative_rate: float = 0.0, seed: int = 0
) -> list[Reward]:
    """Rewards by name; those of correctness as a noisy verifier gives them, where it errs (`noisy`)."""
    errs = any((false_positive_rate, false_negative_rate))
    return [
        noisy(REWARDS[name], false_positive_rate, false_negative_rate, seed)
        if errs and name in CORRECTNESS
        else REWARDS[name]
        for name in names
    ]
