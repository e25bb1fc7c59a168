"""What a protocol is, and reading one from its YAML."""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rarecot.errors import ConfigError, nearest
from rarecot.mixtures.spec import read_mapping
from rarecot.parsing import STYLES
from rarecot.values import coerce, path_problem, shown

NATIVE = "native"
ANY_TASK = "any"
CHATS = ("never", "auto", "always")
_YAML = (".yaml", ".yml")
PROBLEM, SOLUTION = "{problem}", "{solution}"


@dataclass(frozen=True)
class Example:
    """A worked example: a problem and its solution, answer included."""

    problem: str
    solution: str


@dataclass(frozen=True)
class Protocol:
    """How one task is asked and its answers are read.

    Args:
        name: of the protocol.
        question: text of a problem, with `{problem}`; empty: as the model was trained, and all else that follows is.
        answer: text of an example's solution, with `{solution}`.
        separator: between the examples of a plain prompt, and before the problem.
        system: what the system says; in a plain prompt it comes first.
        examples: the same for every problem.
        draw: examples from the training split, drawn anew for each problem; 0: none.
        draw_seed: of Python's generator, which shuffles the test problems and is then drawn from in that order.
        options: of the task, for reading what is drawn.
        chat: `always`: the examples are turns of a chat; `auto`: where the tokenizer has a chat template; `never`.
        stop: strings that end a response.
        stop_in_chat: whether they do so in a chat, too.
        max_new_tokens: cap on a response; 0: as trained.
        strict: style (`rarecot.parsing`) in which answers are read; empty: that of the problems.
        lenient: a second style, reported beside it; empty: none.
    """

    name: str = NATIVE
    question: str = ""
    answer: str = f" {SOLUTION}"
    separator: str = "\n\n"
    system: str = ""
    examples: tuple[Example, ...] = ()
    draw: int = 0
    draw_seed: int = 0
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    chat: str = "never"
    stop: tuple[str, ...] = ()
    stop_in_chat: bool = True
    max_new_tokens: int = 0
    strict: str = ""
    lenient: str = ""

    @property
    def as_trained(self) -> bool:
        """Whether prompts are those of training. Then a response that was cut off has no answer; published protocols judge what there is."""
        return not self.question

    @property
    def sha256(self) -> str:
        """Of all of it: two results compare only under the same."""
        return hashlib.sha256(json.dumps(dataclasses.asdict(self), sort_keys=True).encode()).hexdigest()


AS_TRAINED = Protocol(lenient="any")  # native.yaml


def protocol_title(name: str) -> str:
    """What records call a protocol: its name, or the stem of its YAML."""
    return Path(name).stem if name.endswith(_YAML) else name


def protocol_names() -> list[str]:
    """The protocols that come with this project."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.yaml"))


def protocol_named(name: str, task: str) -> Protocol:
    """The protocol of a name (or a YAML of one's own) for a task.

    Args:
        name: one of `protocol_names()`, or the path of a YAML.
        task: a key of `rarecot.tasks.TASKS`.

    Raises:
        ConfigError: no such protocol, not one for this task, or something wrong in its YAML; all at once.
    """
    known = protocol_names()
    if problem := path_problem(name):
        raise ConfigError([f"protocol {problem} Known: {', '.join(known)}."])
    path = Path(__file__).parent / f"{name}.yaml"
    if name.endswith(_YAML):
        path = Path(name)
        if path.stem in known and path.is_file():
            raise ConfigError(
                [f"{path} has the name of a protocol that comes with this project. Give the file another name."]
            )
    if name.endswith(_YAML) and not path.is_file():
        raise ConfigError([f"there is no file {path}. Name a protocol ({', '.join(known)}), or the path of a YAML."])
    if not path.is_file():
        raise ConfigError(
            [f"there is no protocol '{name}'{nearest(name, known)} Known: {', '.join(known)}; or the path of a YAML."]
        )
    values = read_mapping(path)
    tasks = values.get("tasks")
    lacking = [key for key, here in (("source", values.get("source")), ("tasks", isinstance(tasks, dict))) if not here]
    if lacking:
        raise ConfigError(
            [
                f"{path} lacks {' and '.join(lacking)}: a protocol says what it follows (source) and how to ask each task (tasks)."
            ]
        )
    if task not in tasks and ANY_TASK not in tasks:
        raise ConfigError([f"protocol {path.stem} says how to ask {', '.join(tasks)}, not {task}. {_others(task)}"])
    settings = tasks.get(task, tasks.get(ANY_TASK)) or {}
    where = f"{path if name.endswith(_YAML) else f'protocol {name}'}, task {task}"
    if not isinstance(settings, dict):
        raise ConfigError([f"{where} must hold `key: value` lines, but holds {type(settings).__name__}."])
    clean, problems = _read(settings)
    protocol = Protocol(name=path.stem, **clean)
    problems += protocol_problems(protocol)
    if problems:
        raise ConfigError([f"{where}: {problem}" for problem in problems])
    return protocol


def _others(task: str) -> str:
    """The remedy where a protocol does not know a task."""
    tasks = {name: read_mapping(Path(__file__).parent / f"{name}.yaml")["tasks"] for name in protocol_names()}
    knowing = [name for name, known in tasks.items() if task in known or ANY_TASK in known]
    return f"Those that do: {', '.join(knowing)}; or write a YAML."


def _read(settings: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    kinds = {f.name: f.type for f in dataclasses.fields(Protocol) if f.name != "name"}
    clean: dict[str, Any] = {}
    problems = []
    for key, value in settings.items():
        if key not in kinds:
            problems.append(f"'{key}' is no setting of a protocol{nearest(key, kinds)}")
        elif key == "examples":
            if isinstance(value, list) and all(
                isinstance(e, dict) and set(e) == {"problem", "solution"} and _texts(e.values()) for e in value
            ):
                clean[key] = tuple(Example(**example) for example in value)
            else:
                problems.append("examples must be a list, each with `problem` and `solution`, both text.")
        elif key in ("stop", "options"):
            if (
                isinstance(value, list) and _texts(value) and "" not in value
                if key == "stop"
                else isinstance(value, dict)
            ):
                clean[key] = tuple(value) if key == "stop" else value
            else:
                what = "a list of texts that are not empty" if key == "stop" else "a mapping"
                problems.append(f"{key} is {shown(value)}: it must be {what}.")
        elif kinds[key] is str:
            if isinstance(value, str):
                clean[key] = value  # blanks at the ends of a prompt matter
            else:
                problems.append(f"{key} is {shown(value)}: it must be text. Put it in quotes, or leave it out.")
        else:
            try:
                clean[key] = coerce(value, kinds[key])
            except ValueError as error:
                problems.append(f"{key} {error}")
                clean[key] = 1  # what it would have been is not to blame, too
    return clean, problems


def _texts(values: Iterable[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def protocol_problems(protocol: Protocol) -> list[str]:
    """What is wrong with a protocol's values, a sentence each."""
    problems = []
    if protocol.question and PROBLEM not in protocol.question:
        problems.append(f"question is {protocol.question!r}: it must hold {PROBLEM}, where the problem goes.")
    if SOLUTION not in protocol.answer:
        problems.append(f"answer is {protocol.answer!r}: it must hold {SOLUTION}, where an example's solution goes.")
    if protocol.chat not in CHATS:
        problems.append(
            f"chat is '{protocol.chat}'{nearest(protocol.chat, CHATS)} It must be one of {', '.join(CHATS)}."
        )
    for key in ("strict", "lenient"):
        style = getattr(protocol, key)
        if style and style not in STYLES:
            problems.append(f"{key} is '{style}'{nearest(style, STYLES)} It must be one of {', '.join(STYLES)}.")
    if protocol.draw < 0 or protocol.max_new_tokens < 0:
        problems.append(
            f"draw is {protocol.draw} and max_new_tokens {protocol.max_new_tokens}: neither may be below 0."
        )
    if protocol.draw and protocol.examples:
        problems.append("it has examples and draws others. Take one of them out.")
    usual = AS_TRAINED if protocol.as_trained else protocol
    changed = [f.name for f in dataclasses.fields(Protocol) if getattr(protocol, f.name) != getattr(usual, f.name)]
    if ignored := [key for key in changed if key not in ("name", "strict", "lenient")]:
        problems.append(
            f"it has no question, so prompts and caps are those of training, but it sets {', '.join(ignored)}."
        )
    if not protocol.as_trained and protocol.max_new_tokens == 0:
        problems.append("max_new_tokens is 0: with a question of its own, a protocol says how long a response may be.")
    return problems
