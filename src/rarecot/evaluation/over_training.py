"""The harness after training: one model, or every checkpoint of a run, skipping what has been measured."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from rarecot import checkpoints
from rarecot.errors import ConfigError
from rarecot.evaluation import card, records
from rarecot.evaluation.claims import Claims
from rarecot.evaluation.harness import Harness, Reader
from rarecot.evaluation.questions import Questions, same_questions
from rarecot.evaluation.reading import read_as, read_by, same_rendering, template_of
from rarecot.rendering import load_tokenizer, render_prompts
from rarecot.sampling import Samplers


def evaluate_model(
    folder: Path, name: str, questions: Questions, samplers: Samplers, out: Path
) -> list[dict[str, Any]]:
    """Evaluate one model into a folder of its own; what the folder already knows is not made again.

    Args:
        folder: the model.
        name: what records call it.
        questions: what to ask.
        samplers: opens it.
        out: for records and generations.

    Returns:
        The records of all the suite's temperatures.

    Raises:
        ConfigError: the folder holds records of another model, or the model does not fit.
    """
    out.mkdir(parents=True, exist_ok=True)
    others = {record.get("model") for record in records.read(out)} - {name}
    if others:
        raise ConfigError([f"{out} holds records of {min(map(str, others))}, not of {name}. Use another --out."])
    if questions.protocol.as_trained:
        suite, reader, prompt = read_as(folder, questions.mixture, questions.suite)
        reader = replace(reader, protocol=questions.protocol)
    else:
        suite, reader, prompt = read_by(folder, questions)
    constants = {"stage": records.MODEL, "model": name, "seed": suite.seed, **questions.constants}
    same_questions(out, questions)
    harness = Harness(out, reader, questions.rows, suite, constants, lambda record: records.append(out, record))
    if harness.missing(0):
        sampler, _ = samplers.open(folder, prompt + suite.max_new_tokens)
        harness.measure(sampler, {"step": 0})
    return harness.known(0)


def evaluate_run(
    run_dir: Path, questions: Questions, samplers: Samplers
) -> Iterator[tuple[Path, list[dict[str, Any]]]]:
    """Evaluate every complete checkpoint of a run that has no record for this suite. Several processes may do so at once: each
    checkpoint is taken by one of them.

    Args:
        run_dir: the run.
        questions: what to ask.
        samplers: opens its checkpoints.

    Yields:
        Each checkpoint that was not measured yet, with its new records.

    Raises:
        ConfigError: no complete checkpoint, or problems that the model does not fit.
    """
    folders = [folder for stage in sorted(run_dir.iterdir()) for folder in checkpoints.complete(stage)]
    if not folders:
        raise ConfigError([f"{run_dir} has no complete checkpoint: train first, or wait for the first save."])
    if damaged := [problem for folder in folders for problem in checkpoints.damage(folder)]:
        raise ConfigError(damaged)
    same_questions(run_dir, questions)
    folders.sort(key=lambda f: (f.parent.name != "sft", f.parent.name, checkpoints.step_of(f)))
    claims = Claims(run_dir)
    for wait in (False, True):  # first what nobody works on; then, should its process have died, what somebody did
        for folder in folders:
            harness, stamp = _harness(folder, run_dir, questions), checkpoints.read_stamp(folder)
            step = stamp["progress"]["step"]
            if not harness.missing(step):
                continue
            with claims.take(f"{stamp['stage']}/{step}", wait) as mine:
                harness.look_again()
                if not mine or not harness.missing(step):
                    continue
                harness.reader, prompt = _reader(folder, stamp, questions)
                sampler, _ = samplers.open(folder, prompt + harness.suite.max_new_tokens)
                made = harness.measure(sampler, stamp["progress"])
                card.write(run_dir, folder)
            yield folder, made


def _harness(folder: Path, run_dir: Path, questions: Questions) -> Harness:
    """Of a run's checkpoint, without what takes time to load."""
    stamp, suite, protocol = checkpoints.read_stamp(folder), questions.suite, questions.protocol
    usual = stamp.get("max_new_tokens") or getattr(questions.mixture.spec.task, "long_tokens", 0)
    suite = replace(
        suite, max_new_tokens=suite.max_new_tokens or (usual if protocol.as_trained else protocol.max_new_tokens)
    )
    constants = {"stage": stamp["stage"], "seed": stamp["seed"], **stamp["constants"], **questions.constants}
    return Harness(run_dir, Reader(None), questions.rows, suite, constants, lambda r: records.append(run_dir, r))


def _reader(folder: Path, stamp: dict[str, Any], questions: Questions) -> tuple[Reader, int]:
    """Of a run's checkpoint, and its longest prompt in tokens."""
    if not questions.protocol.as_trained:
        _, reader, prompt = read_by(folder, questions)
        return reader, prompt
    tokenizer, template = load_tokenizer(folder), template_of(stamp)
    same_rendering(folder, stamp, tokenizer, template)
    prompt = stamp.get("prompt_tokens") or questions.mixture.spec.task.prompt_tokens
    if questions.suite.name:  # not the problems that the stamp speaks of
        prompt = max(map(len, render_prompts(tokenizer, list(questions.rows["prompt"]), template)))
    return Reader(tokenizer, template, stamp.get("long_from_tokens"), questions.protocol), prompt
