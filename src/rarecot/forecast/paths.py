"""Paths of the long share that RL is expected to take: draws from what is not known about the two modes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rarecot.evaluation.records import Record, is_own
from rarecot.forecast.shares import SURE, Share, of_record, pooled
from rarecot.theory import gradient
from rarecot.theory.predict import keep_ratio, odds, reward_rate, share, tempered

DRAWS = 2000
# A round of STaR is finite: it moves the log-odds by a part of what Theorem 2 says, the less the fewer prompts and epochs it has. Over
# the rounds of experiments 4, 11 and 17: 0.65 to 1.1.
EFFICIENCY = (0.65, 1.15)
FITTED = 3  # rounds of a policy gradient from which its rate is fitted
RATE_SPREAD = 0.15  # relative standard deviation of the rate over the rounds that follow: three seeds of experiment 18
# Log-odds of going on after a first token that no long demonstration has, after next-token prediction: five checkpoints on parity, one of them (half learned) at -2.7.
LEAK = (-6.5, -5.0)
LEAK_RATE = (
    0.3,
    4.0,
)  # how fast RL changes that, against going on after the right first token: 0.4 to 0.8 on the headline, 3 at d = 25


@dataclass(frozen=True)
class Before:
    """What was measured before RL.

    Args:
        long_share: of the policy that RL starts from, at RL's temperature.
        success_long: share of right answers among its long responses; None: none was seen.
        success_short: among its short ones.
    """

    long_share: Share
    success_long: Share | None
    success_short: Share | None


@dataclass(frozen=True)
class Asked:
    """What of a stage's options its expected path depends on.

    Args:
        stage: star, grpo or reinforce.
        temperature: of the rollouts.
        group: responses a prompt.
        scale: how rewards are scaled: group, batch or none.
        weight: of the reward of correctness.
        not_modelled: why nothing can be expected of such rewards; empty: they are the answer or the chain, and rewards of length at most.
        false_positive_rate: of the verifier.
        false_negative_rate: of the verifier.
        guess_rate: g, where the task fixes it.
    """

    stage: str
    temperature: float = 1.0
    group: int = 2
    scale: str = "none"
    weight: float = 1.0
    not_modelled: str = ""
    false_positive_rate: float = 0.0
    false_negative_rate: float = 0.0
    guess_rate: float | None = None


MODELLED = ("answer", "chain")
OF_LENGTH = ("length_penalty", "soft_overlong")  # what is expected is expected without them: an alarm then names them


def asked_of(stage: str, config: Mapping[str, Any], guess_rate: float | None) -> Asked:
    """From a stage's resolved options, as a run directory keeps them."""
    names, weights = (_listed(config.get(key)) for key in ("reward_funcs", "reward_weights"))
    names = names or ["answer"]
    weighed = dict(zip(names, weights or [1.0] * len(names), strict=False))
    right = [name for name in names if name in MODELLED]
    not_modelled = ""
    if len(right) != 1 or set(names) - set(right) - set(OF_LENGTH):
        not_modelled = f"rewards {' + '.join(names)}: only {' or '.join(MODELLED)}, one of them, has a known path"
    scale = str(config.get("scale_rewards", "none")).lower()
    return Asked(
        stage=stage,
        temperature=config.get("temperature", 1.0),
        group=config.get("num_generations") or 2,
        scale="none" if stage != "grpo" else {"true": "group", "false": "none"}.get(scale, scale),
        weight=float(weighed.get(right[0], 1.0)) if right else 1.0,
        not_modelled=not_modelled,
        false_positive_rate=config.get("false_positive_rate", 0.0),
        false_negative_rate=config.get("false_negative_rate", 0.0),
        guess_rate=guess_rate,
    )


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def before_of(
    records: Sequence[Record], stage: str, temperature: float, starts_from: str | None = None
) -> Before | None:
    """What a run's records say of the policy that a stage started from; None if nothing was sampled from it.

    One evaluation counts, the largest at the temperature nearest to RL's: others of the same policy ask the same problems. The long share is
    pooled with the rollouts of round 0, which ask others; success rates are the evaluation's alone, whose cap on length is not RL's.

    Args:
        records: of the run.
        stage: the RL stage.
        temperature: of its rollouts.
        starts_from: the checkpoint it started from, relative to the run directory: an evaluation of that one counts, too.
    """
    own = [r for r in records if is_own(r)]
    sampled = [r for r in own if r["decoding"] == "sampled" and r.get("long_share_ci") is not None]
    first = [r for r in sampled if r["stage"] == stage and r.get("round", r["step"]) == 0]
    evaluations = [r for r in first if r["split"] == "test"]
    evaluations += [
        r for r in sampled if r["split"] == "test" and f"{r['stage']}/checkpoint-{r['step']}" == starts_from
    ]
    rollouts = [r for r in first if r["split"] == "rollouts"][:1]
    best = min(evaluations, key=lambda r: (abs(r["temperature"] - temperature), -r["n"]), default=None)
    alike = [best] if best and best["temperature"] == temperature else []
    if not alike and not rollouts:  # the long share at another temperature is another one
        return None
    long = pooled([of_record(r, "long_share") for r in alike + rollouts])
    success = [of_record(best or rollouts[0], f"accuracy_{kind}") for kind in ("long", "short")]
    return Before(long, *success)


@dataclass(frozen=True)
class Drawn:
    """Draws of what is not known, shape (DRAWS,) each.

    Args:
        share: long share before RL.
        long: probability that a long response is rewarded.
        short: that a short one is.
    """

    share: np.ndarray
    long: np.ndarray
    short: np.ndarray


def draw(before: Before, asked: Asked, seed: int = 0) -> Drawn:
    """Draw what was measured from its posterior; a mode that was never seen may succeed at any rate."""
    rng = np.random.default_rng(seed)
    unknown, errors = Share(0.5, 0.0), (asked.false_positive_rate, asked.false_negative_rate)
    p = before.long_share.draws(rng, DRAWS)
    rewards = [
        reward_rate((success or unknown).draws(rng, DRAWS), 0.0, *errors)
        for success in (before.success_long, before.success_short)
    ]
    return Drawn(p, *rewards)


def direction(drawn: Drawn) -> int:
    """1 if long responses are rewarded more often (95 %), -1 if less, 0 if it is open."""
    low, high = np.quantile(drawn.long - drawn.short, [0.025, 0.975])
    return int(low > 0) - int(high < 0)


def star(
    drawn: Drawn, temperature: float, guess_rate: float | None, rounds: int, seed: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Long share by round of STaR: Theorem 2, generalised by a_L and a_S, by finite rounds, and, where the task fixes g, by the
    temperature of the rollouts (`predict.tempered`).

    Args:
        drawn: before RL, at that temperature.
        temperature: of the rollouts.
        guess_rate: g; None: temperature is taken to leave the long share as it is.
        rounds: how many.
        seed: of what part of the way a round goes.

    Returns:
        At temperature 1, and at that of the rollouts; shape (rounds + 1, DRAWS) each.
    """
    gained = np.log(np.clip(keep_ratio(drawn.long, drawn.short), SURE, 1 / SURE))
    part = np.random.default_rng(seed).uniform(*EFFICIENCY, len(gained))
    same = temperature == 1.0 or guess_rate is None
    plain = [drawn.share if same else _untempered(drawn.share, temperature, guess_rate)]
    rollouts = [drawn.share]
    for _ in range(rounds):
        here, goal = _log_odds(plain[-1]), _log_odds(rollouts[-1]) + gained  # of what is kept
        plain.append(share(np.exp(np.clip(here + part * (goal - here), -20, 20))))
        rollouts.append(plain[-1] if same else _sure(tempered(plain[-1], temperature, guess_rate)))
    return np.stack(plain), np.stack(rollouts)


def _untempered(share: np.ndarray, temperature: float, guess_rate: float) -> np.ndarray:
    """The long share at temperature 1 behind one at another temperature: `tempered`, inverted on a grid."""
    grid = np.linspace(1e-6, 1 - 1e-6, 20_001)
    return np.interp(share, tempered(grid, temperature, guess_rate), grid)


def _sure(p: np.ndarray) -> np.ndarray:
    return np.clip(p, SURE, 1 - SURE)


def _log_odds(p: np.ndarray) -> np.ndarray:
    return np.log(odds(_sure(p)))


def gain_of(asked: Asked) -> gradient.Gain:
    """What being rewarded is worth in advantage, by the share of responses that are; a weight matters only where nothing is scaled."""
    weight = asked.weight if asked.scale == "none" else 1.0
    return lambda mean: weight * gradient.group_gain(np.clip(mean, 0.0, 1.0), asked.group, asked.scale)


def rate(before: Before, asked: Asked, shifts: Sequence[float], form: gradient.Form = "branching") -> float | None:
    """The rate of a policy gradient that explains its first rounds best; None without a difference between the modes.

    Args:
        before: RL.
        asked: of it.
        shifts: change of the log-odds of long since before RL, after rounds 0 (which is 0), 1, … (`log_odds_shift`).
        form: the equation that it is the rate of.
    """
    drawn = draw(before, asked)
    long, short = np.median(drawn.long), np.median(drawn.short)
    if long == short or len(shifts) < 2:
        return None
    p0, guess = min(max(before.long_share.value, 1e-6), 1 - 1e-6), asked.guess_rate or 0.0
    p = share(np.exp(np.log(odds(p0)) + np.asarray(shifts, dtype=float)))
    pushed = gradient.pressure(p[:-1], long, short, form, gain_of(asked))
    moved = gradient.going_on(p, p0, guess if form == "branching" else 0.0)
    return gradient.fit_rate(moved[1:] - moved[0], pushed)


def spread(rate: float, seed: int = 2) -> np.ndarray:
    """The rate with what it may vary in later rounds, shape (DRAWS,)."""
    return rate * np.random.default_rng(seed).normal(1.0, RATE_SPREAD, DRAWS)


def policy_gradient(
    drawn: Drawn, asked: Asked, rate: np.ndarray, rounds: int, form: gradient.Form = "branching"
) -> np.ndarray:
    """Long share by round of GRPO or REINFORCE, shape (rounds + 1, DRAWS)."""
    rng = np.random.default_rng(3)
    leak_rate = np.exp(rng.uniform(*np.log(LEAK_RATE), DRAWS))
    return gradient.policy_gradient(
        *(drawn.share, np.median(drawn.long), np.median(drawn.short), rate, rounds),
        form=form,
        branches=gradient.Branches(asked.guess_rate or 0.0, rng.uniform(*LEAK, DRAWS), leak_rate),
        gain=gain_of(asked),
    )
