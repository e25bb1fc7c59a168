"""Parity of d bits (PAPER §1): short = the parity, long = every running prefix parity, the last of which is the answer."""

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from tokenizers import Tokenizer

from rarecot.tasks.drawn import Drawn, joined
from rarecot.tasks.vocabulary import character_tokenizer
from rarecot.types import Problems

MOST_BITS = 100_000
BATCH = 1 << 16  # random numbers at a time
_ZERO = np.uint8(ord("0"))


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
        return self.codes(n, rng).problems()

    def codes(self, n: int, rng: np.random.Generator) -> Drawn:
        bits = rng.integers(0, 2, size=(n, self.d), dtype=np.uint8)
        chain = np.bitwise_xor.accumulate(bits, axis=1)  # (n, d)
        if self.leap > 1:
            chain = chain[:, self.kept]  # (n, chain length)
        shown = self._flipped(chain, rng)
        bits += _ZERO
        chain += _ZERO
        answer = chain[:, -1:].copy()
        return Drawn(
            problem_id=joined(["parity-", bits]),
            prompt=joined([bits, "="]),
            answer=answer,
            long=chain,
            short=answer,
            long_shown=chain if shown is None else shown,
        )

    def _flipped(self, chain: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
        """ASCII codes of the chains with noise; None where there is none. Either way the random stream moves on alike."""
        steps = chain.shape[1] - 1
        if self.chain_noise == 0:
            skip(rng, len(chain) * steps)
            return None
        shown = chain + _ZERO
        together = max(1, BATCH // max(1, steps))  # as doubles they are eight times as large
        for start in range(0, len(chain), together):
            part = shown[start : start + together]
            part[:, :-1] ^= rng.random(size=(len(part), steps)) < self.chain_noise
        return shown

    def tokenizer(self) -> Tokenizer:
        return character_tokenizer(self.alphabet)


def skip(rng: np.random.Generator, n: int) -> None:
    """Leave a random stream where drawing n doubles leaves it, without drawing them where the generator can jump."""
    generator = rng.bit_generator
    if not isinstance(generator, np.random.PCG64):
        for start in range(0, n, BATCH):
            rng.random(min(BATCH, n - start))
        return
    # Half of a draw may be kept for the next one, and a jump would drop it.
    half = {key: generator.state[key] for key in ("has_uint32", "uinteger")}
    generator.advance(n)
    generator.state = {**generator.state, **half}
