"""What an evaluation asks: a run's own problems, a mixture's, or a corpus as it was published."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rarecot.errors import ConfigError
from rarecot.evaluation import records
from rarecot.evaluation.protocols import Example, Protocol, protocol_named
from rarecot.evaluation.suite import Suite
from rarecot.mixtures.build import Mixture, as_published, build, of_run
from rarecot.mixtures.spec import MixtureSpec


@dataclass(frozen=True)
class Questions:
    """What an evaluation asks.

    Args:
        mixture: whose problems.
        rows: the problems; columns prompt, answer, long, short, style, problem_id.
        suite: with its number of problems.
        protocol: of the suite, for this task.
        training: where the protocol draws examples, those it draws from.
    """

    mixture: Mixture
    rows: Any
    suite: Suite
    protocol: Protocol
    training: tuple[Example, ...] = ()

    @property
    def constants(self) -> dict[str, Any]:
        """Fields of every record over these problems."""
        if not self.suite.name:
            return {}
        words = "\x1f".join([*self.rows["problem_id"], *self.rows["answer"]])
        return {"problems_sha256": hashlib.sha256(words.encode()).hexdigest()}


def questions_of(suite: Suite, spec: MixtureSpec | None, run_dir: Path | None = None) -> Questions:
    """The problems of a suite, or of a run where the suite has none of its own.

    Args:
        suite: what to evaluate.
        spec: the mixture or corpus that the suite names.
        run_dir: the run whose problems are asked where the suite names no published ones.

    Raises:
        ConfigError: fewer problems than asked for, a protocol that does not fit, a source that cannot be read.
    """
    asked = spec if suite.name else None
    protocol = protocol_named(suite.protocol, _task(asked or (spec if run_dir is None else of_run(run_dir).spec)))
    training: tuple[Example, ...] = ()
    if asked is not None:
        wanted = replace(asked, task=replace(asked.task, **_options(asked, protocol)))
        mixture, train = as_published(wanted)
        training = tuple(map(Example, train.prompt, train.long)) if protocol.draw else ()
    elif protocol.draw:
        raise ConfigError(
            [
                f"protocol {protocol.name} draws its examples from a training split as it was published, and these are a mixture's problems. "
                f"Use a suite that names `problems:`, such as eval/suites/gsm8k.yaml."
            ]
        )
    else:
        mixture = of_run(run_dir) if run_dir is not None else build(spec)
    suite, rows = problems_of(mixture, suite)
    return Questions(mixture, rows, suite, protocol, training)


def _task(spec: MixtureSpec) -> str:
    return spec.to_mapping()["task"]


def _options(spec: MixtureSpec, protocol: Protocol) -> dict[str, Any]:
    unknown = [key for key in protocol.options if not hasattr(spec.task, key)]
    if unknown:
        raise ConfigError([f"protocol {protocol.name}: {', '.join(unknown)} is no option of task {_task(spec)}."])
    return dict(protocol.options)


def problems_of(mixture: Mixture, suite: Suite) -> tuple[Suite, Any]:
    """The suite with its number of problems, and the problems.

    Raises:
        ConfigError: the split has fewer.
    """
    split = mixture.test if suite.split == "test" else mixture.rl
    if suite.n > len(split):
        raise ConfigError(
            [
                f"n is {suite.n}, but the {suite.split} split of the mixture has {len(split)} problems. Lower it (0: all)."
            ]
        )
    n = suite.n or len(split)
    return replace(suite, n=n), split.select(range(n))


def same_questions(folder: Path, questions: Questions) -> None:
    """Refuse to put records beside those of the same name that mean something else.

    Raises:
        ConfigError: the protocol or the suite's problems have changed since.
    """
    problems, suite = [], questions.suite
    for record in records.read(folder):
        if record.get("protocol") != questions.protocol.name or record.get("suite") != (suite.name or None):
            continue
        if record.get("protocol_sha256") not in (None, questions.protocol.sha256):
            problems.append(
                f"{folder} holds records under a protocol {questions.protocol.name} that has changed since. Give the new one another name."
            )
        known = record.get("problems_sha256")
        if known and record["n"] // record["samples"] == suite.n and known != questions.constants["problems_sha256"]:
            problems.append(
                f"{folder} holds records of a suite {suite.name} with other problems or golds. Give the new one another name, or "
                f"its old source."
            )
    if problems:
        raise ConfigError(sorted(set(problems)))
