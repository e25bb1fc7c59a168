"""What several responses a problem say: pass@k and maj@k."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from rarecot.evaluation.metrics import effective_n, wilson
from rarecot.types import Response
from rarecot.verify import normal_form


def pass_at(n: int, c: int, k: int) -> float:
    """Probability that at least one of k responses is right, estimated without bias from n of which c are: 1 − C(n−c, k) / C(n, k)
    (Chen et al. 2021, arXiv 2107.03374, eq. 1). 1 ≤ k ≤ n."""
    return 1 - math.comb(n - c, k) / math.comb(n, k)


def majority_at(votes: Sequence[str | None], right: str, k: int) -> float:
    """Probability that the most frequent answer of k responses is right, a tie decided by lot; the mean over the ⌊n/k⌋ disjoint blocks
    of k in the order of sampling, which is without bias (Wang et al. 2022, arXiv 2203.11171, call it self-consistency).

    Args:
        votes: n answers, equal where they are the same answer; None does not vote.
        right: the right answer as it would be voted for.
        k: 1 ≤ k ≤ n.
    """
    blocks = [votes[start : start + k] for start in range(0, len(votes) - k + 1, k)]
    return float(np.mean([_won(Counter(vote for vote in block if vote is not None), right) for block in blocks]))


def _won(counts: Counter[str], right: str) -> float:
    best = [vote for vote, count in counts.items() if count == max(counts.values())]
    return (right in best) / len(best) if best else 0.0


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """95 % interval of the mean of values in [0, 1], one a problem: Wilson's, with the effective number of problems."""
    n = effective_n(np.asarray(values, dtype=float), np.ones(len(values)))
    return wilson(float(np.mean(values)) * n, n)


def summarise_repeated(responses: Sequence[Response], samples: int, ks: Sequence[int]) -> dict[str, Any]:
    """The fields of a record that several responses a problem allow.

    Args:
        responses: of N problems, n each, those of a problem next to each other.
        samples: n.
        ks: of pass@k and maj@k; each 1 ≤ k ≤ n.

    Returns:
        `pass_at`, `maj_at` and their `_ci`: k as text → number, or [low, high].
    """
    votes = [_vote(response) for response in responses]
    groups = [votes[start : start + samples] for start in range(0, len(votes), samples)]
    made: dict[str, dict[str, Any]] = {"pass_at": {}, "pass_at_ci": {}, "maj_at": {}, "maj_at_ci": {}}
    for k in ks:
        passed = [pass_at(samples, group.count(_RIGHT), k) for group in groups]
        voted = [majority_at(group, _RIGHT, k) for group in groups]
        for metric, values in (("pass_at", passed), ("maj_at", voted)):
            made[metric][str(k)] = float(np.mean(values))
            made[f"{metric}_ci"][str(k)] = list(mean_interval(values))
    return made


_RIGHT = "the right answer"


def _vote(response: Response) -> str | None:
    """All right answers are one answer, however they are written; wrong ones are the same where they are written alike."""
    if response.verdict == "correct":
        return _RIGHT
    if response.verdict == "truncated" or not response.answer:
        return None
    return normal_form(response.answer)
