"""The selection audit: what in a round pushes the odds of long, and how far each cause does.

A policy gradient pushes the log-odds of long by S = E[w·A | long] − E[w·A | short], the difference of the modes' mean weighted
advantages; STaR by the log-ratio of the shares of long and short responses that it keeps. Both are taken apart by putting one cause after the
other back in: first the rewards of correctness with every response finished and weighed alike, then the rewards of length, truncation, the
loss's weights, importance sampling. The parts add up to the whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rarecot.theory.gradient import ADVANTAGE_EPSILON

PARTS = ("reward", "length", "truncation", "normalisation", "importance")
USUAL = 8.0  # responses
PER_LENGTH = ("grpo", "sapo")  # losses whose token weights are 1/length of their response; the others' are one for all


@dataclass(frozen=True)
class Batch:
    """A round of rollouts, B responses; those of one prompt stand together.

    Args:
        long: shape (B,).
        finished: whether the response ended by itself, shape (B,).
        tokens: its length with the end-of-sequence token, shape (B,).
        correctness: weighted sum of the rewards of correctness, shape (B,); NaN where there is none.
        penalties: weighted sum of the other rewards, shape (B,).
        importance: mean importance-sampling weight of its tokens, shape (B,); ones without correction.
    """

    long: np.ndarray
    finished: np.ndarray
    tokens: np.ndarray
    correctness: np.ndarray
    penalties: np.ndarray
    importance: np.ndarray


def policy_gradient(
    batch: Batch, group: int, scale: str, loss_type: str, usual: tuple[float, float], masked: bool = False
) -> dict[str, float]:
    """The parts of S of a round of GRPO or REINFORCE.

    Args:
        batch: the round.
        group: responses a prompt.
        scale: `group`, `batch`, `none`, or `plain` for rewards without a baseline of their group.
        loss_type: TRL's.
        usual: mean reward of correctness of finished long and short responses before RL.
        masked: truncated responses are left out of the loss (`mask_truncated_completions`).

    Returns:
        `selection_PART` for each of PARTS; empty if one of the modes is absent.
    """
    if batch.long.all() or not batch.long.any():
        return {}
    even, finished = np.ones(len(batch.long)), _as_if_finished(batch, batch.correctness, usual)
    weights = _normalised(1.0 / np.maximum(batch.tokens, 1)) if loss_type in PER_LENGTH else even
    seen = np.where(batch.finished | (not masked), 1.0, 0.0)
    cases = (
        (finished, even),
        (finished + batch.penalties, even),
        (batch.correctness + batch.penalties, seen),
        (batch.correctness + batch.penalties, seen * weights),
        (batch.correctness + batch.penalties, seen * weights * batch.importance),
    )
    totals = [_between(weight * advantages(reward, group, scale), batch.long) for reward, weight in cases]
    return dict(zip((f"selection_{part}" for part in PARTS), np.diff([0.0, *totals]).tolist(), strict=True))


def star(batch: Batch, keep_from: float, usual: tuple[float, float]) -> dict[str, float]:
    """The parts of the log-ratio of kept shares of a round of STaR, in nats: reward, length and truncation.

    Args:
        batch: the round.
        keep_from: total reward from which a response is kept.
        usual: share of right answers among long and short responses before RL.

    Returns:
        As `policy_gradient`; half a response is added to each count, so that a mode of which nothing is kept has a ratio.
    """
    if batch.long.all() or not batch.long.any():
        return {}
    least = keep_from - 1e-9
    right, paid = batch.correctness >= least, batch.correctness + batch.penalties >= least
    kept = [_as_if_finished(batch, case.astype(float), usual) for case in (right, paid)] + [paid]
    totals = [_log_ratio(np.asarray(values, dtype=float), batch.long) for values in kept]
    parts = [*np.diff([0.0, *totals]).tolist(), 0.0, 0.0]
    return dict(zip((f"selection_{part}" for part in PARTS), parts, strict=True))


def advantages(rewards: np.ndarray, group: int, scale: str) -> np.ndarray:
    """As TRL computes them from summed rewards: less the group's mean, over a standard deviation. NaN rewards get 0.

    Args:
        rewards: shape (B,).
        group: responses a prompt.
        scale: see `policy_gradient`.
    """
    if scale == "plain":
        return np.nan_to_num(rewards)
    grouped = rewards.reshape(-1, group)
    unscored = np.isnan(grouped).all(1)
    grouped = np.where(unscored[:, None], 0.0, grouped)
    centred = grouped - np.nanmean(grouped, axis=1, keepdims=True)
    if scale == "group":
        centred = centred / (_deviation(grouped, axis=1) + ADVANTAGE_EPSILON)
    elif scale == "batch":
        centred = centred / (_deviation(rewards[None], axis=1) + ADVANTAGE_EPSILON)
    return np.where(unscored[:, None], 0.0, np.nan_to_num(centred)).reshape(-1)


def _deviation(values: np.ndarray, axis: int) -> np.ndarray:
    counts = (~np.isnan(values)).sum(axis=axis, keepdims=True)
    return np.nanstd(values, axis=axis, keepdims=True) * np.sqrt(counts / np.maximum(counts - 1, 1))


def _as_if_finished(batch: Batch, values: np.ndarray, usual: Sequence[float]) -> np.ndarray:
    """Values of the responses if none had been cut off: those that were get the mean of their mode's finished ones, in which what is
    usual counts as some responses, since those that still end under a short cap are few and not typical."""
    filled = values.astype(float).copy()
    for is_long, otherwise in zip((True, False), usual, strict=True):
        mine = batch.long == is_long
        ended = filled[mine & batch.finished]
        ended = ended[np.isfinite(ended)]
        filled[mine & ~batch.finished] = (ended.sum() + USUAL * otherwise) / (len(ended) + USUAL)
    return filled


def _normalised(weights: np.ndarray) -> np.ndarray:
    """Mean 1: a factor that all share is the learning rate's."""
    return weights / weights.mean()


def _between(values: np.ndarray, long: np.ndarray) -> float:
    return float(values[long].mean() - values[~long].mean())


def _log_ratio(kept: np.ndarray, long: np.ndarray) -> float:
    rates = [(np.nansum(kept[mode]) + 0.5) / (mode.sum() + 1.0) for mode in (long, ~long)]
    return float(np.log(rates[0] / rates[1]))
