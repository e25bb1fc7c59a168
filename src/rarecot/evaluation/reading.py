"""How a model on disk is asked and read: as it was trained, or as a protocol says. What does not fit is refused before it loads."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from tokenizers.models import WordLevel

from rarecot import checkpoints, model_files
from rarecot.errors import ConfigError
from rarecot.evaluation.harness import Reader
from rarecot.evaluation.protocols.prompts import examples_of_themselves, prompts_of
from rarecot.evaluation.protocols.protocol import PROBLEM
from rarecot.evaluation.questions import Questions
from rarecot.evaluation.suite import Suite
from rarecot.mixtures.build import Mixture, column
from rarecot.mixtures.giveaway import in_constant_text
from rarecot.mixtures.lengths import measure
from rarecot.rendering import Template, around, load_tokenizer, render_prompts, rendering_fingerprint
from rarecot.tasks import Generated


def template_of(stamp: dict[str, Any]) -> Template:
    """How a checkpoint's prompts were rendered in training; bare for those of before templates."""
    return Template(**stamp.get("rendering", {}))


def read_as(folder: Path, mixture: Mixture, suite: Suite) -> tuple[Suite, Reader, int]:
    """How a model that stands alone is read as it was trained: the suite with its cap on responses, the reader, and the longest prompt in
    tokens.

    Raises:
        ConfigError: another template than the model was trained with, one that gives answers away, or a chat without a chat template.
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
    if template.name == "chat":
        needs_chat(folder, tokenizer, "template is chat", "Use template: plain.")
    same_rendering(folder, stamp, tokenizer, template)
    lengths = measure(mixture, tokenizer, template)
    cap = suite.max_new_tokens or stamp.get("max_new_tokens") or lengths.usual_long
    problems = too_long(folder, lengths.prompt, cap)
    problems += in_constant_text(
        around(tokenizer, template), column(mixture.test, "answer"), f"template {template.name}"
    )
    if problems:
        raise ConfigError(problems)
    long_from = stamp.get("long_from_tokens", lengths.long_from)
    return (
        replace(suite, max_new_tokens=cap, seed=max(suite.seed, 0)),
        Reader(tokenizer, template, long_from),
        lengths.prompt,
    )


def read_by(folder: Path, questions: Questions) -> tuple[Suite, Reader, int]:
    """How a model is asked and read under a protocol that is not native; returns as `read_as`.

    Raises:
        ConfigError: a chat without a chat template, a template in the suite, prompts that give answers away, or more tokens than the model
            has positions.
    """
    suite, protocol, tokenizer = questions.suite, questions.protocol, load_tokenizer(folder)
    problems = []
    if suite.template or suite.system_prompt:
        problems.append(f"protocol {protocol.name} brings its own prompts: leave template and system_prompt out.")
    can_write(folder, tokenizer, questions)
    prompts = prompts_of(protocol, column(questions.mixture.test, "prompt"), questions.training)
    if prompts.is_chat(tokenizer):
        needs_chat(
            folder, tokenizer, f"protocol {protocol.name} is a chat", "Use a protocol for base models (simplerl-cot)."
        )
    longest = max(map(len, render_prompts(tokenizer, list(questions.rows["prompt"]), prompts)))
    cap = suite.max_new_tokens or protocol.max_new_tokens
    problems += too_long(folder, longest, cap)
    words = f"{protocol.system}\n{protocol.question.replace(PROBLEM, '?')}"
    problems += in_constant_text(words, list(questions.rows["answer"]), f"protocol {protocol.name}")
    problems += examples_of_themselves(prompts, list(questions.rows["prompt"]))
    if problems:
        raise ConfigError(problems)
    long_from = (checkpoints.read_stamp(folder) or {}).get("long_from_tokens")
    reader = Reader(tokenizer, prompts, long_from, protocol)
    return replace(suite, max_new_tokens=cap, seed=max(suite.seed, 0)), reader, longest


def read_in_run(folder: Path, questions: Questions) -> tuple[Suite, Reader, int]:
    """How a run's checkpoint is read as it was trained; returns as `read_as`.

    Raises:
        ConfigError: a template in the suite, a changed rendering, or more tokens than the model has positions.
    """
    stamp, suite = checkpoints.read_stamp(folder), questions.suite
    if suite.template or suite.system_prompt:
        raise ConfigError(
            ["template and system_prompt come with the checkpoints of a run. Leave them out of the suite."]
        )
    tokenizer, template = load_tokenizer(folder), template_of(stamp)
    can_write(folder, tokenizer, questions)
    same_rendering(folder, stamp, tokenizer, template)
    task = questions.mixture.spec.task
    prompt = stamp.get("prompt_tokens") or getattr(task, "prompt_tokens", 0)
    if suite.name or not prompt:  # not the problems that the stamp speaks of
        prompt = max(map(len, render_prompts(tokenizer, list(questions.rows["prompt"]), template)))
    cap = suite.max_new_tokens or stamp.get("max_new_tokens") or getattr(task, "long_tokens", 0)
    if problems := too_long(folder, prompt, cap):
        raise ConfigError(problems)
    reader = Reader(tokenizer, template, stamp.get("long_from_tokens"), questions.protocol)
    return replace(suite, max_new_tokens=cap), reader, prompt


def too_long(folder: Path, prompt: int, cap: int) -> list[str]:
    """The sentence for prompts and responses that need more positions than a model has."""
    positions = model_files.positions_of(folder)
    if positions is None or prompt + cap <= positions:
        return []
    remedy = f"Lower max_new_tokens to {positions - prompt}" if prompt < positions else "Ask shorter problems"
    return [checkpoints.too_long(prompt, cap, positions, f"{remedy}, or use a model with more positions")]


def can_write(folder: Path, tokenizer: Any, questions: Questions) -> None:
    """Refuse problems in words where a model knows only the symbols of a generated task.

    Raises:
        ConfigError: its vocabulary is a list of symbols.
    """
    own_vocabulary = isinstance(tokenizer.backend_tokenizer.model, WordLevel)
    if own_vocabulary and not isinstance(questions.mixture.spec.task, Generated):
        task = questions.mixture.spec.to_mapping()["task"]
        raise ConfigError(
            [
                f"{folder} knows only the symbols of the task it was trained on, and the problems of {task} are in words. Ask it its own task."
            ]
        )


def needs_chat(folder: Path, tokenizer: Any, what: str, remedy: str) -> None:
    """Refuse a chat where there is no chat template.

    Raises:
        ConfigError: there is none.
    """
    if not tokenizer.chat_template:
        raise ConfigError([f"{what}, but the tokenizer in {folder} has no chat template. {remedy}"])


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
