"""A line of the table: what ours takes, what something else takes beside it, and how they compare."""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

MIDDLE = (0.1, 0.9)  # quantiles: the middle 80 % of the turns


@dataclass(frozen=True)
class Row:
    """One comparison.

    Args:
        name: of the row, `GROUP_WHAT`.
        against: what the other is: a hand-written loop, a floor, a limit.
        unit: of `ours` and `other`.
        ours: median over the turns.
        other: the same of the other.
        ratio: median of ours / other, turn by turn.
        ratio_range: the middle 80 % of the turns.
        repeats: turns.
        promise: of the ratio, `≤ 1.3` or `≥ 3`; empty: none.
        note: what else there is to say, in a clause.
        details: further numbers, for the JSON.
    """

    name: str
    against: str
    unit: str
    ours: float
    other: float
    ratio: float
    ratio_range: tuple[float, float]
    repeats: int
    promise: str = ""
    note: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def kept(self) -> bool | None:
        """Whether the promise was kept; None: there is none."""
        if not self.promise:
            return None
        sign, bound = re.fullmatch(r"([≤≥]) ([\d.]+)", self.promise).groups()
        return self.ratio <= float(bound) if sign == "≤" else self.ratio >= float(bound)

    def line(self) -> str:
        """For the terminal."""
        low, high = self.ratio_range
        word = {None: "", True: "kept", False: "NOT KEPT"}[self.kept]
        return (
            f"{self.name:<22} {amount(self.ours):>8} / {amount(self.other):<8} {self.unit:<9} "
            f"= {self.ratio:5.2f} [{low:.2f}, {high:.2f}]  {self.promise:<7} {word:<9} against {self.against}"
            + (f"; {self.note}" if self.note else "")
        )

    def as_json(self) -> dict[str, Any]:
        """For the file."""
        return {**asdict(self), "kept": self.kept}


def amount(value: float) -> str:
    """Three digits, with thousands grouped."""
    return f"{value:,.0f}".replace(",", " ") if abs(value) >= 1000 else f"{value:.3g}"


def compared(
    name: str,
    ours: Sequence[float],
    other: Sequence[float],
    unit: str,
    against: str,
    promise: str = "",
    note: str = "",
    **details: Any,
) -> Row:
    """The row of two measured in turns; a single `other` (a floor, a limit) is held against every turn of ours.

    Args:
        name: of the row.
        ours: of each turn.
        other: of each turn, or one.
        unit: of both.
        against: what the other is.
        promise: of the ratio.
        note: a clause.
        details: for the JSON.
    """
    mine, others = np.array(ours, float), np.array(other, float)
    ratios = mine / others
    low, high = (float(q) for q in np.quantile(ratios, MIDDLE))
    return Row(
        name,
        against,
        unit,
        float(np.median(mine)),
        float(np.median(others)),
        float(np.median(ratios)),
        (low, high),
        len(ratios),
        promise,
        note,
        details,
    )


def seconds(work: Callable[[], Any]) -> float:
    """Wall time of a call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def take_turns(
    ours: Callable[[], Any], other: Callable[[], Any], repeats: int, warm_up: int = 1
) -> tuple[list[float], list[float]]:
    """Seconds of each, one after the other, so that a machine whose speed drifts slows both.

    Args:
        ours: a call.
        other: a call.
        repeats: turns that count.
        warm_up: turns before, that do not.
    """
    pairs = [(seconds(ours), seconds(other)) for _ in range(warm_up + repeats)][warm_up:]
    return [mine for mine, _ in pairs], [others for _, others in pairs]
