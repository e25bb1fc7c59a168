"""The harness after training: every checkpoint of a run, skipping what has been measured."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from rarecot import checkpoints
from rarecot.errors import ConfigError
from rarecot.evaluation import records
from rarecot.evaluation.harness import Harness
from rarecot.evaluation.suite import Suite
from rarecot.mixtures.build import Mixture, build
from rarecot.mixtures.spec import MANIFEST, spec_of_manifest
from rarecot.sampling import Samplers


def rows_for(mixture: Mixture, suite: Suite) -> dict[str, list[str]]:
    """The problems a suite asks for.

    Raises:
        ConfigError: the split has fewer.
    """
    split = mixture.test if suite.split == "test" else mixture.rl
    if suite.n > len(split):
        raise ConfigError([f"n is {suite.n}, but the {suite.split} split of the mixture has {len(split)} problems."])
    return split[: suite.n]


def evaluate_run(run_dir: Path, suite: Suite, samplers: Samplers) -> Iterator[tuple[Path, list[dict[str, Any]]]]:
    """Evaluate every complete checkpoint of a run that has no record for this suite.

    Args:
        run_dir: the run.
        suite: what to evaluate.
        samplers: opens its checkpoints.

    Yields:
        Each checkpoint that was not measured yet, with its new records.

    Raises:
        ConfigError: not a run, no complete checkpoint, or more problems asked for than there are.
    """
    spec = spec_of_manifest(run_dir)
    suite = replace(suite, max_new_tokens=suite.max_new_tokens or spec.task.long_tokens)
    mixture = build(spec)
    if mixture.manifest["sha256"] != json.loads((run_dir / MANIFEST).read_text())["sha256"]:
        raise ConfigError(
            [
                f"the problems that {run_dir} was trained and tested on cannot be drawn again (another version of numpy or "
                f"of this project); its versions.json says which made them."
            ]
        )
    rows = rows_for(mixture, suite)
    folders = [folder for stage in sorted(run_dir.iterdir()) for folder in checkpoints.complete(stage)]
    if not folders:
        raise ConfigError([f"{run_dir} has no complete checkpoint: train first, or wait for the first save."])
    for folder in sorted(folders, key=lambda f: (f.parent.name != "sft", f.parent.name, checkpoints.step_of(f))):
        stamp = checkpoints.read_stamp(folder)
        harness = Harness(
            run_dir=run_dir,
            tokenizer=None,
            rows=rows,
            suite=suite,
            constants={"stage": stamp["stage"], "seed": stamp["seed"], **stamp["constants"]},
            append=lambda record: records.append(run_dir, record),
        )
        if harness.missing(stamp["progress"]["step"]):
            sampler, harness.tokenizer = samplers.open(folder, spec.task.prompt_tokens + suite.max_new_tokens)
            yield folder, harness.measure(sampler, stamp["progress"])
