"""The figures of the paper, from records. Each `draw_*` fills axes; `save_all` writes the PNGs."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rarecot.evaluation.records import STAGE_NAMES
from rarecot.report import rl
from rarecot.report.data import Record, RunData, conditions, guess_rate
from rarecot.report.style import GREEDY, SAMPLED, SHORT, STYLE, THEORY, plt
from rarecot.theory.predict import greedy_threshold


def save_all(runs: Sequence[RunData], folder: Path) -> dict[str, Path]:
    """Write every figure that the runs have data for; name → path, the overview first."""
    folder.mkdir(parents=True, exist_ok=True)
    makers = {"overview": overview, "trajectory": trajectory, "calibration": calibration, "lengths": lengths}
    if any(run.rl_stage for run in runs):
        makers |= {"rounds": rl.rounds, "ledger": rl.ledgers}
    if any(rl.audited(run) for run in runs):
        makers["selection"] = rl.selection
    if any(run.rl_stage and mismatches(run) for run in runs):
        makers["mismatch"] = mismatch
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
    rl.draw_rounds(middle, runs)
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


def mismatch(runs: Sequence[RunData]) -> Figure:
    """How far vLLM's distribution is from the trainer's on the rollouts, by length class."""
    figure, axes = plt.subplots(figsize=(6.5, 4.2), layout="constrained")
    draw_mismatch(axes, runs)
    return figure


def lengths(runs: Sequence[RunData]) -> Figure:
    """Response lengths before and after RL."""
    figure, axes = plt.subplots(figsize=(6.5, 3.6), layout="constrained")
    draw_lengths(axes, runs)
    return figure


def _trajectory_grid(figure: Any, runs: Sequence[RunData]) -> None:
    """2 × 2: accuracy and median length; NTP on a log axis, RL on a linear one, the switch between them.

    Runs of one condition: greedy and sampled. Of several conditions: greedy alone, a colour each.
    """
    grid = figure.subplots(2, 2, sharey="row", sharex="col")
    rl_stage = next((run.rl_stage for run in runs if run.rl_stage), None)
    groups = conditions(runs)
    several = len(groups) > 1
    for column, stage in enumerate(("sft", rl_stage)):
        if stage is None:
            grid[0, 1].text(0.5, 0.6, "no RL stage", ha="center", transform=grid[0, 1].transAxes)
            continue
        for row, field in enumerate(("accuracy", "length_median")):
            for i, (condition, members) in enumerate(groups.items()):
                if several:
                    _draw_curve(grid[row, column], members, stage, "greedy", field, f"C{i}", f"greedy, {condition}")
                else:
                    _draw_curve(grid[row, column], members, stage, "greedy", field, GREEDY, "greedy")
                    _draw_curve(
                        grid[row, column],
                        members,
                        stage,
                        "sampled",
                        field,
                        SAMPLED,
                        f"sampled at τ = {members[0].temperature:g}",
                    )
        if stage == "sft":
            grid[1, column].set_xscale("symlog", linthresh=_first_positive(runs, "sft"))
        noun = "demonstrations" if stage == "sft" else "rollouts"
        grid[1, column].set_xlabel(f"{noun} seen in {STAGE_NAMES[stage]}")
        grid[0, column].set_title("next-token prediction" if stage == "sft" else f"then RL ({STAGE_NAMES[stage]})")
    for axes in grid[0] if guess_rate(runs) is not None else ():
        axes.axhline(guess_rate(runs), color=THEORY, lw=0.8, ls=":")
    for axes in grid[:, 1]:
        axes.axvline(0, color="black", lw=1.2, ls="--")
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
    grid[1, 1].annotate(
        "the switch to RL",
        (0, 0.5),
        xycoords=("data", "axes fraction"),
        xytext=(5, 0),
        textcoords="offset points",
        fontsize=9,
        rotation=90,
        va="center",
    )
    grid[0, 0].set_ylabel("accuracy on test problems")
    grid[0, 0].set_ylim(-0.02, 1.03)
    grid[1, 0].set_ylabel("median response length (tokens)")
    grid[1, 0].set_ylim(bottom=0)
    shown = next((axes for axes in grid[0] if axes.get_legend_handles_labels()[0]), None)
    if shown is not None:
        shown.legend(loc="upper left")


def _draw_curve(
    axes: Axes, runs: Sequence[RunData], stage: str, decoding: str, field: str, colour: str, label: str
) -> None:
    """Mean over seeds with the range over seeds; for one run, its 95 % interval."""
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
    axes.plot(x, mean, color=colour, marker="o", ms=3.5, lw=1.8, label=label)
    axes.fill_between(x, low, high, color=colour, alpha=0.18, lw=0)


def draw_calibration(axes: Axes, runs: Sequence[RunData]) -> None:
    """Each run's sampled long share at the end of NTP (Theorem 1: it equals p_cot); in grey, the second half of the way
    there."""
    axes.plot([0, 1], [0, 1], color=THEORY, lw=1, ls="--", label="calibrated (Theorem 1)")
    if guess_rate(runs) is not None:
        threshold = greedy_threshold(guess_rate(runs))
        axes.axvspan(threshold, 1.02, color=GREEDY, alpha=0.07, lw=0)
        axes.text(threshold + 0.01, 0.04, "p_cot ≥ 1/3:\nNTP alone suffices", fontsize=8, color=GREEDY)
    label = "after NTP, 95 % interval (grey: on the way)"
    for run in runs:
        series = [r for r in run.series("sft", "sampled") if r["temperature"] == 1.0]
        if not series:
            continue
        p_cot, last = run.manifest["p_cot_realised"], series[-1]
        way = [r["long_share"] for r in series if r["step"] >= last["step"] / 2]
        axes.plot([p_cot] * len(way), way, color=SHORT, marker="_", ms=9, lw=0, zorder=1)
        low, high = last["long_share_ci"]
        error = [[last["long_share"] - low], [high - last["long_share"]]]
        style = {"color": SAMPLED, "marker": "o", "ms": 5, "capsize": 3, "lw": 0, "elinewidth": 1.5}
        axes.errorbar([p_cot], [last["long_share"]], yerr=error, label=label, **style)
        label = None
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel="p_cot (share of long demonstrations)")
    axes.set_ylabel("long share at τ = 1")
    axes.set_title("length calibration")
    axes.legend(loc="upper left", fontsize=8)


def mismatches(run: RunData) -> list[Record]:
    """The rollouts that vLLM sampled."""
    return [r for r in run.series(run.rl_stage, "sampled", "rollouts") if "log_ratio_max_long" in r]


def draw_mismatch(axes: Axes, runs: Sequence[RunData]) -> None:
    """Largest and mean log π_trainer − log π_sampler of a round's tokens, long and short responses apart."""
    axes.set_title("Sampler and trainer: the same policy?")
    several = [run for run in runs if run.rl_stage and mismatches(run)]
    for i, run in enumerate(several):
        rounds_ = mismatches(run)
        for kind, colour in (("long", SAMPLED), ("short", SHORT)):
            shown = [r for r in rounds_ if r[f"log_ratio_max_{kind}"] is not None]
            x = [r["step"] for r in shown]
            label = f"{kind} responses" if i == 0 else None
            axes.plot(
                x, [r[f"log_ratio_max_{kind}"] for r in shown], color=colour, lw=1.4, marker="o", ms=3, label=label
            )
            axes.plot(x, [abs(r[f"log_ratio_mean_{kind}"]) for r in shown], color=colour, lw=1, ls=":")
    axes.plot([], [], color=THEORY, lw=1.4, label="largest of a token")
    axes.plot([], [], color=THEORY, lw=1, ls=":", label="mean, absolute")
    axes.set(yscale="log", xlabel=f"{STAGE_NAMES[several[0].rl_stage]} step", ylabel="log-probability ratio (nats)")
    axes.legend(loc="best", fontsize=8)


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
    groups = conditions(runs)
    tasks = ", ".join(sorted({run.manifest["task"] for run in runs}))
    seeds = len({run.manifest["seed"] for run in runs})
    what = next(iter(groups)) if len(groups) == 1 else f"{len(groups)} conditions"
    return f"RL after next-token prediction: {tasks}, {what} ({seeds} seed{'s' if seeds > 1 else ''})"
