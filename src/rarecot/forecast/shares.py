"""Measured numbers and what is not known about them."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rarecot.evaluation.metrics import Z, wilson

SURE = 1e-9  # no share is drawn nearer to 0 or 1: its odds are to be had


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval; infinite ends are what never happens."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return self._as(lambda value: "never" if math.isinf(value) else f"{value:.3g}")

    def percent(self) -> str:
        """As a share."""
        return self._as(lambda value: f"{value:.1%}")

    def points(self) -> str:
        """As a change of a share, in percentage points."""
        return self._as(lambda value: f"{100 * value:+.1f}")

    def _as(self, written: Callable[[float], str]) -> str:
        return f"{written(self.value)} [{written(self.low)}, {written(self.high)}]"


@dataclass(frozen=True)
class Share:
    """A proportion that was measured.

    Args:
        value: in [0, 1].
        n: independent trials that it is worth; with several responses a prompt fewer than there were.
    """

    value: float
    n: float

    @property
    def interval(self) -> tuple[float, float]:
        """95 %, Wilson's."""
        return wilson(self.value * self.n, self.n)

    def draws(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """From the posterior of a proportion that nothing was known about before (Jeffreys' prior), shape (size,)."""
        drawn = rng.beta(self.value * self.n + 0.5, (1 - self.value) * self.n + 0.5, size)
        return np.clip(drawn, SURE, 1 - SURE)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.value:.1%} [{low:.1%}, {high:.1%}]"


def of_record(record: Mapping[str, Any], field: str) -> Share | None:
    """A share of a record with the number of trials behind its 95 % interval; None where it is undefined or not there."""
    value, interval = record.get(field), record.get(f"{field}_ci")
    if value is None or interval is None:
        return None
    return of_interval(float(value), interval)


def of_interval(value: float, interval: Sequence[float]) -> Share:
    """A proportion and its 95 % Wilson interval → the number of independent trials behind it."""
    end = min(interval, key=lambda e: abs(e - 0.5))  # the end that is farther from 0 and 1
    # Wilson's ends are the proportions p of which the value is Z standard deviations √(p(1 − p)/n) away.
    return Share(value, Z**2 * end * (1 - end) / (value - end) ** 2)


def pooled(shares: Sequence[Share | None]) -> Share | None:
    """Several measurements of one proportion as one; None if there is none."""
    known = [share for share in shares if share is not None]
    if not known:
        return None
    n = sum(share.n for share in known)
    return Share(sum(share.value * share.n for share in known) / n, n)
