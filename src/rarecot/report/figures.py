"""The figures of the paper, from records. Each `draw_*` fills axes; `save_all` writes the PNGs."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import itertools

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rarecot.report.data import STAGE_NAMES, Record, RunData
from rarecot.theory.predict import fit_odds_ratio, greedy_threshold, odds_recursion

GREEDY, SAMPLED, THEORY, FIT, SHORT = "#0b5fa5", "#e07b00", "#3a3a3a", "#8a2be2", "#9aa0a6"
STYLE = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "figure.dpi": 110,
    "savefig.dpi": 160,
}


def save_all(runs: Sequence[RunData], folder: Path) -> dict[str, Path]:
    """Write every figure that the runs have data for; name → path, the overview first."""
    folder.mkdir(parents=True, exist_ok=True)
    rl = any(run.rl_stage for run in runs)
    makers = {"overview": overview, "trajectory": trajectory, "calibration": calibration, "lengths": lengths}
    if rl:
        makers["rounds"] = rounds
    paths = {}
    with plt.rc_context(STYLE):
        for name, make in makers.items():
            figure = make(runs)
            paths[name] = folder / f"{name}.png"
            figure.savefig(paths[name], bbox_inches="tight")
            plt.close(figure)
    return paths


def overview(runs: Sequence[RunData]) -> Figure:
    """One picture for the whole story: accuracy and length over NTP → RL, calibration, RL rounds, lengths."""
    figure = plt.figure(figsize=(15, 8.4), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[1.55, 1])
    _trajectory_grid(left, runs)
    top, middle, bottom = right.subplots(3, 1)
    draw_calibration(top, runs)
    draw_rounds(middle, runs)
    draw_lengths(bottom, runs)
    figure.suptitle(_headline(runs), fontsize=13, fontweight="bold")
    return figure


def trajectory(runs: Sequence[RunData]) -> Figure:
    """Accuracy and median length against sequences seen, NTP then RL."""
    figure = plt.figure(figsize=(9.5, 6), layout="constrained")
    _trajectory_grid(figure, runs)
    return figure


def calibration(runs: Sequence[RunData]) -> Figure:
    """Long share at temperature 1 after NTP against p_cot."""
    figure, axes = plt.subplots(figsize=(5, 4.2), layout="constrained")
    draw_calibration(axes, runs)
    return figure


def rounds(runs: Sequence[RunData]) -> Figure:
    """Long share of the rollouts against the recursion of Theorem 2."""
    figure, axes = plt.subplots(figsize=(6.5, 4.2), layout="constrained")
    draw_rounds(axes, runs)
    return figure


def lengths(runs: Sequence[RunData]) -> Figure:
    """Response lengths before and after RL."""
    figure, axes = plt.subplots(figsize=(6.5, 3.6), layout="constrained")
    draw_lengths(axes, runs)
    return figure


def _trajectory_grid(figure: Any, runs: Sequence[RunData]) -> None:
    """2 × 2: accuracy and median length; NTP on a log axis, RL on a linear one. The gap between is the switch."""
    grid = figure.subplots(2, 2, sharey="row", sharex="col", width_ratios=[1, 1])
    rl_stage = next((run.rl_stage for run in runs if run.rl_stage), None)
    for column, stage in enumerate(("sft", rl_stage)):
        for row, field in enumerate(("accuracy", "length_median")):
            axes = grid[row, column]
            if stage is None:
                axes.text(0.5, 0.5, "no RL stage yet", ha="center", va="center", transform=axes.transAxes)
                continue
            for decoding, colour in (("greedy", GREEDY), ("sampled", SAMPLED)):
                _draw_curve(axes, runs, stage, decoding, field, colour)
            axes.spines["left" if column else "right"].set_visible(False)
        if stage is None:
            continue
        if stage == "sft":
            grid[1, column].set_xscale("symlog", linthresh=_first_positive(runs, "sft"))
        noun = "demonstrations" if stage == "sft" else "rollouts"
        grid[1, column].set_xlabel(f"{noun} seen in {STAGE_NAMES[stage]}")
        grid[0, column].set_title("next-token prediction" if stage == "sft" else f"then RL ({STAGE_NAMES[stage]})")
    for axes in grid[:, 1]:
        axes.axvline(0, color="black", lw=1.2, ls="--")
        axes.tick_params(axis="y", length=0)
    grid[0, 1].annotate("the switch", (0, 0.02), xytext=(6, 0), textcoords="offset points", fontsize=8)
    grid[0, 0].axhline(0.5, color=THEORY, lw=0.8, ls=":")
    grid[0, 1].axhline(0.5, color=THEORY, lw=0.8, ls=":")
    grid[0, 0].set_ylabel("accuracy on test problems")
    grid[0, 0].set_ylim(-0.02, 1.03)
    grid[1, 0].set_ylabel("median response length (tokens)")
    grid[0, 0].legend(loc="lower left", bbox_to_anchor=(0.0, 0.06))


def _draw_curve(axes: Axes, runs: Sequence[RunData], stage: str, decoding: str, field: str, colour: str) -> None:
    """Mean over runs with the range over runs; for one run, its 95 % interval."""
    points: dict[int, list[Record]] = defaultdict(list)
    for run in runs:
        for record in run.series(stage, decoding):
            points[record["sequences_seen"]].append(record)
    if not points:
        return
    x = sorted(points)
    mean = [np.mean([r[field] for r in points[at]]) for at in x]
    if len(runs) > 1:
        low = [min(r[field] for r in points[at]) for at in x]
        high = [max(r[field] for r in points[at]) for at in x]
    elif f"{field}_ci" in points[x[0]][0]:
        low, high = zip(*(points[at][0][f"{field}_ci"] for at in x), strict=True)
    else:
        low = high = mean
    label = "greedy" if decoding == "greedy" else f"sampled, τ = {points[x[0]][0]['temperature']:g}"
    axes.plot(x, mean, color=colour, marker="o", ms=3.5, lw=1.8, label=label)
    axes.fill_between(x, low, high, color=colour, alpha=0.18, lw=0)


def draw_calibration(axes: Axes, runs: Sequence[RunData]) -> None:
    """Each run's sampled long share at the end of NTP (Theorem 1: it equals p_cot), and its way there in grey."""
    axes.plot([0, 1], [0, 1], color=THEORY, lw=1, ls="--", label="calibrated (Theorem 1)")
    threshold = greedy_threshold()
    axes.axvspan(threshold, 1, color=GREEDY, alpha=0.07, lw=0)
    axes.text(threshold + 0.01, 0.04, "p_cot ≥ 1/3:\nNTP alone suffices", fontsize=8, color=GREEDY)
    for i, run in enumerate(runs):
        series = [r for r in run.series("sft", "sampled") if r["temperature"] == 1.0]
        if not series:
            continue
        p_cot, last = run.manifest["p_cot_realised"], series[-1]
        way = [r["long_share"] for r in series]
        axes.plot([p_cot] * len(way), way, color=SHORT, marker="_", ms=6, lw=0, zorder=1)
        low, high = last["long_share_ci"]
        axes.errorbar(
            [p_cot],
            [last["long_share"]],
            yerr=[[last["long_share"] - low], [high - last["long_share"]]],
            color=SAMPLED,
            marker="o",
            ms=5,
            capsize=3,
            label="after NTP, 95 % interval (grey: on the way)" if i == 0 else None,
        )
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel="p_cot (share of long demonstrations)")
    axes.set_ylabel("long share at τ = 1")
    axes.set_title("length calibration")
    axes.legend(loc="upper left", fontsize=8)


def draw_rounds(axes: Axes, runs: Sequence[RunData]) -> None:
    """Long share of the rollouts, round by round, against p_n = 2^n p_0 / (2^n p_0 + 1 − p_0) and the 1/3 line.

    The recursion is that of STaR, whose round keeps exactly the correct responses. A GRPO step moves the odds by a
    factor that depends on its learning rate; the fitted factor a round is shown beside it.
    """
    stage = next((run.rl_stage for run in runs if run.rl_stage), None)
    axes.set_title("RL up-samples the long mode")
    if stage is None:
        axes.text(0.5, 0.5, "no RL stage yet", ha="center", va="center", transform=axes.transAxes)
        return
    name = STAGE_NAMES[stage]
    last = 0
    for i, run in enumerate(runs):
        series = run.series(stage, "sampled", "rollouts")
        if not series:
            continue
        x, y = [r["step"] for r in series], [r["long_share"] for r in series]
        last = max(last, x[-1])
        low, high = zip(*(r["long_share_ci"] for r in series), strict=True)
        axes.plot(x, y, color=SAMPLED, marker="o", ms=3, lw=1.4, label=f"{name} rollouts" if i == 0 else None)
        axes.fill_between(x, low, high, color=SAMPLED, alpha=0.15, lw=0)
        fitted = fit_odds_ratio(x, y, series[0]["n"])
        grid = np.linspace(0, max(x), 200)
        if fitted:
            label = f"odds × {fitted[1]:.2f} a round (fit{'' if len(runs) == 1 else ', each run'})"
            axes.plot(grid, odds_recursion(*fitted, grid), color=FIT, lw=1.2, ls="-.", label=label if i == 0 else None)
        if i == 0 and 0 < y[0] < 1:
            axes.plot(
                grid, odds_recursion(y[0], 2.0, grid), color=THEORY, lw=1.2, ls="--", label="odds × 2 (Theorem 2, STaR)"
            )
        _mark_flip(axes, run, stage, label=i == 0)
    axes.axhline(1 / 3, color=GREEDY, lw=1, ls=":")
    axes.text(last, 1 / 3 + 0.015, "1/3", color=GREEDY, fontsize=9, ha="right")
    axes.set(ylim=(-0.02, 1.03), xlabel=f"{name} round", ylabel="long share")
    axes.legend(loc="lower right", fontsize=8)


def _mark_flip(axes: Axes, run: RunData, stage: str, label: bool) -> None:
    """A shaded interval between the last short and the first long greedy evaluation."""
    series = run.series(stage, "greedy")
    for before, after in itertools.pairwise(series):
        if before["long_share"] < 0.5 <= after["long_share"]:
            text = "greedy flips in here" if label else None
            axes.axvspan(before["step"], after["step"], color=GREEDY, alpha=0.1, lw=0, label=text)
            return


def draw_lengths(axes: Axes, runs: Sequence[RunData]) -> None:
    """Histograms of sampled response lengths before and after RL (after NTP alone if there was no RL)."""
    before: list[int] = []
    after: list[int] = []
    name = None
    for run in runs:
        if record := run.last("sft", "sampled"):
            before += run.lengths(record)
        if run.rl_stage and (record := run.last(run.rl_stage, "sampled")):
            name = STAGE_NAMES[run.rl_stage]
            after += run.lengths(record)
    top = max([1, *before, *after])
    bins = np.arange(0.5, top + 1.5) if top <= 120 else np.linspace(0, top, 60)
    for values, colour, label in ((before, SHORT, "after NTP"), (after, SAMPLED, f"after {name}")):
        if values:
            weights = np.full(len(values), 1 / len(values))
            axes.hist(
                values, bins=bins, weights=weights, color=colour, alpha=0.75, label=f"{label} (n = {len(values)})"
            )
    axes.set(xlabel="response length (tokens)", ylabel="share of responses", ylim=(0, 1.02))
    axes.set_title("response lengths, sampled")
    if before or after:
        axes.legend(loc="upper center", fontsize=8)


def _first_positive(runs: Sequence[RunData], stage: str) -> float:
    seen = [r["sequences_seen"] for run in runs for r in run.series(stage, "greedy") if r["sequences_seen"] > 0]
    return min(seen, default=1.0)


def _headline(runs: Sequence[RunData]) -> str:
    task = runs[0].manifest
    what = f"{task['task']}, d = {task['d']}" if "d" in task else task["task"]
    shares = sorted({run.manifest["p_cot"] for run in runs})
    seeds = len({run.manifest["seed"] for run in runs})
    share = ", ".join(f"{p:g}" for p in shares)
    return f"RL after next-token prediction: {what}, p_cot = {share} ({seeds} seed{'s' if seeds > 1 else ''})"
