"""One self-contained HTML page for a sweep: what is missing, its figure, a table of its conditions, and what made them."""

import base64
import json
import statistics
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, select_autoescape

from rarecot.evaluation.records import STAGE_NAMES
from rarecot.report.data import Record
from rarecot.report.sweep.data import SweepData, SweepRun, conditions, text, varying
from rarecot.report.sweep.panels import ALWAYS
from rarecot.report.tables import aligned, percent

MEASURES = (
    ("stage", "after"),
    ("seeds", "seeds"),
    ("greedy", "greedy accuracy"),
    ("median", "median length"),
    ("long_share", "long share, sampled"),
    ("accuracy_long", "accuracy given long"),
    ("accuracy_short", "accuracy given short"),
    ("sequences", "sequences"),
)


def columns(sweep: SweepData) -> list[tuple[str, str]]:
    """(key, heading) of the table: the swept keys that vary, but the seed, then what was measured."""
    return [*((f"swept.{key}", key) for key in _keys(sweep)), *MEASURES]


def table(sweep: SweepData) -> list[dict[str, str]]:
    """One row a condition and stage, from the last evaluations: mean and range over seeds, or one seed's 95 % interval.
    Conditions whose runs are all missing have a row too."""
    keys = _keys(sweep)
    rows = []
    for stage in dict.fromkeys(run.stage for run in sweep.runs):
        members = [run for run in sweep.runs if run.stage == stage]
        for (recipe, *values), runs in conditions(members, ("recipe", *keys)).items():
            rows.append({**_swept(keys, values), "stage": _stage_name(str(recipe), stage), **_measures(runs)})
    return rows


def text_table(sweep: SweepData) -> str:
    """The same table for a terminal, and under it what is missing."""
    return "\n".join([aligned(columns(sweep), table(sweep)), *(f"\n{note}" for note in sweep.notes)])


def write(sweep: SweepData, figures: dict[str, tuple[Path, str]], path: Path) -> None:
    """Write the page; images are embedded, names and texts are escaped.

    Args:
        figures: name → (PNG, caption).
    """
    environment = Environment(
        loader=PackageLoader("rarecot.report.sweep", ""), autoescape=select_autoescape(default=True)
    )
    several = len(figures) > 2
    pictures = [
        {"name": name, "caption": caption, "image": base64.b64encode(file.read_bytes()).decode()}
        for name, (file, caption) in figures.items()
        if several or name != "overview"  # of one panel it is that panel again
    ]
    page = environment.get_template("page.html.jinja").render(
        sweep=sweep,
        columns=columns(sweep),
        rows=table(sweep),
        pictures=pictures,
        runs=[_run_row(run) for run in sweep.runs],
        versions=_versions(sweep),
    )
    path.write_text(page)


def _keys(sweep: SweepData) -> tuple[str, ...]:
    return tuple(key for key in varying(sweep.runs) if key not in ALWAYS)


def _swept(keys: Sequence[str], values: Sequence[Hashable]) -> dict[str, str]:
    return {f"swept.{key}": "" if value is None else text(value) for key, value in zip(keys, values, strict=True)}


def _stage_name(recipe: str, stage: str) -> str:
    """The recipe's name, and the sweep's own for the stage where that says more."""
    return recipe if stage.lower() in (recipe.lower(), "sft") else f"{recipe} ({stage})"


def _measures(runs: Sequence[SweepRun]) -> dict[str, str]:
    greedy = [record for run in runs if (record := run.last("greedy"))]
    sampled = [record for run in runs if (record := run.last("sampled"))]
    here = sum(run.data is not None for run in runs)
    return {
        "seeds": str(here) if here == len(runs) else f"{here} of {len(runs)}",
        "greedy": _share(greedy, "accuracy"),
        "median": _plain(greedy, "length_median"),
        "long_share": _share(sampled, "long_share"),
        "accuracy_long": _share(sampled, "accuracy_long"),
        "accuracy_short": _share(sampled, "accuracy_short"),
        "sequences": _plain(greedy, "sequences_seen"),
    }


def _share(found: Sequence[Record], field: str) -> str:
    values = [record[field] for record in found if record.get(field) is not None]
    if len(found) == 1 or not values:
        return percent(found[0], field) if found else "–"
    of = "" if len(values) == len(found) else f" in {len(values)}"  # undefined in the others
    return f"{statistics.fmean(values):.1%} ({min(values):.1%}–{max(values):.1%}){of}"


def _plain(found: Sequence[Record], field: str) -> str:
    values = [record[field] for record in found]
    if not values:
        return "–"
    low, high = text(min(values)), text(max(values))
    return low if low == high else f"{text(round(statistics.fmean(values), 1))} ({low}–{high})"


def _run_row(run: SweepRun) -> dict[str, Any]:
    greedy = run.last("greedy")
    state = "missing" if run.data is None else "no greedy evaluation" if greedy is None else f"step {greedy['step']}"
    if run.stopped_at:
        state += f" of {run.stopped_at[1]}: stopped early"
    values = ", ".join(f"{key} = {text(run.value(key))}" for key in run.values)
    return {"dir": run.run_dir, "stage": STAGE_NAMES[run.recipe], "values": values, "state": state}


def _versions(sweep: SweepData) -> list[dict[str, Any]]:
    """The packages, commits and machines that made the runs, each once, with the number of run directories."""
    folders = {run.run_dir: run.data.versions for run in sweep.runs if run.data}
    counted: dict[str, int] = {}
    for versions in folders.values():
        said = json.dumps(versions, indent=1, sort_keys=True)
        counted[said] = counted.get(said, 0) + 1
    return [{"text": said, "count": count} for said, count in counted.items()]
