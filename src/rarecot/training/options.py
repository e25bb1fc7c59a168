"""The options of TRL's configs, read from their source text.

Importing TRL takes seconds, and a misspelt key should not. The dataclass fields (name, default, help) are literals in
the libraries' source, so `ast` sees them without running anything. TRL's own parser stays the one that parses.
"""

import ast
import importlib.util
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from rarecot.stages import STAGES

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
    """One option of a library's config: its default, ours where we have one (None where the source holds no literal), and
    its help."""

    default: Any
    help: str


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
    return {
        node.target.id: _option(node.value)
        for node in annotated
        if not ast.unparse(node.annotation).startswith("Class")
    }


def _option(value: ast.expr | None) -> Option:
    if not isinstance(value, ast.Call):
        return Option(_literal(value), "")
    keywords = {k.arg: k.value for k in value.keywords}
    metadata = keywords.get("metadata")
    text = ""
    if isinstance(metadata, ast.Dict):
        for key, item in zip(metadata.keys, metadata.values, strict=True):
            if _literal(key) == "help":
                text = _literal(item) or ""
    return Option(_literal(keywords.get("default")), " ".join(str(text).split()))


def _literal(node: ast.expr | None) -> Any:
    try:
        return ast.literal_eval(node) if node is not None else None
    except ValueError:
        return None
