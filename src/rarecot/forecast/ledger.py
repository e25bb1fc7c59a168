"""What RL bought: a mix that is longer, long responses that are better, or short ones that are."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rarecot.forecast.shares import Estimate, Share, of_record

DRAWS = 4000
FEW = 20


@dataclass(frozen=True)
class Ledger:
    """The change of accuracy between two evaluations, taken apart: total = mix + long + short.

    Args:
        decoding: greedy or sampled.
        total: change of accuracy.
        mix: because more (or fewer) responses are long: Δp·(mean a_L − mean a_S).
        long: because long responses are better: Δa_L·(mean p).
        short: because short ones are: Δa_S·(1 − mean p). Means are of before and after.
        per_1000_tokens: right answers per 1 000 generated tokens, before and after.
    """

    decoding: str
    total: Estimate
    mix: Estimate
    long: Estimate
    short: Estimate
    per_1000_tokens: tuple[float, float]


def ledger(before: Mapping[str, Any], after: Mapping[str, Any], seed: int = 0) -> Ledger | None:
    """Take apart what changed between two evaluations of the same kind (records of the test split).

    A mode that one of them hardly wrote (fewer than FEW responses) has the success rate that it has in the other: what it brought is then all
    mix. One that neither wrote plays no part. None if intervals are missing.

    Args:
        before: the record before RL.
        after: the record after it.
        seed: of the draws behind the intervals; the two evaluations are taken as independent, which is cautious where they ask the
            same problems.
    """
    share = [of_record(record, "long_share") for record in (before, after)]
    if None in share:
        return None
    rates = []
    for kind in ("long", "short"):
        found = [of_record(record, f"accuracy_{kind}") for record in (before, after)]
        found = [s if s is not None and s.n >= FEW else None for s in found]
        known = next((s for s in found if s is not None), Share(0.0, 1.0))
        rates.append([s if s is not None else known for s in found])
    rng = np.random.default_rng(seed)
    exact = _split(*([s.value for s in pair] for pair in (share, *rates)))
    draws = _split(*([s.draws(rng, DRAWS) for s in pair] for pair in (share, *rates)))
    # What those few responses were right more often or less belongs to the mix as well: the parts add up to what was measured.
    rest = after["accuracy"] - before["accuracy"] - exact[0]
    exact, draws = ((total + rest, mix + rest, *better) for total, mix, *better in (exact, draws))
    entries = [
        Estimate(float(value), *(float(q) for q in np.quantile(drawn, [0.025, 0.975])))
        for value, drawn in zip(exact, draws, strict=True)
    ]
    tokens = tuple(1000 * r["accuracy"] / r["length_mean"] if r["length_mean"] else 0.0 for r in (before, after))
    return Ledger(before["decoding"], *entries, per_1000_tokens=tokens)


def _split(p: Any, long: Any, short: Any) -> tuple[Any, Any, Any, Any]:
    """total, mix, long, short of p·a_L + (1 − p)·a_S between two points, by midpoints: exact."""
    middle = [(values[0] + values[1]) / 2 for values in (p, long, short)]
    mix = (p[1] - p[0]) * (middle[1] - middle[2])
    better_long = (long[1] - long[0]) * middle[0]
    better_short = (short[1] - short[0]) * (1 - middle[0])
    return mix + better_long + better_short, mix, better_long, better_short
