"""A sweep before it runs: every run checked, and the plan written down where the report finds it."""

import dataclasses
import json
from collections import Counter
from pathlib import Path
from typing import Any

from rarecot import checkpoints
from rarecot.documents import read_json
from rarecot.errors import ConfigError
from rarecot.evaluation import records
from rarecot.mixtures.spec import read_mapping, wherever
from rarecot.report.sweep.panels import panel_problems
from rarecot.sweeps.spec import PlannedRun, Sweep
from rarecot.training.arguments import ARGUMENTS
from rarecot.training.request import Request, make_request
from rarecot.whole import write_text

FILE = "sweep.json"
# Not what a run computes.
_WHERE = (
    "run_dir",
    "model_name_or_path",
    "mixture",
    "source",
    "revision",
    "move_aside",
    "dry_run",
    "eval_batch_size",
    "disable_tqdm",
)
_ABSENT = "(not set)"


def check(sweep: Sweep) -> list[dict[str, Any]]:
    """Hold every run against its recipe, the figure against what is swept, and the directory against the plan.

    Returns:
        What `write` writes down of each run.

    Raises:
        ConfigError: everything that is wrong, each once.
    """
    found: dict[str, list[str]] = {}
    requests: dict[int, Request] = {}
    for run in sweep.runs:
        try:
            later = run.after is not None
            words = run.words(sweep.dir)
            requests[run.id] = make_request(
                run.recipe, read_mapping(run.config), words, run.config, start_comes_first=later
            )
        except ConfigError as error:
            for text in error.problems:
                found.setdefault(f"stage {run.stage}: {text}", []).append(run.name)
    if any(request.arguments.dry_run != "false" for request in requests.values()):
        found[
            "dry_run is set in a stage: nothing would be trained. Leave it out, and use recipes/sweep.py --dry_run."
        ] = [""]
    problems = [text + (f" (in {len(names)} runs)" if len(names) > 1 else "") for text, names in found.items()]
    problems += panel_problems(sweep.figure, sweep.swept)
    problems += _crowded(sweep, requests)
    if problems:
        raise ConfigError(problems)
    entries = [_entry(run, requests[run.id]) for run in sweep.runs]
    if problems := _differences(sweep, entries):
        raise ConfigError(problems)
    return entries


def write(sweep: Sweep, entries: list[dict[str, Any]]) -> None:
    """Write the plan into the sweep's directory."""
    sweep.dir.mkdir(parents=True, exist_ok=True)
    plan = {**sweep.about, "figure": sweep.figure, "runs": entries}
    write_text(sweep.dir / FILE, json.dumps(plan, indent=2, ensure_ascii=False) + "\n")


def is_done(run: PlannedRun, sweep_dir: Path) -> bool:
    """Whether a run's stage has reached its end."""
    folder = checkpoints.newest(sweep_dir / run.run_dir / run.recipe)
    return folder is not None and checkpoints.is_last(folder) and bool(records.read(sweep_dir / run.run_dir))


def _crowded(sweep: Sweep, requests: dict[int, Request]) -> list[str]:
    """Runs that cannot share the directory that they share: the same stage twice, or another mixture."""
    places = Counter((run.run_dir, run.recipe) for run in sweep.runs)
    problems = [
        f"{n} runs would share {folder}. Give their stages other names." for (folder, _), n in places.items() if n > 1
    ]
    for run in sweep.runs:
        before = next((other for other in sweep.runs if other.id == run.after and other.run_dir == run.run_dir), None)
        if before is None or not {run.id, before.id} <= set(requests):
            continue
        mine, theirs = (requests[each.id].spec.to_mapping() for each in (run, before))
        if changed := [key for key in mine if mine[key] != theirs.get(key)]:
            shown = ", ".join(f"{key} {theirs.get(key)!r} → {mine[key]!r}" for key in changed)
            problems.append(
                f"stage {run.stage} goes on in the run of {before.stage} with another mixture ({shown}). Set it for {before.stage} too."
            )
    return list(dict.fromkeys(problems))


def _entry(run: PlannedRun, request: Request) -> dict[str, Any]:
    """A run as `sweep.json` has it; `asked` is everything that decides what it computes."""
    trainer = {**request.from_yaml, **{key: " ".join(words) for key, words in request.from_command_line.items()}}
    asked = {
        **dataclasses.asdict(request.arguments),
        **trainer,
        **wherever(request.spec.to_mapping()),
        "seed": request.seed,
    }
    start = run.starts_from if run.starts_from is not None else asked.get("model_name_or_path") or None
    return {
        "id": run.id,
        "stage": run.stage,
        "recipe": run.recipe,
        "run_dir": str(run.run_dir),
        "values": run.values,
        "after": run.after,
        "starts_from": str(start) if start is not None else None,
        "asked": {key: value for key, value in asked.items() if key not in _WHERE},
    }


def _defaults(recipe: str, names: set[str]) -> dict[str, Any]:
    """What a recipe's own options are when nobody asks: those that it did not have yet when a sweep was written down."""
    fields = dataclasses.asdict(ARGUMENTS[recipe]())
    return {name: fields[name] for name in names & set(fields)}


def _written(path: Path) -> list[dict[str, Any]]:
    """The runs in a `sweep.json`.

    Raises:
        ConfigError: it is damaged.
    """
    remedy = "Restore it, or use another --sweep_dir."
    runs = read_json(path, remedy).get("runs")
    needed = ("run_dir", "recipe", "asked", "starts_from")
    if not isinstance(runs, list) or not all(isinstance(run, dict) and set(needed) <= set(run) for run in runs):
        raise ConfigError([f"{path} does not list runs as a sweep writes them. {remedy}"])
    return runs


def _differences(sweep: Sweep, entries: list[dict[str, Any]]) -> list[str]:
    """In what the directory's sweep differs from this one; more runs than before are no difference."""
    path = sweep.dir / FILE
    if not path.is_file():
        return []
    remedy = "Use another --sweep_dir: a directory holds one sweep, which may grow but not change."
    new = {(entry["run_dir"], entry["recipe"]): entry for entry in json.loads(json.dumps(entries))}
    problems = []
    for old in _written(path):
        where = f"{old['run_dir']} ({old['recipe']})"
        now = new.get((old["run_dir"], old["recipe"]))
        if now is None:
            problems.append(f"{sweep.dir} holds another sweep: its run {where} is not in this grid. {remedy}")
            continue
        before, after = ({**entry["asked"], "starts_from": entry["starts_from"]} for entry in (old, now))
        before = {**_defaults(now["recipe"], set(after) - set(before)), **before}
        if changed := sorted(k for k in {**after, **before} if before.get(k, _ABSENT) != after.get(k, _ABSENT)):
            shown = ", ".join(f"{k} {before.get(k, _ABSENT)!r} → {after.get(k, _ABSENT)!r}" for k in changed)
            problems.append(f"{sweep.dir} holds {where} with other options: {shown}. {remedy}")
    return problems if len(problems) <= 3 else [*problems[:3], f"… and {len(problems) - 3} more runs that differ."]
