"""What a task has to offer to mixtures, training and evaluation."""

from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from tokenizers import Tokenizer

from rarecot.tasks.drawn import Drawn
from rarecot.types import Problems


class Task(Protocol):
    """A family of problems that can be answered at once (short) or step by step (long).

    A task is a frozen dataclass; its fields are the task's options, settable in a mixture's YAML and on the command
    line. It is either a `Generated` or a `Corpus` one.
    """

    style: str
    """The response style, a key of `rarecot.parsing.STYLES`."""

    def problems_with_options(self) -> list[str]:
        """What is wrong with the options, a sentence each; empty when nothing is."""

    def identity(self) -> dict[str, Any]:
        """What a checkpoint trained on this task and one that goes on from it must share; names of options → values."""


@runtime_checkable
class Generated(Task, Protocol):
    """A task whose problems are drawn, in a vocabulary of its own, with lengths that are known before any data."""

    @property
    def space(self) -> int | None:
        """How many distinct problems exist; None if that is not known."""

    @property
    def prompt_tokens(self) -> int:
        """Length of a rendered prompt in tokens, special tokens included."""

    @property
    def long_tokens(self) -> int:
        """Length of a rendered long demonstration in tokens, the end-of-sequence token included."""

    def draw(self, n: int, rng: np.random.Generator) -> Problems:
        """`n` independent problems, duplicates possible. The same generator state gives the same problems."""

    def codes(self, n: int, rng: np.random.Generator) -> Drawn:
        """What `draw` gives, as arrays."""

    def tokenizer(self) -> Tokenizer:
        """The vocabulary of a model trained on this task from scratch."""


@dataclass(frozen=True)
class Loaded:
    """The problems of a corpus.

    Args:
        train: for demonstrations and RL.
        test: the corpus's own test split, in its order; empty where it has none.
        dropped: what was left out while reading, one mapping each with at least `reason` and `where`.
    """

    train: Problems
    test: Problems
    dropped: list[dict[str, str]] = field(default_factory=list)


@runtime_checkable
class Corpus(Task, Protocol):
    """A task whose problems are written down somewhere, in words, for models with a tokenizer of their own."""

    decontaminate: int
    near_duplicates: float

    def load(self) -> Loaded:
        """Read the problems.

        Raises:
            ConfigError: no such source, other columns, rows that cannot be used; all at once.
        """

    def mixed(self, problems: Problems) -> Problems:
        """The usable problems of a split in the shares that the task promises; all of them, for one corpus."""

    def shown(self, problems: Problems, rng: np.random.Generator) -> list[str]:
        """What a training set shows as the long demonstrations of these problems."""
