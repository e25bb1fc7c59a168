"""Parity told in words (PAPER §4, question 6): rows of coins for a language model, drawn rather than read from anywhere."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from rarecot.errors import nearest
from rarecot.parsing import MARKED, write
from rarecot.tasks.base import Loaded
from rarecot.tasks.parity import MOST_BITS, Parity
from rarecot.types import Problems

COINS = {"0": "tails", "1": "heads"}
PARITIES = {"0": "even", "1": "odd"}
BATCH = 4096  # problems drawn at once; a fixed number, so that asking for more problems keeps those that were there
TEST, TRAIN = 1, 2  # random streams


@dataclass(frozen=True)
class ParityWords:
    """Is the number of heads in a row of d coins even or odd? Long = the running parity, a sentence each, then the answer.

    Args:
        d: number of coins.
        leap: one sentence for every leap coins: every leap-th running parity is told, and always the last.
        chain_noise: probability that a shown running parity is the wrong one, independently of the others; the last one,
            the answer, and the chain that rewards compare with never are.
        problems: how many different problems there are for training and RL.
        test_problems: how many further ones there are for testing.
        draw_seed: of the problems and of the noise, as the mixture's `seed` is of splits and of which demonstrations are long.
        style: how an answer is marked: `hashes` (`#### odd`) or `boxed` (`\\boxed{odd}`).
    """

    d: int = 16
    leap: int = 1
    chain_noise: float = 0.0
    problems: int = 20_000
    test_problems: int = 2048
    draw_seed: int = 0
    style: str = "hashes"

    name: ClassVar[str] = "parity_words"
    # Problems that differ in a single word are different problems here.
    decontaminate: ClassVar[int] = 0
    near_duplicates: ClassVar[float] = 0.0

    def problems_with_options(self) -> list[str]:
        found = self._bits.problems_with_options()
        for key in ("problems", "test_problems"):
            if not 1 <= getattr(self, key) <= 10**9:
                found.append(f"{key} is {getattr(self, key)}: it counts problems, so it must be 1 or more, up to 10^9.")
        if 2 <= self.d <= MOST_BITS and self.problems + self.test_problems > self._bits.space:
            found.append(
                f"problems {self.problems} and test_problems {self.test_problems} ask for more than the "
                f"{self._bits.space} different rows of {self.d} coins. Lower them, or raise d."
            )
        if self.draw_seed < 0:
            found.append(f"draw_seed is {self.draw_seed}: a seed is a whole number, 0 or more.")
        if self.style not in MARKED:
            known = ", ".join(MARKED)
            found.append(f"style is '{self.style}'{nearest(self.style, MARKED)} It must be one of {known}.")
        return found

    def identity(self) -> dict[str, Any]:
        return {"style": self.style, "d": self.d, "leap": self.leap, "chain_noise": self.chain_noise}

    def load(self) -> Loaded:
        """Draw the problems: those of the test split first, so that their number alone decides which they are."""
        test = self._distinct(self.test_problems, TEST, set())
        train = self._distinct(self.problems, TRAIN, set(test.problem_id))
        return Loaded(self._told(train), self._told(test))

    def mixed(self, problems: Problems) -> Problems:
        return problems

    def shown(self, problems: Problems, rng: np.random.Generator) -> list[str]:
        return problems.long_shown

    @cached_property
    def _bits(self) -> Parity:
        return Parity(self.d, self.leap, self.chain_noise)

    def _distinct(self, n: int, stream: int, taken: set[str]) -> Problems:
        """n problems in bits, all different and none of them in `taken`."""
        rng, seen, kept = np.random.default_rng([self.draw_seed, stream]), set(taken), None
        while kept is None or len(kept) < n:
            batch, rows = self._bits.draw(BATCH, rng), []
            for i, problem_id in enumerate(batch.problem_id):
                if problem_id not in seen:
                    seen.add(problem_id)
                    rows.append(i)
            fresh = batch.take(rows)
            kept = fresh if kept is None else kept + fresh
        return kept.take(list(range(n)))

    def _told(self, bits: Problems) -> Problems:
        """Problems in bits → the same in words."""
        rows = [prompt.removesuffix("=") for prompt in bits.prompt]
        answers = [PARITIES[answer] for answer in bits.answer]
        long, shown = (
            [
                write(self._chain(row, prefixes), answer, self.style)
                for row, prefixes, answer in zip(rows, chains, answers, strict=True)
            ]
            for chains in (bits.long, bits.long_shown)
        )
        return Problems(
            problem_id=[f"{self.name}-{row}" for row in rows],
            prompt=[_question(row) for row in rows],
            answer=answers,
            long=long,
            short=[write("", answer, self.style) for answer in answers],
            long_shown=shown,
            attributes=[{"dataset": self.name} for _ in rows],
        )

    def _chain(self, row: str, prefixes: str) -> str:
        """The sentences about a row of bits whose kept running parities are `prefixes`."""
        sentences, start = [], 0
        for last, prefix in zip(self._bits.kept.tolist(), prefixes, strict=True):
            sentences.append(f"{_coins(start + 1, last + 1)} {_faces(row[start : last + 1])}: {PARITIES[prefix]}.")
            start = last + 1
        return "\n".join(sentences)


def _question(row: str) -> str:
    return f"A row of {len(row)} coins, from left to right: {_faces(row)}. Is the number of heads even or odd?"


def _faces(row: str) -> str:
    return ", ".join(COINS[bit] for bit in row)


def _coins(first: int, last: int) -> str:
    """Which coins a sentence is about; positions count from 1."""
    if first == last:
        return f"Coin {first} is"
    return f"Coins {first} {'and' if last == first + 1 else 'to'} {last} are"
