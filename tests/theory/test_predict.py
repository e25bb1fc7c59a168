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


def test_theorem_1():
    below, above = predict.theorem1(0.25), predict.theorem1(0.4)
    assert (below.long_correct, below.short_correct, below.short_wrong) == (0.25, 0.375, 0.375)
    assert (below.greedy_is_long, below.greedy_accuracy) == (False, 0.5)
    assert (above.greedy_is_long, above.greedy_accuracy) == (True, 1.0)


@pytest.mark.parametrize("temperature", [0.5, 0.7, 1.0, 1.3])
def test_tempered_is_what_the_two_tokens_give(temperature):
    """Lemma 1 and the stop decision at p = 1/4: P[y_1 = x_1] = 5/8, P[go on | x_1] = 2/5, each sharpened."""
    sharpened = [
        q ** (1 / temperature) / (q ** (1 / temperature) + (1 - q) ** (1 / temperature)) for q in (5 / 8, 2 / 5)
    ]
    assert predict.tempered(0.25, temperature) == pytest.approx(sharpened[0] * sharpened[1])


def test_reward_rates():
    assert predict.reward_rate(0.9) == pytest.approx(0.9)
    # a fifth is cut off; of the rest 0.9 are right, of which a tenth is missed, and half of the 0.1 wrong ones pass
    assert predict.reward_rate(0.9, 0.2, 0.5, 0.1) == pytest.approx(0.8 * (0.9 * 0.9 + 0.1 * 0.5))
    assert predict.keep_ratio(1.0, 0.5) == pytest.approx(2.0)
    assert predict.keep_ratio(0.3, 0.0) == np.inf
    assert predict.keep_ratio(0.0, 0.0) == 1.0


def test_price_of_a_token_at_which_the_modes_earn_the_same():
    price = predict.indifference_price(1.0, 0.5, 25, 1)
    assert 1.0 - price * 25 == pytest.approx(0.5 - price * 1)


@pytest.mark.parametrize("p", [0.05, 0.25, 0.6])
def test_measured_threshold_of_parity_is_a_third(p):
    stay, leave = (1 - p) / (1 + p), 2 * p / (1 + p)
    assert predict.measured_threshold(p, predict.flip_factor(stay, leave)) == pytest.approx(1 / 3)


def test_no_way_to_the_other_mode_means_never():
    assert predict.measured_threshold(0.2, predict.flip_factor(0.9, 0.0)) == 1.0


@pytest.mark.parametrize(
    "call",
    [
        lambda: predict.theorem1(0.0),
        lambda: predict.tempered(0.2, 0.0),
        lambda: predict.reward_rate(1.2),
        lambda: predict.reward_rate(0.5, false_positive=2),
        lambda: predict.indifference_price(1, 0.5, 1, 1),
    ],
)
def test_what_is_no_probability_is_refused(call):
    with pytest.raises(ValueError, match=r"lies in|lie in|positive|no longer"):
        call()
