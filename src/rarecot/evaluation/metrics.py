"""Pure functions from judged responses to numbers with intervals."""

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import numpy as np

from rarecot.types import Response

CONFIDENCE = 0.95
Z = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)


def wilson(successes: float, n: float) -> tuple[float, float]:
    """The 95 % Wilson score interval of a proportion (Wilson 1927); never outside [0, 1], never of width 0.

    Args:
        successes: how many, 0 ≤ successes ≤ n; may be fractional for an effective sample size.
        n: of how many, > 0.
    """
    share = successes / n
    centre = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def proportion_interval(values: Sequence[bool], clusters: Sequence[str]) -> tuple[float, float]:
    """95 % interval of a proportion whose trials come in clusters (several responses to one prompt).

    One trial a cluster is the plain Wilson interval. Otherwise the sample size is the effective one (`effective_n`).

    Args:
        values: N outcomes.
        clusters: N cluster names, in the same order.
    """
    outcome = np.asarray(values, dtype=float)
    names, index = np.unique(np.asarray(clusters), return_inverse=True)
    n, share = len(outcome), float(np.mean(outcome))
    if len(names) < n:
        n = min(n, effective_n(np.bincount(index, weights=outcome), np.bincount(index)))
    return wilson(share * n, n)


def effective_n(successes: np.ndarray, trials: np.ndarray) -> float:
    """Of how many independent trials a share knows as much: its binomial variance against the cluster-robust one (Kish 1965).

    Two clusters are put in, one all right and one all wrong, for that variance alone (the step of Agresti and Coull 1998, with clusters in the
    place of trials): where nearly all clusters agree it is not known how much they vary, and then each counts as one trial.

    Args:
        successes: of each of C clusters, may be fractional.
        trials: of each, > 0.
    """
    size = float(trials.mean())
    successes, trials = np.append(successes, [size, 0.0]), np.append(trials, [size, size])
    count, total = len(trials), float(trials.sum())
    share = float(successes.sum()) / total
    residuals = successes - share * trials
    variance = count / (count - 1) * float((residuals**2).sum()) / total**2
    return (count - 2) / (count - 1) * share * (1 - share) / variance


def student_t(freedom: int) -> float:
    """The 97.5 % quantile of Student's t: a table, then the expansion of Cornish and Fisher (within 0.005 from 5 on).

    Args:
        freedom: degrees of freedom, ≥ 1.
    """
    table = {1: 12.7062, 2: 4.3027, 3: 3.1824, 4: 2.7764}
    z, v = Z, freedom
    expansion = z + (z**3 + z) / (4 * v) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
    expansion += (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3)
    return table.get(freedom, expansion)


def summarise(responses: Sequence[Response], long_from: int | None = None) -> dict[str, Any]:
    """The measured part of a record (field names: `evaluation.records.FIELDS`).

    Lengths are in response tokens without the end-of-sequence token. What is undefined is None: the accuracy of long
    responses when none was written.

    Args:
        responses: judged, at least one.
        long_from: tokens from which a response is long by its length; None: that is not counted.

    Raises:
        ValueError: there are no responses.
    """
    if not responses:
        raise ValueError("there are no responses to summarise")
    prompts = [r.problem_id for r in responses]
    correct = np.array([r.verdict == "correct" for r in responses])
    long = np.array([r.kind == "long" for r in responses])
    truncated = np.array([r.completion.finish_reason == "length" for r in responses])
    lengths = np.array([r.completion.length for r in responses])
    tokens = sum(len(r.completion.token_ids) for r in responses)
    by_length = (
        {}
        if long_from is None
        else {
            "long_share_by_length": float((lengths >= long_from).mean()),
            "long_from_tokens": long_from,
        }
    )
    return {
        "n": len(responses),
        "accuracy": float(correct.mean()),
        "accuracy_ci": list(proportion_interval(correct.tolist(), prompts)),
        **_lenient(responses, prompts),
        "tokens_generated": tokens,
        "correct_per_1000_tokens": 1000 * float(correct.sum()) / tokens if tokens else None,
        "length_mean": float(lengths.mean()),
        "length_median": float(np.median(lengths)),
        "length_p95": float(np.quantile(lengths, 0.95)),
        "length_correct_mean": _mean(lengths[correct]),
        "length_wrong_mean": _mean(lengths[~correct]),
        "length_long_mean": _mean(lengths[long]),
        "length_short_mean": _mean(lengths[~long]),
        "long_share": float(long.mean()),
        "long_share_ci": list(proportion_interval(long.tolist(), prompts)),
        **by_length,
        "accuracy_long": _mean(correct[long]),
        "accuracy_long_ci": _interval(correct, long, prompts),
        "accuracy_short": _mean(correct[~long]),
        "accuracy_short_ci": _interval(correct, ~long, prompts),
        "truncated_share": float(truncated.mean()),
        "truncated_share_ci": list(proportion_interval(truncated.tolist(), prompts)),
        "truncated_long_share": _mean(truncated[long]),
        "truncated_short_share": _mean(truncated[~long]),
        "no_answer_share": float(np.mean([r.verdict == "no_answer" for r in responses])),
        "timed_out_share": float(np.mean([r.verdict == "timed_out" for r in responses])),
        "unparseable_gold_share": float(np.mean([r.verdict == "unparseable_gold" for r in responses])),
    }


def _lenient(responses: Sequence[Response], prompts: Sequence[str]) -> dict[str, Any]:
    """The accuracy under lenient extraction, where every answer was read so, too."""
    if any(r.lenient is None for r in responses):
        return {}
    correct = [r.lenient == "correct" for r in responses]
    interval = list(proportion_interval(correct, prompts))
    return {"accuracy_lenient": float(np.mean(correct)), "accuracy_lenient_ci": interval}


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None


def _interval(values: np.ndarray, where: np.ndarray, clusters: Sequence[str]) -> list[float] | None:
    if not where.any():
        return None
    return list(proportion_interval(values[where].tolist(), np.asarray(clusters)[where].tolist()))
