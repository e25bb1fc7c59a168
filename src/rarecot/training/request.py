"""What a recipe is asked to do: YAML plus command line, sorted to their owners and checked before torch is imported.

A key belongs to one of three: the recipe's own arguments (`arguments.py`), the mixture (so `--p_cot 0.4` works
anywhere), or TRL's config of the stage (so every TRL option works under its own name). A key that nobody owns is an
error.
"""

import dataclasses
import re
import sys
import types
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rarecot.errors import ConfigError, holds_password, nearest
from rarecot.mixtures.spec import MixtureSpec, locate, mixture_keys, read_mapping, spec_of_manifest
from rarecot.stages import STAGES
from rarecot.tasks import Generated
from rarecot.training import batch
from rarecot.training.arguments import ARGUMENTS, RunArguments
from rarecot.training.checks import check
from rarecot.training.options import Option, read_option, trainer_options
from rarecot.training.ranges import interval
from rarecot.values import coerce, path_problem, shown, within

_PUSH = "eval/card.py --push (the card then has the numbers)"
_EVALUATION = (
    "eval_every, eval_n and eval_temperature (evaluation is rarecot's own, and the trainer has no data for another)"
)
_OF_A_SCRIPT = "recipes/sft.py, grpo.py, reinforce.py or star.py, and eval/run.py: each does one thing"
# Ours to set: where a stage's checkpoints go follows from run_dir.
_RESERVED = {
    **dict.fromkeys(("eval_strategy", "eval_steps", "eval_delay", "eval_on_start", "eval_packing"), _EVALUATION),
    **dict.fromkeys(("load_best_model_at_end", "metric_for_best_model", "greater_is_better"), _EVALUATION),
    **dict.fromkeys(("include_for_metrics", "batch_eval_metrics", "num_generations_eval"), _EVALUATION),
    **dict.fromkeys(("do_train", "do_eval", "do_predict"), _OF_A_SCRIPT),
    "include_num_input_tokens_seen": "nothing: every record says tokens_seen",
    "output_dir": "run_dir (checkpoints go to RUN_DIR/STAGE)",
    "data_seed": "seed (one seed for the run)",
    "resume_from_checkpoint": "the same command again (it resumes from the newest complete checkpoint)",
    "generation_kwargs": "temperature and max_completion_length (rollouts are sampled from the policy itself)",
    "model_init_kwargs": "dtype and attn_implementation",
    "chat_template_path": "template (plain or chat); the chat template comes with the model",
    "chat_template_kwargs": "template (plain or chat); what varies in a chat template is held still",
    "trust_remote_code": "a model that transformers knows by itself (code of a model's own is never run)",
    "load_in_4bit": "dtype bfloat16 with use_peft (quantised bases are not supported)",
    "load_in_8bit": "dtype bfloat16 with use_peft (quantised bases are not supported)",
    **dict.fromkeys(
        ("push_to_hub", "hub_model_id", "hub_strategy", "hub_token", "hub_always_push", "hub_revision"), _PUSH
    ),
}


@dataclass(frozen=True)
class Request:
    """A request that has passed every check that needs no model.

    Args:
        stage: `sft`, `grpo`.
        arguments: the recipe's own options.
        spec: the mixture.
        seed: of the run: problems, initialisation, order, sampling.
        from_yaml: TRL's options from the YAML file, as they stand there.
        from_command_line: TRL's options from the command line, as words.
        trainer: TRL's options from either, the command line's where both say one, as values of their types.
        config_path: the YAML that was read.
        start_comes_first: the checkpoint that RL starts from need not be there yet: it is made before the stage runs.
        is_built: the mixture is a folder that data_mixes/build.py wrote.
    """

    stage: str
    arguments: RunArguments
    spec: MixtureSpec
    seed: int
    from_yaml: dict[str, Any]
    from_command_line: dict[str, list[str]]
    trainer: dict[str, Any]
    config_path: Path
    start_comes_first: bool
    is_built: bool

    @property
    def run_dir(self) -> Path:
        return Path(self.arguments.run_dir)

    @property
    def output_dir(self) -> Path:
        """Folder of this stage's checkpoints."""
        return self.run_dir / self.stage

    @property
    def use_vllm(self) -> bool:
        """Whether rollouts come from vLLM."""
        return STAGES[self.stage].is_rl and self.value("use_vllm") is True

    @property
    def tokens_needed(self) -> int:
        """The longest prompt and response together, in tokens, that RL can produce."""
        limit = self.value("max_completion_length")
        return self.prompt_tokens + (limit if isinstance(limit, int) else 0)

    @property
    def prompt_tokens(self) -> int:
        """The longest rendered prompt, in tokens: known for generated tasks, for corpora what the request allows."""
        task = self.spec.task
        return task.prompt_tokens if isinstance(task, Generated) else self.arguments.max_prompt_tokens

    def value(self, key: str) -> Any:
        """An option of the stage, whoever owns it: the recipe, or TRL (then see `trainer_value`)."""
        own = vars(self.arguments)
        return own[key] if key in own else self.trainer_value(key)

    def trainer_value(self, key: str) -> Any:
        """What TRL's option will be, as far as can be said without TRL: asked for, our default, or that in its source."""
        if key in batch.DERIVED:
            return batch.DERIVED[key](self)
        return self.asked_or_default(key)

    def asked_or_default(self, key: str) -> Any:
        """As `trainer_value`, but for what `global_batch_size` makes of it."""
        return self.trainer[key] if key in self.trainer else trainer_options(self.stage)[key].default

    def asked(self, key: str) -> Any:
        """What YAML or command line say of TRL's option; None: nothing, or null."""
        return self.trainer.get(key)


def parse(stage: str, description: str, argv: list[str] | None = None) -> Request:
    """Read `--config FILE --key value …`; without --config, the tiny parity default, and say so. A dry run ends here.

    Raises:
        ConfigError: everything wrong that can be known without loading a model, at once.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    if "--help" in argv or "-h" in argv:
        print(help_text(stage, description))
        sys.exit(0)
    words, problems = _words(argv)
    config = words.pop("config", None)
    if config is not None and len(config) != 1:
        problems.append(f"--config names {shown(config) if config else 'nothing'}: it takes one YAML.")
    path = Path(config[0]) if config else default_config(stage)
    if config is None:
        print(f"No --config: running the tiny parity default, {path}", flush=True)
    # The default RL recipe may train its own model first, but only the one it was made for.
    is_default = config is None and not {"run_dir", "mixture", "model_name_or_path", *mixture_keys()} & set(words)
    try:
        request = make_request(stage, read_mapping(path), words, path, start_comes_first=is_default)
    except ConfigError as error:
        raise ConfigError([*problems, *error.problems]) from None
    if problems:
        raise ConfigError(problems)
    if request.arguments.dry_run != "false":
        print(
            f"{path} is in order: {STAGES[stage].title} in {request.run_dir}, as far as can be said without a model. (What the run directory holds is compared when it starts.)"
        )
        sys.exit(0)
    return request


def make_request(
    stage: str, from_yaml: dict[str, Any], words: dict[str, list[str]], path: Path, start_comes_first: bool = False
) -> Request:
    """Sort keys to their owners and check them; see `parse`."""
    sorted_, problems = _sorted(stage, from_yaml, words, path)
    arguments = ARGUMENTS[stage](**sorted_.own)
    seed = {"seed": sorted_.trainer["seed"]} if "seed" in sorted_.trainer else {}
    spec, in_mixture = _mixture_spec(arguments, {**sorted_.mixture, **seed}, path)
    said = [*problems.values(), *in_mixture]
    if spec is None:
        raise ConfigError(said)
    is_built = locate(arguments.mixture, path).is_dir()
    result = Request(
        stage,
        arguments,
        spec,
        seed.get("seed", spec.seed) if is_built else spec.seed,
        sorted_.from_yaml,
        sorted_.from_command_line,
        sorted_.trainer,
        path,
        start_comes_first or arguments.dry_run == "later",
        is_built,
    )
    # What follows from a value that was refused is no problem of its own.
    refused = re.compile(rf"\b({'|'.join(map(re.escape, problems))})\b") if problems else None
    try:
        found = check(result)
    except ConfigError as error:
        found = error.problems
    said += [text for text in found if refused is None or not refused.search(text)]
    if said:
        raise ConfigError(said)
    return result


@dataclass
class _Sorted:
    """What is asked for, by who owns it."""

    own: dict[str, Any] = dataclasses.field(default_factory=dict)
    mixture: dict[str, Any] = dataclasses.field(default_factory=dict)
    trainer: dict[str, Any] = dataclasses.field(default_factory=dict)
    from_yaml: dict[str, Any] = dataclasses.field(default_factory=dict)
    from_command_line: dict[str, list[str]] = dataclasses.field(default_factory=dict)


def _sorted(
    stage: str, from_yaml: dict[str, Any], words: dict[str, list[str]], path: Path
) -> tuple[_Sorted, dict[str, str]]:
    """Keys and values by their owners, and what is wrong with any: key → sentence."""
    own = {f.name: f for f in dataclasses.fields(ARGUMENTS[stage])}
    kinds, mixture, trainer = typing.get_type_hints(ARGUMENTS[stage]), mixture_keys(), trainer_options(stage)
    result, problems = _Sorted(), {}
    for where, values in ((path.name, from_yaml), ("the command line", words)):
        for key, given in values.items():
            if holds_password(given):
                problems[key] = (
                    f"{where}: {key} is an address with a user or password in it, which the run's files would keep. Leave it out of the address."
                )
                continue
            if key in _RESERVED:
                problems[key] = f"{where}: '{key}' is set by rarecot; use {_RESERVED[key]}."
                continue
            if values is words and not given:
                given = ["true"]
                if not _is_switch(kinds.get(key) or mixture.get(key) or trainer.get(key, bool)):
                    problems[key] = f"{where}: {key} has no value. Write --{key} VALUE."
                    continue
            try:
                if key in own:
                    result.own[key] = _own(own[key], kinds[key], given)
                elif key in mixture and key != "seed":
                    result.mixture[key] = _value(given, mixture[key]) if values is words else given
                elif key in trainer:
                    result.trainer[key] = read_option(key, trainer[key], given)
                    (result.from_command_line if values is words else result.from_yaml)[key] = given
                else:
                    known = [*own, *mixture, *trainer]
                    problems[key] = f"{where}: {shown(key)} is no option of {stage}{nearest(key[:100], known)}"
            except ValueError as error:
                problems[key] = f"{where}: {key} {error}"
    return result, problems


def _is_switch(kind: Any) -> bool:
    """Whether an option can be turned on by its name alone."""
    if isinstance(kind, Option):
        return "bool" in kind.kinds or "true" in kind.choices
    return kind is bool or (typing.get_origin(kind) is Literal and "true" in typing.get_args(kind))


def _own(field: dataclasses.Field, kind: Any, given: Any) -> Any:
    """The value of an option of the recipe.

    Raises:
        ValueError: with the end of a sentence that starts with the key.
    """
    value = _value(given, kind)
    numbers = value if isinstance(value, list) else [value]
    for number in numbers:
        counts = isinstance(number, int | float) and not isinstance(number, bool) and number != field.default
        if counts and (problem := within(number, interval(field.name))):
            raise ValueError(problem)
    if "path" in field.metadata and (value or field.default) and (problem := path_problem(value)):
        raise ValueError(problem)
    return value


def default_config(stage: str) -> Path:
    """The tiny parity recipe of a stage, in this checkout."""
    return Path(__file__).parents[3] / "recipes" / "parity" / "tiny" / f"{stage}.yaml"


def help_text(stage: str, description: str) -> str:
    """Own options with their units, then where the others come from."""
    lines = [description.strip(), "", "Own options:"]
    for f in dataclasses.fields(ARGUMENTS[stage]):
        default = f.default if f.default is not dataclasses.MISSING else f.default_factory()
        lines.append(f"  --{f.name} {default!s}\n        {f.metadata['help']}")
    lines += ["", "Options of the mixture (each overrides the mixture's YAML):"]
    lines.append("  " + ", ".join(f"--{key}" for key in mixture_keys()))
    lines += ["", f"Every option of TRL for {stage}, with TRL's default:"]
    for name, option in sorted(trainer_options(stage).items()):
        lines.append(f"  --{name} {option.default!s}\n        {option.help[:240]}")
    return "\n".join(lines)


def _words(argv: list[str]) -> tuple[dict[str, list[str]], list[str]]:
    """`--key v1 v2 --flag` → {"key": ["v1", "v2"], "flag": []}, and what is wrong with them."""
    result: dict[str, list[str]] = {}
    key, stray, problems = None, [], []
    for word in argv:
        if word.startswith("--"):
            key, is_joined, value = word[2:].partition("=")
            key = key.replace("-", "_")
            if key in result:
                problems.append(f"--{key} is given twice on the command line. Leave one of them out.")
            result[key] = [value] if is_joined else []
        elif key is None:
            stray.append(word)
        else:
            result[key].append(word)
    if stray:
        problems.append(f"cannot read '{' '.join(stray)}': options look like `--key value`.")
    return result, problems


def _value(value: Any, kind: Any) -> Any:
    """A YAML value or command-line words as one of the types our dataclasses use.

    Raises:
        ValueError: with the end of a sentence that starts with the key.
    """
    if typing.get_origin(kind) is list:
        (item_kind,) = typing.get_args(kind)
        return [coerce(item, item_kind) for item in (value if isinstance(value, list) else [value])]
    if isinstance(value, list):
        if len(value) != 1:
            raise ValueError(f"is {shown(value)}: it takes one value.")
        value = value[0]
    if typing.get_origin(kind) is Literal:
        value = str(value).lower() if isinstance(value, bool) else value  # YAML's true
        choices = typing.get_args(kind)
        if not isinstance(value, str) or value not in choices:
            hint = nearest(str(value)[:100], choices) if isinstance(value, str) else "."
            raise ValueError(f"is {shown(value)}{hint} It must be one of {', '.join(choices)}.")
        return value
    if isinstance(kind, types.UnionType):
        kind = next(k for k in typing.get_args(kind) if k is not type(None))
    return coerce(value, kind)


def _mixture_spec(
    arguments: RunArguments, overrides: dict[str, Any], path: Path
) -> tuple[MixtureSpec | None, list[str]]:
    """The mixture with the request's overrides, and what is wrong with it."""
    where = locate(arguments.mixture, path)
    if not where.exists():
        return None, [
            f"mixture is {arguments.mixture}, but there is no file {where}. Name a mixture's YAML, or a folder that was built."
        ]
    try:
        if where.is_dir():
            asked = sorted(set(overrides) - {"seed"})
            problems = [f"{', '.join(asked)} cannot change the built mixture {where}. Give its YAML instead."]
            return spec_of_manifest(where), problems if asked else []
        return MixtureSpec.examine({**read_mapping(where), **overrides}, where=str(where))
    except ConfigError as error:
        return None, error.problems
