"""What options are attacked with, and how one is asked for a value."""

import dataclasses
import datetime
import typing
from pathlib import Path

from rarecot.errors import ConfigError
from rarecot.mixtures.spec import mixture_keys, read_mapping
from rarecot.training.arguments import ARGUMENTS
from rarecot.training.options import trainer_options
from rarecot.training.ranges import INTERVALS
from rarecot.training.request import _RESERVED, default_config, make_request

NAN, INF = float("nan"), float("inf")
# What a YAML can hold, by name.
ANYTHING = {
    "word": "nosuch", "half a number": "12abc", "a list": ["a", "b"], "an empty list": [], "a mapping": {"a": 1}, "null": None,
    "empty": "", "nan": NAN, "inf": INF, "-inf": -INF, "negative": -3, "a negative half": -0.5, "0": 0, "huge": 10**30, "7": 7,
    "true": True, "1.5": 1.5, "unicode": "ü٣", "long": "x" * 5000, "a trillion": 10**12, "nul": "a\0b",
    "date": datetime.date(2020, 1, 1), "arabic": "٣", "nested": [[{"a": [None]}]],
}  # fmt: skip
NUMBERS = {"7", "0", "1.5", "a trillion"}
# What no option of a kind can be.
NEVER = {
    int: set(ANYTHING) - NUMBERS - {"negative"} | {"1.5"},
    float: set(ANYTHING) - NUMBERS - {"negative", "a negative half"},
    bool: set(ANYTHING) - {"true"},
    str: {"a list", "an empty list", "a mapping", "nan", "inf", "-inf", "7", "true", "1.5", "date", "huge", "nul", "nested"},
    dict: set(ANYTHING) - {"a mapping", "null"},
    "choice": set(ANYTHING) - {"null", "true"},
    list: {"a mapping", "date", "nested", "nul"},
}  # fmt: skip
UNUSUAL = {
    "debug": {"empty", "a list"},
    "pad_to_multiple_of": {"7", "a trillion"},
}  # choices that may be nothing, or a number
STAGES = tuple(ARGUMENTS)


def kind_of(stage: str, key: str):
    """What an option is for: a key of `NEVER`; and whether it may be null."""
    own, mixture = typing.get_type_hints(ARGUMENTS[stage]), mixture_keys()
    if key in own or (key in mixture and key != "seed"):
        kind = own.get(key) or mixture[key]
        origin = typing.get_origin(kind)
        return ("choice" if origin is typing.Literal else list if origin is list else kind), False
    option = trainer_options(stage)[key]
    words = " ".join(option.kinds)
    kinds = [
        kind
        for name, kind in (("list", list), ("dict", dict), ("float", float), ("int", int), ("bool", bool))
        if name in words
    ]
    return ("choice" if option.choices else kinds[0] if kinds else str), "None" in option.kinds


def options(stage: str) -> list[str]:
    """Every key that a recipe takes."""
    own = [f.name for f in dataclasses.fields(ARGUMENTS[stage])]
    return [key for key in dict.fromkeys([*own, *mixture_keys(), *trainer_options(stage)]) if key not in _RESERVED]


def ask(stage: str, folder: Path, on_command_line: bool, **values):
    """A request with these values, in a YAML or as words; its problems, or what it took."""
    base = {**read_mapping(default_config(stage)), "run_dir": str(folder), "dry_run": "later"}
    words = {key: [str(v) for v in value] if isinstance(value, list) else [str(value)] for key, value in values.items()}
    try:
        if on_command_line:
            return [], make_request(stage, base, words, default_config(stage))
        return [], make_request(stage, {**base, **values}, {}, default_config(stage))
    except ConfigError as error:
        return error.problems, None


def taken(request, key: str):
    """What a request made of a key."""
    if key in vars(request.arguments) or key in request.trainer:
        return vars(request.arguments).get(key, request.trainer.get(key))
    return request.spec.to_mapping().get(key)


def unbent(given, got) -> bool:
    """Whether what an option took is what a YAML said: no number from a word, no 1 from `true`."""
    if isinstance(got, list) and not isinstance(given, list):
        return len(got) == 1 and unbent(given, got[0])
    if isinstance(given, bool) or isinstance(got, bool):
        return str(got).lower() == str(given).lower()
    return given == got or (given == "" and got is None) or (isinstance(given, str) and given.strip() == got)


def intervals(stage: str) -> list[tuple[str, float]]:
    """Option → a number beyond either end of where it lies."""
    beyond = []
    for key in options(stage):
        interval = INTERVALS.get(key)
        if interval and kind_of(stage, key)[0] in (int, float):
            low, high = (float(end) for end in interval[1:-1].split(","))
            beyond += [(key, bound) for bound in (low - 1, high * 10 + 1) if bound != trainer_default(stage, key)]
            beyond += [(key, low)] if interval[0] == "(" and low != trainer_default(stage, key) else []
    return [(key, int(bound) if bound == int(bound) else bound) for key, bound in beyond]


def trainer_default(stage: str, key: str):
    option = trainer_options(stage).get(key)
    return option.default if option else getattr(ARGUMENTS[stage], key, None)


# YAML files, and what must be said of them.
FILES = {
    "twice": (b"p_cot: 0.1\np_cot: 0.2\n", "the key 'p_cot' stands there twice"),
    "twice below": (b"set: {a: 1, a: 2}\n", "the key 'a' stands there twice"),
    "empty": (b"", "holds nothing"),
    "a comment": (b"# nothing\n", "holds nothing"),
    "a list": (b"- 1\n- 2\n", "holds a list"),
    "a word": (b"sft", "holds a str"),
    "a tab": (b"a:\n\tb: 1\n", "is not valid YAML"),
    "a python tag": (b"a: !!python/object/apply:os.system [echo]\n", "is not valid YAML"),
    "binary": (bytes(range(256)), "is not valid YAML"),
    "utf-16": ("a: 1\n".encode("utf-16"), "is not valid YAML"),
    "a number key": (b"1: 2\n", "the key 1 is not read as text"),
    "no as a key": (b"no: 2\n", "the key False is not read as text"),
    "a list as a key": (b"[a]: 1\n", "is not valid YAML"),
    "an unknown alias": (b"a: *b\n", "is not valid YAML"),
    "laughs": (b"a: &a [x,x,x,x,x,x,x,x,x,x]\n" + b"".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{','.join([f'*{chr(97 + i)}'] * 10)}]\n".encode() for i in range(9)
    ), "stands for more than"),
    "itself": (b"a: &a [*a]\n", "stands for more than"),
    "deep": (b"a: " + b"[" * 990 + b"]" * 990, "nested too deep"),
    "no date": (b"a: 2020-13-45\n", "is not valid YAML"),
    "5000 digits": (b"a: " + b"9" * 5000, "is not valid YAML"),
    "two documents": (b"a: 1\n---\nb: 1\n", "is not valid YAML"),
    "extends itself": (b"extends: file.yaml\n", "extends itself"),
    "extends nothing": (b"extends: nowhere.yaml\n", "there is no file"),
    "extends a number": (b"extends: 3\n", "it must be the path of a YAML"),
    "extends a folder": (b"extends: .\n", "is a folder"),
}  # fmt: skip


COMMANDS = [
    ["recipes/sft.py", "--learning_rate", "abc", "--optim", "nosuch"],
    ["recipes/sft.py", "--lr_scheduler_type", "nosuch", "--num_train_epochs", "-1"],
    ["recipes/sft.py", "--hidden_size", "130", "--num_heads", "0", "--num_layers", "0"],
    ["recipes/grpo.py", "--num_generations", "0", "--epsilon", "abc", "--bf16", "maybe"],
    ["recipes/grpo.py", "--report_to", "nosuch", "--loss_type", "nosuch", "--save_steps", "0"],
    ["recipes/reinforce.py", "--baseline", "nosuch", "--temperature", "nan"],
    ["recipes/star.py", "--rounds", "1e30", "--keep_from", "inf"],
    ["recipes/sweep.py", "--config", "/nowhere", "--jobs", "0"],
    ["recipes/linear.py", "--config", "recipes/linear/rate.yaml", "--d", "1.5", "--seed", "-1"],
    ["recipes/serve.py", "--port", "99999", "--run_dir", "/nowhere"],
    ["recipes/doctor.py", "--run_dir", ""],
    ["recipes/smollm2.py", "--out", ""],
    ["data_mixes/build.py", "data_mixes/parity-tiny.yaml", "--out", "/nowhere/x", "--n", "1.5", "--show", "x"],
    ["data_mixes/export.py", "data_mixes/parity-tiny.yaml", "--to", "verll", "--out", "/nowhere/x", "--d", "x"],
    ["eval/run.py", "--run", "/nowhere", "--n", "x", "--batch_size", "0"],
    ["eval/plan.py", "--model", "/nowhere", "--n", "0", "--samples", "1e400"],
    ["eval/compare.py", "/nowhere", "/nowhere", "--temperature", "-1"],
    ["eval/report.py", "/nowhere", "--outt", "x"],
    ["eval/browse.py", "/nowhere", "--limit", "-1"],
    ["eval/agreement.py", "/nowhere", "/nowhere", "--show", "-1"],
    ["eval/card.py", "/nowhere", "--private", "--private"],
    ["eval/bench.py", "--repeats", "-1", "--rows", "x", "--nothing"],
    ["slurm/scale.py", "--mfu", "nan", "--gpus", "0", "x"],
]  # fmt: skip
