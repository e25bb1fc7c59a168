"""The options of TRL's configs, read from their source text.

Importing TRL takes seconds, and a misspelt key should not. The dataclass fields (name, type, choices, default, help) stand in the
libraries' source, so `ast` sees them without running anything. What is asked for is read as those types here; what depends on
several options, or on the machine, TRL's own config checks when it is made.
"""

import ast
import importlib.util
import json
import re
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from rarecot.errors import nearest
from rarecot.stages import STAGES
from rarecot.training.ranges import CHOICES, NEEDS_EVALUATION, STEPS_OR_SHARE, interval
from rarecot.values import coerce, shown, within

# Where TRL's or transformers' default would surprise in this project. A YAML or the command line still overrides.
_DEFAULTS: dict[str, Any] = {
    "report_to": "none",
    "gradient_checkpointing": False,  # the models that fit a laptop need no memory saved
    "logging_steps": 10,
    "save_strategy": "steps",
    "save_only_model": False,
    "dataloader_pin_memory": False,
    "lora_dropout": 0.0,  # dropout makes RL's log-probabilities differ from those of the policy that sampled
    "ddp_find_unused_parameters": False,  # every parameter takes part in every step
    "disable_tqdm": False,  # transformers hides its bar when its log level is quiet
}
DEFAULTS: dict[str, dict[str, Any]] = {name: {**_DEFAULTS, **stage.defaults} for name, stage in STAGES.items()}

# Where the fields of a stage's config are defined, base classes first; later definitions win.
_BASE = [("transformers", "training_args.py", "TrainingArguments"), ("trl", "trainer/base_config.py", "_BaseConfig")]
_MODEL = ("trl", "trainer/model_config.py", "ModelConfig")  # dtype, attention, LoRA
_FILES = {"SFTConfig": "trainer/sft_config.py", "GRPOConfig": "trainer/grpo_config.py"}


@dataclass(frozen=True)
class Option:
    """One option of a library's config.

    Args:
        default: its default, ours where we have one (None where the source holds no literal).
        help: what the library says of it.
        kinds: names of the types that it may have: `int`, `float`, `bool`, `str`, `dict`, `list[…]`, `None`; others cannot be written.
        choices: the words that it may be; empty: any.
    """

    default: Any
    help: str
    kinds: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()


@cache
def trainer_options(stage: str) -> dict[str, Option]:
    """Name → option, for every key that the stage's TRL config takes."""
    options: dict[str, Option] = {}
    own = STAGES[stage].config
    for package, file, cls in [*_BASE, ("trl", _FILES[own], own), _MODEL]:
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            raise ImportError(f"{package} is not installed. Install the project: pip install -e . -c constraints.txt")
        options.update(_fields(Path(spec.origin).parent / file, cls))
    options.pop("model_name_or_path")  # ours: a checkpoint of a run, too
    return {
        name: replace(option, default=DEFAULTS[stage].get(name, option.default)) for name, option in options.items()
    }


def _fields(path: Path, cls: str) -> dict[str, Option]:
    tree = ast.parse(path.read_text())
    body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == cls)
    annotated = [node for node in body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)]
    enums = _enums(path, tree)
    return {
        node.target.id: _option(node, enums)
        for node in annotated
        if not ast.unparse(node.annotation).startswith("Class")
    }


def _enums(path: Path, tree: ast.Module) -> dict[str, tuple[str, ...]]:
    """Enumeration → its values, of those that a module defines or imports from beside it."""
    beside = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module]
    files = [file for node in beside if (file := path.parent / f"{node.module.replace('.', '/')}.py").is_file()]
    bodies = [body for module in (tree, *(ast.parse(file.read_text()) for file in files)) for body in module.body]
    return {
        node.name: tuple(_literal(a.value) for a in node.body if isinstance(a, ast.Assign) and _literal(a.value))
        for node in bodies
        if isinstance(node, ast.ClassDef) and any("Enum" in ast.unparse(base) for base in node.bases)
    }


def _option(node: ast.AnnAssign, enums: dict[str, tuple[str, ...]]) -> Option:
    name, value = node.target.id, node.value
    annotation = ast.unparse(node.annotation)
    named = [enum for enum in enums if enum in re.findall(r"\w+", annotation)]
    words = tuple(choice for enum in named for choice in enums[enum]) or CHOICES.get(name, ())
    choices = tuple(word for word in words if word not in NEEDS_EVALUATION)
    kinds = tuple(dict.fromkeys("str" if kind.strip() in enums else kind.strip() for kind in annotation.split("|")))
    if any(kind.startswith("dict") for kind in kinds):  # its text is that of a mapping, or names a file that holds one
        kinds = tuple(kind for kind in kinds if kind != "str")
    if not isinstance(value, ast.Call):
        return Option(_literal(value), "", kinds, choices)
    keywords = {k.arg: k.value for k in value.keywords}
    metadata = keywords.get("metadata")
    said = {}
    if isinstance(metadata, ast.Dict):
        said = {_literal(key): _literal(item) for key, item in zip(metadata.keys, metadata.values, strict=True)}
    default = keywords.get("default")
    if isinstance(default, ast.Attribute) and ast.unparse(default.value) in enums:  # IntervalStrategy.STEPS
        default = None
    text = " ".join(str(said.get("help") or "").split())
    return Option(_literal(default), text, kinds, tuple(said.get("choices") or ()) or choices)


def read_option(name: str, option: Option, given: Any) -> Any:
    """What is asked of an option, as the type that it takes.

    Args:
        name: of the option.
        option: what its source says of it.
        given: a YAML's value, or the words of a command line as a list of them.

    Raises:
        ValueError: with the end of a sentence that starts with the name.
    """
    if given is not None and given == option.default and type(given) is type(option.default):
        return given
    takes_list = any(kind.startswith("list") for kind in option.kinds)
    if isinstance(given, list) and len(given) == 1 and (given[0] in ("null", "None", "none") or not takes_list):
        given = given[0]
    nothing = ("null", "None", "") if "str" in option.kinds else ("null", "None")
    if "None" in option.kinds and (given is None or (given in nothing and given not in option.choices)):
        return None
    if given is None:
        raise ValueError(f"is null: it needs a value. Leave it out for its default, {option.default!r}.")
    if given in ("", []):
        raise ValueError("is empty: it needs a value. Leave it out for its default.")
    if isinstance(given, list) and not takes_list:
        raise ValueError(f"is {shown(given)}: it takes one value.")
    if option.choices:
        some = [_chosen(name, item, option) for item in (given if isinstance(given, list) else [given])]
        return some if isinstance(given, list) or "str" not in option.kinds else some[0]
    if takes_list:
        kind = next(kind for kind in option.kinds if kind.startswith("list"))
        item_kind = float if "float" in kind else str
        items = [
            _checked(name, option, coerce(item, item_kind)) for item in (given if isinstance(given, list) else [given])
        ]
        return items[0] if len(items) == 1 and "str" in option.kinds else items
    faults = []
    for kind in option.kinds:
        if kind != "None":
            try:
                return _checked(name, option, _one(kind, given))
            except ValueError as error:
                faults.append(str(error))
    raise ValueError(faults[0])


def _one(kind: str, given: Any) -> Any:
    simple = {"int": int, "float": float, "bool": bool, "str": str}
    if kind in simple:
        return coerce(given, simple[kind])
    if not kind.startswith("dict"):
        raise ValueError(f"is {shown(given)}: it cannot be written down. Leave it out.")
    if isinstance(given, str) and given.strip().startswith("{"):
        try:
            given = json.loads(given)
        except ValueError as error:
            raise ValueError(f"is {shown(given)}: it is no JSON object ({error}).") from None
    if isinstance(given, str) and given.endswith(".json"):
        if not Path(given).is_file():
            raise ValueError(f"is {shown(given)}, but there is no such file. Name one, or write a mapping.")
        return given
    return {key: _numbers(value) for key, value in coerce(given, dict).items()}


def _numbers(value: Any) -> Any:
    """1e-5 as a number, which YAML reads as text, within the mappings that a library takes as they are."""
    if isinstance(value, dict):
        return {key: _numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    return float(value) if isinstance(value, str) and re.fullmatch(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+", value) else value


def _checked(name: str, option: Option, value: Any) -> Any:
    """A value that its option may have.

    Raises:
        ValueError: it lies outside the option's range.
    """
    if name in STEPS_OR_SHARE and isinstance(value, float) and value >= 1 and value.is_integer():
        value = int(value)  # a count, which other options are held against
    if isinstance(value, bool) or not isinstance(value, int | float) or value == option.default:
        return value
    if problem := within(value, interval(name)):
        raise ValueError(problem)
    if name in STEPS_OR_SHARE and value > 1 and value != int(value):
        raise ValueError(f"is {value}: it must be a whole number of steps, or a share of all steps below 1.")
    return value


def _chosen(name: str, value: Any, option: Option) -> Any:
    """One of the option's choices; YAML's `no` and `true` are words, too."""
    if isinstance(value, bool):
        value = next(
            (word for word in ({True: ("true", "yes"), False: ("false", "no")}[value]) if word in option.choices), value
        )
    if "bool" in option.kinds and value in (True, False, "true", "false"):
        return value in (True, "true")
    if "int" in option.kinds and value not in option.choices:
        return _checked(name, option, _one("int", value))
    if not isinstance(value, str) or value not in option.choices:
        known = ", ".join(option.choices)
        raise ValueError(f"is {shown(value)}{nearest(str(value)[:100], option.choices)} It must be one of {known}.")
    return value


def _literal(node: ast.expr | None) -> Any:
    try:
        return ast.literal_eval(node) if node is not None else None
    except ValueError:
        return None
