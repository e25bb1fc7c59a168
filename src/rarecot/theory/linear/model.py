"""The policy of the autoregressive linear model: one linear predictor a position (PAPER §3).

Shapes: n inputs of d bits ±1. Position 1 scores x; the stop decision [x, y_1, y_1·x, 1]; position l = 2..d scores
[x, y_1..y_{l-1}, y_{l-1}·x]. A score's sign is the greedy choice, its sigmoid the probability of +1 (stop: EOS).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Bits = NDArray[np.int8]
CHUNK = 10_000  # inputs that are scored at a time: what keeps memory small


def prefixes(x: Bits) -> Bits:
    """(n, d) prefix products x_1⋯x_l, the long demonstration; the last column is the answer."""
    return np.cumprod(x, axis=1, dtype=np.int8)


def sigmoid(score: Array) -> Array:
    return np.exp(-np.logaddexp(0.0, -score))


@dataclass(frozen=True)
class Modes:
    """P(long correct | x) and P(short correct | x) of n inputs, each (n,)."""

    long: Array
    short: Array


@dataclass(frozen=True)
class Responses:
    """n responses: (n, d) outputs ±1, of which a short one wrote only the first, and (n,) whether each is long."""

    outputs: Bits
    long: NDArray[np.bool_]

    def right(self, x: Bits) -> NDArray[np.bool_]:
        """(n,): is the last output that was written the product of all bits?"""
        return np.where(self.long, self.outputs[:, -1], self.outputs[:, 0]) == prefixes(x)[:, -1]

    def demonstrated(self, x: Bits) -> NDArray[np.bool_]:
        """(n,): the chain reward: is it the exact long or the exact short demonstration?"""
        chain = prefixes(x)
        return np.where(self.long, (self.outputs == chain).all(1), self.outputs[:, 0] == chain[:, -1])


@dataclass(frozen=True)
class Policy:
    """The predictors' weights.

    Args:
        first: (d,), position 1, on x.
        stop: (2d + 2,), the stop decision, on x, y_1, y_1·x and 1 (its bias).
        chain: (d − 1, 3d − 1), a row for each position l = 2..d, on x, y_1..y_{d-1} and y_{l-1}·x. The columns of outputs
            that position l has not seen, y_l and after, are 0.
    """

    first: Array
    stop: Array
    chain: Array

    def __post_init__(self) -> None:
        d = self.first.size
        if self.stop.shape != (2 * d + 2,) or self.chain.shape != (d - 1, 3 * d - 1):
            raise ValueError(f"no policy on {d} bits has stop {self.stop.shape} and chain {self.chain.shape}")

    def stop_score(self, x: Bits, first_output: Bits) -> Array:
        """(n,) scores of stopping after the first output."""
        d = self.first.size
        own = self.stop[d] + x @ self.stop[d + 1 : -1]
        return x @ self.stop[:d] + first_output * own + self.stop[-1]

    def step_score(self, position: int, x: Bits, outputs: Bits) -> Array:
        """(n,) scores of output `position` = 2..d, after the first `position` − 1 columns of `outputs`."""
        d, row = self.first.size, self.chain[position - 2]
        seen = outputs[:, : position - 1]
        return x @ row[:d] + seen @ row[d : d + position - 1] + seen[:, -1] * (x @ row[2 * d - 1 :])

    def modes(self, x: Bits) -> Modes:
        """The exact probabilities of both demonstrations: products of sigmoids, nothing is sampled."""
        return _in_chunks(self._modes, x, Modes)

    def _modes(self, x: Bits) -> Modes:
        d, chain, bits = self.first.size, prefixes(x), x.astype(float)
        answer, outputs = chain[:, -1], chain[:, :-1].astype(float)
        scores = bits @ self.chain[:, :d].T + outputs @ self.chain[:, d : 2 * d - 1].T
        scores += outputs * (bits @ self.chain[:, 2 * d - 1 :].T)
        steps = np.exp(-np.logaddexp(0.0, -chain[:, 1:] * scores).sum(1))
        first = bits @ self.first
        long = sigmoid(x[:, 0] * first) * sigmoid(-self.stop_score(bits, x[:, 0])) * steps
        return Modes(long, sigmoid(answer * first) * sigmoid(self.stop_score(bits, answer)))

    def greedy(self, x: Bits) -> Responses:
        """The responses of largest score, position by position; a score of 0 counts as +1."""
        return _in_chunks(lambda part: self._respond(part, lambda score: score >= 0), x, Responses)

    def sample(self, x: Bits, rng: np.random.Generator) -> Responses:
        """Responses at temperature 1: +1 (stop: EOS) with the score's sigmoid."""

        def draw(score: Array) -> NDArray[np.bool_]:
            return rng.random(score.size) < sigmoid(score)

        return _in_chunks(lambda part: self._respond(part, draw), x, Responses)

    def _respond(self, x: Bits, positive: Callable[[Array], NDArray[np.bool_]]) -> Responses:
        bits, outputs = x.astype(float), np.zeros(x.shape)
        outputs[:, 0] = np.where(positive(bits @ self.first), 1, -1)
        long = ~positive(self.stop_score(bits, outputs[:, 0]))
        on = np.flatnonzero(long)
        bits, written = bits[on], outputs[on]
        for position in range(2, x.shape[1] + 1):
            written[:, position - 1] = np.where(positive(self.step_score(position, bits, written)), 1, -1)
        outputs[on] = written
        return Responses(outputs.astype(np.int8), long)


def _in_chunks(call: Callable[[Bits], Any], x: Bits, kind: type) -> Any:
    """`call` on CHUNK inputs at a time, its arrays joined."""
    parts = [vars(call(x[start : start + CHUNK])) for start in range(0, len(x), CHUNK)]
    return kind(**{name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
