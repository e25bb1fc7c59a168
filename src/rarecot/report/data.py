"""Run directories as the report reads them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

from rarecot.errors import ConfigError
from rarecot.evaluation import records
from rarecot.evaluation.records import COMPLETIONS, completions_name

RL_STAGES = ("grpo", "star", "reinforce")
STAGE_NAMES = {"sft": "NTP", "grpo": "GRPO", "star": "STaR", "reinforce": "REINFORCE"}

_PLAIN = {"leap": 1, "chain_noise": 0.0}  # options that a caption names only where they are used

Record = dict[str, Any]


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
    def condition(self) -> str:
        """What runs that differ only in their seed share: the task and the mixture."""
        task = f"d = {self.manifest['d']}, " if "d" in self.manifest else ""
        extra = "".join(
            f", {k} {self.manifest[k]:g}" for k, plain in _PLAIN.items() if self.manifest.get(k, plain) != plain
        )
        return f"{task}p_cot = {self.manifest['p_cot']:g}{extra}"

    @property
    def rl_stage(self) -> str | None:
        """The RL stage of the run, if one was recorded."""
        return next((stage for stage in RL_STAGES if any(r["stage"] == stage for r in self.records)), None)

    def series(self, stage: str, decoding: str, split: str = "test") -> list[Record]:
        """The evaluations of one kind, by step."""
        found = [r for r in self.records if (r["stage"], r["decoding"], r["split"]) == (stage, decoding, split)]
        return sorted(found, key=lambda r: r["step"])

    def last(self, stage: str, decoding: str) -> Record | None:
        """The last evaluation of a stage on the test split, or None."""
        found = self.series(stage, decoding)
        return found[-1] if found else None

    def lengths(self, record: Record) -> list[int]:
        """Response lengths behind a record; empty if its generations were not kept."""
        path = self.dir / COMPLETIONS / completions_name(record)
        return pq.read_table(path, columns=["length"])["length"].to_pylist() if path.is_file() else []

    def examples(self, record: Record, count: int) -> list[dict[str, Any]]:
        """The first generations behind a record."""
        path = self.dir / COMPLETIONS / completions_name(record)
        return pq.read_table(path).slice(0, count).to_pylist() if path.is_file() else []


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
    versions = folder / "versions.json"
    return RunData(
        folder,
        found,
        json.loads((folder / "manifest.json").read_text()),
        yaml.safe_load((folder / "config.yaml").read_text()),
        json.loads(versions.read_text()) if versions.is_file() else {},
    )
