"""The harness after training: every checkpoint of a run, skipping what has been measured."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from rarecot import checkpoints
from rarecot.errors import ConfigError
from rarecot.evaluation import records
from rarecot.evaluation.harness import Harness, Reader
from rarecot.evaluation.suite import Suite
from rarecot.mixtures.build import Mixture, of_run
from rarecot.mixtures.lengths import measure
from rarecot.rendering import Template, load_tokenizer, rendering_fingerprint
from rarecot.sampling import Samplers
from rarecot.tasks import Generated


def template_of(stamp: dict[str, Any]) -> Template:
    """How a checkpoint's prompts were rendered in training; bare for those of before templates."""
    return Template(**stamp.get("rendering", {}))


def read_as(folder: Path, mixture: Mixture, suite: Suite) -> tuple[Suite, Reader, int]:
    """How a model that stands alone is read: the suite with its cap on responses, the reader, and the longest prompt in tokens.

    Raises:
        ConfigError: another template than the model was trained with, or a chat without a chat template.
    """
    tokenizer = load_tokenizer(folder)
    stamp = checkpoints.read_stamp(folder) or {}
    usual = Template("bare" if isinstance(mixture.spec.task, Generated) else "plain")
    trained = template_of(stamp) if stamp else None
    template = Template(suite.template, suite.system_prompt) if suite.template else trained or usual
    if trained and template != trained:
        raise ConfigError(
            [f"{folder} was trained with {trained}, but the suite asks for {template}. Leave template out."]
        )
    if template.name == "chat" and not tokenizer.chat_template:
        raise ConfigError(
            [f"template is chat, but the tokenizer in {folder} has no chat template. Use template: plain."]
        )
    same_rendering(folder, stamp, tokenizer, template)
    lengths = measure(mixture, tokenizer, template)
    cap = suite.max_new_tokens or stamp.get("max_new_tokens") or lengths.usual_long
    long_from = stamp.get("long_from_tokens", lengths.long_from)
    return (
        replace(suite, max_new_tokens=cap, seed=max(suite.seed, 0)),
        Reader(tokenizer, template, long_from),
        lengths.prompt,
    )


def same_rendering(folder: Path, stamp: dict[str, Any], tokenizer: Any, template: Template) -> None:
    """Refuse a checkpoint whose prompts would be rendered otherwise than in training.

    Raises:
        ConfigError: its tokenizer, its chat template or this program's templates have changed since.
    """
    known = stamp.get("rendering_sha256")
    if known not in (None, rendering_fingerprint(tokenizer, template)):
        raise ConfigError(
            [
                f"{folder} was trained on prompts rendered otherwise than now: its tokenizer, its chat template or this program's "
                f"templates have changed since. Use the version in versions.json, or train again."
            ]
        )


def problems_of(mixture: Mixture, suite: Suite) -> tuple[Suite, dict[str, list[str]]]:
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
    return replace(suite, n=n), split[:n]


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
    mixture = of_run(run_dir)
    suite, rows = problems_of(mixture, suite)
    folders = [folder for stage in sorted(run_dir.iterdir()) for folder in checkpoints.complete(stage)]
    if not folders:
        raise ConfigError([f"{run_dir} has no complete checkpoint: train first, or wait for the first save."])
    for folder in sorted(folders, key=lambda f: (f.parent.name != "sft", f.parent.name, checkpoints.step_of(f))):
        stamp = checkpoints.read_stamp(folder)
        task = mixture.spec.task
        usual = stamp.get("max_new_tokens") or task.long_tokens
        here = replace(suite, max_new_tokens=suite.max_new_tokens or usual)
        harness = Harness(
            run_dir=run_dir,
            reader=Reader(None, template_of(stamp), stamp.get("long_from_tokens")),
            rows=rows,
            suite=here,
            constants={"stage": stamp["stage"], "seed": stamp["seed"], **stamp["constants"]},
            append=lambda record: records.append(run_dir, record),
        )
        if harness.missing(stamp["progress"]["step"]):
            prompt = stamp.get("prompt_tokens") or task.prompt_tokens
            sampler, tokenizer = samplers.open(folder, prompt + here.max_new_tokens)
            same_rendering(folder, stamp, tokenizer, template_of(stamp))
            harness.reader = replace(harness.reader, tokenizer=tokenizer)
            yield folder, harness.measure(sampler, stamp["progress"])
