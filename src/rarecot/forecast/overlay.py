"""Measured long share beside the expected one: does a run do what was to be expected before it, and if not, why?

STaR's path follows from what was measured before RL alone (Theorem 2, with a_L and a_S). A policy gradient's direction does, too; its pace depends
on learning rate and optimizer, so that one rate is fitted on the first three rounds (`paths.FITTED`), and the rest is predicted.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rarecot.evaluation.records import Record
from rarecot.forecast import paths
from rarecot.forecast.paths import FITTED, Asked, Before, Drawn
from rarecot.theory.predict import GUESS_RATES

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
    """The rollouts of a stage, one record a round."""
    found = {r["round"]: r for r in records if (r["stage"], r["split"]) == (stage, "rollouts") and "round" in r}
    return [found[n] for n in sorted(found)]


def expect(before: Before, asked: Asked, rollouts: Sequence[Record], rounds: int) -> Expected | None:
    """The band, as far as can be said before RL (STaR) or after its first rounds (policy gradients)."""
    drawn = paths.draw(before, asked)
    if asked.stage == "star":
        band = paths.star(drawn, asked, rounds)
        return _band(band, "Theorem 2 with what was measured before RL")
    shifts = first_shifts(rollouts)
    direction = _direction(drawn)
    if direction == 0 or len(shifts) <= FITTED:
        return None
    rate = paths.rates(before, asked, shifts[: FITTED + 1])
    if rate is None or np.median(rate) <= 0:
        return None
    band = paths.policy_gradient(drawn, asked, rate, rounds)
    return _band(band, f"one rate, fitted on rounds 0 to {FITTED}")


def first_shifts(rollouts: Sequence[Record]) -> list[float]:
    """`log_odds_shift` of rounds 0, 1, …, as far as there is one for each."""
    shifts: list[float] = []
    for n, record in enumerate(rollouts):
        if record["round"] != n or record.get("log_odds_shift") is None:
            break
        shifts.append(record["log_odds_shift"])
    return shifts


def alarms(
    before: Before, asked: Asked, rollouts: Sequence[Record], expected: Expected | None, config: Mapping[str, Any]
) -> list[Alarm]:
    """The rounds at which a run left what was expected of it; of each time that it did, the first."""
    found, outside_before, inside = [], False, True
    for i, record in enumerate(rollouts):
        what = _wrong_way(before, asked, rollouts[: i + 1]) if expected is None else _outside(record, expected)
        distance, sentence = what if what else (0.0, "")
        alarming = distance > APART or (distance > 0 and outside_before)
        if alarming and inside:
            recent = rollouts[max(0, i - LOOK_BACK + 1) : i + 1]
            found.append(Alarm(record["round"], sentence, tuple(causes(before, asked, recent, config))))
            inside = False
        outside_before = distance > 0
        inside = inside or not outside_before
    return found


def _band(band: np.ndarray, words: str) -> Expected:
    low, middle, high = np.quantile(band, [0.025, 0.5, 0.975], axis=1)
    return Expected(low, middle, high, words)


def _direction(drawn: Drawn) -> int:
    """1 if long responses are rewarded more (95 %), -1 if less, 0 if it is open."""
    low, high = np.quantile(drawn.long - drawn.short, [0.025, 0.975])
    return int(low > 0) - int(high < 0)


def _outside(record: Record, expected: Expected) -> tuple[float, str] | None:
    """How far a round's interval lies from the band, and a sentence; None if they meet."""
    n = record["round"]
    low, high = expected.low[n], expected.high[n]
    below, above = low - record["long_share_ci"][1], record["long_share_ci"][0] - high
    if max(below, above) <= 0:
        return None
    side = "fewer" if below > 0 else "more"
    sentence = f"{record['long_share']:.0%} of the rollouts are long, {side} than the {low:.0%} to {high:.0%} that were expected ({expected.words})."
    return float(max(below, above)), sentence


def _wrong_way(before: Before, asked: Asked, rollouts: Sequence[Record]) -> tuple[float, str] | None:
    """A policy gradient that moves against what the modes' rewards before RL say."""
    direction, shifts = _direction(paths.draw(before, asked)), first_shifts(rollouts)
    if asked.stage == "star" or direction == 0 or len(shifts) <= FITTED or len(shifts) < len(rollouts):
        return None
    moved = shifts[-1]
    if direction * moved > -RIGHT_DIRECTION:
        return None
    a_long, a_short = before.success_long, before.success_short
    right = f"{a_long.value:.0%} against {a_short.value:.0%}" if a_long and a_short else "as measured before RL"
    sentence = (
        f"the odds of a long response have {'fallen' if moved < 0 else 'grown'} by a factor of {np.exp(abs(moved)):.2f} since before RL, although long "
        f"responses earn {'more' if direction > 0 else 'less'} ({right} right)."
    )
    return 2 * APART, sentence


Check = Callable[[Before, Asked, Sequence[Record], Mapping[str, Any]], tuple[float, str] | None]


def causes(before: Before, asked: Asked, recent: Sequence[Record], config: Mapping[str, Any]) -> list[str]:
    """What in the last rounds' records may explain that a run left its band, the strongest first."""
    found = [cause for check in _CHECKS if (cause := check(before, asked, recent, config))]
    if not found:
        return ["nothing that is logged explains it"]
    return [text for _, text in sorted(found, key=lambda cause: -cause[0])]


def _mean(recent: Sequence[Record], field: str) -> float:
    values = [r[field] for r in recent if r.get(field) is not None]
    return sum(values) / len(values) if values else 0.0


def _truncated(before: Before, asked: Asked, recent: Sequence[Record], config: Mapping[str, Any]) -> Any:
    cut = _mean(recent, "truncated_long_share")
    if cut <= 0.05:
        return None
    return cut + 1.0, (
        f"truncation: {cut:.0%} of the long responses were cut off at max_completion_length {recent[-1]['max_new_tokens']} and not rewarded"
    )


def _importance(before: Before, asked: Asked, recent: Sequence[Record], config: Mapping[str, Any]) -> Any:
    cut = _mean(recent, "is_cut_share_long")
    if cut <= 0.02:
        return None
    return cut + 0.5, (
        f"importance sampling: the ratios of {cut:.0%} of the long responses' tokens were cut ({_mean(recent, 'is_cut_share_short'):.0%} of the short "
        f"ones'), because sampler and trainer differ"
    )


def _length_reward(before: Before, asked: Asked, recent: Sequence[Record], config: Mapping[str, Any]) -> Any:
    names = [name for name in config.get("reward_funcs") or [] if name in ("length_penalty", "soft_overlong")]
    return (0.4, f"length reward: {' and '.join(names)} takes from long responses") if names else None


def _dead(before: Before, asked: Asked, recent: Sequence[Record], config: Mapping[str, Any]) -> Any:
    dead = _mean(recent, "dead_group_share")
    return (
        (dead - 0.4, f"dead groups: in {dead:.0%} of the groups all rewards were equal, so they taught nothing")
        if dead > 0.8
        else None
    )


def _verifier(before: Before, asked: Asked, recent: Sequence[Record], config: Mapping[str, Any]) -> Any:
    late = _mean(recent, "timed_out_share")
    if late > 0.02:
        return (
            late + 0.5,
            f"verifier time-outs: {late:.0%} of the answers took too long to compare and counted as wrong",
        )
    return None


def _golds(before: Before, asked: Asked, recent: Sequence[Record], config: Mapping[str, Any]) -> Any:
    unread = _mean(recent, "unparseable_gold_share")
    return (
        (unread + 0.3, f"golds: {unread:.0%} of the responses had a gold that cannot be read")
        if unread > 0.02
        else None
    )


def _success(before: Before, asked: Asked, recent: Sequence[Record], config: Mapping[str, Any]) -> Any:
    """A mode that is right more or less often than it was, of those responses that ended."""
    said = []
    for kind, known in (("long", before.success_long), ("short", before.success_short)):
        rates = [
            r[f"accuracy_{kind}"] / (1 - cut)
            for r in recent
            if r.get(f"accuracy_{kind}") is not None and (cut := r.get(f"truncated_{kind}_share") or 0.0) < 0.9
        ]
        if known is None or not rates:
            continue
        now, (low, high) = sum(rates) / len(rates), known.interval
        if now < low - 0.05 or now > high + 0.05:
            said.append(
                (
                    abs(now - known.value),
                    f"{kind} responses are now right {now:.0%} of the time, {known.value:.0%} before RL",
                )
            )
    return max(said) if said else None


def _short_of_kept(before: Before, asked: Asked, recent: Sequence[Record], config: Mapping[str, Any]) -> Any:
    """STaR: the kept responses were as long as expected, but the model has not moved to them."""
    if len(recent) < 2 or recent[-2].get("kept_long_share") is None:
        return None
    kept, reached = recent[-2]["kept_long_share"], recent[-1]["long_share"]
    if abs(kept - reached) < 0.04:
        return None
    return abs(kept - reached), (
        f"the model did not move to what was kept: {kept:.0%} of the kept responses were long, {reached:.0%} of the next round's; more prompts or epochs a "
        f"round, or a higher learning rate"
    )


def _normalisation(before: Before, asked: Asked, recent: Sequence[Record], config: Mapping[str, Any]) -> Any:
    if config.get("loss_type") not in ("grpo", "sapo"):
        return None
    return (
        0.3,
        f"loss normalisation: loss_type {config['loss_type']} weighs a long response's tokens by 1/length; use dr_grpo",
    )


_CHECKS: tuple[Check, ...] = (
    _truncated,
    _importance,
    _length_reward,
    _dead,
    _verifier,
    _golds,
    _success,
    _short_of_kept,
    _normalisation,
)
