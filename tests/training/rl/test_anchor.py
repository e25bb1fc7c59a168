import numpy as np
import pytest

from rarecot.training.rl.anchor import Anchor, shift

KINDS = np.array(["long"] * 3 + ["short"] * 5)


def test_a_tilt_of_long_is_recovered():
    """π_n ∝ π_0·λ on long responses: every long weight is λ/Z, every short one 1/Z."""
    tilt, normaliser = np.log(1.7), np.log(1.2)
    weights = np.where(KINDS == "long", tilt - normaliser, -normaliser)
    found = shift(weights, KINDS)
    assert found["log_odds_shift"] == pytest.approx(tilt)
    assert found["log_odds_ess"] == pytest.approx(1.0)


def test_unequal_weights_count_less():
    found = shift(np.array([5.0, 0, 0, 0, 0, 0, 0, 0]), KINDS)
    assert found["log_odds_shift"] == pytest.approx(np.log((np.exp(5) + 2) / 3))
    assert found["log_odds_ess"] == pytest.approx((np.exp(5) + 2) ** 2 / (np.exp(10) + 2) / 3)


def test_one_mode_says_nothing_of_the_odds():
    assert shift(np.zeros(3), np.array(["long"] * 3)) == {}


def test_weights_on_a_sampled_policy():
    """Two responses to choose from, long with 0.3 and then with 0.6: the log-odds move by what they do, from samples of the first."""
    rng = np.random.default_rng(0)
    long = rng.random(4000) < 0.3
    anchor = Anchor(
        [[1]] * 4000,
        [[2] if is_long else [3] for is_long in long],
        ["long" if i else "short" for i in long],
        np.log(np.where(long, 0.3, 0.7)),
    )
    found = anchor.fields(lambda prompts, responses: [np.log(0.6 if ids == [2] else 0.4) for ids in responses])
    assert found["log_odds_shift"] == pytest.approx(np.log(0.6 / 0.4) - np.log(0.3 / 0.7))
