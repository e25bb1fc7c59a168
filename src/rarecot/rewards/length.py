"""Rewards that look at length alone, in tokens. All are penalties: at most 0, so that they never pay for a wrong answer."""

from collections.abc import Collection, Sequence
from typing import Any

Ids = Sequence[Sequence[int]]


def length_penalty(completion_ids: Ids, eos_token_ids: Collection[int], **_: Any) -> list[float]:
    """−1 a response token, the end-of-sequence token not counted; its `reward_weights` entry is the price c of a token.

    With weights 1 and c the long mode dies where a_L − c·len_L < a_S − c·len_S (PAPER §4).

    Args:
        completion_ids: B responses.
        eos_token_ids: ids that end a response.
    """
    ends = set(eos_token_ids)
    return [-float(len(ids) - (len(ids) > 0 and ids[-1] in ends)) for ids in completion_ids]


def soft_overlong(completion_ids: Ids, max_completion_length: int, soft_overlong_tokens: int, **_: Any) -> list[float]:
    """0 up to `soft_overlong_tokens` below the cap, then falling linearly to −1 at the cap (DAPO, arXiv 2503.14476, eq. 13).

    Args:
        completion_ids: B responses.
        max_completion_length: the cap, in tokens.
        soft_overlong_tokens: width of the slope, in tokens.
    """
    free = max_completion_length - soft_overlong_tokens
    return [-min(1.0, max(0.0, (len(ids) - free) / soft_overlong_tokens)) for ids in completion_ids]
