"""Which checkpoint folders are whole, and what they were trained on."""

import json
import re
from pathlib import Path
from typing import Any

STAMP = "rarecot.json"  # written after everything else of a checkpoint, so its presence says that the rest is there


def stamp(folder: Path, content: dict[str, Any]) -> None:
    """Mark a checkpoint as complete and say what made it (stage, step, mixture hash, tokenizer fingerprint)."""
    temporary = folder / f"{STAMP}.part"
    temporary.write_text(json.dumps(content, indent=2) + "\n")
    temporary.rename(folder / STAMP)


def read_stamp(folder: Path) -> dict[str, Any] | None:
    """What `stamp` wrote, or None: not ours, or not complete."""
    path = folder / STAMP
    return json.loads(path.read_text()) if path.is_file() else None


def step_of(folder: Path) -> int:
    """N of `checkpoint-N`."""
    return int(folder.name.rpartition("-")[2])


def complete(stage_dir: Path) -> list[Path]:
    """The complete checkpoints of a stage, oldest first."""
    if not stage_dir.is_dir():
        return []
    folders = [p for p in stage_dir.iterdir() if re.fullmatch(r"checkpoint-\d+", p.name) and read_stamp(p) is not None]
    return sorted(folders, key=step_of)


def newest(stage_dir: Path) -> Path | None:
    """The newest complete checkpoint of a stage, or None."""
    folders = complete(stage_dir)
    return folders[-1] if folders else None


def resolve(path: Path) -> Path | None:
    """A model folder from what a user names: the folder itself, or the newest complete checkpoint in it."""
    if (path / "config.json").is_file():
        return path
    return newest(path)
