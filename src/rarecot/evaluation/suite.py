"""What to evaluate and how: a small YAML, checked."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rarecot.errors import ConfigError, nearest
from rarecot.mixtures.spec import MixtureSpec, coerce, locate, read_mapping
from rarecot.rendering import TEMPLATES


@dataclass(frozen=True)
class Suite:
    """What to evaluate and how.

    Args:
        n: problems, from the start of the split; 0: all of it.
        max_new_tokens: cap on a response in tokens, end-of-sequence included; 0: as when the model was trained, else what the
            long demonstrations need.
        split: `test` or `rl`: which problems of the mixture.
        temperatures: one evaluation each; 0 is greedy.
        samples: responses a problem where the temperature is not 0.
        template: for a model that was not trained here: `plain` or `chat`; empty: as it was trained.
        system_prompt: in a chat.
        protocol: name of how prompts are made and answers read; `native` is how the model was trained.
        seed: of sampling, -1 for that of the run; an evaluation at step s uses seed + s.
    """

    n: int = 256
    max_new_tokens: int = 0
    split: str = "test"
    temperatures: tuple[float, ...] = (0.0, 1.0)
    samples: int = 1
    template: str = ""
    system_prompt: str = ""
    protocol: str = "native"
    seed: int = -1


def read_suite(path: Path) -> tuple[Suite, MixtureSpec | None]:
    """A suite's YAML: the fields of `Suite`, and `mixture`, the YAML whose problems are used (a run has its own).

    Raises:
        ConfigError: unknown keys and values out of range, all at once.
    """
    values = read_mapping(path)
    mixture_path = values.pop("mixture", None)
    fields = {f.name: f for f in dataclasses.fields(Suite)}
    problems, clean = [], {}
    for key, value in values.items():
        if key not in fields:
            problems.append(f"{path}: '{key}' is no option of a suite{nearest(key, [*fields, 'mixture'])}")
            continue
        try:
            clean[key] = _value(key, value)
        except ValueError as error:
            problems.append(f"{path}: {key} {error}")
    suite = Suite(**clean)
    problems += [f"{path}: {text}" for text in suite_problems(suite)]
    spec = None
    if mixture_path is not None:
        try:
            spec = MixtureSpec.from_mapping(read_mapping(locate(mixture_path, path)), where=str(mixture_path))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return suite, spec


def suite_problems(suite: Suite) -> list[str]:
    """What is wrong with a suite's values, a sentence each."""
    problems = []
    if suite.split not in ("test", "rl"):
        problems.append(f"split is '{suite.split}': a mixture has the problem sets test and rl.")
    if suite.protocol != "native":
        problems.append(f"protocol is '{suite.protocol}': known is `native` (prompts as in training).")
    if suite.template not in ("", *TEMPLATES):
        problems.append(
            f"template is '{suite.template}'{nearest(suite.template, TEMPLATES)} Known: {', '.join(TEMPLATES)}."
        )
    if suite.n < 0 or suite.samples < 1:
        problems.append(f"n is {suite.n} and samples {suite.samples}: n must be 0 (all) or more, samples 1 or more.")
    if not suite.temperatures or min(suite.temperatures) < 0:
        problems.append(f"temperatures is {list(suite.temperatures)}: give at least one, none below 0 (greedy).")
    return problems


def _value(key: str, value: Any) -> Any:
    if key == "temperatures":
        return tuple(coerce(item, float) for item in (value if isinstance(value, list) else [value]))
    return coerce(value, dict.fromkeys(("split", "protocol", "template", "system_prompt"), str).get(key, int))
