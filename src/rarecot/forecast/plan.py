"""From a measured checkpoint to what RL is expected to do with it: pure numbers, with intervals from a bootstrap over prompts."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rarecot.evaluation.metrics import proportion_interval, wilson
from rarecot.forecast import paths
from rarecot.forecast.measure import Measured
from rarecot.forecast.paths import DRAWS, Drawn
from rarecot.forecast.shares import SURE, Estimate, Share, of_interval
from rarecot.theory.predict import greedy_threshold, keep_ratio, measured_threshold, odds

ALMOST_ALL = 0.95  # long share that counts as "RL is done"
ROUNDS, MOST_ROUNDS = 12, 60  # of the path that is shown; later is never
FEW = 20  # prompts, or responses of a mode, of which a bootstrap is too certain
HALF_LEARNED = 0.9
SEPARATE, CALIBRATED, AGREE, CUT = 0.9, 0.05, 0.1, 0.05  # from where an assumption is said not to hold


@dataclass(frozen=True)
class Plan:
    """What was measured, and what follows.

    Args:
        prompts: N.
        samples: responses a prompt.
        temperature: of the samples.
        sampler: what sampled.
        long_share: of the samples.
        long_at_most: upper 95 % bound of the long share where there was none, else None.
        success_long, success_short: share of right answers in each mode.
        truncated_long: share of the long responses that were cut off.
        length_long, length_short: mean tokens.
        greedy_long, greedy_accuracy: of greedy decoding.
        position, stay, leave, separation: the branching token (`branching.Branching`).
        threshold: long share at temperature 1 at which half of the greedy responses are long: what next-token prediction alone would need as
            p_cot; None: not known.
        flip: factor on the odds of long that it takes; below 1: they are.
        theory_threshold: g/(1 + g) where the task fixes g, else None.
        ratio: factor on the odds in a round of STaR.
        gap: mean reward of long less that of short: its sign is the direction of every policy gradient.
        flip_round, done_round: rounds of STaR until greedy decoding flips, and until 95 % are long, if both modes stay as good as they are.
        flip_at_best: the same of the flip if long responses became always right at once; None where they nearly are, or always wrong.
        path: predicted long share by round of STaR, shape (rounds + 1, 3): low, median, high.
        warnings: assumptions that do not hold, a sentence each.
    """

    prompts: int
    samples: int
    temperature: float
    sampler: str
    long_share: Estimate
    long_at_most: float | None
    success_long: Estimate | None
    success_short: Estimate | None
    truncated_long: Estimate | None
    length_long: float | None
    length_short: float | None
    greedy_long: Estimate
    greedy_accuracy: Estimate
    position: int | None
    stay: float | None
    leave: float | None
    separation: float | None
    flip: Estimate | None
    threshold: Estimate | None
    theory_threshold: float | None
    ratio: Estimate | None
    gap: Estimate | None
    flip_round: Estimate | None
    flip_at_best: Estimate | None
    done_round: Estimate | None
    path: np.ndarray | None
    warnings: tuple[str, ...]


def plan(measured: Measured, p_cot: float | None = None, guess_rate: float | None = None, seed: int = 0) -> Plan:
    """Predict RL from a measured checkpoint.

    Args:
        measured: N prompts.
        p_cot: share of long demonstrations that it was trained on, if known.
        guess_rate: g, where the task fixes it.
        seed: of the bootstrap.
    """
    rng = np.random.default_rng(seed)
    prompts, samples = measured.long.shape
    weights = rng.multinomial(prompts, np.full(prompts, 1 / prompts), DRAWS)  # (DRAWS, N)
    long, short = measured.long, ~measured.long
    both = bool(long.any() and short.any())
    # Where one mode was not seen a bootstrap would be certain of it; the posterior is not.
    enough = both and prompts >= FEW
    share = _sure(weights @ long.mean(1) / prompts) if enough else _posterior(long, np.ones_like(long), rng)
    kept = {kind: _posterior(measured.kept, where, rng) for kind, where in (("long", long), ("short", short))}
    rewarded = bool(measured.kept.any())
    plain, rollouts = paths.star(
        Drawn(share, kept["long"], kept["short"]), measured.temperature, guess_rate, MOST_ROUNDS
    )
    half_right = both and 0 < measured.kept[long].mean() < ALMOST_ALL
    perfect = Drawn(share, np.ones(DRAWS), kept["short"])
    best = paths.star(perfect, measured.temperature, guess_rate, MOST_ROUNDS)[0] if half_right else None
    threshold = _threshold(measured, plain[0], weights, guess_rate)
    known = threshold is not None
    gap = _gap(measured, rng, weights) if both else None
    return Plan(
        prompts=prompts,
        samples=samples,
        temperature=measured.temperature,
        sampler=measured.sampler,
        long_share=_estimate(float(long.mean()), share),
        long_at_most=None if long.any() else wilson(0, long.size)[1],
        success_long=_of(measured.correct, long, weights),
        success_short=_of(measured.correct, short, weights),
        truncated_long=_of(measured.truncated, long, weights),
        length_long=_plain_mean(measured.length, long),
        length_short=_plain_mean(measured.length, short),
        greedy_long=_proportion(measured.greedy_long),
        greedy_accuracy=_proportion(measured.greedy_correct),
        position=measured.branch.position,
        stay=measured.branch.stay,
        leave=measured.branch.leave,
        separation=measured.branch.separation,
        flip=_estimate(None, odds(_sure(threshold)) / odds(_sure(plain[0]))) if known else None,
        threshold=_estimate(None, threshold) if known else None,
        theory_threshold=None if guess_rate is None else greedy_threshold(guess_rate),
        ratio=_estimate(None, keep_ratio(kept["long"], kept["short"])) if both and rewarded else None,
        gap=gap,
        flip_round=_first(plain >= threshold) if known and rewarded else None,
        flip_at_best=_first(best >= threshold) if known and best is not None else None,
        done_round=_first(rollouts >= ALMOST_ALL) if rewarded else None,
        path=np.quantile(rollouts[: ROUNDS + 1], [0.025, 0.5, 0.975], axis=1).T if rewarded else None,
        warnings=tuple(_warnings(measured, gap, p_cot, known, guess_rate)),
    )


def _sure(p: np.ndarray) -> np.ndarray:
    return np.clip(p, SURE, 1 - SURE)


def _threshold(
    measured: Measured, share: np.ndarray, weights: np.ndarray, guess_rate: float | None
) -> np.ndarray | None:
    """Draws of the long share (at temperature 1) at which half of the greedy responses are long: measured at the branching tokens, or where no
    way to the other mode was seen for half of the prompts, the theory's for this task; None: not known."""
    factor = measured.branch.factor
    if (np.isfinite(factor) & (factor > 0)).mean() > 0.5:
        return measured_threshold(share, _weighted_median(factor, weights))
    return None if guess_rate is None else np.full(DRAWS, greedy_threshold(guess_rate))


def _first(reached: np.ndarray) -> Estimate:
    """First round at which each draw is there, (rounds + 1, DRAWS); infinite if none."""
    return _estimate(None, np.where(reached.any(0), reached.argmax(0), np.inf))


def _gap(measured: Measured, rng: np.random.Generator, weights: np.ndarray) -> Estimate:
    """Mean reward of long less that of short. Rewards of 0 and 1 are drawn from their posterior, others by a bootstrap over prompts; of a
    mode with few responses nothing is certain."""
    modes = {"long": measured.long, "short": ~measured.long}
    binary = bool(np.isin(measured.reward, (0.0, 1.0)).all())
    draws = {
        kind: _posterior(measured.reward == 1.0, where, rng) if binary else _mean(measured.reward, where, weights)
        for kind, where in modes.items()
    }
    means = {kind: float(measured.reward[where].mean()) for kind, where in modes.items()}
    found = _estimate(means["long"] - means["short"], draws["long"] - draws["short"])
    if not binary and min(where.sum() for where in modes.values()) < FEW:
        return replace(found, low=-math.inf, high=math.inf)
    return found


def _posterior(values: np.ndarray, where: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draws of a proportion of the responses at `where`, shape (DRAWS,): any, where there are none."""
    if not where.any():
        return Share(0.5, 0.0).draws(rng, DRAWS)
    picked = values[where].tolist()
    interval = proportion_interval(picked, _prompts(where))
    return of_interval(float(np.mean(picked)), interval).draws(rng, DRAWS)


def _estimate(value: float | None, draws: np.ndarray) -> Estimate:
    """A number with the middle 95 % of its draws; None: their median."""
    low, middle, high = np.quantile(draws, [0.025, 0.5, 0.975], method="inverted_cdf")  # infinite ones stay infinite
    return Estimate(float(middle if value is None else value), float(low), float(high))


def _of(values: np.ndarray, where: np.ndarray, weights: np.ndarray) -> Estimate | None:
    """Mean of `values` over the responses at `where`, with a bootstrap over prompts; shares of 0 and 1 get Wilson's interval, as a
    bootstrap would be certain of them."""
    if not where.any():
        return None
    mean = float(values[where].mean())
    if values.dtype == bool and mean in (0.0, 1.0):
        return Estimate(mean, *proportion_interval(values[where].tolist(), _prompts(where)))
    return _estimate(mean, _mean(values, where, weights))


def _mean(values: np.ndarray, where: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Bootstrap draws of a mean over the responses at `where`, shape (DRAWS,); the plain mean where a draw has none of them."""
    total, count = weights @ (values * where).sum(1), weights @ where.sum(1)
    plain = float(values[where].mean()) if where.any() else 0.0
    return np.where(count > 0, total / np.maximum(count, 1), plain)


def _proportion(values: np.ndarray) -> Estimate:
    return Estimate(float(values.mean()), *wilson(int(values.sum()), len(values)))


def _prompts(where: np.ndarray) -> list[str]:
    return [str(prompt) for prompt in np.nonzero(where)[0]]


def _plain_mean(values: np.ndarray, where: np.ndarray) -> float | None:
    return float(values[where].mean()) if where.any() else None


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Median over prompts of each bootstrap draw, shape (DRAWS,)."""
    order = np.argsort(values)
    running = np.cumsum(weights[:, order], axis=1)
    return values[order][(running >= weights.sum(1, keepdims=True) / 2).argmax(1)]


def _warnings(
    measured: Measured, gap: Estimate | None, p_cot: float | None, known: bool, guess_rate: float | None
) -> Sequence[str]:
    """Where the assumptions of the prediction do not hold."""
    long, responses = measured.long, measured.long.size
    said = []
    if not long.any():
        bound = wilson(0, responses)[1]
        said.append(
            f"No long response among {responses}: the long share is below {bound:.2%} (95 %), and how often long responses are right is not known. What "
            f"follows lets both be anything that fits; sample more, or train longer."
        )
    if long.all():
        said.append(f"No short response among {responses}: there is nothing that RL could move the model away from.")
    if not measured.kept.any():
        said.append("Nothing would be rewarded: RL has nothing to learn from, and STaR stops in its first round.")
    if len(long) < FEW:
        said.append(f"Only {len(long)} prompts: what varies from prompt to prompt cannot be told. Use {FEW} or more.")
    if gap is not None and gap.high < 0:
        said.append(
            f"Long responses earn less than short ones (mean reward, long − short: {gap}): RL will make responses shorter, not longer. Train longer by "
            f"next-token prediction first."
        )
    elif gap is not None and gap.low <= 0:
        said.append(
            "Whether long or short responses are rewarded more often cannot be told from these samples: the direction of RL is open. Sample "
            "more."
        )
    share = float(long.mean())
    interval = proportion_interval(long.ravel().tolist(), _prompts(np.ones_like(long)))
    if p_cot is not None and not interval[0] - CALIBRATED <= p_cot <= interval[1] + CALIBRATED:
        said.append(
            f"Length is not calibrated: the model was trained on p_cot = {p_cot:g} and writes {share:.1%} [{interval[0]:.1%}, {interval[1]:.1%}] long "
            f"responses. What p_cot would be enough is said of a calibrated model."
        )
    if measured.long_by_length is not None and abs(measured.long_by_length.mean() - share) > AGREE:
        said.append(
            f"By their marks {share:.0%} of the responses are long, by their length {measured.long_by_length.mean():.0%}: the two modes do not "
            f"separate, and a prediction of one share says little."
        )
    branch = measured.branch
    if branch.separation is not None and branch.separation < SEPARATE:
        said.append(
            f"The modes do not part at one token: only {branch.separation:.0%} of the samples that leave the greedy response at token "
            f"{branch.position} show there whether they are long. Read the threshold as a guess."
        )
    if long.any() and 0 < (right := float(measured.kept[long].mean())) < HALF_LEARNED:
        said.append(
            f"Only {right:.0%} of the long responses would be rewarded. RL makes them better as well (on parity STaR took them from 69 to 97 % in four "
            f"rounds), which a plan of the mix does not count: greedy decoding may flip earlier."
        )
    if not known:
        said.append(
            "No way from the greedy responses to the other mode was seen, so when greedy decoding flips cannot be said. Take more samples."
        )
    if long.any() and (cut := float(measured.truncated[long].mean())) > CUT:
        said.append(
            f"{cut:.0%} of the long responses would be cut off and never rewarded: raise max_completion_length before anything else."
        )
    if measured.temperature != 1.0 and guess_rate is None:
        said.append(
            f"The long share was measured at temperature {measured.temperature:g}, the branching token at 1: take the threshold and the rounds as rough."
        )
    if (ungraded := float(measured.ungraded.mean())) > 0:
        said.append(f"{ungraded:.1%} of the responses have a gold answer that cannot be read; they count as wrong.")
    return said
