"""How policy gradients move the long share: the replicator form of PAPER §3, with what GRPO's normalisation makes of it.

z is the log-odds of a long response, J the expected reward; a_L and a_S are the reward rates of long and short responses.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rarecot.theory.predict import odds, share

ADVANTAGE_EPSILON = 1e-4  # what TRL adds to a standard deviation that it divides by
TINY = 1e-9


def group_gain(mean_reward: ArrayLike, group: int, scale: str = "group") -> NDArray[np.float64]:
    """What being rewarded adds to a response's expected advantage: E[A | r = 1] − E[A | r = 0] (derived).

    With rewards of 0 or 1 and the other responses of the prompt rewarded independently with probability J. `none`: the
    baseline alone, (G − 1)/G. `batch`: that over the standard deviation √(J(1 − J)). `group`: GRPO's division by
    the deviation within the group, enumerated over the number of rewarded others; for many responses it tends to 1/√(J(1 − J)), for
    few it stays finite, because groups in which all agree teach nothing.

    Args:
        mean_reward: J in [0, 1], any shape.
        group: G, responses a prompt, ≥ 2.
        scale: `group`, `batch` or `none` (TRL's `scale_rewards`).
    """
    if group < 2:
        raise ValueError(f"a group has at least 2 responses, got {group}")
    mean_reward = np.asarray(mean_reward, dtype=float)
    if scale == "none":
        return np.full_like(mean_reward, (group - 1) / group)
    if scale == "batch":
        return (group - 1) / group / (np.sqrt(mean_reward * (1 - mean_reward)) + ADVANTAGE_EPSILON)
    if scale != "group":
        raise ValueError(f"rewards are scaled by group, batch or none, got {scale}")
    others = np.arange(group)  # how many of the G − 1 others were rewarded
    chance = np.array([math.comb(group - 1, k) for k in others]) * (
        mean_reward[..., None] ** others * (1 - mean_reward[..., None]) ** (group - 1 - others)
    )
    advantage = {r: _advantage_of_one(r, others, group) for r in (0, 1)}
    return (chance * (advantage[1] - advantage[0])).sum(-1)


def _advantage_of_one(reward: int, others: NDArray[np.int64], group: int) -> NDArray[np.float64]:
    """(r − mean) / (std + ε) of one response, by how many of the others were rewarded; std with G − 1 below the line."""
    total = others + reward
    mean = total / group
    deviation = np.sqrt((total * (1 - mean) ** 2 + (group - total) * mean**2) / (group - 1))
    return (reward - mean) / (deviation + ADVANTAGE_EPSILON)


Form = Literal["natural", "replicator", "branching"]
Gain = Callable[[NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True)
class Branches:
    """What the decision to be long is made of, for the form `branching`.

    Args:
        guess_rate: g: the first token is the one that both modes share with probability u = p_0 + (1 − p_0)·g (Lemma 1).
        leak: log-odds of going on after any other first token, before RL: far below 0 after next-token prediction, which has never seen
            it. Draws of it have the shape of the others.
        leak_rate: how fast that decision moves, against the one after the shared token.
    """

    guess_rate: float = 0.0
    leak: ArrayLike = -np.inf
    leak_rate: ArrayLike = 1.0


def policy_gradient(
    p0: ArrayLike,
    long: ArrayLike,
    short: ArrayLike,
    rate: ArrayLike,
    rounds: int,
    form: Form = "branching",
    branches: Branches | None = None,
    gain: Gain | None = None,
) -> NDArray[np.float64]:
    """Long share after rounds of policy gradient (PAPER §3, policy-gradient form), with S = (a_L − a_S)·gain(J), the difference of
    the modes' expected advantages.

    `natural`: Δz = η·S, a natural gradient. `replicator`: Δz = η·p(1 − p)·S, plain gradient ascent on z. `branching`: a response is long in
    two steps, its first token (probability u) and the decision to go on (v after the shared token, v' after another): p = u·v + (1 − u)·v'.
    The gradient moves the decision, Δ logit v = η·S, and hardly the first token: the decision is the same for every x, while the right first token
    depends on x. So the long share bends at u instead of going straight to 1 (derived, and measured: README). With g = 0 the first token decides,
    and it is the natural form.

    Args:
        p0: long share before, in (0, 1), shape S or scalar.
        long: reward rate of long responses, shape S or scalar.
        short: of short ones.
        rate: η, in nats a round and unit of S.
        rounds: how many.
        form: of the update.
        branches: of `branching`.
        gain: J → E[A | r = 1] − E[A | r = 0]; None: 1.

    Returns:
        Shape (rounds + 1, *S): before, and after each round.
    """
    p = np.clip(np.asarray(p0, dtype=float), TINY, 1 - TINY)
    rate, parts = np.asarray(rate, dtype=float), branches or Branches()
    first = _shared(p, parts.guess_rate if form == "branching" else 0.0)
    then, otherwise = np.clip(p / first, TINY, 1 - TINY), share(np.exp(np.asarray(parts.leak, dtype=float)))
    shares = [p]
    for _ in range(rounds):
        change = rate * pressure(p, long, short, form, gain)
        if parts.guess_rate and form == "branching":
            otherwise = _moved(otherwise, np.asarray(parts.leak_rate) * change)
        then = _moved(then, change)
        p = np.clip(first * then + (1 - first) * otherwise, TINY, 1 - TINY)
        shares.append(p)
    return np.stack(np.broadcast_arrays(*shares))


def pressure(
    p: ArrayLike, long: ArrayLike, short: ArrayLike, form: Form, gain: Gain | None = None
) -> NDArray[np.float64]:
    """What a round changes over its rate: the right-hand side of `policy_gradient`, whose arguments these are."""
    p, long, short = (np.asarray(value, dtype=float) for value in (p, long, short))
    selection = (long - short) * (gain(p * long + (1 - p) * short) if gain else 1.0)
    return selection * (p * (1 - p) if form == "replicator" else 1.0)


def going_on(p: ArrayLike, p0: ArrayLike, guess_rate: float) -> NDArray[np.float64]:
    """Log-odds of the decision to go on that a long share amounts to while the first token stays as it was before RL.

    Args:
        p: long share; not more than the first token allows.
        p0: before RL.
        guess_rate: g.
    """
    p, p0 = np.asarray(p, dtype=float), np.asarray(p0, dtype=float)
    v = np.clip(p / _shared(p0, guess_rate), 1e-6, 1 - 1e-6)
    return np.log(odds(v))


def fit_rate(moved: ArrayLike, pressures: ArrayLike) -> float:
    """The rate η that best explains how far the log-odds have moved: least squares on the pressures summed over the rounds before.

    Args:
        moved: since round 0, after rounds 1 … n: the change of z, or of `going_on`.
        pressures: of rounds 0 … n − 1.

    Raises:
        ValueError: not one pressure for each, or no pressure at all.
    """
    z, summed = np.asarray(moved, dtype=float), np.cumsum(np.asarray(pressures, dtype=float))
    if len(z) == 0 or len(summed) != len(z):
        raise ValueError(f"{len(z)} changes and {len(summed)} pressures: there is one pressure a round")
    if not np.any(summed):
        raise ValueError("the modes are rewarded alike, so no rate can be fitted")
    return float(summed @ z / (summed @ summed))


def _shared(p: NDArray[np.float64], guess_rate: float) -> NDArray[np.float64]:
    """Probability of the first token that both modes share (Lemma 1); 1 without guesses, where the first token is the decision."""
    return p + (1 - p) * guess_rate if guess_rate else np.ones_like(p)


def _moved(p: NDArray[np.float64], nats: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.clip(share(odds(p) * np.exp(np.clip(nats, -30, 30))), 0.0, 1 - TINY)  # what is 0 stays 0
