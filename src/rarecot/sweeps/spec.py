"""A sweep's YAML → the runs it stands for.

    shows: one sentence            what the figure will show
    sweep_dir: runs/threshold
    stages:
      ntp:  {recipe: sft, config: base/sft.yaml, set: {d: 25}, grid: {p_cot: [0.1, 0.4], seed: [0, 1, 2]}}
      grpo: {recipe: grpo, after: ntp, config: base/grpo.yaml, grid: {temperature: [0.7, 1.0]}, checkpoints: {every: 2}}
    figure: [{plot: final, x: p_cot}]

A stage is a recipe with its YAML, fixed keys (`set`) and swept ones (`grid`), all keys of the recipe, the mixture or TRL. A stage
`after` another branches off each of its runs, from the last checkpoint or from every k-th, and keeps its mixture and seed.
"""

import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rarecot import checkpoints
from rarecot.errors import ConfigError, nearest
from rarecot.mixtures.spec import MixtureSpec, locate, mixture_keys, read_mapping, spec_of_manifest
from rarecot.stages import STAGES
from rarecot.training.arguments import RunArguments
from rarecot.values import coerce, path_problem, shown

_NOWHERE = object()
CHECKPOINT = "checkpoint"  # the swept value of a branch: optimizer steps of what it branched off from
_KEYS = ("name", "shows", "paper", "cost", "sweep_dir", "stages", "figure")
_STAGE_KEYS = ("recipe", "config", "after", "from", "set", "grid", "checkpoints")


@dataclass(frozen=True)
class StageSpec:
    """One stage of a sweep.

    Args:
        name: in the YAML.
        recipe: sft, grpo, star or reinforce.
        config: its YAML.
        after: the stage whose runs it goes on from; empty: none.
        start: a run directory outside the sweep that it goes on from; None: none.
        fixed: key → value, the same in all its runs.
        grid: axis → label → the keys that it sets.
        every: branch off every k-th checkpoint; 0: the last one only.
    """

    name: str
    recipe: str
    config: Path
    after: str = ""
    start: Path | None = None
    fixed: Mapping[str, Any] = field(default_factory=dict)
    grid: Mapping[str, list[tuple[Any, dict[str, Any]]]] = field(default_factory=dict)
    every: int = 0

    def points(self) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """The points of its grid: axis → label, and the keys that they set."""
        for combination in itertools.product(*self.grid.values()):
            labels = {axis: label for axis, (label, _) in zip(self.grid, combination, strict=True)}
            yield labels, {key: value for _, keys in combination for key, value in keys.items()}


@dataclass(frozen=True)
class PlannedRun:
    """One run of a sweep.

    Args:
        id: its place in the list.
        stage: of the sweep.
        recipe: that makes it.
        config: the recipe's YAML.
        run_dir: inside the sweep's directory.
        values: swept axis → label, those of the run that it goes on from included.
        keys: what is set beside the YAML.
        after: id of the run that it goes on from; None: it starts by itself.
        starts_from: the checkpoint that it starts from, inside the sweep's directory or absolute; None: what its run_dir holds.
    """

    id: int
    stage: str
    recipe: str
    config: Path
    run_dir: Path
    values: dict[str, Any]
    keys: dict[str, Any]
    after: int | None = None
    starts_from: Path | None = None

    @property
    def name(self) -> str:
        """For people, and for file names."""
        return f"{self.stage} {label(self.values)}".strip()

    def mapping(self, sweep_dir: Path) -> dict[str, Any]:
        """Its own keys, with where it lies and what it starts from."""
        start = {"model_name_or_path": str(sweep_dir / self.starts_from)} if self.starts_from is not None else {}
        return {**self.keys, **start, "run_dir": str(sweep_dir / self.run_dir)}

    def words(self, sweep_dir: Path) -> dict[str, list[str]]:
        """The same, as the words of a command line."""
        return {key: _words(value) for key, value in self.mapping(sweep_dir).items()}


@dataclass(frozen=True)
class Sweep:
    """A sweep as its YAML describes it.

    Args:
        about: name, shows, paper, cost.
        dir: where its runs go.
        figure: the panels of its report.
        runs: a run always stands behind the one that it goes on from.
    """

    about: dict[str, Any]
    dir: Path
    figure: list[dict[str, Any]]
    runs: list[PlannedRun]

    @property
    def swept(self) -> set[str]:
        """The axes that are swept."""
        return {axis for run in self.runs for axis in run.values}

    def family(self, root: int) -> list[PlannedRun]:
        """The root-th of the runs that start by themselves, and all that go on from it, in order."""
        roots = [run for run in self.runs if run.after is None]
        members = {roots[root].id}
        for run in self.runs:
            if run.after in members:
                members.add(run.id)
        return [run for run in self.runs if run.id in members]


def read_sweep(path: Path, sweep_dir: Path | None = None, start: Path | None = None) -> Sweep:
    """Read a sweep's YAML.

    Args:
        path: the YAML.
        sweep_dir: instead of the YAML's.
        start: a run directory that stages without `after` go on from; the first stage must then be none of its own.

    Raises:
        ConfigError: unknown keys, recipes, stages; grids that are none; a run to branch off that is not there; all at once.
    """
    values = read_mapping(path)
    problems = [f"{path}: '{key}' is no key of a sweep{nearest(key, _KEYS)}" for key in values if key not in _KEYS]
    stages = values.get("stages")
    if not isinstance(stages, dict) or not stages:
        raise ConfigError(
            [*problems, f"{path} has no stages. Add `stages:` with at least one (see recipes/experiments/)."]
        )
    specs = []
    for name, entry in _from(stages, start).items():
        spec, found = _stage(str(name), entry, [s.name for s in specs], path)
        problems += [f"{path}: stage {name}: {text}" for text in found]
        specs += [spec] if spec is not None else []
    problems += [f"{path}: {text}" for text in _swept_twice(specs)]
    for key in ("name", "shows", "paper", "sweep_dir"):
        if key in values and not (isinstance(values[key], str) and values[key] and "\0" not in values[key]):
            problems.append(f"{path}: {key} is {shown(values[key])}: it must be text, and not empty.")
    if isinstance(values.get("sweep_dir"), str) and (problem := path_problem(values["sweep_dir"])):
        problems.append(f"{path}: sweep_dir {problem}")
    panels = values.get("figure") or []
    if start is not None and not (isinstance(panels, list) and all(isinstance(panel, dict) for panel in panels)):
        problems.append(f"{path}: figure is {shown(panels)}: it must be a list of panels, each with `plot:`.")
    if start is not None and not specs:
        problems.append(
            f"{path} has no stage after next-token prediction that could go on from {start}. Leave --from out."
        )
    if problems:
        raise ConfigError(problems)
    figure = panels
    about = {"name": values.get("name", path.stem)} | {k: values.get(k, "") for k in ("shows", "paper", "cost")}
    folder = sweep_dir or Path(values.get("sweep_dir", f"runs/{path.stem}"))
    runs = _runs(specs)
    if start is not None:
        figure = _without_ntp(figure, {axis for run in runs for axis in run.values})
    return Sweep(about, folder, figure, runs)


def _from(stages: dict[str, Any], start: Path | None) -> dict[str, Any]:
    """The stages, where the NTP stage is replaced by a run that is there already."""
    if start is None:
        return stages
    trained = [name for name, entry in stages.items() if isinstance(entry, dict) and entry.get("recipe") == "sft"]
    return {
        name: {
            **{k: v for k, v in entry.items() if k != "after" or v not in trained},
            **({"from": str(start)} if entry.get("after") in (None, *trained) else {}),
        }
        if isinstance(entry, dict)
        else entry
        for name, entry in stages.items()
        if name not in trained
    }


def _without_ntp(figure: list[dict[str, Any]], swept: set[str]) -> list[dict[str, Any]]:
    """The panels that are left when the NTP stage, and the axes that only it swept, are replaced by one run."""
    kept = []
    for panel in figure:
        axes = {panel.get("x"), panel.get("y")} if panel.get("plot") in ("final", "heatmap") else set()
        if panel.get("recipe") == "sft" or not axes <= {None, "recipe", "stage", *swept}:
            continue
        kept.append(
            {
                **panel,
                **(
                    {"by": [axis for axis in panel["by"] if axis in swept or axis == "recipe"]} if "by" in panel else {}
                ),
            }
        )
    return kept


def _swept_twice(specs: list[StageSpec]) -> list[str]:
    """Axes that a stage sweeps although one that it goes on from has swept them."""
    axes, problems = {"": frozenset()}, []
    for spec in specs:
        before = axes.get(spec.after, frozenset())
        problems += [
            f"stage {spec.name}: {axis} is swept by a stage before it already. Take it out of one of the grids."
            for axis in spec.grid
            if axis in before
        ]
        axes[spec.name] = before | set(spec.grid)
    return problems


def label(values: Mapping[str, Any]) -> str:
    """Axes and labels as one word: `p_cot=0.25,seed=0`."""
    return ",".join(f"{axis}={'+'.join(_words(value))}" for axis, value in values.items()).replace("/", "_")


def _stage(name: str, entry: Any, before: list[str], path: Path) -> tuple[StageSpec | None, list[str]]:
    if not isinstance(entry, dict):
        return None, ["must hold `recipe:` and `config:`."]
    problems = [f"'{key}' is no key of a stage{nearest(key, _STAGE_KEYS)}" for key in entry if key not in _STAGE_KEYS]
    problems += _wrong_types(name, entry)
    if problems:
        return None, problems
    recipe, after = entry.get("recipe", ""), entry.get("after", "")
    if recipe not in STAGES:
        problems.append(f"recipe is '{recipe}'{nearest(recipe, STAGES)} It must be one of {', '.join(STAGES)}.")
    if after and after not in before:
        known = f"It must be one of {', '.join(before)}." if before else "There is none before it."
        problems.append(f"after is '{after}', which is no stage before it{nearest(after, before)} {known}")
    config = path.parent / entry.get("config", "")
    if not config.is_file():
        problems.append(f"there is no config {config}. Name a recipe's YAML, relative to the sweep's.")
    start = locate(entry["from"], path) if "from" in entry else None
    if start is not None and after:
        problems.append("has both `after` and `from`: it can go on from one of them only.")
    trained = checkpoints.newest(start / "sft") if start is not None else None
    if start is not None and trained is None:
        problems.append(
            f"from is {entry['from']}, which has no complete checkpoint in {start / 'sft'}. Train there first."
        )
    if trained is not None and not checkpoints.is_last(trained):
        problems.append(
            f"from is {entry['from']}, whose next-token prediction is not finished. Run recipes/sft.py to its end."
        )
    grid, found = _grid(entry.get("grid") or {})
    problems += found
    every = (entry.get("checkpoints") or {}).get("every", 0)
    if "checkpoints" in entry and (type(every) is not int or every < 1 or set(entry["checkpoints"]) != {"every"}):
        problems.append("checkpoints must be `{every: k}` with k = 1 or more: it branches off every k-th checkpoint.")
    if "checkpoints" in entry and not after and start is None:
        problems.append("checkpoints says where to branch off, but there is neither `after` nor `from`.")
    if problems:
        return None, problems
    return StageSpec(name, recipe, config, after, start, entry.get("set") or {}, grid, every), []


def _wrong_types(name: str, entry: dict[str, Any]) -> list[str]:
    """Keys of a stage that hold something of another kind than they are for."""
    problems = []
    if not name or "/" in name or name in (".", "..") or path_problem(name):
        problems.append(f"{shown(name)} is no name of a stage, for it names a folder. Use letters, digits, - and _.")
    for key in ("recipe", "config", "after", "from"):
        if key in entry and not (isinstance(entry[key], str) and not (entry[key] and path_problem(entry[key]))):
            problems.append(f"{key} is {shown(entry[key])}: it must be text.")
    for key in ("set", "grid", "checkpoints"):
        if key in entry and not (entry[key] is None or isinstance(entry[key], dict)):
            problems.append(f"{key} is {shown(entry[key])}: it must hold `key: value` lines.")
    for key in ("set", "grid"):
        said = entry.get(key)
        wrong = [k for k in said if not isinstance(k, str)] if isinstance(said, dict) else []
        problems += [f"{key}: the key {shown(k)} is not read as text. Put it in quotes." for k in wrong]
    return problems


def _grid(entry: Any) -> tuple[dict[str, list[tuple[Any, dict[str, Any]]]], list[str]]:
    """Axis → (label, keys): of an axis that is a key, its values; of one that sets several keys, `label: {key: value}`."""
    if not isinstance(entry, dict):
        return {}, ["grid must hold `key: [values]` lines."]
    grid, problems = {}, []
    for axis, values in entry.items():
        if [] in (values if isinstance(values, list) else []):
            problems.append(f"grid: {axis} has an empty list among its values, which no command line can say.")
        elif isinstance(values, list) and values:
            grid[axis] = [(value, {axis: value}) for value in values]
        elif isinstance(values, dict) and values and all(isinstance(keys, dict) for keys in values.values()):
            grid[axis] = list(values.items())
        else:
            problems.append(f"grid: {axis} must be a list of values, or labels with the keys that they set.")
    return grid, problems


def _runs(specs: list[StageSpec]) -> list[PlannedRun]:
    runs: list[PlannedRun] = []
    children = [spec.after for spec in specs]
    for spec in specs:
        alone = children.count(spec.after) == 1 and not spec.grid and not spec.every
        for before in [run for run in runs if run.stage == spec.after] if spec.after else [None]:
            for labels, keys in spec.points():
                for step, start in _starts(spec, before):
                    values = {**(before.values if before else {}), **labels, **({CHECKPOINT: step} if step else {})}
                    # It goes on in the same run directory, unless that has such a stage already.
                    shared = before is not None and alone and not _has(runs, before.run_dir, spec.recipe)
                    run_dir = before.run_dir if shared else Path(spec.name) / (label(values) or "run")
                    inherited = _inherited(spec, before)
                    runs.append(
                        PlannedRun(
                            id=len(runs),
                            stage=spec.name,
                            recipe=spec.recipe,
                            config=spec.config,
                            run_dir=run_dir,
                            values=values,
                            keys={**inherited, **spec.fixed, **keys},
                            after=before.id if before else None,
                            starts_from=None if shared and before.recipe == "sft" else start,
                        )
                    )
    return runs


def _has(runs: list[PlannedRun], run_dir: Path, recipe: str) -> bool:
    return any((run.run_dir, run.recipe) == (run_dir, recipe) for run in runs)


def _inherited(spec: StageSpec, before: PlannedRun | None) -> dict[str, Any]:
    """Mixture and seed of what a stage goes on from, where its own config says otherwise: the same problems, and the share that
    its model was trained on."""
    if before is not None:
        path, known = mixture_of(before.config, before.keys)
    elif spec.start is not None:
        path, known = mixture_of(spec.config, {})[0], spec_of_manifest(spec.start).to_mapping()
    else:
        return {}
    _, own = mixture_of(spec.config, {"mixture": str(path)})
    return {"mixture": str(path)} | {key: value for key, value in known.items() if own.get(key, _NOWHERE) != value}


def mixture_of(config: Path, keys: Mapping[str, Any]) -> tuple[Path, dict[str, Any]]:
    """The mixture that a recipe's YAML and further keys come to: its YAML (or folder), and all its options."""
    asked = {**read_mapping(config), **keys}
    path = locate(str(asked.get("mixture", RunArguments.mixture)), config)
    if path.is_dir():
        return path, spec_of_manifest(path).to_mapping()
    values = {**read_mapping(path), **{key: value for key, value in asked.items() if key in mixture_keys()}}
    spec, _ = MixtureSpec.examine(values, where=str(path))  # what is wrong with it is said by the run's own check
    return path, spec.to_mapping() if spec is not None else values


def _starts(spec: StageSpec, before: PlannedRun | None) -> list[tuple[int, Path | None]]:
    """(step, checkpoint) that a stage starts from: the last (step 0), or every k-th."""
    if before is None and spec.start is None:
        return [(0, None)]
    if before is None:
        found = checkpoints.complete(spec.start.resolve() / "sft")
        return (
            [(checkpoints.step_of(f), f) for f in found[spec.every - 1 :: spec.every]]
            if spec.every
            else [(0, found[-1])]
        )
    folder = before.run_dir / before.recipe
    if not spec.every:
        return [(0, folder)]
    asked = {**read_mapping(before.config), **before.keys}
    if not {"max_steps", "save_steps"} <= set(asked):
        raise ConfigError(
            [
                f"stage {spec.name} branches off every {spec.every}-th checkpoint of {before.stage}, whose config does not say both max_steps "
                f"and save_steps. Set them."
            ]
        )
    try:
        last, apart = (coerce(asked[key], int) for key in ("max_steps", "save_steps"))
    except ValueError as error:
        raise ConfigError([f"stage {before.stage}: max_steps or save_steps {error}"]) from None
    if last < 1 or apart < 1:
        raise ConfigError(
            [f"stage {before.stage}: max_steps is {last} and save_steps {apart}: both must be 1 or more."]
        )
    steps = sorted({*range(apart, last + 1, apart), last})
    return [(step, folder / f"checkpoint-{step}") for step in steps[spec.every - 1 :: spec.every]]


def _words(value: Any) -> list[str]:
    if isinstance(value, list):
        return [word for item in value for word in _words(item)]
    if isinstance(value, dict):
        return [json.dumps(value)]
    if isinstance(value, bool):
        return [str(value).lower()]
    return ["null" if value is None else str(value)]
