"""What an evaluation asks: a run's own problems, a mixture's, or a corpus as it was published."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rarecot.errors import ConfigError
from rarecot.evaluation.protocols import AS_TRAINED, Example, Protocol, protocol_named
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
    def are_the_runs_own(self) -> bool:
        """Whether a run's problems are asked as in training; otherwise records say by a hash what was asked."""
        return not self.suite.name and self.protocol == AS_TRAINED


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
    """Options of the task for a protocol: its own, and where it draws examples, the data's own way to write an answer."""
    unknown = [key for key in protocol.options if not hasattr(spec.task, key)]
    if unknown:
        raise ConfigError([f"protocol {protocol.name}: {', '.join(unknown)} is no option of task {_task(spec)}."])
    return {**({"style": type(spec.task)().style} if protocol.draw else {}), **protocol.options}


def problems_of(mixture: Mixture, suite: Suite) -> tuple[Suite, Any]:
    """The suite with its number of problems, and the problems.

    Raises:
        ConfigError: the split has fewer.
    """
    split = mixture.test if suite.split == "test" else mixture.rl
    if suite.n > len(split):
        raise ConfigError([f"n is {suite.n}, but there are {len(split)} {suite.split} problems. Lower it (0: all)."])
    n = suite.n or len(split)
    return replace(suite, n=n), split.select(range(n))
