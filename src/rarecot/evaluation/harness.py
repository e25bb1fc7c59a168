"""From a sampler and problems to a record and the judged responses behind it."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rarecot.evaluation import metrics
from rarecot.parsing import judge, parse
from rarecot.rendering import render_prompts
from rarecot.sampling import Sampler, SamplingParams
from rarecot.types import Completion, Response

COMPLETIONS = "completions"  # folder of a run


@dataclass(frozen=True)
class Suite:
    """What to evaluate and how.

    Args:
        split: `test` or `rl`: which problems of the run's mixture.
        n: problems, from the split's start.
        temperatures: one evaluation each; 0 is greedy.
        samples: responses a problem where the temperature is not 0.
        max_new_tokens: cap on the response, end-of-sequence included.
        protocol: name of how prompts are made and answers read; `native` is how the model was trained.
        seed: of sampling.
    """

    max_new_tokens: int
    split: str = "test"
    n: int = 256
    temperatures: tuple[float, ...] = (0.0, 1.0)
    samples: int = 1
    protocol: str = "native"
    seed: int = 0


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
    samples = suite.samples if temperature > 0 else 1
    params = SamplingParams(suite.max_new_tokens, temperature, samples, suite.seed)
    completions = sampler.sample(render_prompts(tokenizer, prompts), params)
    responses = [
        respond(problem_id, completion, gold, style)
        for problem_id, gold, style, several in zip(
            rows["problem_id"], rows["answer"], rows["style"], completions, strict=False
        )
        for completion in several
    ]
    record = {
        "split": suite.split,
        "decoding": "sampled" if temperature > 0 else "greedy",
        "temperature": temperature,
        "protocol": suite.protocol,
        **metrics.summarise(responses),
        "seconds": round(time.perf_counter() - started, 3),
    }
    return record, responses


def respond(problem_id: str, completion: Completion, gold: str, style: str) -> Response:
    """Judge one completion."""
    verdict = judge(completion.text, gold, style, finished=completion.finish_reason == "stop")
    return Response(problem_id, completion, parse(completion.text, style).kind, verdict)


def save_responses(
    run_dir: Path, record: Mapping[str, Any], responses: Sequence[Response], prompts: Sequence[str]
) -> Path:
    """Keep the generations of an evaluation as Parquet: problem_id, prompt, ids, text, verdict, length, kind."""
    folder = run_dir / COMPLETIONS
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / completions_name(record)
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


def completions_name(record: Mapping[str, Any]) -> str:
    """File name of an evaluation's generations, from what identifies its record."""
    return (
        f"{record['stage']}-{record['step']:06d}-{record['split']}-{record['decoding']}"
        f"-t{record['temperature']:g}-n{record['n']}-{record['protocol']}.parquet"
    )
