"""What a task has to offer to mixtures, training and evaluation."""

from typing import Protocol

import numpy as np
from tokenizers import Tokenizer

from rarecot.types import Problems


class Task(Protocol):
    """A family of problems that can be answered at once (short) or step by step (long).

    A task is a frozen dataclass; its fields are the task's options, settable in a mixture's YAML and on the command
    line.
    """

    style: str
    """The response style, a key of `rarecot.parsing.STYLES`."""

    def problems_with_options(self) -> list[str]:
        """What is wrong with the options, a sentence each; empty when nothing is."""

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

    def tokenizer(self) -> Tokenizer:
        """The vocabulary of a model trained on this task from scratch."""
