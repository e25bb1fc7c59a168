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

    One trial a cluster is the plain Wilson interval. Otherwise the sample size is divided by the design effect,
    the ratio of the cluster-robust variance to the binomial one (Kish 1965), never below 1.

    Args:
        values: N outcomes.
        clusters: N cluster names, in the same order.
    """
    outcome = np.asarray(values, dtype=float)
    n, share = len(outcome), float(np.mean(outcome))
    names, index = np.unique(np.asarray(clusters), return_inverse=True)
    effect = 1.0
    if 1 < len(names) < n and 0 < share < 1:
        residuals = np.bincount(index, weights=outcome - share)  # (clusters,)
        robust = len(names) / (len(names) - 1) * float((residuals**2).sum()) / n**2
        effect = max(1.0, robust / (share * (1 - share) / n))
    return wilson(share * n / effect, n / effect)


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
