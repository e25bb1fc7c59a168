import itertools
import math

import numpy as np
import pytest

from rarecot.evaluation.repeated import majority_at, mean_interval, pass_at, summarise_repeated
from rarecot.types import Completion, Response


@pytest.mark.parametrize(("n", "c", "k"), [(5, 2, 1), (5, 2, 3), (8, 1, 4), (6, 6, 2), (6, 0, 6), (4, 3, 4)])
def test_pass_at_k_is_the_share_of_subsets_with_a_right_one(n, c, k):
    right = [True] * c + [False] * (n - c)
    subsets = list(itertools.combinations(right, k))
    assert pass_at(n, c, k) == pytest.approx(sum(map(any, subsets)) / len(subsets))


def test_pass_at_k_has_no_bias():
    rng, rate, n, k = np.random.default_rng(0), 0.3, 8, 4
    estimates = [pass_at(n, int(rng.binomial(n, rate)), k) for _ in range(20_000)]
    assert np.mean(estimates) == pytest.approx(1 - (1 - rate) ** k, abs=0.005)


@pytest.mark.parametrize(
    ("votes", "k", "expected"),
    [
        (["7", "7", "8"], 3, 1.0),
        (["7", "8", "8"], 3, 0.0),
        (["7", "8", "9"], 3, 1 / 3),  # a tie is decided by lot
        (["7", "8", None, None], 4, 0.5),  # no answer does not vote
        ([None, None], 2, 0.0),
        (["7", "8", "8", "8"], 2, 0.25),  # the blocks 7, 8 and 8, 8
        (["7", "8", "8"], 2, 0.5),  # what is left over makes no block
        (["7", "8", "7"], 1, 2 / 3),
    ],
)
def test_majority(votes, k, expected):
    assert majority_at(votes, "7", k) == pytest.approx(expected)


def test_interval_of_a_mean_of_outcomes_is_wilsons():
    from rarecot.evaluation.metrics import wilson

    values = [1.0] * 30 + [0.0] * 70
    assert mean_interval(values) == pytest.approx(wilson(30, 100), abs=2e-3)
    assert mean_interval([1.0] * 10) == pytest.approx(wilson(10, 10))


def test_interval_of_a_mean_narrows_where_problems_agree():
    wide, narrow = mean_interval([0.0, 1.0] * 50), mean_interval([0.4, 0.6] * 50)
    assert narrow[1] - narrow[0] < 0.5 * (wide[1] - wide[0])


def test_interval_of_a_mean_holds_what_it_promises():
    rng, n, k, held = np.random.default_rng(3), 8, 4, 0
    rates = rng.beta(0.5, 1.0, size=200_000)
    truth = np.mean(1 - (1 - rates) ** k)
    for _ in range(400):
        sample = rng.choice(rates, size=100)
        low, high = mean_interval([pass_at(n, int(c), k) for c in rng.binomial(n, sample)])
        held += low <= truth <= high
    assert held >= 0.92 * 400


def response(problem, answer, verdict):
    reason = "length" if verdict == "truncated" else "stop"
    return Response(problem, Completion([3, 2], answer or "", reason), "short", verdict, answer, "7")


def test_summary_of_several_responses():
    rows = [
        *(response("a", x, v) for x, v in (("7", "correct"), ("7.0", "correct"), ("8", "wrong"), (None, "no_answer"))),
        *(response("b", x, v) for x, v in (("8", "wrong"), ("$8$", "wrong"), ("7", "correct"), ("9", "truncated"))),
    ]
    made = summarise_repeated(rows, 4, (1, 2, 4))
    assert made["pass_at"]["1"] == pytest.approx(3 / 8)
    assert made["pass_at"]["2"] == pytest.approx(np.mean([1 - 1 / 6, 1 - math.comb(3, 2) / 6]))
    assert made["pass_at"]["4"] == 1.0
    assert made["maj_at"]["4"] == pytest.approx(0.5), "7 and 7.0 are one answer; 8 and $8$ are another"
    for metric in ("pass_at", "maj_at"):
        for k, value in made[metric].items():
            low, high = made[f"{metric}_ci"][k]
            assert low <= value <= high
            assert high > low


def test_what_was_cut_off_does_not_vote():
    rows = [response("a", "8", "truncated"), response("a", "8", "truncated"), response("a", "7", "correct")]
    assert summarise_repeated(rows, 3, (3,))["maj_at"]["3"] == 1.0
