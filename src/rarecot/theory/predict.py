"""Closed forms of PAPER §3: what next-token prediction calibrates to, and how RL moves the long share.

p is always the share (probability) of long responses; odds = p / (1 − p).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Tasks whose short answers are right by chance at a known rate, and share their first token with the long mode: only there do the
# theorems' thresholds and factors hold as they stand.
GUESS_RATES = {"parity": 0.5}


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
    return 1 - 1 / (1 + np.asarray(odds, dtype=float))  # 1 where the odds are infinite


def odds_recursion(p0: ArrayLike, ratio: ArrayLike, rounds: ArrayLike) -> NDArray[np.float64]:
    """Long share after n rounds that each multiply the odds of long: odds_n = odds_0 · ratio^n.

    Keeping the correct responses (STaR) has ratio = a_L / a_S, the success rates of long and short responses; parity
    has a_L = 1, a_S = 1/2, so ratio 2, which is Theorem 2: p_n = 2^n p_0 / (2^n p_0 + 1 − p_0).

    Args:
        p0: long share before the first round, in [0, 1).
        ratio: factor on the odds a round, > 0.
        rounds: round numbers n; the three are broadcast together.
    """
    ratio = np.asarray(ratio, dtype=float)
    if (ratio <= 0).any():
        raise ValueError(f"an odds ratio is positive, got {ratio}")
    return share(odds(p0) * np.power(ratio, np.asarray(rounds, dtype=float)))


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


# ---- Theorem 1 -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Theorem1:
    """What next-token prediction on D(p) converges to.

    Args:
        long_correct: probability of the right long response, p.
        short_correct: of the right short one, (1 − p)·g.
        short_wrong: of a wrong short one, (1 − p)·(1 − g).
        greedy_is_long: whether greedy decoding writes the long response.
        greedy_accuracy: 1 if it does, else g.
    """

    long_correct: float
    short_correct: float
    short_wrong: float
    greedy_is_long: bool
    greedy_accuracy: float


def theorem1(p: float, guess_rate: float = 0.5) -> Theorem1:
    """The calibrated model (Theorem 1; p < 3/4 there): long with probability p and then right, else a guess that is right with
    probability g.

    Raises:
        ValueError: a p outside (0, 1), a guess rate outside (0, 1].
    """
    if not 0 < p < 1:
        raise ValueError(f"a share of long demonstrations lies in (0, 1), got {p}")
    is_long = p >= greedy_threshold(guess_rate)
    short = (1 - p) * guess_rate
    return Theorem1(p, short, 1 - p - short, is_long, 1.0 if is_long else guess_rate)


def tempered(p: ArrayLike, temperature: float, guess_rate: float = 0.5) -> NDArray[np.float64]:
    """Long share when a model that is calibrated to p at temperature 1 is sampled at another one (derived).

    A response is long in two steps: its first token is the one that both modes can begin with (probability p + (1 − p)·g, Lemma
    1), and then it goes on (p against (1 − p)·g). Temperature divides both log-odds. The other first tokens are one token for
    parity (g = 1/2).

    Args:
        p: long share at temperature 1, in [0, 1).
        temperature: τ > 0.
        guess_rate: g.
    """
    if temperature <= 0:
        raise ValueError(f"a sampling temperature is positive, got {temperature}")
    p = np.asarray(p, dtype=float)
    shared = p + (1 - p) * guess_rate
    first = share(odds(shared) ** (1 / temperature))
    goes_on = share(odds(p / shared) ** (1 / temperature))
    return first * goes_on


# ---- what the reward makes of the two modes --------------------------------------------------------------------------------


def reward_rate(
    success: ArrayLike, truncated: ArrayLike = 0.0, false_positive: float = 0.0, false_negative: float = 0.0
) -> NDArray[np.float64]:
    """Probability that a response of one mode is rewarded (derived): (1 − t)·(a·(1 − fn) + (1 − a)·fp).

    Args:
        success: a, the share of right answers among responses of the mode that end.
        truncated: t, the share of them that the cap on length cuts off; those are never rewarded.
        false_positive: fp, probability that the verifier takes a wrong answer for right.
        false_negative: fn, that it takes a right one for wrong.

    Raises:
        ValueError: any of them outside [0, 1].
    """
    success, truncated = np.asarray(success, dtype=float), np.asarray(truncated, dtype=float)
    for name, value in (("success rate", success), ("truncated share", truncated)):
        if ((value < 0) | (value > 1)).any():
            raise ValueError(f"a {name} lies in [0, 1], got {value}")
    if not (0 <= false_positive <= 1 and 0 <= false_negative <= 1):
        raise ValueError(f"error rates lie in [0, 1], got {false_positive} and {false_negative}")
    return (1 - truncated) * (success * (1 - false_negative) + (1 - success) * false_positive)


def keep_ratio(long: ArrayLike, short: ArrayLike) -> NDArray[np.float64]:
    """Factor on the odds of long in one round that keeps what is rewarded: the reward rate of long over that of short
    (PAPER §3: r = a_L / a_S). Infinite where short is never rewarded, 1 where nothing is."""
    long, short = np.asarray(long, dtype=float), np.asarray(short, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((long == 0) & (short == 0), 1.0, long / short)


def indifference_price(long: float, short: float, length_long: float, length_short: float) -> float:
    """Price of a token from which the long mode dies under a length penalty: a_L − c·len_L = a_S − c·len_S (PAPER §4).

    Returns:
        c = (a_L − a_S) / (len_L − len_S), in reward a token.

    Raises:
        ValueError: long responses are no longer than short ones.
    """
    if length_long <= length_short:
        raise ValueError(f"long responses of {length_long} tokens are no longer than short ones of {length_short}")
    return (long - short) / (length_long - length_short)


# ---- the greedy threshold, measured ----------------------------------------------------------------------------------------


def flip_factor(stay: ArrayLike, leave: ArrayLike) -> NDArray[np.float64]:
    """Factor on the odds of long at which greedy decoding changes sides at a branching token (derived).

    If long responses are tilted by λ and nothing within a mode changes, a token that only long responses go through weighs λ
    times as much against one that only short responses do.

    Args:
        stay: probability of the greedy token, which leads to a short response.
        leave: of the likeliest token that leads to a long one.

    Returns:
        stay / leave; infinite where leave is 0.
    """
    stay, leave = np.asarray(stay, dtype=float), np.asarray(leave, dtype=float)
    with np.errstate(divide="ignore"):
        return stay / leave


def measured_threshold(p: ArrayLike, factor: ArrayLike) -> NDArray[np.float64]:
    """The long share at which greedy decoding flips: that whose odds are `factor` times those of p. For parity the branching
    tokens give 2p/(1 + p) against (1 − p)/(1 + p), so the factor is (1 − p)/2p and the threshold 1/3, whatever p is."""
    return share(odds(p) * np.asarray(factor, dtype=float))
