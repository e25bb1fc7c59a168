"""Drawn problems as arrays of ASCII codes: a million of them are a few arrays, where as strings they are millions of objects."""

from dataclasses import dataclass

import numpy as np

from rarecot.tasks.vocabulary import texts
from rarecot.types import Problems


@dataclass(frozen=True)
class Drawn:
    """The columns of `Problems`, each an array of shape (n, its width), dtype uint8; columns that are the same are one array."""

    problem_id: np.ndarray
    prompt: np.ndarray
    answer: np.ndarray
    long: np.ndarray
    short: np.ndarray
    long_shown: np.ndarray

    def __len__(self) -> int:
        return len(self.problem_id)

    def take(self, rows: np.ndarray | slice) -> "Drawn":
        """The problems at these positions, in this order; of a slice, without copying."""
        same = {id(column): column[rows] for column in vars(self).values()}
        return Drawn(*(same[id(column)] for column in vars(self).values()))

    def __add__(self, other: "Drawn") -> "Drawn":
        return Drawn(*(np.concatenate(pair) for pair in zip(vars(self).values(), vars(other).values(), strict=True)))

    def problems(self) -> Problems:
        """The same as strings."""
        same = {id(column): texts(column) for column in vars(self).values()}
        return Problems(*(same[id(column)] for column in vars(self).values()))


def joined(parts: list[np.ndarray | str]) -> np.ndarray:
    """ASCII codes side by side: arrays of shape (n, k), and texts that are the same in every row."""
    n = next(len(part) for part in parts if isinstance(part, np.ndarray))
    width = sum(len(part) if isinstance(part, str) else part.shape[1] for part in parts)
    row, at = np.empty((n, width), np.uint8), 0
    for part in parts:
        codes = np.frombuffer(part.encode("ascii"), np.uint8) if isinstance(part, str) else part
        row[:, at : at + codes.shape[-1]] = codes
        at += codes.shape[-1]
    return row
