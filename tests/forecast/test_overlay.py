"""Runs made by hand: what is expected of them, when the alarm comes, and what it names."""

import numpy as np
import pytest

from rarecot.evaluation.metrics import wilson
from rarecot.forecast import paths
from rarecot.forecast.overlay import overlay
from rarecot.theory.predict import odds, odds_recursion, share


def record(stage, n_round, p, split="rollouts", n=2000, a_long=0.98, a_short=0.5, **fields):
    n_long = round(p * n)
    rates = {"long": (a_long, n_long), "short": (a_short, n - n_long)}
    return {
        "stage": stage,
        "round": n_round,
        "step": n_round,
        "split": split,
        "decoding": "sampled",
        "temperature": 1.0,
        "n": n,
        "max_new_tokens": 51,
        "long_share": p,
        "long_share_ci": list(wilson(n_long, n)),
        **{f"accuracy_{kind}": rate for kind, (rate, _) in rates.items()},
        **{f"accuracy_{kind}_ci": list(wilson(rate * c, c)) for kind, (rate, c) in rates.items()},
        **fields,
    }


def star_run(path, **fields):
    return [record("star", 0, 0.25, "test", n=1024)] + [record("star", i, p, **fields) for i, p in enumerate(path)]


def grpo_run(shifts, p=0.25, **fields):
    shares = share(odds(p) * np.exp(shifts))
    rollouts = [
        record("grpo", i, float(q), n=256, log_odds_shift=float(s), **fields)
        for i, (q, s) in enumerate(zip(shares, shifts, strict=True))
    ]
    return [record("grpo", 0, p, "test", n=1024), *rollouts]


GRPO = {"num_generations": 4, "scale_rewards": "group", "loss_type": "dr_grpo"}


def test_star_that_follows_theorem_2_has_no_alarm():
    found = overlay(star_run(odds_recursion(0.25, 1.96, np.arange(6))), "star", {}, "parity")
    assert found.alarms == ()
    assert found.expected.low[0] < 0.25 < found.expected.high[0]
    assert found.expected.low[5] < odds_recursion(0.25, 1.96, 5) < found.expected.high[5]


def test_star_that_stands_still_has_one_alarm_and_no_excuse():
    found = overlay(star_run([0.25] * 6), "star", {}, "parity")
    assert len(found.alarms) == 1
    assert found.alarms[0].round == 1 or found.alarms[0].round == 2
    assert found.alarms[0].causes == ("nothing that is logged explains it",)


@pytest.mark.parametrize(
    ("fields", "config", "cause"),
    [
        ({"truncated_long_share": 0.9}, {}, "truncation: 90% of the long"),
        ({"is_cut_share_long": 0.2, "is_cut_share_short": 0.0}, {}, "importance sampling: the ratios of 20%"),
        ({"timed_out_share": 0.3}, {}, "verifier time-outs: 30%"),
        ({"unparseable_gold_share": 0.3}, {}, "golds: 30%"),
        ({"dead_group_share": 0.95}, {}, "dead groups: in 95%"),
        ({"a_long": 0.4}, {}, "long responses are now right 40%"),
        ({"kept_long_share": 0.4}, {}, "the model did not move to what was kept: 40%"),
        (
            {"reward_long_mean": 0.1, "reward_short_mean": 0.5},
            {"reward_funcs": ["chain"]},
            "reward chain: 98% of the long responses have a right answer, but 10%",
        ),
        ({"selection_length": -0.3}, {}, "length reward: it pushes the odds of long by -0.30"),
        ({"selection_normalisation": -0.3}, {"loss_type": "grpo"}, "loss normalisation: loss_type grpo"),
    ],
)
def test_the_cause_is_named(fields, config, cause):
    found = overlay(star_run([0.25] * 6, **fields), "star", config, "parity")
    assert found.alarms[0].causes[0].startswith(cause)


@pytest.mark.parametrize(
    "fields", [{"truncated_long_share": 0.9}, {"selection_length": -0.3}, {"timed_out_share": 0.3}, {"a_long": 0.4}]
)
def test_what_pushes_the_other_way_is_no_cause(fields):
    found = overlay(star_run([0.25, 0.6, 0.9, 0.99], **fields), "star", {}, "parity")
    assert "more than" in found.alarms[0].what
    assert found.alarms[0].causes == ("nothing that is logged explains it",)


@pytest.mark.parametrize("names", [["format"], ["answer", "chain"], ["answer", "format"]])
def test_rewards_without_a_known_path_expect_nothing(names):
    found = overlay(star_run([0.25] * 6), "star", {"reward_funcs": names}, "parity")
    assert found.expected is None
    assert found.alarms == ()
    assert names[0] in found.asked.not_modelled


def test_a_price_on_length_is_not_expected_and_named():
    """What is expected is expected of correctness; the audit says what the price did."""
    config = {**GRPO, "reward_funcs": ["answer", "length_penalty"], "reward_weights": [1.0, 0.04]}
    found = overlay(grpo_run(-0.1 * np.arange(8), selection_length=-0.9), "grpo", config, "parity")
    assert found.alarms[0].causes == ("length reward: it pushes the odds of long by -0.90 a round",)


@pytest.mark.parametrize(("positive", "negative", "ratio"), [(0.2, 0.0, 0.984 / 0.6), (0.0, 0.2, 0.98 / 0.5)])
def test_a_verifiers_errors_change_the_ratio(positive, negative, ratio):
    """a_L = 0.98, a_S = 0.5: false positives lift short responses, false negatives take the same part of both."""
    asked = paths.asked_of("star", {"false_positive_rate": positive, "false_negative_rate": negative}, 0.5)
    drawn = paths.draw(paths.before_of(star_run([0.25]), "star", 1.0), asked)
    assert np.median(drawn.long / drawn.short) == pytest.approx(ratio, rel=0.03)


def test_only_an_evaluation_at_another_temperature():
    cold = [record("star", 0, 0.25, "test", n=1024) | {"temperature": 0.5}]
    assert paths.before_of(cold, "star", 1.0) is None
    found = paths.before_of([*cold, record("star", 0, 0.2)], "star", 1.0)
    assert found.long_share.n == pytest.approx(2000)
    assert found.success_long.n == pytest.approx(256)


@pytest.mark.parametrize(
    ("path", "a_short", "is_cause"), [([0.25] * 4, 0.9, True), ([0.25, 0.6, 0.9, 0.99], 0.9, False)]
)
def test_better_short_responses_explain_fewer_long_ones(path, a_short, is_cause):
    run = star_run(path, a_short=a_short)
    run[0] = record("star", 0, 0.25, "test", n=1024)
    causes = overlay(run, "star", {}, "parity").alarms[0].causes
    assert any("short responses are now right 90%" in text for text in causes) == is_cause


def test_grpo_on_parity_bends_and_may_leak():
    """u·v + (1 − u)·v': the second decision moves by a constant, the first token not."""
    p0, u = 0.25, 0.625
    steps = 0.12 * np.arange(30)
    decided = share(odds(p0 / u) * np.exp(steps))
    shifts = np.log(odds(u * decided)) - np.log(odds(p0))
    found = overlay(grpo_run(shifts), "grpo", GRPO, "parity")
    assert found.alarms == ()
    assert found.expected.middle[29] == pytest.approx(u * decided[29], abs=0.05)
    assert found.expected.high[29] > 0.9  # the other first token may be gone on after as well
    assert found.expected.low[29] < u


def test_the_weight_of_a_reward_matters_only_where_nothing_is_scaled():
    for scale, factor in (("group", 1.0), ("none", 3.0)):
        gains = [
            paths.gain_of(paths.asked_of("grpo", {**GRPO, "scale_rewards": scale, "reward_weights": [weight]}, None))(
                0.6
            )
            for weight in (1.0, 3.0)
        ]
        assert gains[1] / gains[0] == pytest.approx(factor)


def test_a_noisy_anchor_is_no_wrong_way():
    rng = np.random.default_rng(0)
    wandering = [0.0, *np.cumsum(rng.normal(0, 0.01, 20))]
    wandering = [-abs(shift) for shift in wandering]
    quiet = overlay(grpo_run(np.array(wandering), log_odds_ess=0.8), "grpo", GRPO, "parity")
    assert quiet.alarms == ()
    slow = overlay(grpo_run(-0.008 * np.arange(21), log_odds_ess=0.99), "grpo", GRPO, "parity")
    assert len(slow.alarms) == 1
    clear = overlay(grpo_run(-0.02 * np.arange(21), log_odds_ess=0.99), "grpo", GRPO, "parity")
    assert len(clear.alarms) == 1


@pytest.mark.parametrize("temperature", [0.3, 0.5, 1.5])
def test_long_runs_at_any_temperature_have_a_path(temperature):
    before = paths.before_of(star_run([0.25]), "star", 1.0)
    plain, rollouts = paths.star(paths.draw(before, paths.asked_of("star", {}, 0.5)), temperature, 0.5, 100)
    assert np.isfinite(plain).all()
    assert rollouts.max() <= 1


def test_truncation_comes_before_what_follows_from_it():
    fields = {"truncated_long_share": 0.97, "a_long": 0.03, "dead_group_share": 0.9}
    found = overlay(grpo_run(-0.08 * np.arange(8), **fields), "grpo", GRPO, "parity")
    assert len(found.alarms) == 1
    assert found.alarms[0].causes[0].startswith("truncation")
    assert "although long responses were more often right" in found.alarms[0].what
    assert found.expected is None


def test_grpo_is_expected_once_its_rate_is_known():
    shifts = 0.08 * np.arange(12)
    assert overlay(grpo_run(shifts[:3]), "grpo", GRPO, "parity").expected is None
    found = overlay(grpo_run(shifts[:4]), "grpo", GRPO, "parity")
    assert "one rate, fitted on rounds 0 to 3" in found.expected.words
    whole = overlay(grpo_run(shifts), "grpo", GRPO, "gsm8k")  # the first token decides: a straight line in log-odds
    assert whole.alarms == ()
    assert whole.expected.low[11] < share(odds(0.25) * np.exp(shifts[11])) < whole.expected.high[11]


def test_grpo_that_stops_in_its_tracks_raises_the_alarm():
    shifts = np.minimum(0.15 * np.arange(30), 0.45)
    found = overlay(grpo_run(shifts), "grpo", GRPO, "gsm8k")
    assert len(found.alarms) == 1
    assert 8 < found.alarms[0].round < 20
    assert "fewer than" in found.alarms[0].what


def test_a_noisy_verifier_and_the_temperature_are_expected():
    """A verifier that lets everything pass: no growth is expected, and none is no alarm."""
    config = {"false_positive_rate": 1.0}
    assert overlay(star_run([0.25] * 6), "star", config, "parity").alarms == ()
    drawn = paths.draw(paths.before_of(star_run([0.25]), "star", 1.0), paths.asked_of("star", {}, 0.5))
    (_, cold), (_, usual) = (paths.star(drawn, temperature, 0.5, 4) for temperature in (0.7, 1.0))
    assert np.median(cold[4]) > np.median(usual[4]) + 0.05


def test_what_counts_as_before():
    """One evaluation of the policy (they ask the same problems) and the rollouts of round 0."""
    made = star_run([0.25, 0.4])
    sft = record("sft", 0, 0.35, "test", n=4096) | {"step": 600}
    del sft["round"]
    alone = paths.before_of([sft, *made], "star", 1.0)
    assert alone.long_share.n == pytest.approx(1024 + 2000)
    together = paths.before_of([sft, *made], "star", 1.0, "sft/checkpoint-600")
    assert together.long_share.n == pytest.approx(4096 + 2000, rel=0.02)
    assert together.long_share.value == pytest.approx((4096 * 0.35 + 2000 * 0.25) / 6096, abs=1e-3)
    assert paths.before_of([sft], "star", 1.0) is None


def test_success_is_that_at_the_temperature_of_the_rollouts():
    other = record("star", 0, 0.25, "test", n=4096, a_long=0.2) | {"temperature": 2.0}
    found = paths.before_of([other, *star_run([0.25])], "star", 1.0)
    assert found.success_long.value == pytest.approx(0.98)
    assert found.long_share.n == pytest.approx(1024 + 2000)


def test_nothing_measured_nothing_expected():
    assert overlay([record("sft", 0, 0.25, "test")], "grpo", GRPO, "parity") is None
    old = [{k: v for k, v in r.items() if k not in ("round", "log_odds_shift")} for r in grpo_run(np.zeros(3))]
    assert overlay(old, "grpo", GRPO, "parity") is None
