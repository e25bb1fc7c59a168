import numpy as np
import pytest

from rarecot.evaluation.metrics import wilson
from rarecot.forecast.shares import Share, of_record, pooled


@pytest.mark.parametrize(("successes", "n"), [(3, 10), (0, 20), (20, 20), (512, 1024), (1, 500)])
def test_the_trials_behind_an_interval_are_recovered(successes, n):
    share = of_record({"a": successes / n, "a_ci": list(wilson(successes, n))}, "a")
    assert share.n == pytest.approx(n)
    assert share.interval == pytest.approx(wilson(successes, n))


def test_what_is_undefined_is_none():
    assert of_record({"a": None, "a_ci": None}, "a") is None
    assert of_record({}, "a") is None
    assert pooled([None, None]) is None


def test_pooling_weighs_by_trials():
    both = pooled([Share(0.2, 100), None, Share(0.5, 300)])
    assert (both.value, both.n) == (pytest.approx(0.425), 400)


def test_draws_cover_the_share():
    drawn = Share(0.3, 200).draws(np.random.default_rng(0), 20_000)
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert (low, high) == pytest.approx(wilson(60, 200), abs=0.01)
