"""From a sampler and problems to a record and the judged responses behind it."""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rarecot.evaluation import metrics, records
from rarecot.evaluation.generations import save_responses
from rarecot.evaluation.protocols import AS_TRAINED, Prompts, Protocol, protocol_title
from rarecot.evaluation.repeated import summarise_repeated
from rarecot.evaluation.suite import Suite
from rarecot.parsing import STYLES, parse
from rarecot.rendering import BARE, Template, render_prompts
from rarecot.sampling import Sampler, SamplingParams
from rarecot.types import Completion, Response, Verdict
from rarecot.verify import judge_all


@dataclass(frozen=True)
class Reader:
    """How a model's prompts are made and its responses read.

    Args:
        tokenizer: the model's.
        template: of its prompts; a protocol that is not native brings its own.
        long_from: tokens from which a response is as long as the long demonstrations; None: not known.
        protocol: what to read as an answer, and whether from a response that was cut off.
    """

    tokenizer: Any
    template: Template | Prompts = BARE
    long_from: int | None = None
    protocol: Protocol = AS_TRAINED

    @property
    def stop(self) -> tuple[str, ...]:
        """Strings that end a response."""
        return self.template.stop(self.tokenizer) if isinstance(self.template, Prompts) else ()


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
        self.look_again()

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
            started = time.perf_counter()
            measured, responses = evaluate(sampler, self.reader, self.rows, suite, temperature)
            record = {**self.constants, **progress, **measured}
            path = self.run_dir / records.COMPLETIONS / records.completions_name(record)
            took = {"seconds": round(time.perf_counter() - started, 3)}
            save_responses(path, responses, list(self.rows["prompt"])[: suite.n], record | took)
            self.append(record)
            self._done.add(self._identity(progress["step"], temperature))
            made.append(record)
        return made

    def assist(self, sampler: Sampler, step: int, temperatures: Sequence[float]) -> None:
        """Take part in the evaluations of a step that rank 0 makes: sample, and leave judging and writing to it.

        Args:
            sampler: the model at that step, as one of all processes.
            step: optimizer steps.
            temperatures: what rank 0 finds missing.
        """
        for temperature in temperatures:
            sampler.sample(*_asked(self.reader, self.rows, self._at(step), temperature))

    def known(self, step: int) -> list[dict[str, Any]]:
        """The records of a step, one a temperature, as far as there are any."""
        wanted = [self._identity(step, t) for t in self.suite.temperatures]
        by_identity = {records.identity(record): record for record in records.read(self.run_dir)}
        return [by_identity[identity] for identity in wanted if identity in by_identity]

    def look_again(self) -> None:
        """Read the records again: another process may have made some."""
        self._done = {records.identity(record) for record in records.read(self.run_dir)}

    def _identity(self, step: int, temperature: float) -> tuple[Any, ...]:
        return records.identity({**self.constants, "step": step, **_describe(self._at(step), temperature)})

    def _at(self, step: int) -> Suite:
        """The suite with the sampling seed of a step; the run's seed where the suite has none."""
        seed = self.constants["seed"] if self.suite.seed < 0 else self.suite.seed
        return replace(self.suite, seed=seed + step)


def asked_sha256(reader: Reader, rows: Mapping[str, Sequence[str]], n: int) -> str:
    """Of what the first n problems ask and how they are read: the ids that the model sees, golds, styles, stop strings and protocol."""
    prompts, golds, styles = (list(rows[name])[:n] for name in ("prompt", "answer", "style"))
    ids = render_prompts(reader.tokenizer, prompts, reader.template)
    words = [ids, golds, styles, list(reader.stop), reader.protocol.sha256]
    return hashlib.sha256(json.dumps(words).encode()).hexdigest()


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
    description = _describe(suite, temperature)
    samples = description["samples"]
    completions = sampler.sample(*_asked(reader, rows, suite, temperature))
    responses = respond_all(
        [name for name in rows["problem_id"][: suite.n] for _ in range(samples)],
        [completion for several in completions for completion in several],
        [gold for gold in rows["answer"][: suite.n] for _ in range(samples)],
        [style for style in rows["style"][: suite.n] for _ in range(samples)],
        reader.protocol,
    )
    return {
        **description,
        **({} if reader.protocol == AS_TRAINED else {"protocol_sha256": reader.protocol.sha256}),
        **metrics.summarise(responses, reader.long_from),
        **(summarise_repeated(responses, samples, suite.ks) if samples > 1 else {}),
        "sampler": sampler.name,
    }, responses


def _asked(
    reader: Reader, rows: Mapping[str, Sequence[str]], suite: Suite, temperature: float
) -> tuple[list[list[int]], SamplingParams]:
    """What an evaluation asks of its sampler."""
    prompts = list(rows["prompt"])[: suite.n]
    samples = _describe(suite, temperature)["samples"]
    params = SamplingParams(suite.max_new_tokens, temperature, samples, suite.seed, stop=reader.stop)
    return render_prompts(reader.tokenizer, prompts, reader.template), params


def respond_all(
    problem_ids: Sequence[str],
    completions: Sequence[Completion],
    golds: Sequence[str],
    styles: Sequence[str],
    protocol: Protocol | None = None,
) -> list[Response]:
    """Judge completions, one problem, gold and style each.

    Args:
        problem_ids: B problems.
        completions: B completions.
        golds: B gold answers.
        styles: B styles of the problems, in which answers are read unless the protocol names another.
        protocol: what to read strictly and what leniently; None: the problems' own style alone.
    """
    texts = [completion.text for completion in completions]
    finished = [completion.finish_reason == "stop" for completion in completions]
    lenient: list[Verdict | None] = [None] * len(texts)
    if protocol is not None:
        finished = finished if protocol.as_trained else [True] * len(texts)
        if protocol.lenient and not any(STYLES[style].exact for style in styles):
            lenient = list(judge_all(texts, golds, [protocol.lenient] * len(texts), finished))
        styles = [protocol.strict or style for style in styles]
    verdicts = judge_all(texts, golds, styles, finished)
    parsed = [parse(text, style) for text, style in zip(texts, styles, strict=True)]
    return [
        Response(name, completion, found.kind, verdict, found.answer, gold, also)
        for name, completion, found, verdict, gold, also in zip(
            problem_ids, completions, parsed, verdicts, golds, lenient, strict=True
        )
    ]


def _describe(suite: Suite, temperature: float) -> dict[str, Any]:
    """What identifies an evaluation besides where it was made."""
    samples = suite.samples if temperature > 0 else 1
    return {
        "split": suite.split,
        "decoding": "sampled" if temperature > 0 else "greedy",
        "temperature": temperature,
        "protocol": protocol_title(suite.protocol),
        **({"suite": suite.name} if suite.name else {}),
        "n": suite.n * samples,
        "samples": samples,
        "max_new_tokens": suite.max_new_tokens,
        "sampling_seed": suite.seed,
    }
