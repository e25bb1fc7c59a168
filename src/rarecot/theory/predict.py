"""Closed forms of PAPER §3: what next-token prediction calibrates to, and how RL moves the long share.

p is always the share (probability) of long responses; odds = p / (1 − p).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def odds(p: ArrayLike) -> NDArray[np.float64]:
    """p / (1 − p), elementwise.

    Raises:
        ValueError: a p outside [0, 1).
    """
    p = np.asarray(p, dtype=float)
    if ((p < 0) | (p >= 1)).any():
        raise ValueError(f"a long share lies in [0, 1), got {p}")
    return p / (1 - p)


def share(odds: ArrayLike) -> NDArray[np.float64]:
    """odds / (1 + odds), the inverse of `odds`."""
    odds = np.asarray(odds, dtype=float)
    return odds / (1 + odds)


def odds_recursion(p0: float, ratio: float, rounds: ArrayLike) -> NDArray[np.float64]:
    """Long share after n rounds that each multiply the odds of long: odds_n = odds_0 · ratio^n.

    Keeping the correct responses (STaR) has ratio = a_L / a_S, the success rates of long and short responses; parity
    has a_L = 1, a_S = 1/2, so ratio 2, which is Theorem 2: p_n = 2^n p_0 / (2^n p_0 + 1 − p_0).

    Args:
        p0: long share before the first round, in [0, 1).
        ratio: factor on the odds a round, > 0.
        rounds: round numbers n, any shape.
    """
    if ratio <= 0:
        raise ValueError(f"an odds ratio is positive, got {ratio}")
    return share(odds(p0) * np.power(float(ratio), np.asarray(rounds, dtype=float)))


def greedy_threshold(guess_rate: float = 0.5) -> float:
    """Long share from which greedy decoding goes long: g / (1 + g), for a short answer spread over guesses of
    probability g that shares its first token with the long mode. g = 1/2 (parity) gives 1/3."""
    if not 0 < guess_rate <= 1:
        raise ValueError(f"a guess rate lies in (0, 1], got {guess_rate}")
    return guess_rate / (1 + guess_rate)


def stop_probability(p: ArrayLike) -> NDArray[np.float64]:
    """P[EOS | y_1 = x_1] = (1 − p) / (1 + p) for parity: the branching token of Theorem 1; 1/2 at p = 1/3."""
    p = np.asarray(p, dtype=float)
    return (1 - p) / (1 + p)


def rounds_to(p0: float, threshold: float = 1 / 3, ratio: float = 2.0) -> int:
    """First round at which the recursion reaches `threshold`; 0 if it is there already.

    Raises:
        ValueError: the recursion never gets there (ratio ≤ 1, or p0 = 0).
    """
    if p0 >= threshold:
        return 0
    if ratio <= 1 or p0 <= 0:
        raise ValueError(f"from p0 = {p0} with odds ratio {ratio} the long share never reaches {threshold}")
    return int(np.ceil(np.log(odds(threshold) / odds(p0)) / np.log(ratio) - 1e-12))


def fit_odds_ratio(rounds: ArrayLike, long_share: ArrayLike, n: int) -> tuple[float, float] | None:
    """The constant factor a round that best explains measured long shares: (p0, ratio), by least squares on log-odds.

    Each share enters with the inverse variance of its log-odds, n p (1 − p), so that shares near 0 and 1, whose
    log-odds are mostly noise, weigh little.

    Args:
        rounds: R round numbers.
        long_share: R measured shares; those of exactly 0 or 1 have no log-odds and are left out.
        n: responses behind each share.

    Returns:
        None if fewer than three shares lie strictly between 0 and 1.
    """
    x, p = np.asarray(rounds, dtype=float), np.asarray(long_share, dtype=float)
    inside = (p > 0) & (p < 1)
    if inside.sum() < 3:
        return None
    x, p = x[inside], p[inside]
    slope, intercept = np.polyfit(x, np.log(p / (1 - p)), 1, w=np.sqrt(n * p * (1 - p)))
    return float(share(np.exp(intercept))), float(np.exp(slope))
