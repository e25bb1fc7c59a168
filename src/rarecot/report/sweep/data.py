"""A sweep's directory as the report reads it: `sweep.json`, and each run directory once."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rarecot.documents import read_json
from rarecot.errors import ConfigError
from rarecot.evaluation import records
from rarecot.evaluation.records import STAGE_NAMES
from rarecot.report.data import Record, RunData, read_run
from rarecot.report.sweep.panels import ALWAYS, Panel, panel_problems

FILE = "sweep.json"


@dataclass(frozen=True)
class SweepRun:
    """One run of a sweep: a stage of training under one choice of every swept key.

    Args:
        stage: its stage's name in the sweep.
        recipe: what trained; the `stage` of its records.
        run_dir: relative to the sweep's folder.
        values: swept key → value, those of the run it goes on from included.
        data: its run directory; None if the run has no records yet.
    """

    stage: str
    recipe: str
    run_dir: str
    values: dict[str, Any]
    data: RunData | None = None

    @property
    def name(self) -> str:
        return f"{self.run_dir} ({STAGE_NAMES[self.recipe]})"

    @property
    def seed(self) -> Any:
        return self.values.get("seed", self.data.manifest["seed"] if self.data else None)

    def value(self, key: str) -> Hashable:
        """What the run has of a swept key, `recipe` or `stage`; lists as tuples; None if the key is not its own."""
        if key in ALWAYS:
            return STAGE_NAMES[self.recipe] if key == "recipe" else self.stage
        value = self.values.get(key)
        return tuple(value) if isinstance(value, list) else value

    def series(self, measured: str) -> list[Record]:
        """Its evaluations of one kind (`panels.MEASURED`), by step."""
        if self.data is None:
            return []
        if measured == "rollouts":
            return self.data.series(self.recipe, "sampled", "rollouts")
        return self.data.series(self.recipe, measured)

    def last(self, measured: str) -> Record | None:
        """Its last evaluation of one kind, or None."""
        found = self.series(measured)
        return found[-1] if found else None

    @property
    def stopped_at(self) -> tuple[int, int] | None:
        """(steps measured, steps asked for; of STaR, rounds) of a run whose last evaluation is not at its end; None if it is, or
        if its length was set in neither."""
        options = self.data.config.get(self.recipe, {}) if self.data else {}
        unit, wanted = ("round", options["rounds"]) if "rounds" in options else ("step", options.get("max_steps", -1))
        greedy = self.last("greedy")
        return (greedy[unit], wanted) if greedy and greedy[unit] < wanted else None


@dataclass(frozen=True)
class SweepData:
    """A sweep.

    Args:
        folder: where it is.
        name, shows, paper: what it is called, what it shows in one sentence, and where the paper has it.
        cost: machine → how long it takes.
        panels: of its figure, in order.
        runs: in the sweep's order, the missing ones included.
        damaged: why some of those are missing although they were run, a sentence each.
    """

    folder: Path
    name: str
    shows: str
    paper: str
    cost: dict[str, str]
    panels: list[Panel]
    runs: list[SweepRun] = field(repr=False)
    damaged: list[str] = field(default_factory=list)

    @property
    def missing(self) -> list[SweepRun]:
        """Runs without records that can be read: not run yet, failed before their first evaluation, or damaged."""
        return [run for run in self.runs if run.data is None]

    @property
    def notes(self) -> list[str]:
        """What is not there that should be, by name: missing runs, and runs that are shown although they did not end."""
        said = []
        if missing := self.missing:
            verb = "is" if len(missing) == 1 else "are"
            said.append(
                f"{len(missing)} of {len(self.runs)} runs {verb} missing: {'; '.join(r.name for r in missing)}."
            )
        early = [
            f"{r.name} at {r.stopped_at[0]} of {r.stopped_at[1]} {'rounds' if r.recipe == 'star' else 'steps'}"
            for r in self.runs
            if r.stopped_at
        ]
        if early:
            said.append(f"{len(early)} of {len(self.runs)} runs did not come to their end: {'; '.join(early)}.")
        return [*said, *self.damaged]

    def shown(self, panel: Panel) -> list[SweepRun]:
        """The runs whose records a panel shows, missing ones left out."""
        recipes = panel.recipe or (self.runs[-1].recipe,)
        return [
            run
            for run in self.runs
            if run.recipe in recipes
            and run.data is not None
            and all(
                run.value(key) == (tuple(value) if isinstance(value, list) else value)
                for key, value in panel.where.items()
            )
        ]

    def by(self, panel: Panel) -> tuple[str, ...]:
        """The keys that tell a panel's curves apart."""
        return panel.by if panel.by is not None else varying(self.shown(panel), {panel.x, panel.y, "seed"})


def varying(runs: Sequence[SweepRun], without: Iterable[str] = ("seed",)) -> tuple[str, ...]:
    """The swept keys of which the runs have several values, in the sweep's order; and `recipe`, or `stage` where that tells
    more runs apart."""
    keys = dict.fromkeys(key for run in runs for key in run.values)
    found = [key for key in keys if len({run.value(key) for run in runs} - {None}) > 1]
    kinds = {key: len({run.value(key) for run in runs}) for key in ALWAYS}
    if kinds["stage"] > kinds["recipe"]:
        found.insert(0, "stage")
    elif kinds["recipe"] > 1:
        found.insert(0, "recipe")
    left_out = set(without)
    if left_out & set(ALWAYS):  # both name the same difference
        left_out |= set(ALWAYS)
    return tuple(key for key in found if key not in left_out)


def conditions(runs: Sequence[SweepRun], keys: Sequence[str]) -> dict[tuple[Hashable, ...], list[SweepRun]]:
    """The runs by their values of some keys, sorted; seeds of one condition are together."""
    groups: dict[tuple[Hashable, ...], list[SweepRun]] = defaultdict(list)
    for run in runs:
        groups[tuple(run.value(key) for key in keys)].append(run)
    orders = [ordered(values) for values in zip(*groups, strict=True)]
    ranks = [{value: rank for rank, value in enumerate(order)} for order in orders]
    sort = sorted(groups, key=lambda values: [rank[value] for rank, value in zip(ranks, values, strict=True)])
    return {values: groups[values] for values in sort}


def number(value: Hashable) -> float | None:
    """A swept value on a numeric axis: itself, or the last entry of a list of numbers (the price in reward_weights)."""
    if isinstance(value, tuple):
        return number(value[-1]) if value and all(number(v) is not None for v in value) else None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def ordered(values: Iterable[Hashable]) -> list[Hashable]:
    """The distinct values: numbers by size where all are numbers, otherwise as they come."""
    distinct = list(dict.fromkeys(values))
    return sorted(distinct, key=number) if all(number(v) is not None for v in distinct) else distinct


def text(value: Hashable) -> str:
    """A swept value in words; a list of texts is joined by +, of a list of numbers the last entry is shown."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    known = number(value)
    if known is not None:
        return f"{known:,.0f}".replace(",", " ") if abs(known) >= 1e4 and known == int(known) else f"{known:g}"
    return " + ".join(text(v) for v in value) if isinstance(value, tuple) else str(value)


def label(keys: Sequence[str], values: Sequence[Hashable]) -> str:
    """A condition in words: `p_cot = 0.25, temperature = 0.7`. What is not a run's own is left out."""
    said = [
        text(value) if key in ALWAYS else f"{key} = {text(value)}"
        for key, value in zip(keys, values, strict=True)
        if value is not None
    ]
    return ", ".join(said)


def is_sweep(folder: Path) -> bool:
    """Whether a folder is a sweep's."""
    return (folder / FILE).is_file()


def read_sweep(folder: Path) -> SweepData:
    """Read a sweep's directory.

    Raises:
        ConfigError: its figure is wrong, two runs would read the same records, or no run has records.
    """
    said = _read_sweep_file(folder / FILE)
    swept = {key for run in said["runs"] for key in run["values"]}
    problems = panel_problems(said["figure"], swept)
    places = [(run["run_dir"], run["recipe"]) for run in said["runs"]]
    problems += [
        f"{folder / FILE} names the run {name}, which lies outside of {folder}. Its runs are folders of that folder."
        for name in dict(places)
        if not (folder / name).resolve().is_relative_to(folder.resolve())
    ]
    problems += [
        f"{folder / FILE} has {places.count(place)} runs of {place[1]} in {place[0]}: their records cannot be told apart. "
        "Give each a run_dir of its own."
        for place in dict.fromkeys(places)
        if places.count(place) > 1
    ]
    if problems:
        raise ConfigError(problems)
    found, damaged = {}, []
    for name in dict(places):
        found[name], problems = _read_or_none(folder / name)
        damaged += problems
    runs = [
        SweepRun(
            stage=run["stage"],
            recipe=run["recipe"],
            run_dir=run["run_dir"],
            values=run["values"],
            data=_of_recipe(found[run["run_dir"]], run["recipe"]),
        )
        for run in said["runs"]
    ]
    if not any(run.data for run in runs):
        raise ConfigError(damaged or [f"none of the {len(runs)} runs of {folder} has records: run the sweep first."])
    panels = [Panel.of(entry) for entry in said["figure"]]
    cost = said.get("cost") or {}
    cost = cost if isinstance(cost, dict) else {"": str(cost)}
    return SweepData(folder, said["name"], said.get("shows", ""), said.get("paper", ""), cost, panels, runs, damaged)


def _read_sweep_file(path: Path) -> dict[str, Any]:
    remedy = "Run the sweep again: it writes the file anew, and repeats no run that is done."
    said = read_json(path, remedy)
    kinds = {"stage": str, "recipe": str, "run_dir": str, "values": dict}
    runs = said.get("runs")
    whole = isinstance(said.get("name"), str) and isinstance(said.get("figure"), list) and isinstance(runs, list)
    if not whole or not all(
        isinstance(run, dict) and all(isinstance(run.get(key), kind) for key, kind in kinds.items()) for run in runs
    ):
        raise ConfigError([f"{path} does not say the sweep's name, figure and runs. {remedy}"])
    return said


def _read_or_none(folder: Path) -> tuple[RunData | None, list[str]]:
    """What a run holds, and what is damaged in it; None: that, or it was not run yet, or stopped before its first evaluation."""
    try:
        return (read_run(folder) if records.read(folder) else None), []
    except ConfigError as error:
        return None, error.problems


def _of_recipe(data: RunData | None, recipe: str) -> RunData | None:
    """A directory shared by two stages is there for the later one only once that has records."""
    return data if data and any(record["stage"] == recipe for record in data.records) else None
