"""A sweep before it runs: every run checked, and the plan written down where the report finds it."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from rarecot import checkpoints
from rarecot.errors import ConfigError
from rarecot.evaluation import records
from rarecot.mixtures.spec import read_mapping
from rarecot.report.panels import panel_problems
from rarecot.sweeps.spec import PlannedRun, Sweep
from rarecot.training.request import make_request

FILE = "sweep.json"
_WHERE = ("run_dir", "model_name_or_path", "mixture", "source")  # not what a run computes


def check(sweep: Sweep) -> None:
    """Hold every run against its recipe, the figure against what is swept, and the directory against the plan.

    Raises:
        ConfigError: everything that is wrong, each once.
    """
    found: dict[str, list[str]] = {}
    for run in sweep.runs:
        for text in _problems(run, sweep.dir):
            found.setdefault(f"stage {run.stage}: {text}", []).append(run.name)
    problems = [text + (f" (in {len(names)} runs)" if len(names) > 1 else "") for text, names in found.items()]
    problems += panel_problems(sweep.figure, sweep.swept)
    places = Counter((run.run_dir, run.recipe) for run in sweep.runs)
    problems += [
        f"{n} runs would share {folder}. Give their stages other names." for (folder, _), n in places.items() if n > 1
    ]
    if problems or (problems := _differences(sweep)):
        raise ConfigError(problems)


def write(sweep: Sweep) -> None:
    """Write the plan into the sweep's directory."""
    sweep.dir.mkdir(parents=True, exist_ok=True)
    temporary = sweep.dir / f"{FILE}.part"
    content = {**sweep.about, "figure": sweep.figure, "runs": [_entry(run) for run in sweep.runs]}
    temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    temporary.replace(sweep.dir / FILE)


def is_done(run: PlannedRun, sweep_dir: Path) -> bool:
    """Whether a run's stage has reached its end."""
    folder = checkpoints.newest(sweep_dir / run.run_dir / run.recipe)
    return folder is not None and checkpoints.is_last(folder) and bool(records.read(sweep_dir / run.run_dir))


def _problems(run: PlannedRun, sweep_dir: Path) -> list[str]:
    words = run.words(sweep_dir)
    try:
        make_request(run.recipe, read_mapping(run.config), words, run.config, start_comes_first=run.after is not None)
    except ConfigError as error:
        return error.problems
    return []


def _entry(run: PlannedRun) -> dict[str, Any]:
    asked = {**read_mapping(run.config), **run.keys}
    return {
        "id": run.id,
        "stage": run.stage,
        "recipe": run.recipe,
        "run_dir": str(run.run_dir),
        "values": run.values,
        "after": run.after,
        "asked": {key: value for key, value in asked.items() if key not in _WHERE},
    }


def _differences(sweep: Sweep) -> list[str]:
    """In what the directory's sweep differs from this one; more runs than before are no difference."""
    path = sweep.dir / FILE
    if not path.is_file():
        return []
    remedy = "Use another --sweep_dir: a directory holds one sweep, which may grow but not change."
    new = {(entry["run_dir"], entry["recipe"]): entry["asked"] for entry in map(_entry, sweep.runs)}
    problems = []
    for old in json.loads(path.read_text())["runs"]:
        asked = new.get((old["run_dir"], old["recipe"]))
        if asked is None:
            problems.append(
                f"{sweep.dir} holds another sweep: its run {old['run_dir']} ({old['recipe']}) is not in this grid. {remedy}"
            )
        elif changed := [k for k in {**asked, **old["asked"]} if asked.get(k) != old["asked"].get(k)]:
            shown = ", ".join(f"{k} {old['asked'].get(k)!r} → {asked.get(k)!r}" for k in sorted(changed))
            problems.append(
                f"{sweep.dir} holds {old['run_dir']} ({old['recipe']}) with other options: {shown}. {remedy}"
            )
    return problems if len(problems) <= 3 else [*problems[:3], f"… and {len(problems) - 3} more runs that differ."]
