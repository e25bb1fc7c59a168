"""From a sampler and problems to a record and the judged responses behind it."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rarecot.evaluation import metrics, records
from rarecot.evaluation.suite import Suite
from rarecot.parsing import judge, parse
from rarecot.rendering import render_prompts
from rarecot.sampling import Sampler, SamplingParams
from rarecot.types import Completion, Response


@dataclass
class Harness:
    """Evaluates the checkpoints of one stage of a run, each evaluation once, and keeps what it finds.

    Args:
        run_dir: where records and generations go.
        tokenizer: the model's.
        rows: problems; columns prompt, answer, style, problem_id.
        suite: what to evaluate.
        constants: fields of every record of this stage: `stage`, `seed`, the loss normalisation.
        append: writes a record.
    """

    run_dir: Path
    tokenizer: Any
    rows: Mapping[str, Sequence[str]]
    suite: Suite
    constants: dict[str, Any]
    append: Callable[[dict[str, Any]], None]

    def __post_init__(self) -> None:
        self._done = {records.identity(record) for record in records.read(self.run_dir)}

    def missing(self, step: int) -> list[float]:
        """The temperatures at which this step has no record yet."""
        return [t for t in self.suite.temperatures if self._identity(step, t) not in self._done]

    def measure(self, sampler: Sampler, progress: Mapping[str, int]) -> list[dict[str, Any]]:
        """Make the evaluations of a step that are missing; returns their records.

        Args:
            sampler: the model at that step.
            progress: step, sequences_seen, tokens_seen.
        """
        made = []
        suite = self._at(progress["step"])
        for temperature in self.missing(progress["step"]):
            measured, responses = evaluate(sampler, self.tokenizer, self.rows, suite, temperature)
            record = {**self.constants, **progress, **measured}
            save_responses(self.run_dir, record, responses, list(self.rows["prompt"])[: suite.n])
            self.append(record)
            self._done.add(self._identity(progress["step"], temperature))
            made.append(record)
        return made

    def _identity(self, step: int, temperature: float) -> tuple[Any, ...]:
        return records.identity({**self.constants, "step": step, **_describe(self._at(step), temperature)})

    def _at(self, step: int) -> Suite:
        """The suite with the sampling seed of a step; the run's seed where the suite has none."""
        seed = self.constants["seed"] if self.suite.seed < 0 else self.suite.seed
        return replace(self.suite, seed=seed + step)


def evaluate(
    sampler: Sampler, tokenizer: Any, rows: Mapping[str, Sequence[str]], suite: Suite, temperature: float
) -> tuple[dict[str, Any], list[Response]]:
    """One evaluation.

    Args:
        sampler: what completes prompts.
        tokenizer: the model's, for rendering.
        rows: columns prompt, answer, style, problem_id; the first `suite.n` rows are used.
        suite: what and how.
        temperature: one of the suite's.

    Returns:
        The measured part of a record, and the responses, in the order of the rows.
    """
    started = time.perf_counter()
    prompts = list(rows["prompt"])[: suite.n]
    description = _describe(suite, temperature)
    params = SamplingParams(suite.max_new_tokens, temperature, description["samples"], suite.seed)
    completions = sampler.sample(render_prompts(tokenizer, prompts), params)
    responses = [
        respond(problem_id, completion, gold, style)
        for problem_id, gold, style, several in zip(
            rows["problem_id"], rows["answer"], rows["style"], completions, strict=False
        )
        for completion in several
    ]
    measured = metrics.summarise(responses)
    return {
        **description,
        **measured,
        "sampler": sampler.name,
        "seconds": round(time.perf_counter() - started, 3),
    }, responses


def respond(problem_id: str, completion: Completion, gold: str, style: str) -> Response:
    """Judge one completion."""
    verdict = judge(completion.text, gold, style, finished=completion.finish_reason == "stop")
    return Response(problem_id, completion, parse(completion.text, style).kind, verdict)


def save_responses(
    run_dir: Path, record: Mapping[str, Any], responses: Sequence[Response], prompts: Sequence[str]
) -> Path:
    """Keep the generations of an evaluation as Parquet: problem_id, prompt, ids, text, verdict, length, kind."""
    path = run_dir / records.COMPLETIONS / records.completions_name(record)
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = len(responses) // len(prompts)
    table = pa.table(
        {
            "problem_id": [r.problem_id for r in responses],
            "prompt": [prompt for prompt in prompts for _ in range(samples)],
            "ids": [r.completion.token_ids for r in responses],
            "text": [r.completion.text for r in responses],
            "verdict": [r.verdict for r in responses],
            "length": [r.completion.length for r in responses],
            "kind": [r.kind for r in responses],
        }
    )
    pq.write_table(table, path)
    return path


def _describe(suite: Suite, temperature: float) -> dict[str, Any]:
    """What identifies an evaluation besides where it was made."""
    samples = suite.samples if temperature > 0 else 1
    return {
        "split": suite.split,
        "decoding": "sampled" if temperature > 0 else "greedy",
        "temperature": temperature,
        "protocol": suite.protocol,
        "n": suite.n * samples,
        "samples": samples,
        "max_new_tokens": suite.max_new_tokens,
        "sampling_seed": suite.seed,
    }
