"""The way to a checkpoint: the stages that led to it, from which model, and whether others can have that."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from rarecot import checkpoints
from rarecot.documents import read_json, read_yaml
from rarecot.evaluation.records import STAGE_NAMES
from rarecot.hub import is_hub_id

CONFIG, VERSIONS = "config.yaml", "versions.json"  # of a run: stage → options, stage → what they ran on

_HUB_CACHE = re.compile(r"/models--([\w.-]+?)--([\w.-]+)/snapshots/(\w+)$")  # where the hub keeps what it gave


@dataclass(frozen=True)
class Leg:
    """A stage on the way to a checkpoint.

    Args:
        stage: `sft`, `grpo`, …
        progress: where it stood when the checkpoint was saved; at least `step`.
        normalisation: how RL's loss weighs tokens; empty: no RL, or not known.
        options: of its config; empty where the run is not here.
        versions: package → version, and the commit.
        start: what it started from, in words.
    """

    stage: str
    progress: Mapping[str, int]
    normalisation: str
    options: Mapping[str, Any]
    versions: Mapping[str, Any]
    start: str

    @property
    def title(self) -> str:
        return STAGE_NAMES.get(self.stage, self.stage)


@dataclass(frozen=True)
class Origin:
    """What the first stage of all started from.

    Args:
        kind: `hub`, `scratch`, `local`, or `unknown`.
        name: the hub id, or the last part of a path.
        revision: commit on the hub.
    """

    kind: str
    name: str = ""
    revision: str = ""


def way(run_dir: Path, folder: Path) -> tuple[list[Leg], Origin]:
    """The stages that led to a complete checkpoint, the first one first, through other runs where those are still there; and what the
    first started from."""
    stamp = checkpoints.read_stamp(folder)
    home = Path(os.path.abspath(run_dir))  # `starts_from` is relative to it as it was named, links not followed
    run, stage, progress = home, stamp["stage"], stamp["progress"]
    legs: list[Leg] = []
    seen = set()
    while True:
        seen.add((run, stage, progress["step"]))
        options = read_mapping(run / CONFIG).get(stage) or {}
        made_by = read_mapping(run / VERSIONS).get(stage) or {}
        start, before = options.get("starts_from") or "", None
        place = Path(os.path.normpath(run / start))
        if not options:
            origin, words = Origin("unknown"), "unknown"
        elif not start:
            origin, words = Origin("scratch"), "scratch"
        elif cached := _HUB_CACHE.search(place.as_posix()):
            origin = Origin("hub", f"{cached[1]}/{cached[2]}", cached[3])
            words = origin.name
        else:
            origin, words = Origin("local", place.name), f"{place.name} (local)"
            if place.parent.name in STAGE_NAMES and re.fullmatch(r"checkpoint-\d+", place.name):
                elsewhere = "" if place.is_relative_to(home) else " of another run"
                words, before = f"{place.parent.name}/{place.name}{elsewhere}", place
        normalisation = stamp.get("constants", {}).get("loss_normalisation", "")
        legs.insert(0, Leg(stage, progress, normalisation, options, made_by, words))
        if before is None:
            return legs, origin
        stamp = checkpoints.read_stamp(before) or {}
        run, stage = before.parents[1], before.parent.name
        progress = stamp.get("progress", {"step": checkpoints.step_of(before)})
        if (run, stage, progress["step"]) in seen:
            return legs, Origin("unknown")


def adapter_base(folder: Path, origin: Origin) -> tuple[str, bool]:
    """What an adapter belongs to, and whether that is on the hub; `("", False)`: no adapter.

    A relative path of two parts looks like a hub id, so the way of the run decides where it is known."""
    if not checkpoints.is_adapter(folder):
        return "", False
    name = str(read_mapping(folder / checkpoints.ADAPTER).get("base_model_name_or_path", ""))
    inside = (checkpoints.read_stamp(folder) or {}).get("base")
    is_published = is_hub_id(name) and not inside and (origin.kind == "unknown" or origin.name == name)
    return (name if is_published else PurePosixPath(name).name), is_published


def read_mapping(path: Path) -> dict[str, Any]:
    """A JSON or YAML mapping; empty if there is no such file."""
    if not path.is_file():
        return {}
    read = read_json if path.suffix == ".json" else read_yaml
    return read(path, "Restore it, or train again.")
