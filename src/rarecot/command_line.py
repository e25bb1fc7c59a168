"""The command line of a script: `argparse`, which says everything that is wrong at once, in the words of a refusal.

Nothing is guessed: no option by its first letters, none that is given twice, no number that is none.
"""

import argparse
import contextlib
import gc
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from rarecot.errors import ConfigError, nearest
from rarecot.values import coerce, path_problem, shown, within


@contextlib.contextmanager
def lasting_imports() -> Iterator[None]:
    """Import what the process will use to its end, with nobody looking for garbage in it: not meanwhile, not later, not at the end. torch and TRL define
    some 400 000 objects, all of which stay, and each look at them takes 0.2 seconds."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
        gc.freeze()


class Parser(argparse.ArgumentParser):
    """A parser whose mistakes are `ConfigError`s.

    Args:
        description: the script's docstring, shown as it is written.

    Attributes:
        problems: what is wrong with the arguments that were parsed, a sentence each.
    """

    def __init__(self, description: str | None):
        super().__init__(
            description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
        )
        self.problems: list[str] = []

    def add_argument(self, *names: str, interval: str = "", **how: Any) -> argparse.Action:  # type: ignore[override]
        """As argparse's, and:

        Args:
            names: of the option, or the one of a positional argument.
            interval: where its numbers lie, like `[1, inf)`; empty: anywhere.
            how: as argparse's; `type` is one of int, float, str and Path.
        """
        if "action" not in how:
            choices, default = how.pop("choices", None), how.get("default")
            if choices is not None:
                how.setdefault("metavar", "{" + ",".join(choices) + "}")
            if isinstance(default, list):
                default = default[0] if default else how.get("type", str)()
            how["type"] = self._reader(names[0], how.get("type", str), interval, choices, default)
        return super().add_argument(*names, **how)

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None, refuse: bool = True
    ) -> Any:
        """The arguments; none may be left over.

        Args:
            args: the words; None: those of the command line.
            namespace: as argparse's.
            refuse: raise what is wrong; else it is in `problems`, for a script that has more to check.

        Raises:
            ConfigError: everything that is wrong.
        """
        parsed, rest = self.parse_known_args(args, namespace)
        known = [option.removeprefix("--") for option in self._option_string_actions]
        for word in rest:
            if word.startswith("-"):
                name = word.partition("=")[0]
                hint = nearest(name.lstrip("-")[:100], known)
                self.problems.append(f"there is no option {shown(name)}{hint} --help lists them.")
            else:
                self.problems.append(f"cannot read {shown(word)}: no option takes it. --help shows what is expected.")
        if self.problems and refuse:
            raise ConfigError(self.problems)
        return parsed

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse's: what is wrong with the known ones is in `problems` then, and their defaults stand in their place."""
        words = list(sys.argv[1:] if args is None else args)
        for option in self._option_string_actions:
            if sum(word == option or word.startswith(f"{option}=") for word in words if option.startswith("--")) > 1:
                self.problems.append(f"{option} is given twice. Leave one of them out.")
        return super().parse_known_args(words, namespace)

    def error(self, message: str) -> NoReturn:
        """What argparse itself finds: arguments that are missing, or without a value."""
        raise ConfigError([*self.problems, f"{message.removeprefix('argument ')}. --help says what each option takes."])

    def _reader(
        self, name: str, kind: type, interval: str, choices: Sequence[str] | None, default: Any
    ) -> Callable[[str], Any]:
        def read(word: str) -> Any:
            try:
                return _read(word, kind, interval, choices)
            except ValueError as error:
                self.problems.append(f"{name} {error}")
                return default

        return read


def _read(word: str, kind: type, interval: str, choices: Sequence[str] | None) -> Any:
    """A word as a `kind`.

    Raises:
        ValueError: with the end of a sentence that starts with the option.
    """
    if not isinstance(word, str):  # a default, which argparse reads where it is text
        return word
    if choices is not None:
        if word not in choices:
            raise ValueError(f"is {shown(word)}{nearest(word[:100], choices)} It must be one of {', '.join(choices)}.")
        return word
    if kind is Path:
        if problem := path_problem(word):
            raise ValueError(problem)
        return Path(word)
    value = coerce(word, kind)
    if interval and (problem := within(value, interval)):
        raise ValueError(problem)
    return value
