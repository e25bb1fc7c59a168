"""What the theory predicts, over a sweep's panels. Each overlay draws where it applies, and is silent elsewhere."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from rarecot.report.data import guess_rate
from rarecot.report.style import THEORY as COLOUR
from rarecot.report.sweep.curves import Point, curve_crossing
from rarecot.report.sweep.data import SweepRun, number
from rarecot.report.sweep.panels import Panel
from rarecot.theory.predict import (
    greedy_threshold,
    indifference_price,
    keep_ratio,
    odds_recursion,
    reward_rate,
    theorem1,
)


@dataclass(frozen=True)
class Curve:
    """A curve that was drawn: its condition in words, its colour, its runs and points."""

    label: str
    colour: object
    runs: list[SweepRun]
    points: list[Point]


def draw(axes: Axes, panel: Panel, runs: Sequence[SweepRun], curves: Sequence[Curve]) -> None:
    """Draw the panel's overlays, those of the theorems only for tasks whose guess rate is known."""
    guess = guess_rate([run.data for run in runs])
    for name in panel.theory:
        if name in _OVERLAYS and (guess is not None or name == "calibration"):
            _OVERLAYS[name](axes, panel, guess, curves)


def _line(axes: Axes, where: float, label: str, horizontal: bool = False, style: str = "--") -> None:
    (axes.axhline if horizontal else axes.axvline)(where, color=COLOUR, lw=1.1, ls=style, zorder=1, label=label)


def _threshold(axes: Axes, panel: Panel, guess: float, curves: Sequence[Curve]) -> None:
    where = greedy_threshold(guess)
    if panel.plot == "final" and panel.x == "p_cot":
        _line(axes, where, f"threshold g/(1 + g) = {where:.3g}")
        if (panel.field, panel.measured) == ("accuracy", "greedy"):
            for curve in curves:
                found = curve_crossing(curve.points)
                mark = {"color": curve.colour, "marker": "D", "ms": 7, "mec": "black", "mew": 0.9, "lw": 0, "zorder": 5}
                at = ([], []) if found.mean is None else ([found.mean], [0.75])
                axes.plot(*at, **mark, label=f"{curve.label + ' ' if len(curves) > 1 else ''}{found}")
    elif panel.field == "long_share" and panel.plot in ("final", "course"):
        _line(axes, where, f"threshold g/(1 + g) = {where:.3g}", horizontal=True)


def _guess(axes: Axes, panel: Panel, guess: float, curves: Sequence[Curve]) -> None:
    if panel.field.startswith("accuracy") and panel.plot in ("final", "course"):
        _line(axes, guess, f"guessing: {guess:.0%}", horizontal=True, style=":")


def _calibration(axes: Axes, panel: Panel, guess: float | None, curves: Sequence[Curve]) -> None:
    if panel.plot == "final" and panel.x == "p_cot" and "share" in panel.field:
        grid = _grid(curves)
        axes.plot(grid, grid, color=COLOUR, lw=1.1, ls="--", zorder=1, label="calibrated: long share = p_cot")


def _theorem1(axes: Axes, panel: Panel, guess: float, curves: Sequence[Curve]) -> None:
    """Over p_cot: long share p, and accuracy p + (1 − p)·g when sampled, the step at the threshold when greedy. Over
    training: the p of each curve."""
    sampled = panel.measured != "greedy"
    if panel.plot == "final" and panel.x == "p_cot":
        grid = _grid(curves)
        points = [theorem1(float(np.clip(p, 1e-9, 1 - 1e-9)), guess) for p in grid]
        predicted = {
            ("long_share", True): [t.long_correct for t in points],
            ("long_share", False): [float(t.greedy_is_long) for t in points],
            ("accuracy", True): [t.long_correct + t.short_correct for t in points],
            ("accuracy", False): [t.greedy_accuracy for t in points],
        }.get((panel.field, sampled))
        if predicted is not None:
            axes.plot(grid, predicted, color=COLOUR, lw=1.1, ls="-.", zorder=1, label="Theorem 1")
    elif panel.plot == "course" and panel.field == "long_share" and sampled:
        for curve in curves:
            for p in {run.values.get("p_cot", run.data.manifest["p_cot"]) for run in curve.runs}:
                axes.axhline(p, color=curve.colour, lw=1.1, ls="-.", zorder=1)
        axes.plot([], [], color=COLOUR, lw=1.1, ls="-.", label="Theorem 1: long share = p_cot")


def _length_penalty(axes: Axes, panel: Panel, guess: float, curves: Sequence[Curve]) -> None:
    """a_L − c·len_L = a_S − c·len_S with a_L = 1, a_S = g, len_L = d, len_S = 1: c = (1 − g)/(d − 1)."""
    if panel.plot != "final" or panel.x != "reward_weights":
        return
    for d in sorted({run.data.manifest["d"] for curve in curves for run in curve.runs} - {1}):
        price = indifference_price(1.0, guess, d, 1)
        _line(axes, price, f"short pays more from c = (1 − g)/(d − 1) = {price:.3g} (d = {d})", style="-.")


def _star(axes: Axes, panel: Panel, guess: float, curves: Sequence[Curve]) -> None:
    if panel.plot != "course" or panel.x != "round" or panel.field != "long_share":
        return
    for curve in curves:
        if curve.points and 0 < curve.points[0].mean < 1:
            start, end = curve.points[0].x, curve.points[-1].x
            grid = np.linspace(start, end, 200)
            predicted = odds_recursion(curve.points[0].mean, factor(curve.runs[0], guess), grid - start)
            axes.plot(grid, predicted, color=curve.colour, lw=1.2, ls="--", zorder=1)
    factors = sorted({round(factor(run, guess), 2) for curve in curves for run in curve.runs})
    said = ", ".join(f"{factor:g}" for factor in factors)
    axes.plot([], [], color=COLOUR, lw=1.2, ls="--", label=f"odds × {said} a round (a_L / a_S, Theorem 2)")


def factor(run: SweepRun, guess: float) -> float:
    """a_L / a_S of parity, as the run's verifier sees it: it rewards a wrong answer, or not a right one, at the rates asked for."""
    options = run.data.config.get(run.recipe, {})
    positive, negative = options.get("false_positive_rate", 0.0), options.get("false_negative_rate", 0.0)
    return float(keep_ratio(*(reward_rate(a, 0.0, positive, negative) for a in (1.0, guess))))


_OVERLAYS: dict[str, Callable[..., None]] = {
    "threshold": _threshold,
    "guess": _guess,
    "calibration": _calibration,
    "theorem1": _theorem1,
    "length_penalty": _length_penalty,
    "star": _star,
}


def boundary(
    axes: Axes, panel: Panel, runs: Sequence[SweepRun], xs: Sequence[Hashable], ys: Sequence[Hashable]
) -> None:
    """The greedy threshold between the cells of a heat map, whichever axis p_cot is on; nothing if all lie on one side."""
    guess = guess_rate([run.data for run in runs])
    if "threshold_boundary" not in panel.theory or guess is None or "p_cot" not in (panel.x, panel.y):
        return
    where = greedy_threshold(guess)
    values = xs if panel.x == "p_cot" else ys
    below = sum(number(value) < where for value in values)
    if 0 < below < len(values):
        draw_line = axes.axvline if panel.x == "p_cot" else axes.axhline
        line = draw_line(below - 0.5, color="#d55e00", lw=2.5, label=f"threshold p_cot = {where:.3g}")
        line.set_clip_on(False)


def _grid(curves: Sequence[Curve]) -> np.ndarray:
    """Places on the axis, fine, between the smallest and the largest measured."""
    xs = [number(p.x) for curve in curves for p in curve.points]
    low, high = min(xs, default=0.0), max(xs, default=1.0)
    return np.unique(np.concatenate([np.linspace(low, high, 400), np.geomspace(max(low, 1e-4), max(high, 1e-3), 400)]))
