import numpy as np
import pytest

from rarecot.theory import predict


def test_theorem_2():
    for p in (0.01, 0.1, 0.25):
        for n in range(8):
            closed = 2**n * p / (2**n * p + 1 - p)
            assert predict.odds_recursion(p, 2.0, n) == pytest.approx(closed)
    # one round: p → 2p / (1 + p)
    assert predict.odds_recursion(0.25, 2.0, 1) == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("p0", "rounds"), [(0.25, 1), (0.10, 3), (0.05, 4), (0.02, 5), (0.01, 6), (0.5, 0), (1 / 3, 0)]
)
def test_rounds_to_flip(p0, rounds):
    assert predict.rounds_to(p0) == rounds
    if rounds:
        assert predict.odds_recursion(p0, 2.0, rounds) >= 1 / 3 > predict.odds_recursion(p0, 2.0, rounds - 1)


def test_threshold_is_where_stopping_and_going_on_are_equally_likely():
    assert predict.greedy_threshold(0.5) == pytest.approx(1 / 3)
    assert predict.stop_probability(1 / 3) == pytest.approx(0.5)
    assert predict.stop_probability(0.25) == pytest.approx(0.6)


def test_share_inverts_odds():
    p = np.linspace(0, 0.99, 50)
    assert predict.share(predict.odds(p)) == pytest.approx(p)


def test_fit_recovers_the_ratio_from_noisy_shares():
    rng = np.random.default_rng(0)
    x = np.arange(30)
    noisy = rng.binomial(256, predict.odds_recursion(0.2, 1.15, x)) / 256
    p0, ratio = predict.fit_odds_ratio(x, noisy, 256)
    assert ratio == pytest.approx(1.15, abs=0.01)
    assert p0 == pytest.approx(0.2, abs=0.03)


def test_fit_needs_shares_that_have_odds():
    assert predict.fit_odds_ratio([0, 1, 2, 3], [0, 0, 1, 0.5], 10) is None


def test_out_of_range():
    for call in (
        lambda: predict.odds(1.0),
        lambda: predict.odds(-0.1),
        lambda: predict.odds_recursion(0.2, 0, 1),
        lambda: predict.greedy_threshold(0),
        lambda: predict.rounds_to(0.0),
        lambda: predict.rounds_to(0.1, ratio=1.0),
    ):
        with pytest.raises(ValueError, match=r"share|ratio|rate|never"):
            call()
