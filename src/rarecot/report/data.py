"""Run directories as the report reads them."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rarecot.documents import read_json, read_yaml
from rarecot.errors import ConfigError
from rarecot.evaluation import generations, records
from rarecot.evaluation.records import COMPLETIONS, Record, completions_name
from rarecot.stages import RL_STAGES
from rarecot.theory.predict import GUESS_RATES

# Options that say where a run lies or how it was watched, not what it is. Those of the mixture stand in the manifest.
_NOT_THE_RUN = (
    "dir",
    "mixture",
    "move_aside",
    "eval_",
    "logging",
    "save",
    "starts_from",
    "run_name",
    "model_name_or_path",
    *("vllm_server", "vllm_group_port", "vllm_request_timeout", "vllm_gpu_memory", "vllm_max_model_length", "sync_"),
)
_NOT_THE_MIXTURE = {
    "seed",
    "sha256",
    "n_long",
    "n_short",
    "p_cot_realised",
    "completion_characters",
    "disjoint",
    "parts_realised",
    "source",
    "revision",
    "dropped",
}


# What figures, tables and names of files take for granted.
_SHOWN = (
    *(
        "temperature",
        "n",
        "samples",
        "max_new_tokens",
        "sampling_seed",
        "protocol",
        "sequences_seen",
        "accuracy",
        "accuracy_ci",
    ),
    *("length_mean", "long_share", "long_share_ci"),
)


@dataclass(frozen=True)
class RunData:
    """One run directory.

    Args:
        dir: where it is.
        records: its evaluations, in the order they were made.
        manifest: its mixture.
        config: stage → resolved options.
        versions: packages, commit, machine.
    """

    dir: Path
    records: list[Record]
    manifest: dict[str, Any]
    config: dict[str, Any]
    versions: dict[str, Any]

    @property
    def label(self) -> str:
        return f"{self.dir.name} (seed {self.manifest['seed']})"

    @property
    def options(self) -> dict[str, Any]:
        """What the run is, but for its seed: the mixture's options, and each stage's as `stage.option`."""
        mixture = {key: value for key, value in self.manifest.items() if key not in _NOT_THE_MIXTURE}
        stages = {
            f"{stage}.{key}": value
            for stage, values in self.config.items()
            for key, value in values.items()
            if key != "seed" and key not in self.manifest and not any(word in key for word in _NOT_THE_RUN)
        }
        return {**mixture, **stages}

    @property
    def temperature(self) -> float:
        """Temperature of the sampled evaluations during training."""
        return next((v["eval_temperature"] for v in self.config.values() if "eval_temperature" in v), 1.0)

    @property
    def rl_stage(self) -> str | None:
        """The RL stage that the figures show: of several in one directory, the last one recorded; None: there was none."""
        return next((r["stage"] for r in reversed(self.records) if r["stage"] in RL_STAGES), None)

    def series(self, stage: str, decoding: str, split: str = "test") -> list[Record]:
        """The evaluations of one kind, by step; at one step the largest. Sampled ones on the test split are those at
        the run's evaluation temperature: others, made later, are other curves."""
        wanted = self.temperature if decoding == "sampled" else 0.0
        largest: dict[int, Record] = {}
        for record in self.records:
            same = (record["stage"], record["decoding"], record["split"]) == (stage, decoding, split)
            if same and records.is_own(record) and (split != "test" or record["temperature"] == wanted):
                known = largest.get(record["step"])
                if known is None or record["n"] > known["n"]:
                    largest[record["step"]] = record
        return [largest[step] for step in sorted(largest)]

    def last(self, stage: str, decoding: str) -> Record | None:
        """The last evaluation of a stage on the test split, or None."""
        found = self.series(stage, decoding)
        return found[-1] if found else None

    def lengths(self, record: Record) -> list[int]:
        """Response lengths behind a record; empty if its generations were not kept."""
        path = self.dir / COMPLETIONS / completions_name(record)
        return generations.read(path).table["length"].to_pylist() if path.is_file() else []

    def examples(self, record: Record, count: int) -> list[dict[str, Any]]:
        """The first generations behind a record."""
        path = self.dir / COMPLETIONS / completions_name(record)
        return generations.read(path).table.slice(0, count).to_pylist() if path.is_file() else []


def read_run(folder: Path) -> RunData:
    """Read a run directory.

    Raises:
        ConfigError: the folder is not a run, or nothing was evaluated in it yet.
    """
    missing = [name for name in ("config.yaml", "manifest.json") if not (folder / name).is_file()]
    if missing:
        raise ConfigError([f"{folder} is no run directory: it has no {' and no '.join(missing)}."])
    found = records.read(folder)
    if not found:
        raise ConfigError([f"{folder} has no records yet: run a recipe, or eval/run.py --run {folder}."])
    problems = [
        f"{folder / records.FILE}: the evaluation of {r['stage']} at step {r['step']} has no {' and no '.join(missing)}. Take its line out: it "
        f"will be measured again."
        for r in found
        if r["split"] == "test" and records.is_own(r) and (missing := records.lacking(r, _SHOWN))
    ]
    if problems:
        raise ConfigError(problems)
    versions = folder / "versions.json"
    return RunData(
        folder,
        found,
        read_manifest(folder),
        read_config(folder),
        read_json(versions, DAMAGED) if versions.is_file() else {},
    )


DAMAGED = "Restore it, or train again."


def read_manifest(folder: Path) -> dict[str, Any]:
    """The mixture of a run.

    Raises:
        ConfigError: it is damaged, or does not say what every manifest does.
    """
    path = folder / "manifest.json"
    manifest = read_json(path, DAMAGED)
    if missing := [key for key in ("task", "seed", "p_cot") if not isinstance(manifest.get(key), str | int | float)]:
        raise ConfigError([f"{path} does not say its {' and its '.join(missing)}. {DAMAGED}"])
    return manifest


def read_config(folder: Path) -> dict[str, Any]:
    """The options of a run's stages.

    Raises:
        ConfigError: it is damaged, or holds anything but options under each stage.
    """
    path = folder / "config.yaml"
    config = read_yaml(path, DAMAGED)
    if odd := [stage for stage, options in config.items() if not isinstance(options, dict)]:
        raise ConfigError([f"{path} holds no options under {', '.join(odd)}. {DAMAGED}"])
    odd = [
        f"{path}: {stage} has {name} {options[name]!r}, which is no number. {DAMAGED}"
        for stage, options in config.items()
        for name in ("eval_temperature", "max_steps", "rounds")
        if not isinstance(options.get(name, 0), int | float)
    ]
    if odd:
        raise ConfigError(odd)
    return config


def conditions(runs: Sequence[RunData]) -> dict[str, list[RunData]]:
    """Runs that differ only in their seed, together, under a name that says in what the others differ.

    Raises:
        ConfigError: two runs are the same condition with the same seed: one of them would count twice.
    """
    every = {key for run in runs for key in run.options}
    varied = [k for k in sorted(every) if len({str(run.options[k]) for run in runs if k in run.options}) > 1]
    groups: dict[str, list[RunData]] = defaultdict(list)
    for run in runs:
        shown = dict.fromkeys([*(k for k in ("d", "p_cot") if k in run.options), *varied])
        groups[", ".join(f"{k} = {run.options[k]}" for k in shown if k in run.options)].append(run)
    twice = [
        f"{a.dir} and {b.dir} are the same run ({name}, seed {a.manifest['seed']}); one would count twice. Name it once."
        for name, members in groups.items()
        for i, a in enumerate(members)
        for b in members[i + 1 :]
        if a.manifest["seed"] == b.manifest["seed"] and set(a.config) == set(b.config)
    ]
    if twice:
        raise ConfigError(twice)
    return dict(groups)


def guess_rate(runs: Sequence[RunData]) -> float | None:
    """How often a short answer is right by chance, where the task of all runs fixes it (`predict.GUESS_RATES`)."""
    tasks = {run.manifest["task"] for run in runs}
    return GUESS_RATES.get(next(iter(tasks))) if len(tasks) == 1 else None
