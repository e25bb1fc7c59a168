"""Measured long share beside the expected one: does a run do what was to be expected before it, and if not, why?

STaR's path follows from what was measured before RL alone (Theorem 2, with a_L and a_S). A policy gradient's direction does, too; its pace depends
on learning rate and optimizer, so that one rate is fitted on the first three rounds (`paths.FITTED`), and the rest is predicted.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from rarecot.evaluation.records import Record
from rarecot.forecast import paths
from rarecot.forecast.paths import FITTED, Asked, Before
from rarecot.theory.gradient import Form
from rarecot.theory.predict import GUESS_RATES

# What a round of training wanders by without a cause: next-token prediction on parity is calibrated to it.
SLACK = 0.02
ANCHORS = 64  # responses of each mode behind `log_odds_shift`, at most: a forward pass of every round is paid for them
APART = 0.1  # distance of a share from its band that is an alarm at once; less must come twice in a row
RIGHT_DIRECTION = 0.02  # nats against the expected direction that a few rounds may wander
LOOK_BACK = 3  # rounds whose records are searched for a cause


@dataclass(frozen=True)
class Expected:
    """The expected long share of the rollouts, by round.

    Args:
        low, middle, high: 95 % band and median, shape (rounds + 1,).
        words: what it rests on.
    """

    low: np.ndarray
    middle: np.ndarray
    high: np.ndarray
    words: str


@dataclass(frozen=True)
class Alarm:
    """A round at which a run left its band.

    Args:
        round: rounds of rollouts that the policy had learned from.
        what: what was measured and what was expected.
        causes: likely ones, the strongest first, from what was logged.
    """

    round: int
    what: str
    causes: tuple[str, ...]

    def __str__(self) -> str:
        return f"round {self.round}: {self.what} Likely cause: {'; '.join(self.causes)}."


@dataclass(frozen=True)
class Overlay:
    """A stage's rollouts and what was expected of them.

    Args:
        before: what was measured before RL.
        asked: of RL.
        rollouts: records of split `rollouts`, by round.
        expected: None where nothing can be: the direction is open, or the rate is not fitted yet.
        alarms: where the measurement left the band: the first round of each time.
    """

    before: Before
    asked: Asked
    rollouts: tuple[Record, ...]
    expected: Expected | None
    alarms: tuple[Alarm, ...]


def overlay(records: Sequence[Record], stage: str, config: Mapping[str, Any], task: str) -> Overlay | None:
    """Hold a stage's rollouts against what was to be expected.

    Args:
        records: of the run.
        stage: of RL.
        config: the stage's resolved options.
        task: name of the mixture's task.

    Returns:
        None if the stage has no rollouts, or nothing was measured before it.
    """
    rollouts = by_round(records, stage)
    asked = paths.asked_of(stage, config, GUESS_RATES.get(task))
    before = paths.before_of(records, stage, asked.temperature, config.get("starts_from"))
    if not rollouts or before is None:
        return None
    expected = expect(before, asked, rollouts, rounds=rollouts[-1]["round"])
    return Overlay(before, asked, tuple(rollouts), expected, tuple(alarms(before, asked, rollouts, expected, config)))


def by_round(records: Sequence[Record], stage: str) -> list[Record]:
    """The rollouts of a stage, one record a round: of several the first, as `records.read` has it."""
    found: dict[int, Record] = {}
    for record in records:
        if (record["stage"], record["split"]) == (stage, "rollouts") and "round" in record:
            found.setdefault(record["round"], record)
    return [found[n] for n in sorted(found)]


def expect(before: Before, asked: Asked, rollouts: Sequence[Record], rounds: int) -> Expected | None:
    """The band, as far as can be said before RL (STaR) or after its first rounds (policy gradients)."""
    if asked.not_modelled:
        return None
    drawn = paths.draw(before, asked)
    if asked.stage == "star":
        _, band = paths.star(drawn, asked.temperature, asked.guess_rate, rounds)
        return _band(band, "Theorem 2 with what was measured before RL")
    shifts = first_shifts(rollouts[: FITTED + 1])
    if paths.direction(drawn) == 0 or len(shifts) <= FITTED:
        return None
    rate = paths.rate(before, asked, shifts)
    if rate is None or rate <= 0:
        return None
    band = paths.policy_gradient(drawn, asked, paths.spread(rate), rounds)
    return _band(band, f"one rate, fitted on rounds 0 to {FITTED}")


def misses(found: Overlay, evaluations: Sequence[Record]) -> dict[str, float]:
    """How far the expected long share (its median) was from what was sampled at most: equation → largest difference, over the evaluations
    after the rounds that a rate was fitted on.

    Args:
        found: with an expectation.
        evaluations: records of the test split, sampled at the temperature of the rollouts.
    """
    judged = [r for r in evaluations if r.get("round", 0) > FITTED and r["temperature"] == found.asked.temperature]
    if found.expected is None or not judged:
        return {}
    last, drawn = max(r["round"] for r in judged), paths.draw(found.before, found.asked)
    if found.asked.stage == "star":
        middles = {
            "Theorem 2": np.median(paths.star(drawn, found.asked.temperature, found.asked.guess_rate, last)[1], axis=1)
        }
    else:
        shifts = first_shifts(found.rollouts)[: FITTED + 1]
        middles = {}
        for form in get_args(Form):
            rate = paths.rate(found.before, found.asked, shifts, form)
            path = paths.policy_gradient(drawn, found.asked, paths.spread(rate), last, form)
            middles[form] = np.median(path, axis=1)
    return {name: max(abs(middle[r["round"]] - r["long_share"]) for r in judged) for name, middle in middles.items()}


def first_shifts(rollouts: Sequence[Record]) -> list[float]:
    """`log_odds_shift` of rounds 0, 1, …, as far as there is one for each."""
    shifts: list[float] = []
    for n, record in enumerate(rollouts):
        if record["round"] != n or record.get("log_odds_shift") is None:
            break
        shifts.append(record["log_odds_shift"])
    return shifts


@dataclass(frozen=True)
class _Departure:
    """A round outside what was expected: by how much of the share, in which direction (1: more long), in words."""

    distance: float
    sign: int
    words: str


def alarms(
    before: Before,
    asked: Asked,
    rollouts: Sequence[Record],
    expected: Expected | None,
    config: Mapping[str, Any],
    since: int = 0,
) -> list[Alarm]:
    """The rounds at which a run left what was expected of it: at once if far, else when two rounds in a row do; of each time that
    it did, the first.

    Args:
        before: RL.
        asked: of the stage.
        rollouts: one record a round.
        expected: the band; None: the direction alone is known.
        config: the stage's options.
        since: the first of the rounds that are looked at.
    """
    if asked.not_modelled:
        return []
    found, left_before, inside = [], False, True
    way = 0
    if expected is None and asked.stage != "star" and len(rollouts) > FITTED:
        way = paths.direction(paths.draw(before, asked))
    for i in range(since, len(rollouts)):
        record = rollouts[i]
        moved = record.get("log_odds_shift") if FITTED <= i == record["round"] else None
        here = _wrong_way(before, record, way, moved) if expected is None else _outside(record, expected)
        if here and inside and (here.distance > APART or left_before):
            recent = rollouts[max(0, i - LOOK_BACK + 1) : i + 1]
            likely = tuple(causes(before, recent, config, here.sign))
            found.append(Alarm(record["round"], here.words, likely))
            inside = False
        left_before = here is not None
        inside = inside or not left_before
    return found


def _band(band: np.ndarray, words: str) -> Expected:
    low, middle, high = np.quantile(band, [0.025, 0.5, 0.975], axis=1)
    return Expected(low, middle, high, words)


def _outside(record: Record, expected: Expected) -> _Departure | None:
    """A round whose interval does not meet the band."""
    n, interval = record["round"], record.get("long_share_ci")
    if interval is None or n >= len(expected.low):
        return None
    low, high = expected.low[n], expected.high[n]
    below, above = low - interval[1], interval[0] - high
    if max(below, above) <= SLACK:
        return None
    sign = -1 if below > 0 else 1
    words = (
        f"{record['long_share']:.0%} of the rollouts are long, {'fewer' if sign < 0 else 'more'} than the {low:.0%} to {high:.0%} that were expected "
        f"({expected.words})."
    )
    return _Departure(float(max(below, above)), sign, words)


def _wrong_way(before: Before, record: Record, way: int, moved: float | None) -> _Departure | None:
    """A policy gradient that has moved against what the modes' rewards before RL say (`way`: 1, -1, or 0 for neither), by more than the
    anchor's noise; `moved` in nats."""
    if way == 0 or moved is None:
        return None
    effective = record.get("log_odds_ess") or 1.0
    noise = np.sqrt(2 * max(1 / effective - 1, 0.0) / ANCHORS)
    if way * moved > -max(RIGHT_DIRECTION, 2 * noise):
        return None
    a_long, a_short = before.success_long, before.success_short
    right = f"{a_long.value:.0%} against {a_short.value:.0%}" if a_long and a_short else "as measured before RL"
    words = (
        f"the odds of a long response have {'fallen' if moved < 0 else 'grown'} by a factor of {np.exp(abs(moved)):.2f} since before RL, although long "
        f"responses were {'more' if way > 0 else 'less'} often right ({right})."
    )
    return _Departure(SLACK, -way, words)


Cause = tuple[float, int, str]  # how strong, which way it moves the long share (0: either), and what it is
Check = Callable[[Before, Sequence[Record], Mapping[str, Any]], Cause | None]
NEVER_MIND = 0.02  # selection (nats, or difference of advantages) that moves nothing


def causes(before: Before, recent: Sequence[Record], config: Mapping[str, Any], sign: int) -> list[str]:
    """What in the last rounds' records may explain that a run left its band, the strongest first.

    Args:
        before: RL.
        recent: the last rounds.
        config: the stage's options.
        sign: 1 if more responses are long than expected, -1 if fewer: what pushes the other way is no cause.
    """
    found = [cause for check in _CHECKS if (cause := check(before, recent, config)) and cause[1] in (0, sign)]
    if not found:
        return ["nothing that is logged explains it"]
    return [text for _, _, text in sorted(found, key=lambda cause: -cause[0])]


def _mean(recent: Sequence[Record], field: str) -> float:
    values = [r[field] for r in recent if r.get(field) is not None]
    return sum(values) / len(values) if values else 0.0


def _selects(recent: Sequence[Record], part: str) -> int | None:
    """Which way a part of the selection audit pushes: 1, -1, or 0 for nowhere; None where there was no audit."""
    if not any(r.get(f"selection_{part}") is not None for r in recent):
        return None
    push = _mean(recent, f"selection_{part}")
    return 0 if abs(push) < NEVER_MIND else int(np.sign(push))


def _truncated(before: Before, recent: Sequence[Record], config: Mapping[str, Any]) -> Cause | None:
    cut = _mean(recent, "truncated_long_share")
    if cut <= 0.05:
        return None
    cap = recent[-1]["max_new_tokens"]
    return (
        cut + 1.0,
        -1,
        f"truncation: {cut:.0%} of the long responses were cut off at max_completion_length {cap} and not rewarded",
    )


def _importance(before: Before, recent: Sequence[Record], config: Mapping[str, Any]) -> Cause | None:
    long, short = _mean(recent, "is_cut_share_long"), _mean(recent, "is_cut_share_short")
    if max(long, short) <= 0.02:
        return None
    return (
        max(long, short) + 0.5,
        -1 if long > short else 1,
        (
            f"importance sampling: the ratios of {long:.0%} of the long and {short:.0%} of the short responses' tokens were cut, because sampler and trainer "
            f"differ"
        ),
    )


def _length_reward(before: Before, recent: Sequence[Record], config: Mapping[str, Any]) -> Cause | None:
    way = _selects(recent, "length")
    if not way:
        return None
    return 0.6, way, f"length reward: it pushes the odds of long by {_mean(recent, 'selection_length'):+.2f} a round"


def _normalisation(before: Before, recent: Sequence[Record], config: Mapping[str, Any]) -> Cause | None:
    way = _selects(recent, "normalisation")
    if not way:
        return None
    return (
        0.3,
        way,
        f"loss normalisation: loss_type {config.get('loss_type')} weighs tokens by the length of their response; use dr_grpo",
    )


def _dead(before: Before, recent: Sequence[Record], config: Mapping[str, Any]) -> Cause | None:
    dead = _mean(recent, "dead_group_share")
    if dead <= 0.8:
        return None
    return dead - 0.4, 0, f"dead groups: in {dead:.0%} of the groups all rewards were equal, so they taught nothing"


def _verifier(before: Before, recent: Sequence[Record], config: Mapping[str, Any]) -> Cause | None:
    late = _mean(recent, "timed_out_share")
    if late <= 0.02:
        return None
    return (
        late + 0.5,
        -1,
        f"verifier time-outs: {late:.0%} of the answers took too long to compare and counted as wrong",
    )


def _golds(before: Before, recent: Sequence[Record], config: Mapping[str, Any]) -> Cause | None:
    unread = _mean(recent, "unparseable_gold_share")
    return (
        (unread + 0.3, 0, f"golds: {unread:.0%} of the responses had a gold that cannot be read")
        if unread > 0.02
        else None
    )


def _success(before: Before, recent: Sequence[Record], config: Mapping[str, Any]) -> Cause | None:
    """A mode that is right more or less often than it was, of those responses that ended."""
    said = []
    for kind, known, way in (("long", before.success_long, 1), ("short", before.success_short, -1)):
        rates = []
        for record in recent:
            rate, cut = record.get(f"accuracy_{kind}"), record.get(f"truncated_{kind}_share") or 0.0
            if rate is not None and cut < 0.9:
                rates.append(rate / (1 - cut))
        if known is None or not rates:
            continue
        now, (low, high) = sum(rates) / len(rates), known.interval
        if not low - 0.05 <= now <= high + 0.05:
            text = f"{kind} responses are now right {now:.0%} of the time, {known.value:.0%} before RL"
            said.append((abs(now - known.value), way if now > known.value else -way, text))
    return max(said) if said else None


def _strict(before: Before, recent: Sequence[Record], config: Mapping[str, Any]) -> Cause | None:
    """A reward that asks for more than a right answer (the chain), of one mode more than of the other."""
    if config.get("reward_funcs") not in (["chain"], "chain") or _mean(recent, "truncated_long_share") > 0.05:
        return None
    unpaid = {
        kind: _mean(recent, f"accuracy_{kind}") - _mean(recent, f"reward_{kind}_mean") for kind in ("long", "short")
    }
    if not any("reward_long_mean" in r for r in recent) or abs(unpaid["long"] - unpaid["short"]) < 0.1:
        return None
    kind = max(unpaid, key=lambda k: unpaid[k])
    return (
        unpaid[kind] + 0.3,
        -1 if kind == "long" else 1,
        (
            f"reward chain: {_mean(recent, f'accuracy_{kind}'):.0%} of the {kind} responses have a right answer, but {_mean(recent, f'reward_{kind}_mean'):.0%} the "
            f"exact chain"
        ),
    )


def _short_of_kept(before: Before, recent: Sequence[Record], config: Mapping[str, Any]) -> Cause | None:
    """STaR: the kept responses were as long as expected, but the model has not moved to them."""
    if len(recent) < 2 or recent[-2].get("kept_long_share") is None or config.get("temperature", 1.0) != 1.0:
        return None  # at another temperature the next share is not the one that was kept
    kept, reached = recent[-2]["kept_long_share"], recent[-1]["long_share"]
    if abs(kept - reached) < 0.04:
        return None
    return (
        abs(kept - reached),
        1 if reached > kept else -1,
        (
            f"the model did not move to what was kept: {kept:.0%} of the kept responses were long, {reached:.0%} of the next round's; more prompts or epochs a "
            f"round, or another learning rate"
        ),
    )


_CHECKS: tuple[Check, ...] = (
    _truncated,
    _importance,
    _length_reward,
    _dead,
    _verifier,
    _golds,
    _success,
    _strict,
    _short_of_kept,
    _normalisation,
)
