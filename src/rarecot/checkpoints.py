"""Which checkpoint folders are whole, what they were trained on, and whether they fit a mixture.

A checkpoint holds a whole model, or a LoRA adapter (`adapter_config.json`) with the configuration of its base beside it.
"""

import hashlib
import json
import math
import os
import re
import shutil
from pathlib import Path
from typing import Any

from rarecot import model_files, whole
from rarecot.documents import read_json
from rarecot.errors import ConfigError
from rarecot.hub import is_hub_id, model_snapshot
from rarecot.rendering import fingerprint_of_folder, fingerprint_of_task

ADAPTER = "adapter_config.json"
STOPPED = "stopped"  # folder in a stage's: what was saved only because the stage was asked to stop
_REMEDY = "Restore it, or use another checkpoint."
STAMP = "rarecot.json"  # written after everything else of a checkpoint, so its presence says that the rest is there


def stamp(folder: Path, content: dict[str, Any]) -> None:
    """Mark a checkpoint as complete and say what made it (stage, step, mixture hash, tokenizer fingerprint)."""
    whole.to_disk(folder)
    whole.write_text(folder / STAMP, json.dumps(content, indent=2) + "\n")


def read_stamp(folder: Path) -> dict[str, Any] | None:
    """What `stamp` wrote, or None: not ours, or not complete."""
    path = folder / STAMP
    return read_json(path, _REMEDY) if path.is_file() else None


def step_of(folder: Path) -> int:
    """N of `checkpoint-N`."""
    return int(folder.name.rpartition("-")[2])


def steps_left(folder: Path) -> int:
    """Optimizer steps that the trainer which saved this checkpoint had still to take."""
    path = folder / "trainer_state.json"
    state = read_json(path, _REMEDY)
    if not all(isinstance(state.get(key), int) for key in ("max_steps", "global_step")):
        raise ConfigError([f"{path} does not say max_steps and global_step. {_REMEDY}"])
    return max(0, state["max_steps"] - state["global_step"])


def is_last(folder: Path) -> bool:
    """Whether the stage that saved this checkpoint has nothing more to do: no step of its trainer; of STaR, no round and no
    evaluation after the last, which its stamp says."""
    return (read_stamp(folder) or {}).get("is_last", steps_left(folder) == 0)


def complete(stage_dir: Path) -> list[Path]:
    """The complete checkpoints of a stage, oldest first."""
    if not stage_dir.is_dir():
        return []
    folders = [p for p in stage_dir.iterdir() if re.fullmatch(r"checkpoint-\d+", p.name) and read_stamp(p) is not None]
    return sorted(folders, key=step_of)


def incomplete(run_dir: Path) -> list[Path]:
    """The checkpoints of a run that were not saved to their end."""
    stages = sorted(path for path in run_dir.iterdir() if path.is_dir()) if run_dir.is_dir() else []
    found = [p for stage in stages for p in stage.glob("checkpoint-*") if re.fullmatch(r"checkpoint-\d+", p.name)]
    return sorted((p for p in found if read_stamp(p) is None), key=lambda p: (p.parent.name, step_of(p)))


def remove_incomplete(stage_dir: Path) -> None:
    """Remove what was not saved or removed to its end, of a stage in which nobody trains now."""
    for folder in [*stage_dir.glob("checkpoint-*"), *(stage_dir / STOPPED).glob("checkpoint-*")]:
        if re.fullmatch(r"checkpoint-\d+", folder.name) and read_stamp(folder) is None:
            _remove(folder)


def keep_newest(stage_dir: Path, limit: int | None) -> None:
    """Remove the oldest complete checkpoints of a stage, so that `limit` are left; None, 0 or less: all stay, as in transformers.

    A checkpoint that is only half removed counts as complete to nobody.
    """
    for folder in complete(stage_dir)[: -limit if limit and limit > 0 else 0]:
        _remove(folder)


def _remove(folder: Path) -> None:
    """Remove a checkpoint, its stamp first. Of one that lies elsewhere only the link goes: what it leads to may be another's."""
    if folder.is_symlink():
        folder.unlink()
        return
    (folder / STAMP).unlink(missing_ok=True)
    shutil.rmtree(folder)


def newest(stage_dir: Path) -> Path | None:
    """The newest complete checkpoint of a stage, or None."""
    folders = complete(stage_dir)
    return folders[-1] if folders else None


def resumable(stage_dir: Path) -> Path | None:
    """What a stage goes on from: its newest complete checkpoint, or what it saved since, only to stop."""
    return max([*complete(stage_dir), *complete(stage_dir / STOPPED)], key=step_of, default=None)


def resolve(path: Path) -> Path | None:
    """A model folder from what a user names: the folder itself, or the newest complete checkpoint in it. A
    `checkpoint-N` of a run counts only when it is complete; a model from elsewhere has no stamp and needs none."""
    if (path / "config.json").is_file():
        run_dir = path.resolve().parents[1]
        in_a_run = any((run_dir / name).is_file() for name in ("records.jsonl", "manifest.json"))
        return None if in_a_run and read_stamp(path) is None else path
    return newest(path)


def model_folder(name: str) -> Path:
    """A checkpoint's folder, or the hub's cache of a model.

    Raises:
        ConfigError: there is no model.
    """
    if is_hub_id(name):
        return model_snapshot(name, weights=True)
    folder = resolve(Path(name))
    if folder is None and (Path(name) / "config.json").is_file():
        raise ConfigError(
            [
                f"{name} was not saved to its end (no {STAMP} in it). Use a complete checkpoint of the run, or resume the run."
            ]
        )
    if folder is None:
        raise ConfigError([_no_model(Path(name))])
    if problems := model_files.damage(folder):
        raise ConfigError(problems)
    return folder


def _no_model(path: Path) -> str:
    if not path.exists():
        return (
            f"there is no {path}, and it does not look like a hub id (organisation/name). Name a folder with a model."
        )
    if (path / "records.jsonl").is_file():
        return f"{path} is a run directory. Use --run, or name one of its stages or checkpoints."
    return f"{path} holds no model: no config.json and no complete checkpoint."


def is_adapter(folder: Path) -> bool:
    """Whether a checkpoint holds a LoRA adapter instead of a whole model."""
    return (folder / ADAPTER).is_file()


def base_of(folder: Path) -> tuple[str, str | None]:
    """The model that an adapter belongs to, as a path or a hub id, and its revision.

    A base in the same run is found from the adapter's place, so that a run can be moved; another path is looked for from here,
    and then from the folders above the adapter.

    Raises:
        ConfigError: it is nowhere.
    """
    config = read_json(folder / ADAPTER, _REMEDY)
    name = _base_name(folder)
    inside = (read_stamp(folder) or {}).get("base")
    if inside is not None:
        run_dir = folder.resolve().parents[2 if folder.resolve().parent.name == STOPPED else 1]
        places = [folder / inside] if (folder / inside).resolve().is_relative_to(run_dir) else []
    else:
        places = [Path(name), *(parent / name for parent in folder.resolve().parents)]
    found = next((place for place in places if (place / "config.json").is_file()), None)
    if found is None and (inside is not None or not is_hub_id(name)):
        raise ConfigError(
            [f"{folder} is an adapter to {inside or name}, which is not there. Put the model back, or train again."]
        )
    return str(found or name), config.get("revision")


def _base_name(folder: Path) -> str:
    name = read_json(folder / ADAPTER, _REMEDY).get("base_model_name_or_path")
    if not isinstance(name, str) or not name:
        raise ConfigError([f"{folder / ADAPTER} does not say to which model the adapter belongs. {_REMEDY}"])
    return name


def base_inside(folder: Path, run_dir: Path, place: Path) -> str | None:
    """Where the base of an adapter lies, if it is in the same run; None: elsewhere, or no adapter.

    Args:
        folder: the adapter's.
        run_dir: the run's.
        place: where the adapter will lie, from which the base is seen.
    """
    if not is_adapter(folder):
        return None
    base = Path(_base_name(folder)).resolve()
    return os.path.relpath(base, place.resolve()) if base.is_relative_to(run_dir.resolve()) else None


def weights_folder(folder: Path) -> Path:
    """Where the weights of a checkpoint's whole model, or of its adapter's base, lie."""
    if not is_adapter(folder):
        return folder
    name, revision = base_of(folder)
    if not is_hub_id(name):
        if problems := model_files.untrusted(Path(name)):
            raise ConfigError(problems)
        return Path(name)
    try:
        return model_snapshot(name, revision, weights=True)
    except ConfigError as error:
        raise ConfigError(
            [
                f"{folder} is an adapter to {name}, which is no folder seen from here or from above the adapter, and the hub does not give it. Start "
                f"from the folder in which it was trained, or write the base's place into {folder / ADAPTER} (base_model_name_or_path)."
            ]
        ) from error


def weights_fingerprint(folder: Path) -> str:
    """sha256 of 64 blocks of each weights file, an adapter's and its base's: enough to tell two models apart, and fast on large ones."""
    digest = hashlib.sha256()
    for place in dict.fromkeys((folder, weights_folder(folder))):
        for path in sorted(place.glob("*.safetensors")):
            size = path.stat().st_size
            digest.update(f"{path.name} {size}".encode())
            with path.open("rb") as file:
                for i in range(64):
                    file.seek(size * i // 64)
                    digest.update(file.read(1 << 16))
    return digest.hexdigest()


def parameters(folder: Path) -> int:
    """How many parameters the model in a folder has; an adapter's are left out, its base's counted."""
    return sum(math.prod(shape) for shape in model_files.parameter_shapes(weights_folder(folder)).values())


def misfits(folder: Path, mixture: dict[str, Any], task: Any) -> list[str]:
    """Why the model in `folder` does not fit a mixture: its positions, its tokenizer, or what it was trained on; and what is `untrusted` of it.

    Args:
        folder: holds config.json and tokenizer.json.
        mixture: the mixture's flat mapping (`MixtureSpec.to_mapping`).
        task: its task.
    """
    problems = model_files.untrusted(folder)
    found = fingerprint_of_folder(folder)
    if found is None:
        problems.append(f"{folder} holds no tokenizer.json, so what its ids mean cannot be checked. Save it there.")
    if hasattr(task, "tokenizer"):  # a vocabulary of its own, and lengths that follow from its options
        positions, needed = model_files.positions_of(folder), task.prompt_tokens + task.long_tokens
        if positions is not None and positions < needed:
            remedy = f"Train a model with more positions than {folder}, or make the task smaller (parity: lower d; multiplication: digits)"
            problems.append(too_long(task.prompt_tokens, task.long_tokens, positions, remedy))
        if found is not None and found != fingerprint_of_task(task.tokenizer()):
            problems.append(
                f"the tokenizer in {folder} is not the mixture's: the same text would become other token ids than the model "
                f"was trained on. Use the mixture that the checkpoint was trained on, or train on this one first."
            )
    trained_on = (read_stamp(folder) or {}).get("task", {})
    changed = [f"{k} {v} → {mixture.get(k)}" for k, v in trained_on.items() if mixture.get(k) != v]
    if changed:
        problems.append(
            f"{folder} was trained on another task than this mixture's ({', '.join(changed)}). Use its mixture, or train "
            f"on this one first."
        )
    return problems


def too_long(prompt: int, long: int, positions: int, remedy: str) -> str:
    """The sentence for a model with too few positions.

    Args:
        prompt: tokens of a prompt.
        long: tokens of a long response.
        positions: that the model has.
        remedy: the start of what to do.
    """
    return (
        f"the model has {positions} positions, but a prompt of {prompt} tokens and a long response of {long} need "
        f"{prompt + long}. {remedy}."
    )
