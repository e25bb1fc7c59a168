import pytest

from rarecot.evaluation.metrics import wilson
from rarecot.forecast.ledger import ledger


def record(p, long, short, n=1000, length=10.0):
    n_long = round(p * n)
    rates = {"long": (long, n_long), "short": (short, n - n_long)}
    accuracy = sum(rate * count for rate, count in rates.values()) / n
    return {
        "decoding": "sampled",
        "accuracy": accuracy,
        "length_mean": length,
        "long_share": p,
        "long_share_ci": list(wilson(n_long, n)),
        **{f"accuracy_{kind}": rate if count else None for kind, (rate, count) in rates.items()},
        **{f"accuracy_{kind}_ci": list(wilson(rate * c, c)) if c else None for kind, (rate, c) in rates.items()},
    }


def test_parts_add_up_to_the_change():
    before, after = record(0.25, 0.5, 0.4), record(0.75, 0.9, 0.5, length=40.0)
    found = ledger(before, after)
    assert found.total.value == pytest.approx(after["accuracy"] - before["accuracy"])
    assert found.mix.value + found.long.value + found.short.value == pytest.approx(found.total.value)
    # Δp 0.5 × (0.7 − 0.45); Δa_L 0.4 × mean p 0.5; Δa_S 0.1 × (1 − 0.5)
    assert (found.mix.value, found.long.value, found.short.value) == pytest.approx((0.125, 0.2, 0.05))
    assert found.per_1000_tokens == pytest.approx((1000 * 0.425 / 10, 1000 * 0.8 / 40))
    for entry in (found.total, found.mix, found.long, found.short):
        assert entry.low < entry.value < entry.high


def test_a_mode_that_was_not_there_before_is_mix():
    found = ledger(record(0.0, 0.0, 0.5), record(1.0, 1.0, 0.0))
    assert found.mix.value == pytest.approx(0.5)
    assert (found.long.value, found.short.value) == pytest.approx((0.0, 0.0))


def test_without_intervals_there_is_no_ledger():
    assert ledger({"decoding": "greedy", "accuracy": 0.5, "length_mean": 1.0}, record(0.5, 1, 0.5)) is None


def test_a_handful_of_responses_is_no_rate():
    """One short response among a thousand, and right: that is not what short responses became."""
    found = ledger(record(0.0, 0.0, 0.5), record(0.999, 1.0, 1.0))
    assert found.mix.value == pytest.approx(0.5, abs=0.01)
    assert found.total.value == pytest.approx(0.5)
    assert abs(found.short.value) < 0.01


def test_a_small_evaluation_adds_up_all_the_same():
    before, after = record(0.25, 1.0, 0.5, n=64), record(0.125, 0.5, 0.5, n=64)
    found = ledger(before, after)
    assert found.total.value == pytest.approx(after["accuracy"] - before["accuracy"])
    assert found.mix.value + found.long.value + found.short.value == pytest.approx(found.total.value)
    assert found.total.low < found.total.value < found.total.high
