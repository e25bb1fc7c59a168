"""What a recipe is asked to do: YAML plus command line, sorted to their owners and checked before torch is imported.

A key belongs to one of three: the recipe's own arguments (`arguments.py`), the mixture (so `--p_cot 0.4` works
anywhere), or TRL's config of the stage (so every TRL option works under its own name). A key that nobody owns is an
error.
"""

import dataclasses
import sys
import types
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rarecot.errors import ConfigError, holds_password, nearest
from rarecot.mixtures.spec import MixtureSpec, coerce, locate, mixture_keys, read_mapping, spec_of_manifest
from rarecot.stages import STAGES
from rarecot.tasks import Generated
from rarecot.training import batch
from rarecot.training.arguments import ARGUMENTS, RunArguments
from rarecot.training.checks import check
from rarecot.training.options import trainer_options

_PUSH = "eval/card.py --push (the card then has the numbers)"
# Ours to set: where a stage's checkpoints go follows from run_dir.
_RESERVED = {
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
        from_yaml: TRL's options from the YAML file.
        from_command_line: TRL's options from the command line, as words.
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
        words = ("true", "1", "yes", "y", "t")  # what transformers' parser takes for true
        return STAGES[self.stage].is_rl and str(self.value("use_vllm")).lower() in words

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
        """What TRL's option will be, as far as can be said without TRL: asked for, our default, or that in its source.
        Words from the command line are read like YAML scalars."""
        if key in batch.DERIVED:
            return batch.DERIVED[key](self)
        return self.asked_or_default(key)

    def asked_or_default(self, key: str) -> Any:
        """As `trainer_value`, but for what `global_batch_size` makes of it."""
        value = self.asked(key)
        if value is None and key not in {*self.from_command_line, *self.from_yaml}:
            return trainer_options(self.stage)[key].default
        return value

    def asked(self, key: str) -> Any:
        """What YAML or command line say of TRL's option; None: nothing, or null."""
        if key in self.from_command_line:
            words = self.from_command_line[key]
            return _scalar(words[0]) if len(words) == 1 else [_scalar(word) for word in words]
        if key in self.from_yaml:
            value = self.from_yaml[key]
            return _scalar(value) if isinstance(value, str) else value
        return None


def parse(stage: str, description: str, argv: list[str] | None = None) -> Request:
    """Read `--config FILE --key value …`; without --config, the tiny parity default, and say so. A dry run ends here.

    Raises:
        ConfigError: everything wrong that can be known without loading a model, at once.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    if "--help" in argv or "-h" in argv:
        print(help_text(stage, description))
        sys.exit(0)
    words = _words(argv)
    config = words.pop("config", None)
    path = Path(config[0]) if config else default_config(stage)
    if config is None:
        print(f"No --config: running the tiny parity default, {path}", flush=True)
    # The default RL recipe may train its own model first, but only the one it was made for.
    is_default = config is None and not {"run_dir", "mixture", "model_name_or_path", *mixture_keys()} & set(words)
    request = make_request(stage, read_mapping(path), words, path, start_comes_first=is_default)
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
    own, mixture, trainer = _types(ARGUMENTS[stage]), mixture_keys(), trainer_options(stage)
    problems: list[str] = []
    mine: dict[str, Any] = {}
    mixture_values: dict[str, Any] = {}
    yaml_left: dict[str, Any] = {}
    words_left: dict[str, list[str]] = {}
    for where, values, left in ((path.name, from_yaml, yaml_left), ("the command line", words, words_left)):
        for key, value in values.items():
            if holds_password(value):
                problems.append(
                    f"{where}: {key} is an address with a user or password in it, which the run's files would keep. Leave it out of the address."
                )
            elif key in _RESERVED:
                problems.append(f"{where}: '{key}' is set by rarecot; use {_RESERVED[key]}.")
            elif key in own:
                try:
                    mine[key] = _value(value, own[key])
                except ValueError as error:
                    problems.append(f"{where}: {key} {error}")
            elif key in mixture and key != "seed":
                if isinstance(value, list) and len(value) != 1:
                    problems.append(f"{where}: {key} is {value!r}: it takes one value.")
                mixture_values[key] = value[0] if isinstance(value, list) and value else value
            elif key in trainer:
                left[key] = value
            else:
                problems.append(f"{where}: '{key}' is no option of {stage}{nearest(key, [*own, *mixture, *trainer])}")
    arguments = ARGUMENTS[stage](**mine)
    asked = words_left.get("seed", [yaml_left["seed"]] if "seed" in yaml_left else [])
    spec, in_mixture = _mixture_spec(arguments, {**mixture_values, **({"seed": asked[0]} if asked else {})}, path)
    problems += in_mixture
    if spec is None:
        raise ConfigError(problems)
    is_built = locate(arguments.mixture, path).is_dir()
    start_comes_first = start_comes_first or arguments.dry_run == "later"
    seed = coerce(asked[0], int) if asked and is_built else spec.seed
    result = Request(stage, arguments, spec, seed, yaml_left, words_left, path, start_comes_first, is_built)
    problems += check(result)
    if problems:
        raise ConfigError(problems)
    return result


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


def _words(argv: list[str]) -> dict[str, list[str]]:
    """`--key v1 v2 --flag` → {"key": ["v1", "v2"], "flag": ["true"]}."""
    result: dict[str, list[str]] = {}
    key, stray = None, []
    for word in argv:
        if word.startswith("--") and len(word) > 2:
            key, _, value = word[2:].partition("=")
            key = key.replace("-", "_")
            result[key] = [value] if value else []
        elif key is None:
            stray.append(word)
        else:
            result[key].append(word)
    if stray:
        raise ConfigError([f"cannot read '{' '.join(stray)}': options look like `--key value`."])
    return {key: values or ["true"] for key, values in result.items()}


def _types(cls: type) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)
    return {f.name: hints[f.name] for f in dataclasses.fields(cls)}


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
            raise ValueError(f"is {value!r}: it takes one value.")
        value = value[0]
    if typing.get_origin(kind) is Literal:
        value = str(value).lower() if isinstance(value, bool) else value  # YAML's true
        if value not in typing.get_args(kind):
            choices = typing.get_args(kind)
            raise ValueError(f"is {value!r}{nearest(str(value), choices)} It must be one of {', '.join(choices)}.")
        return value
    if isinstance(kind, types.UnionType):
        kind = next(k for k in typing.get_args(kind) if k is not type(None))
    return coerce(value, kind)


def _mixture_spec(
    arguments: RunArguments, overrides: dict[str, Any], path: Path
) -> tuple[MixtureSpec | None, list[str]]:
    """The mixture with the request's overrides, and what is wrong with it."""
    where = locate(arguments.mixture, path)
    try:
        if where.is_dir():
            asked = sorted(set(overrides) - {"seed"})
            problems = [f"{', '.join(asked)} cannot change the built mixture {where}. Give its YAML instead."]
            return spec_of_manifest(where), problems if asked else []
        return MixtureSpec.examine({**read_mapping(where), **overrides}, where=str(where))
    except ConfigError as error:
        return None, error.problems


def _scalar(word: Any) -> Any:
    text = str(word)
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if text.lower() in ("none", "null"):
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
