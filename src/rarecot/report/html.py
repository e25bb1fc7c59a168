"""One self-contained HTML page: verdicts, table, figures, examples, and what made them."""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, select_autoescape

from rarecot.evaluation.records import STAGE_NAMES
from rarecot.forecast.overlay import misses
from rarecot.report.data import RL_STAGES, Record, RunData, guess_rate
from rarecot.report.rl import bought, expectation

CAPTIONS = {
    "overview": "The whole story. The paper's account of it: below p_cot = 1/3, next-token prediction leaves greedy "
    "decoding at a coin flip of length 1, although the sampled model writes a long, correct response with probability "
    "p_cot; RL raises that share, and once it passes 1/3, greedy decoding flips to the long mode, and accuracy with it.",
    "trajectory": "Accuracy and median response length against sequences seen. Bands: 95 % interval of one run, or the "
    "range over runs.",
    "calibration": "The long share at temperature 1 after next-token prediction equals p_cot (Theorem 1).",
    "rounds": "The long share of RL's own rollouts, and what was expected of it: for STaR from what was measured before RL alone, for a "
    "policy gradient with one rate fitted on its first three rounds. A red cross: the run left its band; the likely cause is below.",
    "ledger": "The change of accuracy by RL, taken apart: more long responses (the success of both modes as it was on average), better long "
    "responses, better short ones.",
    "selection": "What pushes the odds of long in each round: correctness alone, as if every response had finished and weighed alike; then "
    "rewards of length, truncation, the loss's weights and importance sampling put back one after the other.",
    "mismatch": "log π_trainer − log π_sampler of the rollouts' tokens, where vLLM sampled them. In float32 it is rounding; "
    "in half precision, a difference that grows with training or is larger for long responses bends the gradient.",
    "lengths": "Sampled response lengths before and after RL.",
}

# For problems in words neither the threshold of 1/3 nor the factor of 2 holds as it stands.
CAPTIONS_IN_WORDS = {
    "overview": "The whole story. The sampled model writes long responses with about probability p_cot after next-token "
    "prediction; whether RL raises that share depends on how much more often long responses are right (the odds grow "
    "by a_L / a_S a round of STaR). Where greedy decoding turns depends on the branching token, and is not 1/3.",
    "rounds": "The long share of RL's own rollouts, and the constant factor on its odds that fits them best.",
}

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


def write(runs: Sequence[RunData], figures: dict[str, Path], path: Path) -> None:
    """Write the page; images are embedded, model text is escaped."""
    environment = Environment(loader=PackageLoader("rarecot.report", ""), autoescape=select_autoescape(default=True))
    words = {**CAPTIONS, **({} if guess_rate(runs) is not None else CAPTIONS_IN_WORDS)}
    images = {name: base64.b64encode(file.read_bytes()).decode() for name, file in figures.items()}
    page = environment.get_template("page.html.jinja").render(
        title=runs[0].dir.name if len(runs) == 1 else f"{len(runs)} runs",
        columns=COLUMNS,
        rows=table(runs),
        ledger_columns=LEDGER_COLUMNS,
        ledger=ledger_table(runs),
        alarms=alarms(runs),
        expectations=expectations(runs),
        images=images,
        captions=words,
        examples=[example for run in runs[:1] for example in _examples(run)],
        runs=[
            {
                "label": run.label,
                "manifest": run.manifest,
                "versions": run.versions,
                "normalisation": _normalisation(run),
            }
            for run in runs
        ],
    )
    path.write_text(page)


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


def alarms(runs: Sequence[RunData]) -> list[str]:
    """A sentence for each time that a run left what was expected of it."""
    found = [(run, expectation(run)) for run in runs]
    return [f"{run.label}, {alarm}" for run, overlay in found if overlay for alarm in overlay.alarms]


def expectations(runs: Sequence[RunData]) -> list[str]:
    """A sentence for each run that something was expected of: by how much it missed, and what other equations would have."""
    said = []
    for run in runs:
        overlay = expectation(run)
        missed = misses(overlay, run.series(run.rl_stage, "sampled")) if overlay else {}
        if missed:
            each = ", ".join(f"{name} {value:.3f}" for name, value in missed.items())
            said.append(f"{run.label}, largest miss of the expected long share ({overlay.expected.words}): {each}")
    return said


def text_table(runs: Sequence[RunData]) -> str:
    """The same tables and alarms for a terminal."""
    parts = [aligned(COLUMNS, table(runs))]
    if rows := ledger_table(runs):
        parts.append(aligned(LEDGER_COLUMNS, rows))
    return "\n\n".join([*parts, *expectations(runs), *(f"ALARM {text}" for text in alarms(runs))])


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


def _examples(run: RunData) -> list[dict[str, Any]]:
    found = []
    for stage in ("sft", run.rl_stage):
        record = run.last(stage, "greedy") if stage else None
        if record:
            found.append({"stage": STAGE_NAMES[stage], "rows": run.examples(record, 4)})
    return found


def _normalisation(run: RunData) -> str | None:
    return next((r["loss_normalisation"] for r in run.records if "loss_normalisation" in r), None)
