"""One self-contained HTML page: verdicts, table, figures, examples, and what made them."""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, select_autoescape

from rarecot.evaluation.records import STAGE_NAMES
from rarecot.forecast.overlay import misses
from rarecot.report.data import RunData, guess_rate
from rarecot.report.rl import expectation
from rarecot.report.tables import (
    COLUMNS,
    EVALUATION_COLUMNS,
    LEDGER_COLUMNS,
    aligned,
    evaluations_table,
    ledger_table,
    table,
)

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


def write(runs: Sequence[RunData], figures: dict[str, Path], path: Path, generations: str = "") -> None:
    """Write the page; images are embedded, model text is escaped.

    Args:
        runs: what it is about.
        figures: name → picture.
        path: of the page.
        generations: address of the page to browse them, seen from this one; empty: there is none.
    """
    environment = Environment(loader=PackageLoader("rarecot.report", ""), autoescape=select_autoescape(default=True))
    words = {**CAPTIONS, **({} if guess_rate(runs) is not None else CAPTIONS_IN_WORDS)}
    images = {name: base64.b64encode(file.read_bytes()).decode() for name, file in figures.items()}
    page = environment.get_template("page.html.jinja").render(
        title=runs[0].dir.name if len(runs) == 1 else f"{len(runs)} runs",
        columns=COLUMNS,
        rows=table(runs),
        ledger_columns=LEDGER_COLUMNS,
        ledger=ledger_table(runs),
        evaluation_columns=EVALUATION_COLUMNS,
        evaluations=evaluations_table(runs),
        generations=generations,
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
    if rows := evaluations_table(runs):
        parts.append(aligned(EVALUATION_COLUMNS, rows))
    return "\n\n".join([*parts, *expectations(runs), *(f"ALARM {text}" for text in alarms(runs))])


def _examples(run: RunData) -> list[dict[str, Any]]:
    found = []
    for stage in ("sft", run.rl_stage):
        record = run.last(stage, "greedy") if stage else None
        if record:
            found.append({"stage": STAGE_NAMES[stage], "rows": run.examples(record, 4)})
    return found


def _normalisation(run: RunData) -> str | None:
    return next((r["loss_normalisation"] for r in run.records if "loss_normalisation" in r), None)
