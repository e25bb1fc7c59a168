"""The tables of a report, as text: for its page and for a terminal."""

from collections.abc import Sequence

from rarecot.evaluation.records import STAGE_NAMES, Record, is_own
from rarecot.report.data import RL_STAGES, RunData
from rarecot.report.rl import bought

LEDGER_COLUMNS = (
    ("run", "run"),
    ("decoding", "decoding"),
    ("total", "change of accuracy (points)"),
    ("mix", "more long responses"),
    ("long", "better long ones"),
    ("short", "better short ones"),
    ("tokens", "right answers per 1 000 tokens"),
)

COLUMNS = (
    ("run", "run"),
    ("stage", "after"),
    ("sequences", "sequences"),
    ("greedy", "greedy accuracy"),
    ("median", "median length"),
    ("long_share", "long share, sampled"),
    ("accuracy_long", "accuracy given long"),
    ("accuracy_short", "accuracy given short"),
    ("truncated", "truncated"),
)

EVALUATION_COLUMNS = (
    ("run", "run"),
    ("where", "after"),
    ("asked", "problems"),
    ("protocol", "protocol"),
    ("decoding", "decoding"),
    ("accuracy", "accuracy, strict"),
    ("lenient", "accuracy, lenient"),
    ("repeated", "pass@k and maj@k"),
    ("median", "median length"),
    ("no_answer", "no answer"),
    ("truncated", "truncated"),
)


def table(runs: Sequence[RunData]) -> list[dict[str, str]]:
    """One row a run and stage, from the last evaluations, with 95 % intervals."""
    rows = []
    for run in runs:
        for stage in ("sft", *RL_STAGES):
            greedy, sampled = run.last(stage, "greedy"), run.last(stage, "sampled")
            if greedy is None:
                continue
            sampled = sampled or {}
            rows.append(
                {
                    "run": run.label,
                    "stage": STAGE_NAMES[stage],
                    "sequences": f"{greedy['sequences_seen']:,}".replace(",", " "),
                    "greedy": percent(greedy, "accuracy"),
                    "median": f"{greedy['length_median']:g}",
                    "long_share": percent(sampled, "long_share"),
                    "accuracy_long": percent(sampled, "accuracy_long"),
                    "accuracy_short": percent(sampled, "accuracy_short"),
                    "truncated": percent(sampled, "truncated_share"),
                }
            )
    return rows


def ledger_table(runs: Sequence[RunData]) -> list[dict[str, str]]:
    """What RL bought: one row a run and decoding, with 95 % intervals."""
    return [
        {
            "run": run.label,
            "decoding": entry.decoding,
            **{part: getattr(entry, part).points() for part in ("total", "mix", "long", "short")},
            "tokens": " → ".join(f"{value:.1f}" for value in entry.per_1000_tokens),
        }
        for run in runs
        for entry in bought(run)
    ]


def evaluations_table(runs: Sequence[RunData]) -> list[dict[str, str]]:
    """One row an evaluation that no curve shows, of the last checkpoint that has it, with 95 % intervals."""
    rows = []
    for run in runs:
        last: dict[tuple[object, ...], Record] = {}
        for record in run.records:
            if record["split"] == "test" and (not is_own(record) or record["samples"] > 1):
                key = tuple(
                    record.get(name)
                    for name in ("stage", "suite", "protocol", "decoding", "temperature", "samples", "n")
                )
                if key not in last or record["step"] >= last[key]["step"]:
                    last[key] = record
        rows += [_row(run.label, record) for record in last.values()]
    return rows


def _row(label: str, record: Record) -> dict[str, str]:
    samples = record["samples"]
    how = "greedy" if record["decoding"] == "greedy" else f"τ = {record['temperature']:g}"
    return {
        "run": label,
        "where": f"{STAGE_NAMES[record['stage']]} step {record['step']}",
        "asked": f"{record['n'] // samples} of {record.get('suite') or 'its own'}",
        "protocol": record["protocol"],
        "decoding": f"{how}, avg@{samples}" if samples > 1 else how,
        "accuracy": percent(record, "accuracy"),
        "lenient": percent(record, "accuracy_lenient"),
        "repeated": _repeated(record),
        "median": f"{record['length_median']:g}",
        "no_answer": percent(record, "no_answer_share"),
        "truncated": percent(record, "truncated_share"),
    }


def _repeated(record: Record) -> str:
    """`pass@4 61.0% [55.1%, 66.6%], maj@4 40.2% […]` for the largest k."""
    parts = []
    for metric in ("pass_at", "maj_at"):
        values = record.get(metric) or {}
        if values:
            k = max(values, key=int)
            low, high = record[f"{metric}_ci"][k]
            parts.append(f"{metric.removesuffix('_at')}@{k} {values[k]:.1%} [{low:.1%}, {high:.1%}]")
    return ", ".join(parts) or "–"


def aligned(columns: Sequence[tuple[str, str]], rows: Sequence[dict[str, str]]) -> str:
    """Rows under their headings, for a terminal.

    Args:
        columns: (key, heading) of each column.
        rows: key → text.
    """
    lines = [dict(columns), *rows]
    widths = {key: max(len(line[key]) for line in lines) for key, _ in columns}
    return "\n".join("  ".join(line[key].ljust(widths[key]) for key, _ in columns).rstrip() for line in lines)


def percent(record: Record, field: str) -> str:
    """A share with its 95 % interval; a dash where it is undefined."""
    value = record.get(field)
    if value is None:
        return "–"
    interval = record.get(f"{field}_ci")
    return f"{value:.1%}" + (f" [{interval[0]:.1%}, {interval[1]:.1%}]" if interval else "")
