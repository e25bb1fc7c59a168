"""Rewards with TRL's signature. One function a reward, one line here.

TRL calls `reward(prompts, completions, completion_ids, **columns)` with one entry a response and expects one number a
response. Our columns are those of the mixture's RL split: `answer`, `long`, `short`, `style`.
"""

from rarecot.rewards.correctness import answer, chain
from rarecot.rewards.guard import Observer, Reward, bind

REWARDS: dict[str, Reward] = {"answer": answer, "chain": chain}

__all__ = ["REWARDS", "Observer", "Reward", "bind"]
