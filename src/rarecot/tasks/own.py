"""A user's own problems: any JSONL or Parquet with a prompt, a worked solution and an answer in columns of their own."""

from dataclasses import dataclass
from typing import ClassVar

from rarecot.parsing import HASHES
from rarecot.tasks.corpus import Columns, TextCorpus, gold_of_box


@dataclass(frozen=True)
class Jsonl(TextCorpus):
    r"""Own data.

    Args:
        prompt_column: what the model reads.
        solution_column: the worked solution; an answer mark at its end (`#### 7`, `\boxed{7}`) is taken off.
        answer_column: the gold answer.
    """

    prompt_column: str = "prompt"
    solution_column: str = "solution"
    answer_column: str = "answer"

    name: ClassVar[str] = "jsonl"

    def columns(self) -> Columns:
        return Columns(
            (self.prompt_column,),
            (self.solution_column,),
            (self.answer_column,),
            {name: (name, "") for name in ("level", "subject")},
        )

    def solution_and_answer(self, solution: str, answer: str | None) -> tuple[str, str]:
        worked = solution.rpartition(HASHES)[0] if HASHES in solution else gold_of_box(solution)[0]
        return worked.strip(), (answer or "").strip()
