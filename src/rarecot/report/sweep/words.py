"""The texts on and under a sweep's panels."""

from collections.abc import Sequence

from rarecot.evaluation.records import STAGE_NAMES
from rarecot.report.sweep.curves import Point
from rarecot.report.sweep.data import SweepData, SweepRun, varying
from rarecot.report.sweep.panels import Panel

AXES = {
    "p_cot": "p_cot (share of long demonstrations)",
    "d": "d (bits)",
    "leap": "leap (every how many steps one is written)",
    "chain_noise": "chain noise (share of wrong steps)",
    "checkpoint": "optimizer steps of NTP before RL",
    "temperature": "sampling temperature of RL",
    "n_rl": "unique prompts of RL",
    "n": "demonstrations",
    "reward_weights": "price of a token c, in reward_weights: [1, c]",
    "reward_funcs": "reward",
    "learning_rate": "learning rate",
    "num_generations": "responses a prompt",
    "loss_type": "loss type",
    "seed": "seed",
    "recipe": "algorithm",
    "stage": "stage",
    "round": "round",
    "step": "optimizer steps",
    "sequences_seen": "sequences seen",
}
FIELD_NAMES = {
    "long_share": "long share",
    "accuracy_long": "accuracy of long responses",
    "accuracy_short": "accuracy of short responses",
    "length_median": "median response length",
    "length_mean": "mean response length",
    "length_p95": "95th percentile of response length",
    "length_correct_mean": "mean length of right responses",
    "length_wrong_mean": "mean length of wrong responses",
    "long_share_by_length": "long share, by length",
    "dead_group_share": "share of prompts without signal",
    "reward_mean": "mean reward",
    "seconds": "seconds of the evaluation",
}


def is_share(field: str) -> bool:
    """Whether a field lies between 0 and 1 and is shown in per cent."""
    return field.startswith("accuracy") or "share" in field


def axis(key: str) -> str:
    """A swept key or a course's x in words."""
    return AXES.get(key, key.replace("_", " "))


def measured(panel: Panel) -> str:
    """What a panel measures: `greedy accuracy`, `long share of the rollouts`."""
    name = FIELD_NAMES.get(panel.field, panel.field.replace("_", " "))
    return f"{name} of the rollouts" if panel.measured == "rollouts" else f"{panel.measured} {name}"


def unit(panel: Panel) -> str:
    """What a panel measures, with its unit where that is tokens."""
    return measured(panel) + (" (tokens)" if panel.field.startswith("length") else "")


def stages(runs: Sequence[SweepRun]) -> str:
    """What trained the runs: `GRPO`, or `STaR / GRPO`."""
    return " / ".join(dict.fromkeys(STAGE_NAMES[run.recipe] for run in runs))


def title(panel: Panel, runs: Sequence[SweepRun]) -> str:
    """The panel's own title, or what it shows."""
    if panel.title:
        return panel.title
    after = stages(runs)
    if panel.plot == "recursion":
        return f"long share, round by round ({after})"
    return f"{measured(panel)} {'during' if panel.plot == 'course' else 'after'} {after}"


def seeds(runs: Sequence[SweepRun]) -> str:
    """`1 seed`, `3 seeds`."""
    count = len({run.seed for run in runs})
    return f"{count} seed{'s' if count != 1 else ''}"


def spread(points: Sequence[Point], mark: str) -> str:
    """What the bands or bars of the points are; empty when there are none.

    Args:
        mark: `Band` or `Bar`.
    """
    several = any(len(p.values) > 1 for p in points)
    single = [p for p in points if len(p.values) == 1]
    interval = any(p.low < p.high for p in single)
    if several:
        alone = "; of a single run its 95 % interval" if interval else "; none at a single run" if single else ""
        return f"Line: mean; small marks: single runs; {mark.lower()}: their range{alone}."
    return f"{mark}: 95 % interval over test problems." if interval and mark else ""


def caption(panel: Panel, sweep: SweepData, points: Sequence[Point]) -> str:
    """What is shown, of how many seeds, and what its bands are."""
    runs = sweep.shown(panel)
    if not runs:
        return "None of this panel's runs has records."
    pooled = [key for key in varying(runs, {panel.x, panel.y, "seed", *sweep.by(panel)}) if panel.by is not None]
    over = f", mean over {' and '.join(pooled)} too" if pooled else ""
    said = [f"{title(panel, runs)[0].upper()}{title(panel, runs)[1:]}: {seeds(runs)}{over}."]
    axes = [key for key in (panel.x, panel.y) if key and panel.plot != "course"]
    lost = [run.name for run in runs if any(run.value(key) is None for key in axes)]
    if lost:
        said.append(f"Not on these axes, for want of {' or '.join(axes)}: {'; '.join(lost)}.")
    if panel.plot == "recursion":
        said.append("Each mark is one round of one run; bars: 95 % intervals.")
    elif panel.plot == "heatmap":
        said.append("Number in a cell: mean over seeds, at the last evaluation.")
    else:
        said.append(spread(points, "Band" if panel.plot == "course" else "Bar"))
    return " ".join(text for text in said if text)
