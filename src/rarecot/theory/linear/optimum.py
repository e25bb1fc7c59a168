"""The optima of the regularised population objectives, by Newton: where the SGD of `sgd.py` goes.

By symmetry (every other feature times the label is a monomial in the bits that averages to 0, whatever the label and the
features that matter are) each objective reduces to scalars: position 1 to the weight of x_1; the stop decision to its scores
u after y_1 = x_1 and v after y_1 = −x_1, so bias (u + v)/2 and (u − v)/2 on y_1·x_1; position l to the weight of y_{l-1}·x_l.
"""

import numpy as np

from rarecot.theory.linear.model import Policy
from rarecot.theory.linear.sgd import check


def minimiser(positive: float, negative: float, lam: float) -> float:
    """argmin over z of positive·ln(1 + e^{−z}) + negative·ln(1 + e^z) + (λ/2)·z².

    Its gradient has its only inflection at 0, where Newton starts: the iterates go to the root from one side.

    Args:
        positive: mass of the label +1, ≥ 0.
        negative: mass of the label −1, ≥ 0.
        lam: λ > 0.
    """
    if lam <= 0:
        raise ValueError(f"the weight of the regulariser is positive, got {lam}")
    z = 0.0
    for _ in range(200):
        up, down = 1 / (1 + np.exp(-z)), 1 / (1 + np.exp(z))
        step = (negative * up - positive * down + lam * z) / ((positive + negative) * up * down + lam)
        z -= step
        if abs(step) < 1e-13 * (1 + abs(z)):
            return float(z)
    raise AssertionError(f"Newton did not converge: {positive}, {negative}, {lam}")


def first_weight(p: float, lam: float) -> float:
    """Weight of x_1 at position 1. As λ → 0 it is ln((1 + p)/(1 − p)), Lemma 1."""
    return minimiser((1 + p) / 2, (1 - p) / 2, lam)


def stop_scores(p: float, lam: float) -> tuple[float, float]:
    """Scores of stopping after y_1 = x_1 and after y_1 = −x_1, for d ≥ 3 (of 2 bits, x_2 helps too).

    As λ → 0 they are ln((1 − p)/(2p)), whose sign changes at p = 1/3 (Theorem 1), and ∞. The regulariser of bias and weight is
    (λ/4)·(u² + v²), so it moves no sign: the threshold is 1/3 at every λ.
    """
    return minimiser((1 - p) / 2, p, lam / 2), minimiser((1 - p) / 2, 0.0, lam / 2)


def chain_weight(lam: float) -> float:
    """Weight of y_{l-1}·x_l at every position l = 2..d, about ln(1/λ): the steps are certain, λ alone keeps it finite."""
    return minimiser(1.0, 0.0, lam)


def optimum(d: int, p: float, lambda_heads: float, lambda_chain: float) -> Policy:
    """The policy that minimises the regularised population loss of every position.

    Raises:
        ValueError: d < 3, p outside (0, 1), or a λ that is not positive.
    """
    check(d, [p], [1])
    if d < 3:
        raise ValueError(f"the stop decision reduces to two scores from d = 3 on, got d = {d}")
    first, stop, chain = np.zeros(d), np.zeros(2 * d + 2), np.zeros((d - 1, 3 * d - 1))
    first[0] = first_weight(p, lambda_heads)
    matched, unmatched = stop_scores(p, lambda_heads)
    stop[d + 1], stop[-1] = (matched - unmatched) / 2, (matched + unmatched) / 2
    positions = np.arange(d - 1)
    chain[positions, 2 * d - 1 + positions + 1] = chain_weight(lambda_chain)
    return Policy(first, stop, chain)
