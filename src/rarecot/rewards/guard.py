"""Rewards bound to a run: responses that did not end are never rewarded, and every rollout is seen by an observer."""

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

Reward = Callable[..., list[float | None]]
Observer = Callable[..., None]


def complete(ids: Sequence[int], ends: Collection[int], special: Collection[int]) -> bool:
    """Whether a response ended by itself, and holds nothing that its decoded text leaves out.

    Args:
        ids: of the response, its end included.
        ends: ids that end a response.
        special: ids that the decoded text leaves out.
    """
    return bool(ids) and ids[-1] in ends and not set(special).intersection(ids[:-1])


def bind(
    rewards: Sequence[Reward],
    eos_token_ids: Collection[int],
    special_token_ids: Collection[int],
    weights: Sequence[float] | None = None,
    observer: Observer | None = None,
    settings: Mapping[str, Any] | None = None,
) -> list[Reward]:
    """The rewards as a trainer gets them.

    TRL hands rewards the decoded text with special tokens left out, so a response that was cut off, or that has a pad
    or bos in its middle, looks complete. Its ids tell; such a response gets 0, or less where the reward is a penalty.
    None (TRL's word for a response that cannot be scored) stays None.

    Args:
        rewards: functions with TRL's signature, in the order of `reward_funcs`.
        eos_token_ids: ids that end a response.
        special_token_ids: ids that the decoded text leaves out.
        weights: of the rewards in their sum, as the trainer applies them; 1 each when None.
        observer: called once a batch of rollouts, after the last reward, with the keyword arguments that TRL gives a
            reward and `rewards`, the weighted sums.
        settings: further keyword arguments of every reward, such as `max_completion_length`.
    """
    forbidden, ends = set(special_token_ids), set(eos_token_ids)
    fixed = {"eos_token_ids": sorted(ends), **(settings or {})}
    factors = list(weights) if weights is not None else [1.0] * len(rewards)
    totals: list[float] = []

    def guarded(index: int, reward: Reward) -> Reward:
        @functools.wraps(reward)
        def call(
            completions: Sequence[str], completion_ids: Sequence[Sequence[int]], **columns: Any
        ) -> list[float | None]:
            values = reward(completions=completions, completion_ids=completion_ids, **columns, **fixed)
            values = [
                value if value is None or complete(ids, ends, forbidden) else min(value, 0.0)
                for value, ids in zip(values, completion_ids, strict=True)
            ]
            if index == 0:
                totals[:] = [0.0] * len(values)
            totals[:] = [total + factors[index] * (value or 0.0) for total, value in zip(totals, values, strict=True)]
            if observer is not None and index == len(rewards) - 1:
                observer(completions=completions, completion_ids=completion_ids, rewards=list(totals), **columns)
            return values

        return call

    return [guarded(i, reward) for i, reward in enumerate(rewards)]
