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
from rarecot.parsing import parse
from rarecot.rendering import BARE, Template, render_prompts
from rarecot.sampling import Sampler, SamplingParams
from rarecot.types import Completion, Response
from rarecot.verify import judge_all


@dataclass(frozen=True)
class Reader:
    """How a model's prompts are made and its responses read.

    Args:
        tokenizer: the model's.
        template: of its prompts.
        long_from: tokens from which a response is as long as the long demonstrations; None: not known.
    """

    tokenizer: Any
    template: Template = BARE
    long_from: int | None = None


@dataclass
class Harness:
    """Evaluates the checkpoints of one stage of a run, each evaluation once, and keeps what it finds.

    Args:
        run_dir: where records and generations go.
        reader: the model's.
        rows: problems; columns prompt, answer, style, problem_id.
        suite: what to evaluate.
        constants: fields of every record of this stage: `stage`, `seed`, the loss normalisation.
        append: writes a record.
    """

    run_dir: Path
    reader: Reader
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
            measured, responses = evaluate(sampler, self.reader, self.rows, suite, temperature)
            record = {**self.constants, **progress, **measured}
            path = self.run_dir / records.COMPLETIONS / records.completions_name(record)
            save_responses(path, responses, list(self.rows["prompt"])[: suite.n])
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
    sampler: Sampler, reader: Reader, rows: Mapping[str, Sequence[str]], suite: Suite, temperature: float
) -> tuple[dict[str, Any], list[Response]]:
    """One evaluation.

    Args:
        sampler: what completes prompts.
        reader: the model's.
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
    completions = sampler.sample(render_prompts(reader.tokenizer, prompts, reader.template), params)
    samples = description["samples"]
    responses = respond_all(
        [name for name in rows["problem_id"][: suite.n] for _ in range(samples)],
        [completion for several in completions for completion in several],
        [gold for gold in rows["answer"][: suite.n] for _ in range(samples)],
        [style for style in rows["style"][: suite.n] for _ in range(samples)],
    )
    measured = metrics.summarise(responses, reader.long_from)
    return {
        **description,
        **measured,
        "sampler": sampler.name,
        "seconds": round(time.perf_counter() - started, 3),
    }, responses


def respond_all(
    problem_ids: Sequence[str], completions: Sequence[Completion], golds: Sequence[str], styles: Sequence[str]
) -> list[Response]:
    """Judge completions, one problem, gold and style each."""
    texts = [completion.text for completion in completions]
    verdicts = judge_all(texts, golds, styles, [completion.finish_reason == "stop" for completion in completions])
    return [
        Response(name, completion, parse(completion.text, style).kind, verdict)
        for name, completion, style, verdict in zip(problem_ids, completions, styles, verdicts, strict=True)
    ]


def save_responses(path: Path, responses: Sequence[Response], prompts: Sequence[str]) -> None:
    """Keep the generations of an evaluation as Parquet: problem_id, prompt, ids, text, verdict, length, kind.

    Args:
        path: the file.
        responses: in the order of the prompts, as many a prompt as were sampled.
        prompts: the problems, without the template around them.
    """
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
