"""Branching tokens from responses drawn from distributions that are known."""

import math

import numpy as np
import pytest

from rarecot.forecast.branching import find
from rarecot.types import Completion

END, ZERO, ONE, WORD, OTHER, MARK = 0, 1, 2, 3, 4, 5


def greedy(ids, tops):
    return Completion(ids, "", "stop", None, [{t: math.log(q) for t, q in top.items()} for top in tops])


def parity(p, rng, prompts=200, samples=8):
    """The calibrated model of Theorem 1: y_1 = x_1 with (1 + p)/2, then the end with (1 − p)/(1 + p)."""
    first = {ONE: (1 + p) / 2, ZERO: (1 - p) / 2}
    then = {END: (1 - p) / (1 + p), ZERO: 2 * p / (1 + p)}
    drawn = []
    for _ in range(prompts):
        several = []
        for _ in range(samples):
            if rng.random() < (1 + p) / 2:
                several.append(
                    ([ONE, ZERO, ONE, END], "long") if rng.random() < 2 * p / (1 + p) else ([ONE, END], "short")
                )
            else:
                several.append(([ZERO, END], "short"))
        drawn.append(several)
    return [greedy([ONE, END], [first, then])] * prompts, drawn


@pytest.mark.parametrize("p", [0.1, 0.25])
def test_parity(p):
    starts, samples = parity(p, np.random.default_rng(0))
    found = find(starts, ["short"] * len(starts), samples)
    assert found.position == 1
    assert (found.stay, found.leave) == (pytest.approx((1 - p) / (1 + p)), pytest.approx(2 * p / (1 + p)))
    assert found.factor == pytest.approx((1 - p) / (2 * p))
    assert found.separation == 1.0


def test_the_first_token_of_words():
    """`####` against words: the largest single first token of the long mode counts, not its share."""
    first = {MARK: 0.3, WORD: 0.25, OTHER: 0.2, END: 0.01}
    starts = [greedy([MARK, ONE, END], [first, {ONE: 0.9, ZERO: 0.1}, {END: 1.0}])] * 50
    several = [([WORD, ONE], "long")] * 5 + [([OTHER, ONE], "long")] * 4 + [([MARK, ONE, END], "short")] * 6
    found = find(starts, ["short"] * 50, [several] * 50)
    assert found.position == 0
    assert found.factor == pytest.approx(0.3 / 0.25)


def test_a_long_greedy_response_needs_less_than_it_has():
    p = 0.6
    _, samples = parity(p, np.random.default_rng(0))
    first = {ONE: (1 + p) / 2, ZERO: (1 - p) / 2}
    then = {ZERO: 2 * p / (1 + p), END: (1 - p) / (1 + p)}
    found = find([greedy([ONE, ZERO, ONE, END], [first, then, {ONE: 1.0}, {END: 1.0}])] * 200, ["long"] * 200, samples)
    assert found.factor == pytest.approx((1 - p) / (2 * p))  # back to 1/3
    assert found.position == 1


def test_no_long_sample_no_branch():
    starts = [greedy([ONE, END], [{ONE: 0.6, ZERO: 0.4}, {END: 0.9, ZERO: 0.1}])] * 3
    found = find(starts, ["short"] * 3, [[([ONE, END], "short"), ([ZERO, END], "short")]] * 3)
    assert found.position is None
    assert np.isinf(found.factor).all()


def test_modes_that_do_not_part_at_a_token():
    """Half of those that leave with the same token are long."""
    starts = [greedy([ONE, ONE, END], [{ONE: 0.6, ZERO: 0.4}, {ONE: 0.9, END: 0.1}, {END: 1.0}])] * 40
    several = [([ZERO, ONE, END], "long"), ([ZERO, ONE, END], "long"), ([ZERO, END], "short")]
    found = find(starts, ["short"] * 40, [several] * 40)
    assert found.separation == pytest.approx(2 / 3)
