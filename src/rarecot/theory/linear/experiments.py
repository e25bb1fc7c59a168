"""Experiments on the linear model: a spec in, rows out (plain dicts, one for each seed and point).

calibration   Theorem 1: the errors of both modes and the greedy accuracy, over d and p
star          Theorem 2: the long share round by round, against p_n
rate          the distance to the exact optimum after T samples, and the slope of its logarithm
near          greedy accuracy after T samples, for p near 1/3
starving      the chain's probability against λ: too large a λ starves the product over positions
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from rarecot.theory.linear.model import Bits, Policy, sigmoid
from rarecot.theory.linear.optimum import chain_weight, optimum
from rarecot.theory.linear.sgd import draw_inputs, pretrain
from rarecot.theory.linear.spec import LinearSpec
from rarecot.theory.linear.star import star
from rarecot.theory.predict import odds_recursion

Row = dict[str, float]
TEST = 1_000_003  # second word of the test inputs' seed: another stream than training's and STaR's
# 97.5 % quantiles of Student's t for 1, 2, … degrees of freedom; beyond the last, it errs to the wide side
T_QUANTILES = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131)


def run(spec: LinearSpec) -> Iterator[list[Row]]:
    """The experiment's rows, those of one seed (and d) at a time.

    Raises:
        ValueError: the spec has problems.
    """
    if problems := spec.problems():
        raise ValueError(" ".join(problems))
    for seed in range(spec.seed, spec.seed + spec.seeds):
        for d in spec.d:
            x = draw_inputs(np.random.default_rng([seed, TEST]), spec.inputs, d)
            yield [{"d": d, "seed": seed, **row} for row in EXPERIMENTS[spec.experiment](spec, d, seed, x)]


def _pretrained(spec: LinearSpec, d: int, seed: int) -> dict[tuple[float, int], Policy]:
    return pretrain(d, spec.p, spec.samples, spec.lambda_heads[0], spec.lambda_chain[0], seed)


def measured(policy: Policy, p: float, x: Bits) -> Row:
    """A policy against the modes of share p, and its greedy decoding, on inputs x.

    Returns:
        long, short: mean probability of the exact long and short demonstration;
        long_error, short_error: mean of |π(long | x) − p| and of |π(short | x) − (1 − p)/2| (Theorem 1);
        greedy_accuracy: share of right answers; greedy_long: share of inputs on which greedy decoding goes on.
    """
    modes, greedy = policy.modes(x), policy.greedy(x)
    return {
        "long": float(modes.long.mean()),
        "short": float(modes.short.mean()),
        "long_error": float(np.abs(modes.long - p).mean()),
        "short_error": float(np.abs(modes.short - (1 - p) / 2).mean()),
        "greedy_accuracy": float(greedy.right(x).mean()),
        "greedy_long": float(greedy.long.mean()),
    }


def calibration(spec: LinearSpec, d: int, seed: int, x: Bits) -> Iterable[Row]:
    """Theorem 1: a row for each p (and number of samples)."""
    for (p, n), policy in _pretrained(spec, d, seed).items():
        yield {"p": p, "samples": n, **measured(policy, p, x)}


def star_rounds(spec: LinearSpec, d: int, seed: int, x: Bits) -> Iterable[Row]:
    """Theorem 2: a row for each p and round 0..rounds; `predicted` is p_n = 2^n p / (2^n p + 1 − p)."""
    policies = [policy for _, policy in sorted(_pretrained(spec, d, seed).items())]
    starts = sorted(spec.p)
    lambdas = spec.lambda_heads[0], spec.lambda_chain[0]
    for p, policy in zip(starts, policies, strict=True):
        yield {"p": p, "round": 0, "predicted": p, **measured(policy, p, x)}
    for number, done in enumerate(star(policies, spec.rounds, spec.round_samples, *lambdas, seed), 1):
        for p, own in zip(starts, done, strict=True):
            predicted = float(odds_recursion(p, 2.0, number))
            found = {"p": p, "round": number, "predicted": predicted, **measured(own.policy, predicted, x)}
            yield {**found, "kept": own.kept, "kept_long_share": own.kept_long_share}


def rate(spec: LinearSpec, d: int, seed: int, x: Bits) -> Iterable[Row]:
    """Distances to the regularised optimum: a row for each number of samples.

    By λ-strong convexity, (λ/2)·‖w̄_T − w*‖² ≤ L(w̄_T) − L(w*) ≤ (max ‖features‖²)·(1 + ln T)/(2 λ T) in expectation, so the
    distance falls as T^(−1/2) up to the logarithm, and with it the error of every probability.
    """
    goal = optimum(d, spec.p[0], spec.lambda_heads[0], spec.lambda_chain[0])
    goal_modes = goal.modes(x)
    for (p, n), policy in _pretrained(spec, d, seed).items():
        modes = policy.modes(x)
        yield {
            "p": p,
            "samples": n,
            "first": float(np.linalg.norm(policy.first - goal.first)),
            "stop": float(np.linalg.norm(policy.stop - goal.stop)),
            "chain": float(np.sqrt(((policy.chain - goal.chain) ** 2).sum(1).mean())),
            "long_to_optimum": float(np.abs(modes.long - goal_modes.long).mean()),
            "short_to_optimum": float(np.abs(modes.short - goal_modes.short).mean()),
            "long_error": float(np.abs(modes.long - p).mean()),
            "short_error": float(np.abs(modes.short - (1 - p) / 2).mean()),
        }


def starving(spec: LinearSpec, d: int, seed: int, x: Bits) -> Iterable[Row]:
    """P(chain right | y_1 = x_1, gone on) for each λ of positions 2..d, and σ(w*)^(d − 1) of the exact optimum."""
    for lam in spec.lambda_chain:
        [policy] = pretrain(d, spec.p, spec.samples, spec.lambda_heads[0], lam, seed).values()
        bits, first = x.astype(float), x[:, 0]
        branch = sigmoid(first * (bits @ policy.first)) * sigmoid(-policy.stop_score(bits, first))
        optimal = float(sigmoid(np.array(chain_weight(lam))) ** (d - 1))
        right = float((policy.modes(x).long / branch).mean())
        point = {"p": spec.p[0], "samples": spec.samples[0], "lambda_chain": lam}
        yield {**point, "chain_right": right, "optimum": optimal}


EXPERIMENTS: dict[str, Callable[[LinearSpec, int, int, Bits], Iterable[Row]]] = {
    "calibration": calibration,
    "star": star_rounds,
    "rate": rate,
    "near": calibration,
    "starving": starving,
}
POINT = ("d", "p", "samples", "round", "lambda_chain")  # what tells the points of an experiment apart
RATES = ("first", "stop", "chain", "long_to_optimum", "short_to_optimum")


def summarise(rows: Sequence[Row]) -> list[Row]:
    """A row for each point: every measurement's mean over seeds, with `…_low` and `…_high`, the range over seeds."""
    points: dict[tuple, list[Row]] = {}
    for row in rows:
        points.setdefault(tuple(row.get(key) for key in POINT), []).append(row)
    found = []
    for members in points.values():
        summary = {key: value for key, value in members[0].items() if key in POINT}
        summary["seeds"] = len(members)
        for key in members[0]:
            if key not in POINT and key != "seed":
                values = [member[key] for member in members]
                summary[key] = float(
                    np.mean(values)
                )  # not a number if a seed's is not: a round of STaR that kept nothing
                summary[f"{key}_low"], summary[f"{key}_high"] = min(values), max(values)
        found.append(summary)
    return found


def slopes(rows: Sequence[Row]) -> dict[str, tuple[float, float, float]]:
    """The slope of ln(error) against ln(T) of every quantity in `RATES`: mean of the seeds' slopes, with the 95 % interval of
    Student's t over seeds (a seed's points lie on one run: only seeds are independent).

    Raises:
        ValueError: fewer than two seeds.
    """
    seeds = sorted({row["seed"] for row in rows})
    if len(seeds) < 2:
        raise ValueError(f"an interval over seeds needs two seeds or more, got {len(seeds)}")
    found = {}
    for key in RATES:
        fitted = []
        for seed in seeds:
            own = [row for row in rows if row["seed"] == seed]
            fitted.append(np.polyfit(np.log([r["samples"] for r in own]), np.log([r[key] for r in own]), 1)[0])
        quantile = T_QUANTILES[min(len(seeds) - 1, len(T_QUANTILES)) - 1]
        half = quantile * np.std(fitted, ddof=1) / np.sqrt(len(seeds))
        found[key] = float(np.mean(fitted)), float(np.mean(fitted) - half), float(np.mean(fitted) + half)
    return found
