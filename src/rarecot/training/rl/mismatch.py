"""How far the sampler's distribution is from the trainer's on the rollouts themselves, per length class.

The log ratio of a token is log π_trainer − log π_sampler. Token-level importance sampling multiplies a token's gradient by
its ratio, cut at a maximum; a mask over whole sequences would instead remove long responses first, because their
ratios multiply (PAPER §5).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from rarecot.types import Kind


@dataclass(frozen=True)
class TokenRatios:
    """The log ratios of one response.

    Args:
        tokens: how many.
        total: their sum.
        worst: largest absolute value.
        cut: tokens whose ratio was cut at the importance-sampling bound.
    """

    tokens: int
    total: float
    worst: float
    cut: int


def token_ratios(
    trainer: torch.Tensor,
    sampler: torch.Tensor,
    mask: torch.Tensor,
    highest: float | None,
    lowest: float | None = None,
) -> list[TokenRatios]:
    """Per response.

    Args:
        trainer: log-probabilities under the trained policy, shape (B, T), at the sampling temperature.
        sampler: the same as the sampler reported them; NaN where it did not.
        mask: 1 for the response's own tokens.
        highest: importance ratios above are cut; None: there is no bound.
        lowest: importance ratios below are cut; None: there is no bound.
    """
    keep = mask.bool() & ~sampler.isnan()  # (B, T)
    ratio = torch.where(keep, trainer - sampler, 0.0).double()
    over = ratio.exp() > (highest if highest is not None else torch.inf)
    if lowest is not None:
        over |= keep & (ratio.exp() < lowest)
    rows = zip(
        keep.sum(1).tolist(), ratio.sum(1).tolist(), ratio.abs().amax(1).tolist(), over.sum(1).tolist(), strict=True
    )
    return [TokenRatios(int(tokens), total, worst, int(cut)) for tokens, total, worst, cut in rows]


def summarise(ratios: Sequence[TokenRatios], kinds: Sequence[Kind]) -> dict[str, float | None]:
    """Record fields, per length class; null where a class has no response."""
    fields: dict[str, float | None] = {}
    for kind in ("long", "short"):
        mine = [r for r, k in zip(ratios, kinds, strict=True) if k == kind]
        tokens = sum(r.tokens for r in mine)
        fields |= {
            f"log_ratio_mean_{kind}": sum(r.total for r in mine) / tokens if tokens else None,
            f"log_ratio_max_{kind}": max(r.worst for r in mine) if tokens else None,
            f"is_cut_share_{kind}": sum(r.cut for r in mine) / tokens if tokens else None,
        }
    return fields
