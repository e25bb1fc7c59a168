"""A plan in words and in a picture."""

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from rarecot.forecast.plan import ALMOST_ALL, MOST_ROUNDS, Estimate, Plan
from rarecot.report.plain import plain
from rarecot.report.style import GREEDY, SAMPLED, SHORT, STYLE, THEORY, plt

FACTORS = (1.05, 1.2)  # on the odds a round of a policy gradient: what small and large learning rates gave on parity


def words(plan: Plan, prompts_per_round: int) -> str:
    """The plan for a terminal.

    Args:
        plan: what was measured and predicted.
        prompts_per_round: of STaR, for counting rollouts.
    """
    head = f"{plan.prompts} prompts × {plan.samples} responses at τ = {plan.temperature:g} ({plan.sampler}); brackets are 95 % intervals"
    lines = [head, "", "measured"]
    lines += [f"  {name:<34}{value}" for name, value in _measured(plan)]
    lines += ["", "expected of RL"] + [f"  {name:<34}{value}" for name, value in _expected(plan, prompts_per_round)]
    if plan.warnings:
        lines += ["", "what to mind"] + [f"  {i}. {text}" for i, text in enumerate(plan.warnings, 1)]
    return "\n".join(lines)


def _measured(plan: Plan) -> list[tuple[str, str]]:
    share = plan.long_share.percent() if plan.long_at_most is None else f"none seen: at most {plan.long_at_most:.2%}"
    rows = [("long share", share)]
    for kind, success, length in (
        ("long", plan.success_long, plan.length_long),
        ("short", plan.success_short, plan.length_short),
    ):
        if success is not None:
            rows.append((f"{kind} responses right", f"{success.percent()}, {length:.1f} tokens on average"))
    if plan.gap is not None:
        rows.append(("mean reward, long − short", str(plan.gap)))
    if plan.truncated_long is not None and plan.truncated_long.value > 0:
        rows.append(("long responses cut off", plan.truncated_long.percent()))
    mode = "long" if plan.greedy_long.value >= 0.5 else "short"
    rows.append(
        ("greedy decoding", f"{mode} ({plan.greedy_long.value:.0%} long), {plan.greedy_accuracy.percent()} right")
    )
    if plan.position is not None:
        where = f"after {plan.position} token{'s' if plan.position != 1 else ''} of the response"
        rows.append(("branching token", f"{where}: {plan.stay:.2f} stays, {plan.leave:.2f} leaves"))
    return rows


def _expected(plan: Plan, prompts_per_round: int) -> list[tuple[str, str]]:
    rows = []
    if plan.threshold is not None:
        theory = f" (theory g/(1 + g) = {plan.theory_threshold:.3f})" if plan.theory_threshold is not None else ""
        rows.append(("greedy flips at a long share of", plan.threshold.percent() + theory))
        rows.append(("by SFT alone", f"p_cot ≥ {plan.threshold.value:.2f} would be needed"))
    if plan.ratio is not None:
        rows.append(("STaR: odds of long a round", f"× {plan.ratio}"))
    for name, rounds in (("STaR: greedy flips", plan.flip_round), (f"STaR: {ALMOST_ALL:.0%} long", plan.done_round)):
        if rounds is not None:
            more = ""
            if rounds is plan.flip_round and plan.flip_at_best is not None and plan.flip_at_best.high > 0:
                more = f"; at best (long always right) {_span(plan.flip_at_best)}"
            back = plan.gap is not None and plan.gap.high < 0
            rows.append((name, _after(rounds, prompts_per_round, back) + more))
    if plan.gap is not None:
        rows.append(("policy gradients", _policy_gradient(plan)))
    return rows


def _after(rounds: Estimate, prompts_per_round: int, back: bool) -> str:
    """When it happens; `back`: RL goes the other way."""
    if rounds.value == 0 and rounds.high == 0:
        return "already, but RL takes it back" if back else "already"
    if math.isinf(rounds.value):
        return f"not within {MOST_ROUNDS} rounds, as things stand"
    total = f"{rounds.value * prompts_per_round:,.0f}".replace(",", " ")
    return f"after {_span(rounds)}, about {total} rollouts"


def _span(rounds: Estimate) -> str:
    """Rounds with their interval."""
    value, high = ("never" if math.isinf(n) else f"{n:g}" for n in (rounds.value, rounds.high))
    return f"round {value} [{rounds.low:g}–{high}]"


def _policy_gradient(plan: Plan) -> str:
    low, high = plan.gap.low, plan.gap.high
    if low <= 0 <= high:
        return "direction open"
    if high < 0:
        return "the long share falls"
    nats = math.log(plan.flip.value) if plan.flip is not None and 0 < plan.flip.value < math.inf else None
    if nats is None or nats <= 0:
        return "the long share rises"
    after = ", ".join(f"{math.ceil(nats / math.log(f))} rounds at × {f:g} a round" for f in FACTORS)
    return f"the long share rises; greedy flips when its odds have grown × {plan.flip.value:.2f} ({after})"


def figure(plan: Plan, path: Path, title: str) -> None:
    """The plan in one picture: the two modes, the branching token, the expected path."""
    with plt.rc_context(STYLE):
        fig, axes = plt.subplots(1, 3, figsize=(13, 3.9), layout="constrained", width_ratios=[1, 0.7, 1.4])
        _draw_modes(axes[0], plan)
        _draw_branch(axes[1], plan)
        _draw_path(axes[2], plan)
        fig.suptitle(title, fontsize=12, fontweight="bold")
        path.parent.mkdir(parents=True, exist_ok=True)
        fig.savefig(path, bbox_inches="tight")
        plt.close(fig)


def _draw_modes(axes: Axes, plan: Plan) -> None:
    shown = [
        ("long share", plan.long_share, SAMPLED),
        ("long: right", plan.success_long, SAMPLED),
        ("short: right", plan.success_short, SHORT),
        ("greedy: right", plan.greedy_accuracy, GREEDY),
        ("greedy: long", plan.greedy_long, GREEDY),
    ]
    for y, (_, estimate, colour) in enumerate(shown):
        if estimate is not None:
            low, high = min(estimate.low, estimate.value), max(estimate.high, estimate.value)
            axes.barh(y, estimate.value, color=colour, alpha=0.55, height=0.6)
            axes.plot([low, high], [y, y], color="black", lw=1.6)
            axes.text(min(max(high, estimate.value) + 0.02, 0.86), y, f"{estimate.value:.1%}", va="center", fontsize=9)
        else:
            axes.text(0.02, y, "not seen", va="center", fontsize=9, color=THEORY)
    axes.set(xlim=(0, 1.02), yticks=range(len(shown)), yticklabels=[name for name, _, _ in shown], title="measured")
    axes.invert_yaxis()


def _draw_branch(axes: Axes, plan: Plan) -> None:
    axes.set_title("the branching token")
    if plan.position is None:
        axes.text(0.5, 0.5, "not seen", ha="center", transform=axes.transAxes)
        axes.set(xticks=[], yticks=[])
        return
    is_long = plan.greedy_long.value >= 0.5
    kinds = ("long", "short") if is_long else ("short", "long")
    colours = [SAMPLED if kind == "long" else SHORT for kind in kinds]
    axes.bar([f"greedy\n({kinds[0]})", f"other\n({kinds[1]})"], [plan.stay, plan.leave], color=colours, width=0.6)
    axes.set(ylim=(0, 1), ylabel=f"probability of token {plan.position + 1}")


def _draw_path(axes: Axes, plan: Plan) -> None:
    axes.set_title("STaR: expected long share")
    axes.set(xlabel="round", ylabel="long share", ylim=(-0.02, 1.03))
    if plan.path is None:
        return
    rounds = np.arange(len(plan.path))
    low, middle, high = plan.path.T
    axes.fill_between(rounds, low, high, color=SAMPLED, alpha=0.2, lw=0, label="95 %")
    axes.plot(rounds, middle, color=SAMPLED, marker="o", ms=4, label="median")
    if plan.threshold is not None:
        axes.axhspan(plan.threshold.low, plan.threshold.high, color=GREEDY, alpha=0.12, lw=0)
        axes.axhline(
            plan.threshold.value, color=GREEDY, lw=1.2, ls=":", label=f"greedy flips: {plan.threshold.value:.1%}"
        )
    if plan.flip_round is not None and 0 < plan.flip_round.value < len(plan.path):
        axes.axvspan(
            plan.flip_round.low - 0.5,
            min(plan.flip_round.high, len(plan.path) - 1) + 0.5,
            color=GREEDY,
            alpha=0.07,
            lw=0,
        )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="lower right", fontsize=8)


def as_json(plan: Plan) -> dict[str, Any]:
    """The plan as JSON holds it; infinite ends are null."""
    return plain(asdict(plan))
