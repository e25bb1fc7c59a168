"""What RL did, round by round: the long share beside what was expected, what selected for it, and what it bought."""

import itertools
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rarecot.evaluation.records import STAGE_NAMES
from rarecot.forecast.audit import PARTS
from rarecot.forecast.ledger import Ledger, ledger
from rarecot.forecast.overlay import Overlay, overlay
from rarecot.report.data import Record, RunData, conditions, guess_rate
from rarecot.report.style import ALARM, EXPECTED, GREEDY, SAMPLED, SHORT, THEORY, plt
from rarecot.theory.predict import fit_odds_ratio, greedy_threshold, odds_recursion

PART_COLOURS = dict(zip(PARTS, ("#3a7d44", "#c9a227", "#b3261e", "#6a4c93", "#1982c4"), strict=True))
BOUGHT = {"mix": SAMPLED, "long": "#3a7d44", "short": SHORT}


def rounds(runs: Sequence[RunData]) -> Figure:
    """The long share of the rollouts beside what was expected."""
    figure, axes = plt.subplots(figsize=(6.5, 4.2), layout="constrained")
    draw_rounds(axes, runs)
    return figure


def selection(runs: Sequence[RunData]) -> Figure:
    """The selection audit of the first run that has one."""
    figure, axes = plt.subplots(figsize=(8, 4.2), layout="constrained")
    draw_selection(axes, next(run for run in runs if audited(run)))
    return figure


def ledgers(runs: Sequence[RunData]) -> Figure:
    """What RL bought, greedy and sampled, a bar a run."""
    figure, axes = plt.subplots(figsize=(8, 1.4 + 0.55 * 2 * len(runs)), layout="constrained")
    draw_ledgers(axes, runs)
    return figure


def expectation(run: RunData) -> Overlay | None:
    """The overlay of the run's RL stage."""
    if run.rl_stage is None:
        return None
    return overlay(run.records, run.rl_stage, run.config.get(run.rl_stage, {}), run.manifest["task"])


def bought(run: RunData) -> list[Ledger]:
    """The ledger of the run's RL stage, greedy and sampled: its last evaluation against that of the policy it started from."""
    found = []
    for decoding in ("greedy", "sampled"):
        series = run.series(run.rl_stage, decoding) if run.rl_stage else []
        entry = ledger(start_of(run, decoding) or series[0], series[-1]) if len(series) > 1 else None
        found += [entry] if entry else []
    return found


def start_of(run: RunData, decoding: str) -> Record | None:
    """The largest evaluation of the policy that RL started from: its own first, or next-token prediction's last."""
    candidates = run.series(run.rl_stage, decoding)[:1]
    last = run.last("sft", decoding)
    origin = run.config.get(run.rl_stage, {}).get("starts_from")
    if last and origin in (None, f"sft/checkpoint-{last['step']}"):
        candidates.append(last)
    return max(candidates, key=lambda r: r["n"], default=None)


def audited(run: RunData) -> list[Record]:
    """The rollouts that have a selection audit."""
    if run.rl_stage is None:
        return []
    return [r for r in run.series(run.rl_stage, "sampled", "rollouts") if r.get("selection_reward") is not None]


def round_of(record: Record) -> int:
    """Rounds of rollouts that the policy had learned from; its step in records of before there were rounds."""
    return record.get("round", record["step"])


def draw_rounds(axes: Axes, runs: Sequence[RunData]) -> None:
    """Long share of the rollouts, round by round, against what was expected of them, and the 1/3 line.

    The band is that of one run (the first with an expectation); where none could be formed, the constant factor on the odds that fits best is
    drawn instead. For policy gradients on a task whose guess rate is known, Theorem 2 is there for comparison.
    """
    guess = guess_rate(runs)
    measured = [(run, run.series(run.rl_stage, "sampled", "rollouts")) for run in runs if run.rl_stage]
    measured = [(run, series) for run, series in measured if series]
    grows = all(series[-1]["long_share"] > series[0]["long_share"] for _, series in measured)
    axes.set_title("RL up-samples the long mode" if guess is not None and grows else "the long share under RL")
    if not measured:
        axes.text(0.5, 0.5, "no RL stage", ha="center", va="center", transform=axes.transAxes)
        return
    stage = measured[0][0].rl_stage
    groups = list(conditions(runs).values())
    ratios, banded = [], False
    for i, (run, series) in enumerate(measured):
        colour = SAMPLED if len(groups) == 1 else f"C{next(g for g, members in enumerate(groups) if run in members)}"
        x, y = [round_of(r) for r in series], [r["long_share"] for r in series]
        low, high = zip(*(r["long_share_ci"] for r in series), strict=True)
        axes.plot(
            x, y, color=colour, marker="o", ms=3, lw=1.4, label=f"{STAGE_NAMES[stage]} rollouts" if i == 0 else None
        )
        axes.fill_between(x, low, high, color=colour, alpha=0.15, lw=0)
        if fitted := fit_odds_ratio(x, y, series[0]["n"]):
            ratios.append(fitted[1])
        found = expectation(run)
        if found and found.expected and not banded:
            _draw_band(axes, found)
            banded = True
        _mark_alarms(axes, found)
        _mark_flip(axes, run, label=i == 0)
    if ratios:
        axes.plot([], [], lw=0, label=f"odds × {', '.join(f'{r:.2f}' for r in ratios)} a round (fit)")
    start = measured[0][1][0]["long_share"]
    if guess is not None and stage != "star" and 0 < start < 1:
        grid = np.linspace(0, max(round_of(r) for _, series in measured for r in series), 200)
        axes.plot(
            grid, odds_recursion(start, 2.0, grid), color=THEORY, lw=1, ls="--", label="Theorem 2 (STaR): odds × 2"
        )
    if guess is not None:
        _mark_threshold(axes, greedy_threshold(guess))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(ylim=(-0.02, 1.03), xlabel=f"{STAGE_NAMES[stage]} round", ylabel="long share")
    axes.legend(loc="best", fontsize=8, frameon=True, framealpha=0.8, edgecolor="none")


def _draw_band(axes: Axes, found: Overlay) -> None:
    expected, x = found.expected, np.arange(len(found.expected.middle))
    axes.fill_between(x, expected.low, expected.high, color=EXPECTED, alpha=0.13, lw=0)
    axes.plot(x, expected.middle, color=EXPECTED, lw=1.2, ls="-.", label=f"expected: {expected.words}")


def _mark_alarms(axes: Axes, found: Overlay | None) -> None:
    for alarm in found.alarms if found else ():
        share = next(r["long_share"] for r in found.rollouts if r["round"] == alarm.round)
        axes.plot([alarm.round], [share], marker="X", ms=10, color=ALARM, lw=0, zorder=6)
        words = alarm.causes[0].partition(":")[0]
        axes.annotate(words, (alarm.round, share), xytext=(8, 8), textcoords="offset points", color=ALARM, fontsize=9)


def _mark_threshold(axes: Axes, threshold: float) -> None:
    axes.axhline(threshold, color=GREEDY, lw=1, ls=":")
    axes.annotate(
        "1/3" if abs(threshold - 1 / 3) < 1e-9 else f"{threshold:.2f}",
        (0, threshold),
        xycoords=("axes fraction", "data"),
        xytext=(3, 3),
        textcoords="offset points",
        color=GREEDY,
        fontsize=9,
    )


def _mark_flip(axes: Axes, run: RunData, label: bool) -> None:
    """A shaded interval between the last short and the first long greedy evaluation."""
    series = run.series(run.rl_stage, "greedy")
    for before, after in itertools.pairwise(series):
        if before["long_share"] < 0.5 <= after["long_share"]:
            text = "greedy flips in here" if label else None
            axes.axvspan(round_of(before), round_of(after), color=GREEDY, alpha=0.1, lw=0, label=text)
            return


def draw_selection(axes: Axes, run: RunData) -> None:
    """What pushed the odds of long in each round, stacked, and how far they moved.

    For STaR both are in nats. A policy gradient's parts are differences of advantages; they are scaled by the one factor (nats a unit) that makes
    their sum over all rounds what the odds have moved by, where that was measured.
    """
    series = audited(run)
    x = np.array([round_of(r) for r in series])
    moved = _moves(run)
    factor, unit = 1.0, "nats" if run.rl_stage == "star" else "difference of mean advantages"
    pushed = sum(r[f"selection_{part}"] for r in series if round_of(r) in moved for part in PARTS)
    total = sum(moved.get(n, 0.0) for n in x)
    if run.rl_stage != "star" and pushed * total > 0:
        factor, unit = total / pushed, "nats"
    up, down = np.zeros(len(x)), np.zeros(len(x))
    for part in PARTS:
        values = factor * np.array([r[f"selection_{part}"] for r in series])
        if not np.any(values):
            continue
        base = np.where(values >= 0, up, down)
        axes.bar(x, values, bottom=base, width=0.8, color=PART_COLOURS[part], label=part)
        up, down = up + np.maximum(values, 0), down + np.minimum(values, 0)
    if moved and unit == "nats":
        axes.plot(
            list(moved), list(moved.values()), color="black", marker="o", ms=3.5, lw=1.2, label="the odds moved by"
        )
    axes.axhline(0, color="black", lw=0.8)
    axes.set(xlabel=f"{STAGE_NAMES[run.rl_stage]} round", ylabel=f"push on the odds of long ({unit})")
    axes.set_title(
        "what selected for long responses" + (f" (× {factor:.3g} nats a unit of advantage)" if factor != 1.0 else "")
    )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8)


def _moves(run: RunData) -> dict[int, float]:
    """Round → by how much it moved the log-odds of long: measured by weighing again (policy gradients) or by two shares (STaR)."""
    at: dict[int, float] = {}
    for record in run.series(run.rl_stage, "sampled", "rollouts"):
        p = record["long_share"]
        if record.get("log_odds_shift") is not None:
            at[round_of(record)] = record["log_odds_shift"]
        elif run.rl_stage == "star" and 0 < p < 1:
            at[round_of(record)] = float(np.log(p / (1 - p)))
    return {n: at[n + 1] - z for n, z in at.items() if n + 1 in at}


def draw_ledgers(axes: Axes, runs: Sequence[RunData]) -> None:
    """The change of accuracy in points: more long responses, better long ones, better short ones."""
    labels, y = [], 0
    for run in runs:
        for entry in bought(run):
            right, left = 0.0, 0.0
            for part, colour in BOUGHT.items():
                points = 100 * getattr(entry, part).value
                axes.barh(y, points, left=right if points >= 0 else left, color=colour, height=0.62)
                right, left = right + max(points, 0), left + min(points, 0)
            total = entry.total
            axes.plot([100 * total.low, 100 * total.high], [y, y], color="black", lw=1.4)
            axes.plot([100 * total.value], [y], color="black", marker="D", ms=5)
            labels.append(f"{run.label}, {entry.decoding}" if len(runs) > 1 else entry.decoding)
            y += 1
    names = {
        "mix": "more responses are long",
        "long": "long responses are better",
        "short": "short responses are better",
    }
    for part, colour in BOUGHT.items():
        axes.barh([0], [0], color=colour, label=names[part])
    axes.plot([], [], color="black", marker="D", ms=5, label="together, 95 %")
    axes.axvline(0, color="black", lw=0.8)
    axes.set(yticks=range(y), yticklabels=labels, xlabel="change of accuracy by RL (points)", title="what RL bought")
    axes.invert_yaxis()
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8)
