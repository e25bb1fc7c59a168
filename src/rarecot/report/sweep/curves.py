"""The numbers behind a sweep's panels: seeds together, crossings, rounds in pairs, cells."""

import itertools
import math
import statistics
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from rarecot.report.data import Record
from rarecot.report.sweep.data import SweepRun, conditions
from rarecot.report.sweep.panels import Panel

HALFWAY = 0.75  # between guessing (1/2) and always right, for parity


@dataclass(frozen=True)
class Point:
    """One point of a curve.

    Args:
        x: place on the axis: a swept value, or how far training was.
        mean: over its runs.
        low, high: range over several runs; of one run its 95 % interval, or the value itself where there is none.
        values: of the single runs.
        seeds: theirs, in the same order.
    """

    x: Hashable
    mean: float
    low: float
    high: float
    values: tuple[float, ...]
    seeds: tuple[Hashable, ...]


def point(x: Hashable, measured: Sequence[tuple[Hashable, Record]], field: str) -> Point | None:
    """Runs at one place together; None if the field is undefined in all of them (nothing long was written).

    Args:
        measured: (seed, record) of each run.
    """
    there = [(seed, record) for seed, record in measured if record.get(field) is not None]
    if not there:
        return None
    seeds, values = zip(*((seed, float(record[field])) for seed, record in there), strict=True)
    interval = there[0][1].get(f"{field}_ci") if len(there) == 1 else None
    low, high = interval or (min(values), max(values))
    mean = statistics.fmean(values)
    return Point(x, mean, min(low, mean), max(high, mean), values, seeds)  # rounding may put an end past the mean


def final_curve(runs: Sequence[SweepRun], panel: Panel) -> list[Point]:
    """The field at the last evaluation against the swept key x. Runs without that key are not on the axis."""
    groups = conditions([run for run in runs if run.value(panel.x) is not None], (panel.x,))
    return [p for (x,), members in groups.items() if (p := final_point(x, members, panel))]


def final_point(x: Hashable, runs: Sequence[SweepRun], panel: Panel) -> Point | None:
    """The field at the last evaluation of runs that belong together; None if nothing was measured."""
    measured = [(run.seed, record) for run in runs if (record := run.last(panel.measured))]
    return point(x, measured, panel.field)


def progress(record: Record, x: str) -> float:
    """How far training was at a record; stages without rounds count their steps."""
    return record.get("round", record["step"]) if x == "round" else record[x]


def course(run: SweepRun, panel: Panel) -> dict[float, Record]:
    """Evaluations of one run by how far training was; of several at one place the last."""
    return {progress(r, panel.x): r for r in run.series(panel.measured) if r.get(panel.field) is not None}


def course_curve(runs: Sequence[SweepRun], panel: Panel) -> list[Point]:
    """The field over training, seeds together where they were measured at the same places."""
    places: dict[float, list[tuple[Hashable, Record]]] = defaultdict(list)
    for run in runs:
        for x, record in course(run, panel).items():
            places[x].append((run.seed, record))
    return [p for x in sorted(places) if (p := point(x, places[x], panel.field))]


def aligned(curve: Sequence[Point]) -> bool:
    """Whether seeds were measured at common places, so that their mean is a curve: STaR's steps differ by seed, its rounds
    do not."""
    most = max((len(p.values) for p in curve), default=1)
    return most == 1 or 2 * sum(len(p.values) == most for p in curve) > len(curve)


def crossing(points: Sequence[tuple[float, float]], level: float = HALFWAY) -> float | None:
    """Where a curve first comes up to a level, interpolated linearly between its points.

    Args:
        points: (x, y), by x.

    Returns:
        None if it never does, or is there from the first point on.
    """
    if not points or points[0][1] >= level:
        return None
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        if y0 < level <= y1:
            return x0 + (level - y0) / (y1 - y0) * (x1 - x0)
    return None


@dataclass(frozen=True)
class Crossing:
    """Where the mean crosses, and where the single seeds do (those that do).

    Args:
        mean: where the mean does; None: nowhere.
        seeds: where the seeds do.
        of: how many seeds there are.
        above: the mean is there from the first point on.
    """

    mean: float | None
    seeds: tuple[float, ...]
    of: int
    above: bool = False

    def __str__(self) -> str:
        nowhere = "above 75 % from the first point on" if self.above else "does not reach 75 %"
        where = f"crosses 75 % at {self.mean:.3g}" if self.mean is not None else nowhere
        if self.of < 2:
            return where
        span = f"{min(self.seeds):.3g}–{max(self.seeds):.3g}" if self.seeds else "none crosses"
        some = "" if len(self.seeds) in (0, self.of) else f"{len(self.seeds)} of "
        return f"{where} ({some}{self.of} seeds: {span})"


def curve_crossing(curve: Sequence[Point]) -> Crossing:
    """The measured threshold of a curve over p_cot, with the range over its seeds: those measured at every place, since a
    gap next to the crossing would move it."""
    by_seed: dict[Hashable, list[tuple[float, float]]] = defaultdict(list)
    for p in curve:
        for seed, value in zip(p.seeds, p.values, strict=True):
            by_seed[seed].append((float(p.x), value))
    single = [x for points in by_seed.values() if len(points) == len(curve) and (x := crossing(points)) is not None]
    means = [(float(p.x), p.mean) for p in curve]
    return Crossing(crossing(means), tuple(single), len(by_seed), bool(means) and means[0][1] >= HALFWAY)


def recursion_pairs(run: SweepRun) -> list[tuple[Record, Record]]:
    """The rollouts of round n with those of round n + 1; a round that is missing is in no pair."""
    rounds = {progress(record, "round"): record for record in run.series("rollouts")}
    return [(rounds[n], rounds[n + 1]) for n in sorted(rounds) if n + 1 in rounds]


def agreeing(pairs: Sequence[tuple[Record, Record]], ratio: float) -> int:
    """How many rounds are as the recursion says: the next long share differs from that which the odds times `ratio` give by no
    more than the 95 % intervals of both shares explain, the first carried through the recursion."""
    count = 0
    for before, after in pairs:
        p, q = before["long_share"], after["long_share"]
        slope = ratio / (1 + (ratio - 1) * p) ** 2
        half_p, half_q = ((r["long_share_ci"][1] - r["long_share_ci"][0]) / 2 for r in (before, after))
        count += abs(q - ratio * p / (1 + (ratio - 1) * p)) <= math.hypot(slope * half_p, half_q)
    return count


def cells(runs: Sequence[SweepRun], panel: Panel) -> Mapping[tuple[Hashable, Hashable], Point]:
    """(x, y) → the field at the last evaluation, mean over seeds; a cell without a value is left out."""
    placed = [run for run in runs if run.value(panel.x) is not None and run.value(panel.y) is not None]
    groups = conditions(placed, (panel.x, panel.y))
    return {(x, y): p for (x, y), members in groups.items() if (p := final_point((x, y), members, panel))}
