"""What to evaluate and how: a small YAML, checked."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rarecot.errors import ConfigError, nearest
from rarecot.evaluation.protocols.protocol import NATIVE
from rarecot.mixtures.spec import SEEDS, MixtureSpec, locate, read_mapping
from rarecot.rendering import TEMPLATES
from rarecot.tasks.corpus import TextCorpus
from rarecot.values import coerce, shown, within


@dataclass(frozen=True)
class Suite:
    """What to evaluate and how.

    Args:
        n: problems, from the start of the split; 0: all of it, which is the default where they are published ones.
        max_new_tokens: cap on a response in tokens, end-of-sequence included; 0: as when the model was trained, else what the
            long demonstrations need.
        split: `test` or `rl`: which problems of the mixture.
        temperatures: one evaluation each; 0 is greedy.
        samples: responses a problem where the temperature is not 0.
        template: for a model that was not trained here: `plain` or `chat`; empty: as it was trained.
        system_prompt: in a chat.
        protocol: name of how prompts are made and answers read (`evaluation.protocols`), or a YAML of one's own; `native` is how the
            model was trained.
        k: of pass@k and maj@k; empty: the powers of two up to `samples`.
        seed: of sampling, -1 for that of the run; an evaluation at step s uses seed + s.
        name: of a set of problems that is not the run's own, from the suite's file; not an option.
    """

    n: int = 256
    max_new_tokens: int = 0
    split: str = "test"
    temperatures: tuple[float, ...] = (0.0, 1.0)
    samples: int = 1
    template: str = ""
    system_prompt: str = ""
    protocol: str = NATIVE
    k: tuple[int, ...] = ()
    seed: int = -1
    name: str = ""

    @property
    def ks(self) -> tuple[int, ...]:
        """The k of pass@k and maj@k where there are several samples."""
        return self.k or tuple(2**i for i in range(self.samples.bit_length()))


def read_suite(path: Path) -> tuple[Suite, MixtureSpec | None]:
    """A suite's YAML: the fields of `Suite`, and whose problems are asked (a run has its own): `mixture`, a mixture's YAML, or `problems`, a
    corpus (`task`, `source`, …) whose whole test split is asked as it was published; then the suite has a name.

    Raises:
        ConfigError: unknown keys and values out of range, all at once.
    """
    values = read_mapping(path)
    mixture_path, published = values.pop("mixture", None), values.pop("problems", None)
    fields = {f.name: f for f in dataclasses.fields(Suite) if f.name != "name"}
    problems, clean = [], {}
    for key, value in values.items():
        if key not in fields:
            problems.append(f"{path}: '{key}' is no option of a suite{nearest(key, [*fields, 'mixture', 'problems'])}")
            continue
        try:
            clean[key] = _value(key, value)
        except ValueError as error:
            problems.append(f"{path}: {key} {error}")
    if published is not None:
        clean = {"n": 0, **clean, "name": path.stem}
    suite = Suite(**clean)
    problems += [f"{path}: {text}" for text in suite_problems(suite)]
    spec = None
    if published is not None:
        spec, found = _published(published, path)
        problems += found
        if mixture_path is not None:
            problems.append(f"{path}: it names a mixture and problems. Take one of them out.")
    elif mixture_path is not None and not isinstance(mixture_path, str):
        problems.append(f"{path}: mixture is {shown(mixture_path)}: it must be the path of a mixture's YAML.")
    elif mixture_path is not None:
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
    if suite.template not in ("", *TEMPLATES):
        problems.append(
            f"template is '{suite.template}'{nearest(suite.template, TEMPLATES)} Known: {', '.join(TEMPLATES)}."
        )
    if suite.name and suite.split != "test":
        problems.append(f"split is {suite.split}, but problems as they were published are a test split. Leave it out.")
    for key, interval in (("n", "[0, inf)"), ("samples", "[1, 1e6]"), ("max_new_tokens", "[0, 1e9]"), ("seed", SEEDS)):
        if (value := getattr(suite, key)) != Suite.seed and (problem := within(value, interval)):
            problems.append(f"{key} {problem}")
    if not suite.temperatures or min(suite.temperatures) < 0:
        problems.append(f"temperatures is {list(suite.temperatures)}: give at least one, none below 0 (greedy).")
    if too_many := [k for k in suite.k if not 1 <= k <= suite.samples]:
        problems.append(
            f"k is {list(suite.k)}, but there are {suite.samples} samples a problem: pass@{too_many[0]} cannot be estimated from fewer than "
            f"{too_many[0]}. Raise samples, or lower k."
        )
    return problems


def _published(values: Any, path: Path) -> tuple[MixtureSpec | None, list[str]]:
    """The corpus that a suite names under `problems`, and what is wrong with it."""
    where = f"{path}: problems"
    if not isinstance(values, dict):
        return None, [f"{where} must hold `task:` and its options, but holds {type(values).__name__}."]
    mixture_only = {f.name for f in dataclasses.fields(MixtureSpec)} & set(values) - {"task"}
    if mixture_only:
        return None, [
            f"{where} is a test split as it was published: {', '.join(sorted(mixture_only))} belong to a mixture."
        ]
    spec, found = MixtureSpec.examine({**values, "n": 0, "n_test": 0}, where)
    if spec is not None and not isinstance(spec.task, TextCorpus):
        found.append(f"{where}: {values['task']} is no corpus with a test split of its own. Name a mixture instead.")
    return spec, found


def _value(key: str, value: Any) -> Any:
    if key == "k":
        return tuple(coerce(item, int) for item in (value if isinstance(value, list) else [value]))
    if key == "temperatures":
        return tuple(coerce(item, float) for item in (value if isinstance(value, list) else [value]))
    return coerce(value, dict.fromkeys(("split", "protocol", "template", "system_prompt"), str).get(key, int))
