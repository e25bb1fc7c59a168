"""Pre-training (PAPER §3): SGD with step 1/(λ t) and averaged iterate, on the logistic loss + (λ/2)·‖w‖² of each position.

With w_1 = 0 the iterates are w_{t+1} = G_t / (λ t), where G_t sums σ(−margin)·label·features over the first t samples: the
1/t step forgets where it started, and G is all that has to be kept. The stop decision's bias is the weight of a constant
feature and is regularised as the others are: a step of 1/(λ t) needs λ-strong convexity in every coordinate.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from rarecot.theory.linear.model import Array, Bits, Policy, prefixes

BLOCK = 1 << 17  # numbers in a block of samples' features


@dataclass(frozen=True)
class Demonstrations:
    """n demonstrations: (m, d) inputs, the (n,) rows of them that are used, in order, and (n,) whether each is long."""

    inputs: Bits
    rows: np.ndarray
    long: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)


def draw_inputs(rng: np.random.Generator, n: int, d: int) -> Bits:
    """(n, d) uniformly random bits ±1."""
    x = rng.integers(0, 2, (n, d), dtype=np.int8)
    x *= 2
    x -= 1
    return x


def mixtures(d: int, shares: Sequence[float], n: int, rng: np.random.Generator) -> tuple[list[Demonstrations], Bits]:
    """n demonstrations for each share p of long ones, and the long inputs that all of them read from.

    Every sample of every mixture is an independent draw from D(p); the mixtures of one call share two streams of inputs, one
    for long and one for short demonstrations, and so are not independent of each other.

    Returns:
        The mixtures, and (n_long, d) long inputs in order: a mixture with k long demonstrations has the first k.
    """
    chance = rng.random(n)
    many = int((chance < max(shares)).sum())
    few = n - int((chance < min(shares)).sum())
    inputs = draw_inputs(rng, many + few, d)  # the long stream, then the short one
    found = []
    for p in shares:
        long = chance < p
        rows = np.where(long, np.cumsum(long) - 1, many + np.cumsum(~long) - 1)
        found.append(Demonstrations(inputs, rows, long))
    return found, inputs[:many]


def averaged_sgd(
    signed: Callable[[int, int], Array], shape: tuple[int, int], marks: Sequence[int], lam: float
) -> dict[int, Array]:
    """Averaged SGD for R predictors at once, each on a stream of its own.

    Args:
        signed: (start, stop) → (stop − start, R, F): label · features of the samples t = start + 1 .. stop.
        shape: R predictors, F features.
        marks: numbers of samples T after which the average is wanted. One pass serves all: no step depends on T.
        lam: λ > 0.

    Returns:
        T → (R, F), the average (w_1 + … + w_T) / T.
    """
    if lam <= 0:
        raise ValueError(f"the weight of the regulariser is positive, got {lam}")
    last = max(marks)
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, last + 1))])
    total, weighted, step = np.zeros(shape), np.zeros(shape), np.empty(shape)
    size = max(1, BLOCK // (shape[0] * shape[1]))
    edges = sorted({*range(0, last, size), *marks} | {0})
    averages = {0: np.zeros(shape)} if 0 in marks else {}
    for start, stop in itertools.pairwise(edges):
        samples = signed(start, stop)
        pulls = np.empty((stop - start, shape[0]))  # σ(−margin)
        for i, (row, pull) in enumerate(zip(samples, pulls, strict=True)):
            margin = np.einsum("rf,rf->r", total, row)
            margin /= lam * max(start + i, 1)
            np.minimum(margin, 700, out=margin)  # beyond, exp overflows, and the pull is 0 either way
            np.divide(1, 1 + np.exp(margin), out=pull)
            total += np.multiply(pull[:, None], row, out=step)
        # w_1 + … + w_T = Σ_s (H_{T-1} − H_{s-1})·pull_s / λ, so that the average costs one product a block
        weighted += np.einsum("tr,trf->rf", pulls * harmonic[start:stop, None], samples)
        if stop in marks:
            averages[stop] = (harmonic[stop - 1] * total - weighted) / (lam * stop)
    return averages


def fit_heads(data: Sequence[Demonstrations], marks: Sequence[Sequence[int]], lam: float) -> list[list[Policy]]:
    """Position 1 and the stop decision, of one policy a data set, in one pass.

    Args:
        data: data sets on the same number of bits d.
        marks: for each, the numbers of samples after which the policy is wanted, at most its length.

    Returns:
        A policy, its chain still 0, for each data set and mark.
    """
    d = data[0].inputs.shape[1]
    shape = (2 * len(data), 2 * d + 2)

    def signed(start: int, stop: int) -> Array:
        rows = np.zeros((stop - start, *shape))
        for r, own in enumerate(data):
            x, long = own.inputs[own.rows[start:stop]], own.long[start:stop, None]
            y = np.where(long, x[:, :1], np.prod(x, axis=1, dtype=np.int8)[:, None])
            label = np.where(long, -1, 1)  # +1 = EOS
            n = len(x)  # 0 once this data set has ended: what it has learned by its marks is kept
            rows[:n, 2 * r, :d] = y * x
            rows[:n, 2 * r + 1, :d] = label * x
            rows[:n, 2 * r + 1, d : d + 1] = label * y
            rows[:n, 2 * r + 1, d + 1 : -1] = label * y * x
            rows[:n, 2 * r + 1, -1:] = label
        return rows

    found = averaged_sgd(signed, shape, sorted({mark for own in marks for mark in own}), lam)
    none = np.zeros((d - 1, 3 * d - 1))
    return [
        [Policy(found[mark][2 * r, :d], found[mark][2 * r + 1], none) for mark in own] for r, own in enumerate(marks)
    ]


def fit_chain(x: Bits, marks: Sequence[int], lam: float) -> dict[int, Array]:
    """Positions 2..d, on long demonstrations.

    Args:
        x: (n, d) inputs of long demonstrations.
        marks: numbers of them after which the weights are wanted, at most n; 0 gives zeros, where SGD starts.

    Returns:
        mark → (d − 1, 3d − 1) weights.
    """
    d = x.shape[1]
    seen = np.tri(d - 1)  # position l has seen y_1..y_{l-1}

    def signed(start: int, stop: int) -> Array:
        bits = x[start:stop]
        chain = prefixes(bits)
        outputs, label = chain[:, None, :-1], chain[:, 1:, None]
        rows = np.empty((stop - start, d - 1, 3 * d - 1))
        rows[:, :, :d] = label * bits[:, None]
        rows[:, :, d : 2 * d - 1] = label * outputs * seen
        rows[:, :, 2 * d - 1 :] = label * chain[:, :-1, None] * bits[:, None]
        return rows

    return averaged_sgd(signed, (d - 1, 3 * d - 1), sorted(set(marks)), lam)


def pretrain(
    d: int, shares: Sequence[float], samples: Sequence[int], lambda_heads: float, lambda_chain: float, seed: int
) -> dict[tuple[float, int], Policy]:
    """Next-token prediction on D(p), for several p and numbers of samples at once.

    Position 1 and the stop decision see every sample, positions 2..d the long ones. For one p, the policies after several
    numbers of samples are points of one run. Those of different p share their inputs (`mixtures`), and so the chain, whose
    samples do not depend on p but in number, is trained once.

    Args:
        d: bits, ≥ 2.
        shares: values of p, each in (0, 1).
        samples: numbers of demonstrations, each ≥ 1.
        lambda_heads: λ of position 1 and of the stop decision.
        lambda_chain: λ of positions 2..d.
        seed: of the demonstrations; the same seed gives the same policies.

    Returns:
        (p, number of samples) → policy.

    Raises:
        ValueError: an argument out of its range.
    """
    check(d, shares, samples)
    data, long_inputs = mixtures(d, shares, max(samples), np.random.default_rng([seed, d]))
    heads = fit_heads(data, [samples] * len(data), lambda_heads)
    counts = [[int(own.long[:n].sum()) for n in samples] for own in data]
    chains = fit_chain(long_inputs, [count for own in counts for count in own], lambda_chain)
    return {
        (p, n): Policy(heads[i][j].first, heads[i][j].stop, chains[counts[i][j]])
        for i, p in enumerate(shares)
        for j, n in enumerate(samples)
    }


def check(d: int, shares: Sequence[float], samples: Sequence[int]) -> None:
    """Raise ValueError unless d ≥ 2, every share lies in (0, 1) and every number of samples is 1 or more."""
    if d < 2:
        raise ValueError(f"a parity that can be told step by step has 2 bits or more, got d = {d}")
    if not shares or not all(0 < p < 1 for p in shares):
        raise ValueError(f"the shares of long demonstrations lie between 0 and 1, got {list(shares)}")
    if not samples or not all(n >= 1 for n in samples):
        raise ValueError(f"SGD needs a sample or more, got {list(samples)}")
