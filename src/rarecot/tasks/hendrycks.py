r"""MATH, competition problems (Hendrycks et al. 2021, arXiv 2103.03874): a worked solution whose answer stands in `\boxed{}`."""

from dataclasses import dataclass
from typing import ClassVar

from rarecot.tasks.corpus import Columns, TextCorpus, gold_of_box


@dataclass(frozen=True)
class Math(TextCorpus):
    r"""MATH in its own layout: columns `problem`, `solution`, `level`, `type` (or `subject`), with `answer` or without.

    The demonstrations mark the answer once, at the end: boxes inside a solution are unwrapped.
    """

    source: str = "DigitalLearningGmbH/MATH-lighteval"
    style: str = "boxed"

    name: ClassVar[str] = "math"

    def columns(self) -> Columns:
        return Columns(
            ("problem",), ("solution",), ("answer", ""), {"level": ("level", ""), "subject": ("type", "subject", "")}
        )

    def solution_and_answer(self, solution: str, answer: str | None) -> tuple[str, str]:
        worked, boxed = gold_of_box(solution)
        return worked.strip(), (answer or boxed).strip()
