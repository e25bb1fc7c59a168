"""What would go wrong in an evaluation, said before anything is read or loaded. Light: no torch."""

from pathlib import Path

from rarecot.checkpoints import misfits
from rarecot.errors import ConfigError, unwritable
from rarecot.evaluation.protocols.protocol import NATIVE, protocol_named
from rarecot.evaluation.suite import Suite, suite_problems
from rarecot.mixtures.spec import MixtureSpec, spec_of_manifest


def request_problems(
    suite: Suite, spec: MixtureSpec | None, run_dir: Path | None, folder: Path | None, out: Path | None
) -> list[str]:
    """Everything wrong with evaluating a run's checkpoints or one model, a sentence each.

    Args:
        suite: what to evaluate.
        spec: the mixture or corpus that the suite names.
        run_dir: the run; None: one model.
        folder: the model; None: a run.
        out: where one model's records go; None: nowhere.
    """
    problems = suite_problems(suite)
    own = None
    if run_dir is not None:
        try:
            own = spec_of_manifest(run_dir)
        except ConfigError as error:
            problems += error.problems
    if folder is not None and spec is None:
        problems.append("--model needs a --suite that says which problems to ask.")
    if run_dir is not None and out is not None:
        problems.append("--out is for --model: what a run's checkpoints write goes into the run. Leave it out.")
    if (asked := spec or own) is not None:
        try:
            protocol_named(suite.protocol, asked.to_mapping()["task"])
        except ConfigError as error:
            problems += error.problems
    if folder is not None and spec is not None and suite.protocol == NATIVE:
        remedy = " Or ask it in another way: --protocol." if suite.name else ""
        problems += [f"{problem}{remedy}" for problem in misfits(folder, spec.to_mapping(), spec.task)]
    if own is not None and spec is not None and not suite.name and spec.identity() != own.identity():
        problems.append(
            f"the suite asks about {spec.task}, but {run_dir} was trained on another task. Use a suite of its task."
        )
    place = run_dir or out
    return problems + (unwritable(place) if place is not None else [])
