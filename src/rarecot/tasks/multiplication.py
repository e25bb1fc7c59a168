"""Multiplication digit by digit (PAPER §2): short = the product, long = partial products and their running sums before it.

The chain is that of Deng et al. (arXiv 2311.01460, 2405.14838): 123 · 456 = 56088 is `321*654=`, and in long
`8370+05160(88860)+002940#880650`: numbers of fixed width, least significant digit first.
"""

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from tokenizers import Tokenizer

from rarecot.errors import nearest
from rarecot.tasks.drawn import Drawn, joined
from rarecot.tasks.vocabulary import character_tokenizer
from rarecot.types import Problems

ORDERS = ("reversed", "plain")


@dataclass(frozen=True)
class Multiplication:
    """a · b, one token a digit; with b = Σ_j b_j·10^j the chain is a·b_0 + a·b_1·10 (their sum) + … # a·b.

    Numbers are padded with zeros at their most significant end: a partial product and the sum behind it to
    `digits` + 1 + j digits, the answer to as many as both factors have together. The sum behind the last partial product
    is the answer.

    Args:
        digits: number of digits of the first factor.
        digits_second: number of digits of the second factor; 0: as many as the first.
        largest_digit: digits of the factors are uniform on 0 … largest_digit; smaller ones carry less.
        order: of the digits in prompt, chain and answer: `reversed`, least significant first, or `plain`.
        chain_noise: probability that a digit of a shown chain is replaced by another, independently of the others; the
            answer and the chain that rewards compare with never are.
    """

    digits: int = 3
    digits_second: int = 0
    largest_digit: int = 9
    order: str = "reversed"
    chain_noise: float = 0.0

    style: ClassVar[str] = "digits"
    alphabet: ClassVar[str] = "0123456789*=+()#"

    def problems_with_options(self) -> list[str]:
        problems = []
        for key in ("digits", "digits_second"):
            if getattr(self, key) > 10_000:
                problems.append(
                    f"{key} is {getattr(self, key)}: a chain would be longer than any model reads. Use 10000 or less."
                )
        if self.digits < 1:
            problems.append(f"digits is {self.digits}: the first factor needs at least 1 digit. Raise digits.")
        if self.digits_second < 0:
            problems.append(
                f"digits_second is {self.digits_second}: it counts digits of the second factor. Use 2 or more, or 0 for as "
                f"many as the first has."
            )
        elif self.second == 1:
            problems.append(
                f"the second factor has 1 digit (digits {self.digits}, digits_second {self.digits_second}): its only partial "
                f"product is the answer, so a long demonstration would say no more than the short one. Give it 2 or more."
            )
        if not 1 <= self.largest_digit <= 9:
            problems.append(f"largest_digit is {self.largest_digit}: digits are drawn up to it, so it lies in 1 to 9.")
        if self.order not in ORDERS:
            known = ", ".join(ORDERS)
            problems.append(f"order is '{self.order}'{nearest(self.order, ORDERS)} It must be one of {known}.")
        if not 0 <= self.chain_noise <= 0.9:
            problems.append(
                f"chain_noise is {self.chain_noise}: it is the probability that a digit is replaced, between 0 and 0.9 (from "
                f"where on a chain says nothing)."
            )
        return problems

    def identity(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def second(self) -> int:
        """Number of digits of the second factor."""
        return self.digits_second or self.digits

    @property
    def space(self) -> int:
        return (self.largest_digit + 1) ** (self.digits + self.second)

    @property
    def prompt_tokens(self) -> int:
        return self.digits + self.second + 3  # bos, the factors, "*", "="

    @property
    def long_tokens(self) -> int:
        partial = [self.digits + 1 + j for j in range(self.second)]
        sums = [width + 2 for width in partial[1:-1]]  # in parentheses
        return sum(partial) + len(partial) - 1 + sum(sums) + 1 + self.digits + self.second + 1  # "+", "#", eos

    def draw(self, n: int, rng: np.random.Generator) -> Problems:
        return self.codes(n, rng).problems()

    def codes(self, n: int, rng: np.random.Generator) -> Drawn:
        # Digits everywhere are columns, least significant first, dtype uint8: exact for factors of any length.
        a = rng.integers(0, self.largest_digit + 1, size=(n, self.digits), dtype=np.uint8)
        b = rng.integers(0, self.largest_digit + 1, size=(n, self.second), dtype=np.uint8)
        chain, product = self._chain(a, b)
        answer = np.ascontiguousarray(self._written(product))
        return Drawn(
            # The same in both orders of digits.
            problem_id=joined(["multiplication-", a[:, ::-1] + _ZERO, "x", b[:, ::-1] + _ZERO]),
            prompt=joined([self._written(a), "*", self._written(b), "="]),
            answer=answer,
            long=joined([chain, "#", answer]),
            short=answer,
            long_shown=joined([self._corrupted(chain, rng), "#", answer]),
        )

    def tokenizer(self) -> Tokenizer:
        return character_tokenizer(self.alphabet)

    def _chain(self, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Digits of the factors, shapes (n, digits) and (n, second) → ASCII codes of what stands before `#`, shape
        (n, length), and digits of the product, shape (n, digits + second)."""
        total, parts = np.zeros((len(a), self.digits), np.uint8), []
        for j in range(self.second):
            partial = np.zeros((len(a), self.digits + 1 + j), np.uint8)
            partial[:, j:-1] = a * b[:, j : j + 1]
            _carry(partial)
            total = np.pad(total, ((0, 0), (0, 1))) + partial
            _carry(total)
            parts += ["+", self._written(partial)] if j else [self._written(partial)]
            if 0 < j < self.second - 1:
                parts += ["(", self._written(total), ")"]
        return joined(parts), total

    def _written(self, digits: np.ndarray) -> np.ndarray:
        """Digits, shape (n, k) → ASCII codes in the order asked for."""
        return (digits if self.order == "reversed" else digits[:, ::-1]) + _ZERO

    def _corrupted(self, chain: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """ASCII codes, shape (n, length) → the same with digits replaced; what is no digit stays."""
        is_digit = (chain[0] >= _ZERO) & (chain[0] <= _ZERO + 9)  # every chain has its signs in the same places
        digits = chain[:, is_digit] - _ZERO
        hit = rng.random(size=digits.shape, dtype=np.float32) < self.chain_noise
        other = (digits + rng.integers(1, 10, size=digits.shape, dtype=np.uint8)) % np.uint8(10)
        shown = chain.copy()
        shown[:, is_digit] = np.where(hit, other, digits) + _ZERO
        return shown


_ZERO = np.uint8(ord("0"))


def _carry(columns: np.ndarray) -> None:
    """Turn column sums, shape (n, k), into digits in place; they are at most 90 with what is carried, so uint8 holds them."""
    for i in range(columns.shape[1] - 1):
        columns[:, i + 1] += columns[:, i] // 10
        columns[:, i] %= 10
