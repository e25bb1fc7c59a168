"""Grade-school word problems (Cobbe et al. 2021, arXiv 2110.14168): a worked solution, then `#### answer`."""

import re
from dataclasses import dataclass
from typing import ClassVar

from rarecot.parsing import HASHES
from rarecot.tasks.corpus import Columns, TextCorpus


@dataclass(frozen=True)
class Gsm8k(TextCorpus):
    """GSM8K in its own layout: columns `question` and `answer`, the answer behind `####` at the solution's end.

    Args:
        keep_annotations: leave calculator annotations (`<<48/2=24>>`) in the solutions.
    """

    source: str = "openai/gsm8k:main"
    style: str = "hashes"
    keep_annotations: bool = False

    name: ClassVar[str] = "gsm8k"

    def columns(self) -> Columns:
        return Columns(("question",), ("answer",), ("",), {})

    def solution_and_answer(self, solution: str, answer: str | None) -> tuple[str, str]:
        worked, mark, gold = solution.rpartition(HASHES)
        if not mark:
            return solution.strip(), ""
        worked = worked if self.keep_annotations else re.sub(r"<<[^<>]*>>", "", worked)
        return worked.strip(), gold.strip()
