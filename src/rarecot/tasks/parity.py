"""Parity of d bits (PAPER §1): short = the parity, long = every running prefix parity, the last of which is the answer."""

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from tokenizers import Tokenizer

from rarecot.tasks.vocabulary import character_tokenizer, texts
from rarecot.types import Problems

MOST_BITS = 100_000


@dataclass(frozen=True)
class Parity:
    """y = x_1 ⊕ … ⊕ x_d; prompt `0110…=`, one token a bit.

    Args:
        d: number of bits.
        leap: keep every leap-th prefix parity of the chain, and always the last (PAPER §2, partial chains).
        chain_noise: probability that a shown intermediate prefix is flipped, independently of the others; the answer
            and the chain that rewards compare with are never flipped.
    """

    d: int = 50
    leap: int = 1
    chain_noise: float = 0.0

    style: ClassVar[str] = "bits"
    alphabet: ClassVar[str] = "01="

    def problems_with_options(self) -> list[str]:
        problems = []
        if self.d > MOST_BITS:
            problems.append(f"d is {self.d}: a prompt would be longer than any model reads. Use {MOST_BITS} or less.")
        if self.d < 2:
            problems.append(f"d is {self.d}: parity needs at least 2 bits, or short and long are the same. Raise d.")
        if self.leap < 1:
            problems.append(f"leap is {self.leap}: every leap-th prefix is kept, so leap must be at least 1.")
        elif self.leap >= self.d >= 2:
            problems.append(
                f"leap is {self.leap} with d = {self.d}: no prefix but the answer would be kept, so a long "
                f"demonstration would show no step. Use leap < d."
            )
        if not 0 <= self.chain_noise <= 0.5:
            problems.append(f"chain_noise is {self.chain_noise}: it is a flip probability, between 0 and 0.5.")
        return problems

    def identity(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def space(self) -> int:
        return 2**self.d

    @property
    def kept(self) -> np.ndarray:
        """0-based positions of the prefixes that a long demonstration shows, shape (chain length,)."""
        steps = np.arange(self.leap - 1, self.d, self.leap)
        return steps if steps[-1] == self.d - 1 else np.append(steps, self.d - 1)

    @property
    def prompt_tokens(self) -> int:
        return self.d + 2  # bos, d bits, "="

    @property
    def long_tokens(self) -> int:
        return len(self.kept) + 1  # the chain, eos

    def draw(self, n: int, rng: np.random.Generator) -> Problems:
        bits = rng.integers(0, 2, size=(n, self.d), dtype=np.uint8)
        flips = rng.random(size=(n, len(self.kept) - 1)) < self.chain_noise
        chain = np.bitwise_xor.accumulate(bits, axis=1)[:, self.kept]  # (n, chain length)
        shown = chain.copy()
        shown[:, :-1] ^= flips
        questions, chains, answers = _strings(bits), _strings(chain), _strings(chain[:, -1:])
        return Problems(
            problem_id=[f"parity-{question}" for question in questions],
            prompt=[f"{question}=" for question in questions],
            answer=answers,
            long=chains,
            short=answers,
            long_shown=_strings(shown),
        )

    def tokenizer(self) -> Tokenizer:
        return character_tokenizer(self.alphabet)


def _strings(bits: np.ndarray) -> list[str]:
    """(n, k) array of 0/1 → n strings of k characters."""
    return texts(bits + np.uint8(ord("0")))
