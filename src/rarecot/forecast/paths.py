"""Paths of the long share that RL is expected to take: draws from what is not known about the two modes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rarecot.evaluation.records import Record
from rarecot.forecast.shares import Share, of_record, pooled
from rarecot.theory import gradient
from rarecot.theory.predict import keep_ratio, odds, odds_recursion, reward_rate, share, tempered

DRAWS = 2000
# A round of STaR is finite: it moves the log-odds by this part of what Theorem 2 says. Measured over the rounds of the experiments
# on parity (README): 0.6 to 1.05, the less the fewer prompts and epochs a round has.
EFFICIENCY = (0.7, 1.05)
FITTED = 3  # rounds of a policy gradient from which its rate is fitted
RATE_SPREAD = 0.15  # relative standard deviation of the rate over the rounds that follow, as measured (README)
# Log-odds of going on after a first token that no long demonstration has, after next-token prediction: five checkpoints (README).
LEAK = (-6.5, -5.0)
LEAK_RATE = (
    0.3,
    3.0,
)  # how fast RL changes that, against going on after the right first token: 0.4 to 0.8 on the headline, 3 at d = 25 (README)


@dataclass(frozen=True)
class Before:
    """What was measured before RL.

    Args:
        long_share: of the policy that RL starts from, at RL's temperature.
        success_long: share of right answers among its long responses; None: none was seen.
        success_short: among its short ones.
        length_long: mean tokens of a long response; None: not known.
        length_short: of a short one.
    """

    long_share: Share
    success_long: Share | None
    success_short: Share | None
    length_long: float | None = None
    length_short: float | None = None


@dataclass(frozen=True)
class Asked:
    """What of a stage's options its expected path depends on.

    Args:
        stage: star, grpo or reinforce.
        temperature: of the rollouts.
        group: responses a prompt.
        scale: how rewards are scaled: group, batch or none.
        prices: total weight of the rewards of correctness, and of a token.
        false_positive_rate: of the verifier.
        false_negative_rate: of the verifier.
        guess_rate: g, where the task fixes it.
    """

    stage: str
    temperature: float = 1.0
    group: int = 2
    scale: str = "none"
    prices: tuple[float, float] = (1.0, 0.0)
    false_positive_rate: float = 0.0
    false_negative_rate: float = 0.0
    guess_rate: float | None = None


CORRECTNESS = ("answer", "chain", "format")


def asked_of(stage: str, config: Mapping[str, Any], guess_rate: float | None) -> Asked:
    """From a stage's resolved options, as a run directory keeps them."""
    names = config.get("reward_funcs") or ["answer"]
    weights = config.get("reward_weights") or [1.0] * len(names)
    weights = weights if isinstance(weights, list) else [weights]
    priced = dict(zip(names, weights, strict=True))
    return Asked(
        stage=stage,
        temperature=config.get("temperature", 1.0),
        group=config.get("num_generations") or 2,
        scale="none" if stage == "reinforce" else str(config.get("scale_rewards", "none")),
        prices=(sum(priced.get(name, 0.0) for name in CORRECTNESS), priced.get("length_penalty", 0.0)),
        false_positive_rate=config.get("false_positive_rate", 0.0),
        false_negative_rate=config.get("false_negative_rate", 0.0),
        guess_rate=guess_rate,
    )


def before_of(
    records: Sequence[Record], stage: str, temperature: float, starts_from: str | None = None
) -> Before | None:
    """What a run's records say of the policy that a stage started from; None if nothing was sampled from it.

    The long share is pooled over the evaluations and the rollouts of round 0 at RL's temperature; success rates come from evaluations
    alone, whose cap on length is not RL's.

    Args:
        records: of the run.
        stage: the RL stage.
        temperature: of its rollouts.
        starts_from: the checkpoint it started from, relative to the run directory: an evaluation of that one counts, too.
    """
    sampled = [r for r in records if r["decoding"] == "sampled"]
    first = [r for r in sampled if r["stage"] == stage and r.get("round", r["step"]) == 0]
    same = [r for r in sampled if r["split"] == "test" and f"{r['stage']}/checkpoint-{r['step']}" == starts_from]
    evaluations = [r for r in first if r["split"] == "test"] + same
    rollouts = [r for r in first if r["split"] == "rollouts"]
    at_temperature = [r for r in evaluations if r["temperature"] == temperature] + rollouts
    long = pooled([of_record(r, "long_share") for r in at_temperature or evaluations])
    if long is None:
        return None
    judged = evaluations or rollouts
    lengths = {
        kind: next((v for r in judged if (v := r.get(f"length_{kind}_mean")) is not None), None)
        for kind in ("long", "short")
    }
    success = {kind: pooled([of_record(r, f"accuracy_{kind}") for r in judged]) for kind in ("long", "short")}
    return Before(long, success["long"], success["short"], lengths["long"], lengths["short"])


@dataclass(frozen=True)
class Drawn:
    """Draws of what is not known, shape (DRAWS,) each.

    Args:
        share: long share before RL.
        long: mean reward of a long response, as asked.
        short: of a short one.
        success_long, success_short: share of right answers.
    """

    share: np.ndarray
    long: np.ndarray
    short: np.ndarray
    success_long: np.ndarray
    success_short: np.ndarray


def draw(before: Before, asked: Asked, seed: int = 0) -> Drawn:
    """Draw what was measured from its posterior; a mode that was never seen may succeed at any rate."""
    rng = np.random.default_rng(seed)
    unknown = Share(0.5, 0.0)
    p = before.long_share.draws(rng, DRAWS)
    success = [(s or unknown).draws(rng, DRAWS) for s in (before.success_long, before.success_short)]
    errors = asked.false_positive_rate, asked.false_negative_rate
    correct, token = asked.prices
    rewards = [
        correct * reward_rate(a, 0.0, *errors) - token * (length or 0.0)
        for a, length in zip(success, (before.length_long, before.length_short), strict=True)
    ]
    return Drawn(p, *rewards, *success)


def draw_efficiency(rng: np.random.Generator, size: int) -> np.ndarray:
    """What part of the way a round of STaR goes, shape (size,)."""
    return rng.uniform(*EFFICIENCY, size)


def star(drawn: Drawn, asked: Asked, rounds: int, seed: int = 1) -> np.ndarray:
    """Long share of the rollouts by round of STaR, shape (rounds + 1, DRAWS): Theorem 2, generalised by a_L and a_S, by finite rounds,
    and, where the task fixes g, by the temperature of the rollouts (`predict.tempered`)."""
    errors = asked.false_positive_rate, asked.false_negative_rate
    ratio = keep_ratio(reward_rate(drawn.success_long, 0.0, *errors), reward_rate(drawn.success_short, 0.0, *errors))
    part = draw_efficiency(np.random.default_rng(seed), len(ratio))
    if asked.temperature == 1.0 or asked.guess_rate is None:
        return odds_recursion(drawn.share, np.clip(ratio, 1e-6, 1e6) ** part, np.arange(rounds + 1)[:, None])
    plain = _untempered(drawn.share, asked.temperature, asked.guess_rate)
    paths = [drawn.share]
    for _ in range(rounds):
        goal = np.log(odds(paths[-1])) + np.log(ratio)  # of what is kept
        here = np.log(odds(plain))
        plain = share(np.exp(np.clip(here + part * (goal - here), -30, 30)))
        paths.append(tempered(np.clip(plain, 1e-9, 1 - 1e-9), asked.temperature, asked.guess_rate))
    return np.stack(paths)


def _untempered(share: np.ndarray, temperature: float, guess_rate: float) -> np.ndarray:
    """The long share at temperature 1 behind one at another temperature: `tempered`, inverted on a grid."""
    grid = np.linspace(1e-6, 1 - 1e-6, 20_001)
    return np.interp(share, tempered(grid, temperature, guess_rate), grid)


def gain_of(asked: Asked) -> gradient.Gain:
    """What a unit of reward is worth in advantage, by the mean reward."""
    return lambda mean: gradient.group_gain(np.clip(mean, 0.0, 1.0), asked.group, asked.scale)


def rates(before: Before, asked: Asked, shifts: Sequence[float], seed: int = 2) -> np.ndarray | None:
    """The rate of a policy gradient from its first rounds, with what it may vary later, shape (DRAWS,); None without a difference
    between the modes.

    Args:
        before: RL.
        asked: of it.
        shifts: change of the log-odds of long since before RL, after rounds 0 (which is 0), 1, … (`log_odds_shift`).
    """
    drawn = draw(before, asked)
    gap = float(np.median(drawn.long) - np.median(drawn.short))
    if gap == 0 or len(shifts) < 2:
        return None
    p0, guess = before.long_share.value, asked.guess_rate or 0.0
    p0 = min(max(p0, 1e-6), 1 - 1e-6)
    z0 = np.log(odds(p0))
    p = share(np.exp(z0 + np.asarray(shifts, dtype=float)))
    pushed = gradient.pressure(p[:-1], np.median(drawn.long), np.median(drawn.short), "branching", gain_of(asked))
    moved = gradient.going_on(p, p0, guess)
    rate = gradient.fit_rate(moved[1:] - moved[0], pushed)
    return rate * np.random.default_rng(seed).normal(1.0, RATE_SPREAD, DRAWS)


def policy_gradient(drawn: Drawn, asked: Asked, rate: np.ndarray, rounds: int) -> np.ndarray:
    """Long share by round of GRPO or REINFORCE, shape (rounds + 1, DRAWS)."""
    rng = np.random.default_rng(3)
    middle_long, middle_short = np.median(drawn.long), np.median(drawn.short)
    return gradient.policy_gradient(
        *(drawn.share, middle_long, middle_short, rate, rounds),
        form="branching",
        branches=gradient.Branches(
            asked.guess_rate or 0.0, rng.uniform(*LEAK, DRAWS), np.exp(rng.uniform(*np.log(LEAK_RATE), DRAWS))
        ),
        gain=gain_of(asked),
    )
