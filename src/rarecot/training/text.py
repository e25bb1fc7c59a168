"""How a stage's data look to its model: tokenizer, template, lengths. What does not fit is refused here, before the model loads."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rarecot import checkpoints, model_files
from rarecot.errors import ConfigError
from rarecot.evaluation.harness import Reader
from rarecot.mixtures.build import column
from rarecot.mixtures.giveaway import in_constant_text
from rarecot.mixtures.lengths import Lengths, measure
from rarecot.rendering import (
    Template,
    around,
    as_transformers_tokenizer,
    fingerprint_of,
    holding_special_tokens,
    load_tokenizer,
    render_demonstrations,
    render_prompts,
    render_responses,
    rendering_fingerprint,
)
from rarecot.tasks import Generated
from rarecot.training.run import Run
from rarecot.training.start import model_folder, tokenizer_of

TOO_LONG = 0.01  # share of long demonstrations that a cap on responses may cut off without being asked


@dataclass(frozen=True)
class Text:
    """What renders and reads the text of a stage.

    Args:
        tokenizer: the model's.
        template: of its prompts.
        lengths: of the mixture in its tokens.
        max_new_tokens: cap on a response in evaluation, end-of-sequence included.
    """

    tokenizer: Any
    template: Template
    lengths: Lengths
    max_new_tokens: int

    @property
    def reader(self) -> Reader:
        """What the harness needs of it."""
        return Reader(self.tokenizer, self.template, self.lengths.long_from)

    @property
    def fingerprint(self) -> str:
        """sha256 of all that decides which ids a problem becomes."""
        return rendering_fingerprint(self.tokenizer, self.template)

    def prompt_ids(self, prompts: list[str]) -> list[list[int]]:
        """Prompt ids, as in every stage."""
        return render_prompts(self.tokenizer, prompts, self.template)

    def stamp(self) -> dict[str, Any]:
        """For a checkpoint's stamp: what a later stage or evaluation must do alike."""
        return {
            "tokenizer_sha256": fingerprint_of(self.tokenizer),
            "rendering": self.template.to_mapping(),
            "rendering_sha256": self.fingerprint,
            "prompt_tokens": self.lengths.prompt,
            "max_new_tokens": self.max_new_tokens,
            "long_from_tokens": self.lengths.long_from,
        }


def text_of(run: Run, config: Any) -> Text:
    """The text of a stage.

    Args:
        run: the open run.
        config: TRL's config of the stage.

    Raises:
        ConfigError: no chat template, another template than the checkpoint's, one that gives answers away, texts that spell special
            tokens, prompts or demonstrations that do not fit; all at once.
    """
    arguments, task, folder = run.request.arguments, run.request.spec.task, model_folder(run.request)
    if folder is None:
        words = tokenizer_of(run.request)
        tokenizer = load_tokenizer(words) if words else as_transformers_tokenizer(task.tokenizer())
        stamp = {}
    else:
        tokenizer, stamp = load_tokenizer(folder), checkpoints.read_stamp(folder) or {}
    template, problems = _template(arguments, isinstance(task, Generated), tokenizer, stamp, folder)
    if problems:
        raise ConfigError(problems)
    lengths = measure(run.mixture, tokenizer, template)
    usual = lengths.long if isinstance(task, Generated) else lengths.usual_long
    text = Text(tokenizer, template, lengths, arguments.eval_max_new_tokens or usual)
    known = stamp.get("rendering_sha256")
    if known not in (None, text.fingerprint):
        problems.append(
            f"{folder} was trained on prompts rendered otherwise ({known[:12]}, here {text.fingerprint[:12]}): its tokenizer, its chat "
            f"template or this program's templates have changed since. Use the version in versions.json, or train again."
        )
    if not isinstance(task, Generated):
        problems += _special_tokens(run, tokenizer) + _lengths(run, config, text, folder)
        golds = [*column(run.mixture.rl, "answer"), *column(run.mixture.test, "answer")]
        problems += in_constant_text(around(tokenizer, template), golds, f"template {template.name}")
    if problems:
        raise ConfigError(problems)
    return text


def _template(
    arguments: Any, is_generated: bool, tokenizer: Any, stamp: dict[str, Any], folder: Path | None
) -> tuple[Template, list[str]]:
    """The template asked for, else that of the checkpoint, else the task's usual one; and what is wrong with it."""
    trained = Template(**stamp["rendering"]) if "rendering" in stamp else None
    usual = trained.name if trained else "bare" if is_generated else "plain"
    name = usual if arguments.template == "auto" else arguments.template
    system = arguments.system_prompt or (trained.system if trained and name == trained.name else "")
    template = Template(name, system)
    problems = []
    if trained and template != trained:
        problems.append(
            f"{folder} was trained with template '{trained.name}'{f' and system prompt {trained.system!r}' if trained.system else ''}; "
            f"with '{template.name}'{f' and {template.system!r}' if template.system else ''} it would read other prompts. Leave template and "
            f"system_prompt out: they come with the checkpoint."
        )
    if name == "chat" and not tokenizer.chat_template:
        problems.append(
            f"template is chat, but the tokenizer in {folder} has no chat template: this is a base model. Use template plain, or "
            f"an instruct model."
        )
    if system and name != "chat":
        problems.append(
            f"system_prompt is set, but template {name} has no place for it. Use template chat, or leave it out."
        )
    if tokenizer.eos_token_id is None:
        problems.append(f"the tokenizer in {folder} names no eos_token, so a response could never end. Set it there.")
    return template, problems


def _special_tokens(run: Run, tokenizer: Any) -> list[str]:
    """Problems whose text would turn into special tokens."""
    found = []
    splits = {"train": (run.mixture.fixed, ("prompt", "completion")), "rl": (run.mixture.rl, ("prompt",))}
    splits["test"] = (run.mixture.test, ("prompt",))
    for name, (rows, columns) in splits.items():
        for what in columns:
            where = holding_special_tokens(tokenizer, column(rows, what))
            if where:
                example = rows[where[0]]
                found.append(
                    f"{len(where)} {what}s of the {name} split spell a special token of the tokenizer, for example {example['problem_id']}: "
                    f"{example[what][:80]!r}. Take them out of the source."
                )
    return found


def _lengths(run: Run, config: Any, text: Text, folder: Path | None) -> list[str]:
    """Prompts and demonstrations of a corpus that do not fit what they are given."""
    arguments, lengths, problems = run.request.arguments, text.lengths, []
    if lengths.prompt > arguments.max_prompt_tokens:
        problems.append(
            f"the longest prompt has {lengths.prompt} tokens, more than max_prompt_tokens {arguments.max_prompt_tokens}, for which memory is "
            f"planned. Raise it to {lengths.prompt}."
        )
    positions = model_files.positions_of(folder) if folder else arguments.max_positions or None
    cap = text.max_new_tokens
    if run.request.stage == "sft":
        fixed = run.mixture.fixed
        rows = render_demonstrations(
            text.tokenizer, column(fixed, "prompt"), column(fixed, "completion"), text.template
        )
        totals = [len(ids) for ids in rows["input_ids"]]
        limit = min(config.max_length or max(totals), positions or max(totals))
        if too_long := sum(total > limit for total in totals):
            problems.append(
                f"{too_long} of {len(totals)} demonstrations are longer than {limit} tokens (max_length, or the model's positions): they "
                f"would lose their answer and end. The longest has {max(totals)}; set max_length to that or more, or to null."
            )
    else:
        limit = run.request.value("max_completion_length")
        cap = max(cap, limit)
        long = [len(ids) for ids in _long_responses(run, text)]
        cut = sum(n > limit for n in long) / len(long)
        if cut > TOO_LONG and not arguments.allow_truncation:
            problems.append(
                f"max_completion_length is {limit}, which would cut off {cut:.1%} of the long demonstrations, and what "
                f"is cut off gets no reward. 99 % of them end within {lengths.usual_long} tokens: set it to that or more (or "
                f"allow_truncation to true)."
            )
    if positions is not None and lengths.prompt + cap > positions:
        remedy = "Lower max_completion_length and eval_max_new_tokens, or use a model with more positions"
        problems.append(checkpoints.too_long(lengths.prompt, cap, positions, remedy))
    return problems


def _long_responses(run: Run, text: Text) -> list[list[int]]:
    return render_responses(text.tokenizer, column(run.mixture.rl, "long"))
