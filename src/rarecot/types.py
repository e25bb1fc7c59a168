"""The nouns of the project. Plain data: no torch, no transformers."""

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["short", "long"]
Verdict = Literal["correct", "wrong", "no_answer", "truncated", "timed_out", "unparseable_gold"]
FinishReason = Literal["stop", "length"]


@dataclass(frozen=True)
class Problems:
    """A batch of problems, by column; every column has the same length n.

    Args:
        problem_id: derived from the content alone, so that equal problems have equal ids on every machine.
        prompt: what the model reads.
        answer: the gold answer.
        long: the demonstration with every intermediate step, then the answer (PAPER eq. of D(p_cot), Z = 1).
        short: the demonstration that gives the answer at once (Z = 0).
        long_shown: what a training set shows as the long demonstration; differs from `long` where the task adds noise.
        attributes: what the source says of each problem beside that (level, subject, dataset); empty where it says nothing.
    """

    problem_id: list[str]
    prompt: list[str]
    answer: list[str]
    long: list[str]
    short: list[str]
    long_shown: list[str]
    attributes: list[dict[str, str]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.problem_id)

    def take(self, rows: list[int]) -> "Problems":
        """The problems at these positions, in this order."""
        return Problems(*([column[i] for i in rows] if column else [] for column in vars(self).values()))

    def __add__(self, other: "Problems") -> "Problems":
        return Problems(*(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))


@dataclass(frozen=True)
class Completion:
    """What a sampler returns for one prompt.

    Args:
        token_ids: generated ids; the end-of-sequence token is included when the model wrote one.
        text: the decoded response, without special tokens.
        finish_reason: `stop` (the model wrote its end-of-sequence token) or `length` (cut off).
        logprobs: natural-log probability of each id under the sampling distribution, or None if not asked for.
        top: for each position the likeliest ids with their log-probabilities, or None if not asked for.
        stopped_by: the stop string that ended it (a protocol's; the text ends before it, the ids with it); empty: none did.
    """

    token_ids: list[int]
    text: str
    finish_reason: FinishReason
    logprobs: list[float] | None = None
    top: list[dict[int, float]] | None = None
    stopped_by: str = ""

    @property
    def length(self) -> int:
        """Response length in tokens; the end-of-sequence token is not counted, so a one-token answer has length 1."""
        return len(self.token_ids) - (self.finish_reason == "stop" and not self.stopped_by)


@dataclass(frozen=True)
class Response:
    """A completion that was judged.

    Args:
        problem_id: the problem that was answered.
        completion: what was written.
        kind: whether anything stands before the answer (`long`) or not (`short`).
        verdict: correct, wrong, no_answer (nothing to read an answer from), truncated (cut off before the end),
            timed_out (the answer took too long to compare), unparseable_gold (nothing can be held against the gold).
        answer: what was read as the answer; None where there was nothing to read.
        gold: the gold answer.
        lenient: the verdict where the answer is read leniently; None where a protocol reads in one way only.
    """

    problem_id: str
    completion: Completion
    kind: Kind
    verdict: Verdict
    answer: str | None = None
    gold: str = ""
    lenient: Verdict | None = None
