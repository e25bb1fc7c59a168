"""What a sweep's `figure` asks for: its panels, and everything wrong with them. Imports are light: asked before any run."""

import dataclasses
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from rarecot.errors import nearest
from rarecot.evaluation.records import FIELDS, STAGE_NAMES

PLOTS = {
    "final": "a field of the last evaluation against a swept key",
    "course": "a field over training",
    "heatmap": "a field of the last evaluation over two swept keys",
    "recursion": "long share of round n + 1 against that of round n",
}
COURSES = ("round", "step", "sequences_seen")
MEASURED = ("greedy", "sampled", "rollouts")
THEORY = {
    "threshold": "the greedy threshold g/(1 + g), and where the measured greedy accuracy crosses 3/4",
    "guess": "accuracy of guessing",
    "calibration": "y = x: the long share equals p_cot",
    "theorem1": "what Theorem 1 predicts after next-token prediction from p_cot",
    "threshold_boundary": "the greedy threshold between the cells of a heat map",
    "length_penalty": "the price of a token from which long responses are rewarded less than short ones",
    "star": "the long share round by round, odds × 2 (Theorem 2)",
}
# What every run has, whatever was swept.
ALWAYS = ("recipe", "stage")

# Measured where RL sampled for training, and nowhere else.
_OF_ROLLOUTS = {
    "dead_group_share",
    *(name for name in FIELDS if name.startswith(("log_ratio", "is_cut", "log_odds", "selection", "reward_"))),
}
_NO_NUMBER = (
    *("stage", "split", "seed", "decoding", "sampler", "protocol", "loss_normalisation", "model", "suite"),
    *("pass_at", "maj_at", "protocol_sha256", "asked_sha256", "model_sha256"),
)
PLOTTABLE = tuple(name for name in FIELDS if name not in _NO_NUMBER and not name.endswith("_ci"))


@dataclass(frozen=True)
class Panel:
    """One panel of a sweep's figure, as `sweep.json` gives it.

    Args:
        plot: one of `PLOTS`.
        field: of the records (`evaluation.records.FIELDS`); of a recursion it is the long share.
        measured: `greedy` and `sampled` on the test problems, or `rollouts`: what RL sampled for training.
        x, y: swept keys; the x of a course is one of `COURSES`.
        recipe: whose records; empty: those of the sweep's last stage.
        where: swept key → value: only the runs that have it; empty: all.
        by: swept keys, a curve (or a heat map) for each combination; None: every one that varies, but the axes and the seed.
        theory: overlays, names of `THEORY`; each is drawn only where it applies.
        log_x: a logarithmic axis (symmetric-logarithmic where 0 occurs).
        x_label, y_label, title: texts instead of the usual ones; empty: the usual ones.
    """

    plot: str
    field: str = "accuracy"
    measured: str = "greedy"
    x: str = ""
    y: str = ""
    recipe: tuple[str, ...] = ()
    where: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    by: tuple[str, ...] | None = None
    theory: tuple[str, ...] = ()
    log_x: bool = False
    x_label: str = ""
    y_label: str = ""
    title: str = ""

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> "Panel":
        """Build a panel from an entry that `panel_problems` has nothing against."""
        values = dict(entry)
        recipe = values.get("recipe", ())
        values["recipe"] = (recipe,) if isinstance(recipe, str) else tuple(recipe)
        values["theory"] = tuple(values.get("theory", ()))
        if "by" in values:
            values["by"] = tuple(values["by"])
        if values["plot"] == "course":
            values.setdefault("x", "step")
        if values["plot"] == "recursion":
            values.update(field="long_share", measured="rollouts")
        return cls(**values)


KEYS = tuple(f.name for f in dataclasses.fields(Panel))


def panel_problems(figure: Sequence[Any], swept: Set[str]) -> list[str]:
    """Everything wrong with the panels of a figure, a sentence each; empty if nothing is.

    Args:
        figure: the panels, as read from YAML or JSON.
        swept: the swept keys. `recipe` and `stage` may be used beside them.
    """
    if isinstance(figure, str | Mapping) or not isinstance(figure, Sequence):
        return [f"figure is {figure!r}. Give a list of panels, each with plot: {', '.join(PLOTS)}."]
    problems = []
    for number, entry in enumerate(figure, 1):
        where = f"Panel {number} of figure"
        if not isinstance(entry, Mapping):
            problems.append(f"{where} is {entry!r}. Give a mapping with plot: {', '.join(PLOTS)}.")
            continue
        problems += [f"{where}{text}" for text in (*_of_types(entry), *_of_names(entry), *_of_axes(entry, swept))]
    return problems


def _of_types(entry: Mapping[str, Any]) -> list[str]:
    """Unknown keys and values of the wrong type."""
    found = [f" has an unknown key {key!r}{nearest(str(key), KEYS)}" for key in entry if key not in KEYS]
    found = [text if text.endswith("?") else f"{text}. Known: {', '.join(KEYS)}." for text in found]
    for key in ("by", "theory", "recipe"):
        value = entry.get(key, [])
        as_list = [value] if key == "recipe" and isinstance(value, str) else value
        if (
            not isinstance(as_list, Sequence)
            or isinstance(as_list, str)
            or not all(isinstance(v, str) for v in as_list)
        ):
            found.append(f": {key} is {value!r}. Give a list of names.")
    if not isinstance(entry.get("where", {}), Mapping):
        found.append(f": where is {entry['where']!r}. Give `key: value` of swept keys.")
    for key in ("plot", "field", "measured", "x", "y", "x_label", "y_label", "title"):
        if not isinstance(entry.get(key, ""), str):
            found.append(f": {key} is {entry[key]!r}. Give a text.")
    if not isinstance(entry.get("log_x", False), bool):
        found.append(f": log_x is {entry['log_x']!r}. Give true or false.")
    return found


def _names(value: Any) -> list[str]:
    """The names in a value that should hold names; what is none has been said by `_of_types`."""
    several = [value] if isinstance(value, str) else value
    return [v for v in several if isinstance(v, str)] if isinstance(several, Sequence) else []


def _of_names(entry: Mapping[str, Any]) -> list[str]:
    """Plots, fields, recipes and overlays that do not exist, or not together."""
    if "plot" not in entry:
        found = [f" has no plot. Name one: {', '.join(PLOTS)}."]
    else:
        found = _unknown("plot", _names(entry["plot"]), PLOTS)
    found += _unknown("field", _names(entry.get("field", "accuracy")), PLOTTABLE)
    found += _unknown("measured", _names(entry.get("measured", "greedy")), MEASURED)
    found += _unknown("recipe", _names(entry.get("recipe", ())), STAGE_NAMES)
    found += _unknown("theory", _names(entry.get("theory", ())), THEORY)
    plot, field, measured = entry.get("plot"), entry.get("field"), entry.get("measured")
    if plot == "recursion":
        fixed = {"field": "long_share", "measured": "rollouts"}
        found += [
            f": {key} is {entry[key]!r}, but a recursion shows the long share of the rollouts. Leave {key} out."
            for key, only in fixed.items()
            if entry.get(key, only) != only
        ]
    elif isinstance(field, str) and field in _OF_ROLLOUTS and measured != "rollouts":
        found.append(f": {field} is measured on RL's own rollouts alone. Add measured: rollouts.")
    if (plot == "recursion" or measured == "rollouts") and "sft" in _names(entry.get("recipe", ())):
        found.append(": next-token prediction (recipe: sft) makes no rollouts. Name an RL recipe, or leave recipe out.")
    return found


def _of_axes(entry: Mapping[str, Any], swept: Set[str]) -> list[str]:
    """Axes and curves over keys that were not swept, or that are there twice."""
    plot, known = entry.get("plot"), sorted({*swept, *ALWAYS})
    wanted = {"final": ("x",), "heatmap": ("x", "y")}.get(plot if isinstance(plot, str) else "", ())
    found = []
    for axis in ("x", "y"):
        if axis in wanted and not entry.get(axis):
            found.append(f" ({plot}) has no {axis}. Name a swept key: {', '.join(known)}.")
        elif axis in wanted:
            found += _unknown(axis, _names(entry[axis]), known, "swept key")
        elif plot == "course" and axis == "x":
            found += _unknown(axis, _names(entry.get(axis, ())), COURSES)
        elif axis in entry and plot in PLOTS:
            found.append(f": {axis} is {entry[axis]!r}, but a {plot} has no {axis} to choose. Leave it out.")
    found += _unknown("by", _names(entry.get("by", ())), known, "swept key")
    found += _unknown(
        "where", list(entry["where"]) if isinstance(entry.get("where"), Mapping) else [], known, "swept key"
    )
    axes = [entry[axis] for axis in wanted if isinstance(entry.get(axis), str)]
    if len(axes) == 2 and axes[0] == axes[1]:
        found.append(f": x and y are both {axes[0]}. Name two keys.")
    twice = [key for key in _names(entry.get("by", ())) if key in axes]
    found += [f": by names {key}, which is an axis already. Leave it out of by." for key in dict.fromkeys(twice)]
    return found


def _unknown(key: str, names: Sequence[str], known: Any, noun: str = "") -> list[str]:
    return [
        f": {key} is {name!r}, which is {f'no {noun}' if noun else 'unknown'}{nearest(name, known)} "
        f"Known: {', '.join(known)}."
        for name in names
        if name not in known
    ]
