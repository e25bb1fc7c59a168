"""Where greedy decoding would change sides: the branching tokens of a checkpoint, measured.

Along a greedy response, every other likely token is a way to the other mode. If the odds of long responses are multiplied by λ and
nothing changes within a mode, a token t after a prefix weighs π(t)·(λ·κ + 1 − κ), where κ is the share of long among the responses
that go on with it. Greedy decoding leaves at the first λ for which another token weighs more (`predict.flip_factor` is the case of κ
= 0 and 1; for parity it is Theorem 1's threshold).
"""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rarecot.types import Completion, Kind

SEEN_OFTEN = 5  # samples from which the kind of a token is taken from its own, not from all that left at its position
SIDE = 0.5  # a token leads to the mode that more of its responses have


@dataclass(frozen=True)
class Branching:
    """Where N prompts' greedy responses would change sides.

    Args:
        factor: factor on the odds of long at which each prompt's greedy response does, shape (N,): above 1 where it is short,
            below where it is long; infinite (0) where no token to the other side was seen.
        position: tokens of the response before the commonest branch; None: no branch was seen.
        stay: median probability of the greedy token there; None without a branch.
        leave: median probability of the likeliest token to the other side.
        separation: share of the samples that left there whose token tells their mode: 1 when the modes part at that token.
    """

    factor: np.ndarray
    position: int | None
    stay: float | None
    leave: float | None
    separation: float | None


@dataclass(frozen=True)
class _Exit:
    position: int
    factor: float
    stay: float
    leave: float


def find(
    greedy: Sequence[Completion],
    kinds: Sequence[Kind],
    samples: Sequence[Sequence[tuple[Sequence[int], Kind]]],
) -> Branching:
    """Measure the branching tokens.

    Args:
        greedy: N greedy responses (or their first tokens) with `top`.
        kinds: of the whole greedy responses.
        samples: for each of the N prompts, its sampled responses: ids and kind.
    """
    through, left = _tables(greedy, kinds, samples)
    exits = [
        _first_exit(response, kind, through[kind], left[kind]) for response, kind in zip(greedy, kinds, strict=True)
    ]
    factors = np.array(
        [
            (math.inf if kind == "short" else 0.0) if found is None else found.factor
            for found, kind in zip(exits, kinds, strict=True)
        ]
    )
    found = [e for e in exits if e is not None]
    if not found:
        return Branching(factors, None, None, None, None)
    position = Counter(e.position for e in found).most_common(1)[0][0]
    there = [e for e in found if e.position == position]
    return Branching(
        factors,
        position,
        float(np.median([e.stay for e in there])),
        float(np.median([e.leave for e in there])),
        _separation(position, left),
    )


Through = dict[int, list[bool]]  # position → whether each sample that went on with the greedy token there is long
Left = dict[int, dict[int, list[bool]]]  # position → token → whether each sample that left there with it is long


def _tables(
    greedy: Sequence[Completion], kinds: Sequence[Kind], samples: Sequence[Sequence[tuple[Sequence[int], Kind]]]
) -> tuple[dict[Kind, Through], dict[Kind, Left]]:
    """How samples go along greedy responses and leave them, over the prompts whose greedy response is of one kind."""
    through: dict[Kind, Through] = {kind: defaultdict(list) for kind in ("short", "long")}
    left: dict[Kind, Left] = {kind: defaultdict(lambda: defaultdict(list)) for kind in ("short", "long")}
    for response, kind, several in zip(greedy, kinds, samples, strict=True):
        for ids, sampled in several:
            for position, (mine, its) in enumerate(zip(response.token_ids, ids, strict=False)):
                if mine != its:
                    left[kind][position][its].append(sampled == "long")
                    break
                through[kind][position].append(sampled == "long")
    return through, left


def _first_exit(response: Completion, kind: Kind, through: Through, left: Left) -> _Exit | None:
    """The exit of a greedy response that needs the least tilt; None if no token to the other side is known."""
    best = None
    for position, (token, likely) in enumerate(zip(response.token_ids, response.top or [], strict=False)):
        stay = math.exp(likely[token])
        along = _share(through.get(position, []), float(kind == "long"))
        for other, score in likely.items():
            long = None if other == token else _long_behind(other, left.get(position, {}))
            if long is None or (long >= SIDE) == (kind == "long"):
                continue
            factor = _tilt(stay, math.exp(score), along, long)
            away = math.inf if factor is None else abs(math.log(factor))
            if factor is not None and (best is None or away < abs(math.log(best.factor))):
                best = _Exit(position, factor, stay, math.exp(score))
    return best


def _tilt(stay: float, leave: float, along: float, behind: float) -> float | None:
    """λ at which leave·(λ·behind + 1 − behind) = stay·(λ·along + 1 − along); None if there is none."""
    slope, rest = leave * behind - stay * along, stay * (1 - along) - leave * (1 - behind)
    if slope * rest <= 0:
        return None
    return rest / slope


def _long_behind(token: int, left: dict[int, list[bool]]) -> float | None:
    """Share of long among the samples that left with a token; of all that left there where it was seen too rarely."""
    if len(left.get(token, [])) >= SEEN_OFTEN:
        return _share(left[token], 0.0)
    everyone = [is_long for several in left.values() for is_long in several]
    return _share(everyone, 0.0) if everyone else None


def _share(values: Sequence[bool], default: float) -> float:
    return sum(values) / len(values) if values else default


def _separation(position: int, left: dict[Kind, Left]) -> float | None:
    groups = [several for table in left.values() for several in table.get(position, {}).values()]
    total = sum(map(len, groups))
    return sum(max(sum(g), len(g) - sum(g)) for g in groups) / total if total else None
