"""A user's own problems: any JSONL or Parquet with a prompt, a worked solution and an answer in columns of their own."""

from dataclasses import dataclass
from typing import ClassVar

from rarecot.parsing import HASHES, unwrap_boxes
from rarecot.tasks.corpus import Columns, TextCorpus


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

    def problems_with_options(self) -> list[str]:
        problems = super().problems_with_options()
        for other in ("solution_column", "answer_column"):
            if self.prompt_column == getattr(self, other):
                problems.append(
                    f"prompt_column and {other} are both '{self.prompt_column}': the model would read what it is to find. Name the column "
                    f"with the question."
                )
        return problems

    def columns(self) -> Columns:
        return Columns(
            (self.prompt_column,),
            (self.solution_column,),
            (self.answer_column,),
            {name: (name, "") for name in ("level", "subject")},
        )

    def solution_and_answer(self, solution: str, answer: str | None) -> tuple[str, str]:
        worked, gold = solution.strip(), (answer or "").strip()
        before, mark, last = worked.rpartition(HASHES)
        if mark and last.strip() == gold:  # not a heading of the solution's
            return before.strip(), gold
        return unwrap_boxes(worked).strip(), gold
