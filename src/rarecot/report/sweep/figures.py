"""A sweep's figure: each panel as a PNG, and all of them in one. The numbers are made in `sweep_curves`."""

import math
import textwrap
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.container import Container
from matplotlib.ticker import EngFormatter, FixedLocator, FuncFormatter, MaxNLocator, NullLocator, PercentFormatter

from rarecot.report.data import Record, guess_rate
from rarecot.report.style import GREEDY, SAMPLED, STYLE, plt
from rarecot.report.style import THEORY as GREY
from rarecot.report.sweep.curves import (
    Point,
    agreeing,
    aligned,
    cells,
    course,
    course_curve,
    final_curve,
    recursion_pairs,
)
from rarecot.report.sweep.data import SweepData, SweepRun, conditions, label, number, ordered, text
from rarecot.report.sweep.overlays import Curve, boundary, draw, factor
from rarecot.report.sweep.panels import Panel
from rarecot.report.sweep.words import axis, caption, is_share, title, unit
from rarecot.theory.predict import odds_recursion

# Okabe and Ito's colours, which the colour-blind can tell apart, the darker ones first; a marker each says it again.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
MARKERS = "osD^vPX"
COLUMNS = 3  # panels side by side in the overview
WIDTH, HEIGHT = 6.4, 5.0  # inches a panel


def save_all(sweep: SweepData, folder: Path) -> dict[str, tuple[Path, str]]:
    """Write the panels and the overview; name → (path, caption), the overview first if there are several panels."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures: dict[str, tuple[Path, str]] = {}
    with plt.rc_context(STYLE):
        for i, panel in enumerate(sweep.panels, 1):
            name = f"{i}-{panel.plot}-{panel.field}"
            figure = plt.figure(figsize=(_width(sweep, panel), HEIGHT), layout="constrained")
            points = draw_panel(figure, panel, sweep)
            pictures[name] = _save(figure, folder / f"{name}.png"), caption(panel, sweep, points)
        if sweep.panels:
            whole = _save(overview(sweep), folder / "overview.png"), sweep.shows
            pictures = {"overview": whole, **pictures}
    return pictures


def _save(figure: Any, path: Path) -> Path:
    figure.savefig(path, bbox_inches="tight")
    plt.close(figure)
    return path


def _width(sweep: SweepData, panel: Panel) -> float:
    """Inches: a heat map each combination, side by side."""
    maps = len(conditions(sweep.shown(panel), sweep.by(panel))) if panel.plot == "heatmap" else 1
    return WIDTH * min(max(maps, 1), COLUMNS) * (0.75 if maps > 1 else 1)


def overview(sweep: SweepData) -> Any:
    """All panels side by side under what the sweep shows."""
    columns = min(COLUMNS, len(sweep.panels))
    rows = [sweep.panels[i : i + columns] for i in range(0, len(sweep.panels), columns)]
    width = max(sum(_width(sweep, panel) for panel in row) for row in rows)
    figure = plt.figure(figsize=(width, HEIGHT * len(rows) + 0.9), layout="constrained")
    bands = np.atleast_1d(figure.subfigures(len(rows), 1, hspace=0.04))
    for band, row in zip(bands, rows, strict=True):
        widths = [_width(sweep, panel) for panel in row]
        if (rest := width - sum(widths)) > 0.1:
            widths.append(rest)
        places = np.atleast_1d(band.subfigures(1, len(widths), width_ratios=widths, wspace=0.03))
        for place, panel in zip(places, row, strict=False):
            draw_panel(place, panel, sweep)
    figure.suptitle(textwrap.fill(sweep.shows or sweep.name, int(width * 8)), fontsize=14, fontweight="bold")
    return figure


def draw_panel(figure: Any, panel: Panel, sweep: SweepData) -> list[Point]:
    """Fill a figure, or a part of one, with a panel; its points, for the caption."""
    runs = sweep.shown(panel)
    if not runs:
        axes = figure.subplots()
        axes.text(0.5, 0.5, "no records yet", ha="center", va="center", transform=axes.transAxes)
        axes.set_title(title(panel, runs) if panel.title else unit(panel))
        return []
    groups = conditions(runs, sweep.by(panel))
    if panel.plot == "heatmap":
        _heatmaps(figure, panel, runs, groups, sweep.by(panel))
        return []
    axes = figure.subplots()
    makers = {"final": _final, "course": _course, "recursion": _recursion}
    names = {values: label(sweep.by(panel), values) for values in groups}
    colours = _colours(list(groups), panel)
    points = makers[panel.plot](axes, panel, groups, names, colours)
    axes.set_title(textwrap.fill(title(panel, runs), 60))
    if panel.x_label:
        axes.set_xlabel(panel.x_label)
    if panel.y_label:
        axes.set_ylabel(panel.y_label)
    _legend(figure, axes)
    return points


def _colours(groups: Sequence[tuple[Hashable, ...]], panel: Panel) -> list[Any]:
    """One curve: the colour of its decoding; numbers of one key: dark to light by size; otherwise distinct ones."""
    if len(groups) == 1:
        return [GREEDY if panel.measured == "greedy" else SAMPLED]
    by_size = len(groups) > 2 and all(
        sum(number(v) is not None for v in values) == len(values) == 1 for values in groups
    )
    if by_size or len(groups) > len(COLOURS):
        return list(plt.get_cmap("viridis")(np.linspace(0, 0.88, len(groups))))
    return list(COLOURS[: len(groups)])


def _legend(figure: Any, axes: Axes) -> None:
    """Under the axes, where it hides nothing; what was measured before what was predicted."""
    entries = sorted(zip(*axes.get_legend_handles_labels(), strict=True), key=lambda e: not isinstance(e[0], Container))
    if entries:
        handles, names = zip(*entries, strict=True)
        columns = max(1, min(len(names), 3, 78 // (max(len(name) for name in names) + 6)))
        figure.legend(handles, names, loc="outside lower center", ncols=columns, fontsize=9)


def _final(axes: Axes, panel: Panel, groups: Any, names: Any, colours: Sequence[Any]) -> list[Point]:
    curves = [
        Curve(names[values], colour, members, final_curve(members, panel))
        for (values, members), colour in zip(groups.items(), colours, strict=True)
    ]
    places = ordered(p.x for curve in curves for p in curve.points)
    numeric = all(number(x) is not None for x in places)
    for i, curve in enumerate(curves):
        shift = 0 if numeric else (i - (len(curves) - 1) / 2) * min(0.14, 0.6 / len(curves))
        x = [(number(p.x) if numeric else places.index(p.x)) + shift for p in curve.points]
        mean = [p.mean for p in curve.points]
        error = [[p.mean - p.low for p in curve.points], [p.high - p.mean for p in curve.points]]
        style = {"color": curve.colour, "marker": MARKERS[i % len(MARKERS)], "ms": 5.5, "capsize": 3}
        line = {"lw": 1.8 if numeric else 0, "elinewidth": 1.2}
        axes.errorbar(x, mean, yerr=error, label=curve.label or None, **style, **line)
        _single_runs(axes, x, curve)
    runs = [run for curve in curves for run in curve.runs]
    _value_axis(axes, panel)
    axes.set_xlabel(axis(panel.x))
    if numeric:
        _number_axis(axes, panel, [number(x) for x in places])
        draw(axes, panel, runs, curves)
    else:
        axes.set_xticks(range(len(places)), [textwrap.fill(text(x), 16) for x in places])
        axes.set_xlim(-0.5, len(places) - 0.5)
        axes.grid(visible=False, axis="x")
        draw(axes, panel, runs, curves)
    return [p for curve in curves for p in curve.points]


def _single_runs(axes: Axes, x: Sequence[float], curve: Curve) -> None:
    for place, p in zip(x, curve.points, strict=True):
        if len(p.values) > 1:
            axes.plot([place] * len(p.values), p.values, color=curve.colour, marker="_", ms=7, mew=1.2, lw=0, alpha=0.6)


def _course(axes: Axes, panel: Panel, groups: Any, names: Any, colours: Sequence[Any]) -> list[Point]:
    curves = []
    for i, ((values, members), colour) in enumerate(zip(groups.items(), colours, strict=True)):
        points = course_curve(members, panel)
        curves.append(Curve(names[values], colour, members, points))
        style = {"color": colour, "marker": MARKERS[i % len(MARKERS)], "ms": 3.5}
        together = aligned(points)
        if together:
            x = [p.x for p in points]
            axes.plot(x, [p.mean for p in points], lw=1.8, label=names[values] or None, **style)
            axes.fill_between(x, [p.low for p in points], [p.high for p in points], color=colour, alpha=0.15, lw=0)
        for n, run in enumerate(members if len(members) > 1 else ()):
            single = course(run, panel)
            at, y = list(single), [record[panel.field] for record in single.values()]
            if together:
                axes.plot(at, y, color=colour, marker="_", ms=5, lw=0, alpha=0.5)
            else:  # no common places to take a mean at
                axes.plot(at, y, lw=1.1, alpha=0.8, label=names[values] or None if n == 0 else None, **style)
    _value_axis(axes, panel)
    after = " finished" if panel.x == "round" else ""
    axes.set_xlabel(axis(panel.x) + ("s" if after else "") + after)
    if panel.log_x:
        places = [p.x for curve in curves for p in curve.points]
        _log(axes, places)
    elif panel.x == "sequences_seen":
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, steps=[1, 2, 5, 10]))
    draw(axes, panel, [run for curve in curves for run in curve.runs], curves)
    return [p for curve in curves for p in curve.points]


def _recursion(axes: Axes, panel: Panel, groups: Any, names: Any, colours: Sequence[Any]) -> list[Point]:
    runs: list[SweepRun] = []
    grid = np.linspace(0, 1, 200)
    guess = guess_rate([run.data for members in groups.values() for run in members])
    for i, ((values, members), colour) in enumerate(zip(groups.items(), colours, strict=True)):
        runs += members
        pairs = [pair for run in members for pair in recursion_pairs(run)]
        as_said = (
            sum(agreeing(recursion_pairs(run), factor(run, guess)) for run in members) if guess is not None else None
        )
        counted = f"{len(pairs)} rounds" + (f", {as_said} within 95 % of theory" if as_said is not None else "")
        x, y = [a["long_share"] for a, _ in pairs], [b["long_share"] for _, b in pairs]
        bars = {f"{way}err": _bars([pair[n] for pair in pairs]) for n, way in enumerate("xy")} if pairs else {}
        style = {"color": colour, "marker": MARKERS[i % len(MARKERS)], "ms": 5, "mec": "white", "mew": 0.6}
        name = f"{names[values] or 'measured'} ({counted})"
        axes.errorbar(x, y, **bars, lw=0, elinewidth=0.9, **style, label=name)
    if guess is not None:
        for ratio in sorted({factor(run, guess) for run in runs}):
            formula = "2p/(1 + p), Theorem 2" if ratio == 2 else f"odds × {ratio:.3g} (a_L / a_S)"
            axes.plot(
                grid[:-1], odds_recursion(grid[:-1], ratio, 1), color=GREY, lw=1.3, ls="--", zorder=1, label=formula
            )
    axes.plot(grid, grid, color=GREY, lw=0.9, ls=":", zorder=1, label="no change")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.04), aspect="equal", adjustable="box")
    axes.set(xlabel="long share of the rollouts of round n", ylabel="long share in round n + 1")
    for one in (axes.xaxis, axes.yaxis):
        one.set_major_formatter(PercentFormatter(1.0, decimals=0))
    return []


def _bars(records: Sequence[Record]) -> np.ndarray:
    """(2, N): the distances from N long shares down and up to the ends of their intervals."""
    ends = [(r["long_share"] - r["long_share_ci"][0], r["long_share_ci"][1] - r["long_share"]) for r in records]
    return np.maximum(ends, 0).T


def _value_axis(axes: Axes, panel: Panel) -> None:
    axes.set_ylabel(unit(panel))
    if is_share(panel.field):
        axes.set_ylim(-0.03, 1.04)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    elif panel.field.startswith(("length", "seconds")):
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, steps=[1, 2, 5, 10]))


def _number_axis(axes: Axes, panel: Panel, places: Sequence[float]) -> None:
    """Ticks at the swept values where they do not crowd."""
    if panel.log_x:
        _log(axes, places)
    span = axes.transData.transform([(x, 0) for x in places])[:, 0] if places else np.array([])
    room = axes.bbox.width / 11
    if len(span) and (len(span) == 1 or np.diff(span).min() > room):
        axes.xaxis.set_major_locator(FixedLocator(list(places)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: text(float(x))))


def _log(axes: Axes, places: Sequence[float]) -> None:
    positive = [x for x in places if x > 0]
    if min(places, default=1) > 0:
        axes.set_xscale("log")
    elif positive:
        axes.set_xscale("symlog", linthresh=min(positive), linscale=0.5)
        axes.set_xlim(min(places) - 0.2 * min(positive), 1.2 * max(positive))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: text(float(x))))


def _heatmaps(figure: Any, panel: Panel, runs: Sequence[SweepRun], groups: Any, by: Sequence[str]) -> None:
    """A map for each combination of the other keys, on common axes and one colour scale."""
    maps = {values: cells(members, panel) for values, members in groups.items()}
    xs = ordered(run.value(panel.x) for run in runs if run.value(panel.x) is not None)
    ys = ordered(run.value(panel.y) for run in runs if run.value(panel.y) is not None)
    means = [p.mean for found in maps.values() for p in found.values()]
    limits = (0.0, 1.0) if is_share(panel.field) else (min(means, default=0), max(means, default=1))
    columns = min(len(maps), COLUMNS)
    grid = figure.subplots(math.ceil(len(maps) / columns), columns, squeeze=False, sharex=True, sharey=True)
    for axes, (values, found) in zip(grid.flat, maps.items(), strict=False):
        image = _one_map(axes, panel, found, xs, ys, limits)
        axes.set_title(label(by, values), fontsize=10)
        boundary(axes, panel, runs, xs, ys)
    for axes in grid.flat[len(maps) :]:
        axes.set_visible(False)
    for axes in grid[-1]:
        axes.set_xlabel(panel.x_label or axis(panel.x))
    for axes in grid[:, 0]:
        axes.set_ylabel(panel.y_label or axis(panel.y))
    whole = textwrap.fill(title(panel, runs), 60)
    if len(maps) == 1:
        grid[0, 0].set_title(whole)
    else:
        figure.suptitle(whole, fontsize=12)
    shares = {"format": PercentFormatter(1.0, decimals=0)} if is_share(panel.field) else {}
    figure.colorbar(image, ax=grid, label=unit(panel), shrink=0.9, **shares)
    _legend(figure, grid[0, 0])


def _one_map(
    axes: Axes, panel: Panel, found: Any, xs: Sequence[Any], ys: Sequence[Any], limits: tuple[float, float]
) -> Any:
    """Cells with their numbers, on an axis of values in order, lowest at the origin; a cell without runs has a dash."""
    values = np.array([[found[x, y].mean if (x, y) in found else np.nan for x in xs] for y in ys])  # (ys, xs)
    image = axes.imshow(values, origin="lower", aspect="auto", cmap="cividis", vmin=limits[0], vmax=limits[1])
    axes.set_facecolor("#e4e4e4")
    for row, column in np.ndindex(values.shape):
        value = values[row, column]
        red, green, blue, _ = image.cmap(image.norm(0.5 if np.isnan(value) else value))
        dark = not np.isnan(value) and 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
        shown = "–" if np.isnan(value) else f"{value:.0%}" if is_share(panel.field) else f"{value:.3g}"
        axes.text(column, row, shown, ha="center", va="center", color="white" if dark else "black", fontsize=10)
    axes.set_xticks(range(len(xs)), [text(x) for x in xs])
    axes.set_yticks(range(len(ys)), [text(y) for y in ys])
    axes.grid(visible=False)
    axes.tick_params(length=0)
    return image
