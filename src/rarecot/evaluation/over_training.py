"""The harness after training: one model, or every checkpoint of a run, skipping what has been measured."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from rarecot import checkpoints, model_files
from rarecot.errors import ConfigError
from rarecot.evaluation import card, records
from rarecot.evaluation.claims import Claims
from rarecot.evaluation.harness import Harness, Reader, asked_sha256
from rarecot.evaluation.questions import Questions
from rarecot.evaluation.reading import read_as, read_by, read_in_run
from rarecot.rendering import fingerprint_of_folder
from rarecot.sampling import Samplers

Record = dict[str, Any]


def evaluate_model(folder: Path, name: str, questions: Questions, samplers: Samplers, out: Path) -> list[Record]:
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
    others = {record.get("model") for record in records.read(out)} - {name}
    if None in others:
        raise ConfigError(
            [f"{out} is a run directory, and one model's records do not belong there. Use another --out."]
        )
    if others:
        raise ConfigError([f"{out} holds records of {min(map(str, others))}, not of {name}. Use another --out."])
    if questions.protocol.as_trained:
        suite, reader, prompt = read_as(folder, questions.mixture, questions.suite)
        reader = replace(reader, protocol=questions.protocol)
    else:
        suite, reader, prompt = read_by(folder, questions)
    constants = {
        "stage": records.MODEL,
        "model": name,
        "seed": suite.seed,
        "asked_sha256": asked_sha256(reader, questions.rows, suite.n),
        "model_sha256": checkpoints.weights_fingerprint(folder),
    }
    harness = Harness(out, reader, questions.rows, suite, constants, lambda record: records.append(out, record))
    out.mkdir(parents=True, exist_ok=True)
    with Claims(out).take(constants["asked_sha256"], wait=True):
        harness.look_again()
        refuse_other_k(harness.known(0), questions)
        if harness.missing(0):
            sampler, _ = samplers.open(folder, prompt + suite.max_new_tokens)
            harness.measure(sampler, {"step": 0})
    return harness.known(0)


def evaluate_run(run_dir: Path, questions: Questions, samplers: Samplers) -> Iterator[tuple[Path, list[Record]]]:
    """Evaluate every complete checkpoint of a run that has no record for this suite. Several processes may do so at once: each
    checkpoint is taken by one of them.

    Args:
        run_dir: the run.
        questions: what to ask.
        samplers: opens its checkpoints.

    Yields:
        Each checkpoint that was not measured yet, with its new records.

    Raises:
        ConfigError: no complete checkpoint, one that is damaged, or problems that the model does not fit.
    """
    folders = [folder for stage in sorted(run_dir.iterdir()) for folder in checkpoints.complete(stage)]
    if not folders:
        raise ConfigError([f"{run_dir} has no complete checkpoint: train first, or wait for the first save."])
    if damaged := [problem for folder in folders for problem in model_files.damage(folder)]:
        raise ConfigError(damaged)
    folders.sort(key=lambda f: (f.parent.name != "sft", f.parent.name, checkpoints.step_of(f)))
    claims, readers = Claims(run_dir), _Readers(questions)
    for wait in (False, True):  # first what nobody works on; then, should its process have died, what somebody did
        for folder in folders:
            stamp = checkpoints.read_stamp(folder)
            harness, step = _harness(folder, run_dir, questions, readers), stamp["progress"]["step"]
            known = harness.known(step)
            refuse_other_k(known, questions)
            if not harness.missing(step):
                if wait and card.lags(run_dir, folder, known):  # a kill came between the last record and the card
                    card.write(run_dir, folder)
                continue
            with claims.take(f"{stamp['stage']}/{step}", wait) as mine:
                harness.look_again()
                if not mine or not harness.missing(step):
                    continue
                harness.reader, prompt, _ = readers.of(folder)
                sampler, _ = samplers.open(folder, prompt + harness.suite.max_new_tokens)
                made = harness.measure(sampler, stamp["progress"])
                card.write(run_dir, folder)
            yield folder, made


class _Readers:
    """How the checkpoints of a run are asked and read: made once for all that share tokenizer and template."""

    def __init__(self, questions: Questions):
        self.questions = questions
        self._known: dict[Any, tuple[Reader, int, str]] = {}

    def of(self, folder: Path) -> tuple[Reader, int, str]:
        """A checkpoint's reader, its longest prompt in tokens, and the hash of what it is asked."""
        stamp = checkpoints.read_stamp(folder)
        same = ("rendering_sha256", "long_from_tokens", "prompt_tokens", "max_new_tokens")
        key = (
            fingerprint_of_folder(folder),
            model_files.positions_of(folder),
            *(stamp.get(name, folder) for name in same),
        )
        if key not in self._known:
            read = read_in_run if self.questions.protocol.as_trained else read_by
            _, reader, prompt = read(folder, self.questions)
            asked = asked_sha256(reader, self.questions.rows, self.questions.suite.n)
            self._known[key] = reader, prompt, asked
        return self._known[key]


def _harness(folder: Path, run_dir: Path, questions: Questions, readers: _Readers) -> Harness:
    """Of a run's checkpoint; its reader is only made where it is needed to tell what was asked."""
    stamp, suite, protocol = checkpoints.read_stamp(folder), questions.suite, questions.protocol
    usual = stamp.get("max_new_tokens") or getattr(questions.mixture.spec.task, "long_tokens", 0)
    cap = suite.max_new_tokens or (usual if protocol.as_trained else protocol.max_new_tokens)
    constants = {"stage": stamp["stage"], "seed": stamp["seed"], **stamp["constants"]}
    if not questions.are_the_runs_own:
        constants["asked_sha256"] = readers.of(folder)[2]
    suite = replace(suite, max_new_tokens=cap)
    return Harness(run_dir, Reader(None), questions.rows, suite, constants, lambda r: records.append(run_dir, r))


def refuse_other_k(known: list[Record], questions: Questions) -> None:
    """Refuse records that lack a pass@k which the suite asks for.

    Raises:
        ConfigError: they were made when it asked for other k.
    """
    for record in known:
        missing = [str(k) for k in questions.suite.k if str(k) not in record.get("pass_at", [str(k)])]
        if missing:
            raise ConfigError(
                [
                    f"this was evaluated before, without pass@{', pass@'.join(missing)} (there is: {', '.join(record['pass_at'])}). Leave k out, "
                    f"or evaluate into another --out or under another seed."
                ]
            )
