"""Plans from checkpoints that are known: responses drawn from Theorem 1's model."""

import math
from dataclasses import replace

import numpy as np
import pytest

from rarecot.forecast.branching import Branching
from rarecot.forecast.measure import Measured
from rarecot.forecast.plan import plan
from rarecot.report.plan import as_json, figure, words
from rarecot.theory.predict import tempered


def measured(p=0.25, a_long=1.0, a_short=0.5, prompts=400, samples=4, seed=0):
    rng = np.random.default_rng(seed)
    long = rng.random((prompts, samples)) < p
    correct = rng.random((prompts, samples)) < np.where(long, a_long, a_short)
    no = np.zeros_like(long)
    stay, leave = (1 - p) / (1 + p), 2 * p / (1 + p)
    branch = Branching(np.full(prompts, stay / leave if leave else math.inf), 1, stay, leave, 1.0)
    return Measured(
        temperature=1.0,
        long=long,
        long_by_length=long,
        correct=correct,
        truncated=no,
        ungraded=no,
        reward=correct.astype(float),
        kept=correct,
        length=np.where(long, 50, 1),
        greedy_long=np.zeros(prompts, dtype=bool),
        greedy_correct=rng.random(prompts) < 0.5,
        branch=branch if p else Branching(np.full(prompts, math.inf), None, None, None, None),
        sampler="by hand",
    )


@pytest.mark.parametrize(("p", "rounds"), [(0.25, 1), (0.1, 3), (0.05, 4), (0.02, 5)])
def test_theorem_2_lies_in_the_band(p, rounds):
    found = plan(measured(p, seed=1), p_cot=p, guess_rate=0.5)
    assert found.flip_round.low <= rounds <= found.flip_round.high
    assert found.flip_round.high <= rounds + 3
    assert found.threshold.low <= 1 / 3 <= found.threshold.high
    assert found.ratio.low < 2 < found.ratio.high
    n = np.arange(len(found.path))
    recursion = 2.0**n * p / (2.0**n * p + 1 - p)
    assert ((found.path[:, 0] <= recursion) & (recursion <= found.path[:, 2])).all()
    assert found.warnings == ()


@pytest.mark.slow
def test_intervals_cover_the_truth():
    inside = [
        (
            found.long_share.low <= 0.2 <= found.long_share.high,
            found.success_short.low <= 0.5 <= found.success_short.high,
        )
        for seed in range(40)
        for found in [plan(measured(0.2, 0.9, seed=seed, prompts=150), guess_rate=0.5)]
    ]
    assert (np.mean(inside, axis=0) > 0.85).all()


def test_no_long_response_gives_a_bound_and_not_a_zero():
    found = plan(measured(0.0), guess_rate=0.5)
    assert 0 < found.long_at_most < 0.01
    assert found.success_long is None
    assert found.ratio is None
    assert found.gap is None
    assert found.flip_round.low >= 4  # from at most 0.2 % it takes rounds, whatever long responses are worth
    assert math.isinf(found.flip_round.high)  # they may be worth nothing
    assert "No long response among 1600" in found.warnings[0]
    text = words(found, 2048)
    assert "none seen: at most 0.2" in text
    assert "long share                        0" not in text


def test_nothing_rewarded_is_no_selection():
    """Equal zeros of modes of unequal size are no ratio."""
    base = measured(0.1)
    found = plan(replace(base, kept=np.zeros_like(base.long)), guess_rate=0.5)
    assert found.ratio is None
    assert found.flip_round is None
    assert found.path is None
    assert any("Nothing would be rewarded" in text for text in found.warnings)
    assert "STaR" not in words(found, 2048).partition("what to mind")[0]


def test_two_long_responses_decide_nothing():
    rng = np.random.default_rng(0)
    base = measured(0.0, a_short=0.12)
    long = np.zeros_like(base.long)
    long[[3, 90], 0] = True
    correct = ~long & (rng.random(long.shape) < 0.12)
    found = plan(replace(base, long=long, correct=correct, reward=correct.astype(float), kept=correct), guess_rate=0.5)
    assert found.gap.low < 0 < found.gap.high
    assert "direction open" in words(found, 2048)


def test_a_branch_of_one_prompt_is_not_that_of_all():
    base = measured(0.1)
    factor = np.full(400, np.inf)
    factor[0] = 4.5
    found = plan(replace(base, branch=Branching(factor, 1, 0.8, 0.2, 1.0)), guess_rate=None)
    assert found.threshold is None
    assert any("No way from the greedy" in text for text in found.warnings)
    assert plan(
        replace(base, branch=Branching(factor, 1, 0.8, 0.2, 1.0)), guess_rate=0.5
    ).threshold.value == pytest.approx(1 / 3)


def test_another_temperature_is_taken_back_to_1():
    """Calibrated to 1/4 and sampled at 0.7, the long share is 0.243; the threshold is still 1/3."""
    base = measured(float(tempered(0.25, 0.7)), prompts=2000, seed=1)
    known = Branching(np.full(2000, 0.75 / 0.5), 1, 0.6, 0.4, 1.0)
    found = plan(replace(base, temperature=0.7, branch=known), guess_rate=0.5)
    assert found.threshold.low <= 1 / 3 <= found.threshold.high
    assert found.flip_round.value == 1
    assert any("taken" in text or "rough" in text for text in plan(replace(base, temperature=0.7)).warnings)


def test_worse_long_responses_are_said_to_get_shorter():
    found = plan(measured(0.5, a_long=0.2, a_short=0.5), guess_rate=0.5)
    assert any("shorter, not longer" in text for text in found.warnings)
    assert math.isinf(found.done_round.value)
    assert "not within 60 rounds, as things stand\n" in words(found, 2048)
    assert "the long share falls" in words(found, 2048)


def test_a_long_mode_that_is_half_learned_may_flip_earlier():
    """p = 0.1: eight and more rounds at a_L = 0.65, three at best."""
    found = plan(measured(0.1, a_long=0.65, seed=1), guess_rate=0.5)
    assert found.flip_at_best.low <= 3 <= found.flip_at_best.high < found.flip_round.value
    assert any("does not count" in text for text in found.warnings)
    assert "at best (long always right) round 3" in words(found, 2048)
    assert plan(measured(0.1, seed=1), guess_rate=0.5).flip_at_best is None


def test_an_open_direction_is_said():
    found = plan(measured(0.1, a_long=0.55, a_short=0.5, prompts=50), guess_rate=0.5)
    assert any("direction of RL is open" in text for text in found.warnings)
    assert "direction open" in words(found, 2048)


@pytest.mark.parametrize(
    ("changed", "p_cot", "said"),
    [
        ({}, 0.6, "Length is not calibrated"),
        ({"truncated": True}, None, "would be cut off"),
        ({"ungraded": True}, None, "cannot be read"),
        ({"long_by_length": True}, None, "do not separate"),
        ({"branch": Branching(np.full(400, 1.5), 1, 0.6, 0.4, 0.7)}, None, "do not part at one token"),
        ({"branch": Branching(np.full(400, np.inf), None, None, None, None)}, None, "No way from the greedy"),
    ],
)
def test_assumptions_that_do_not_hold_are_named(changed, p_cot, said):
    base = measured()
    changed = {key: np.ones_like(base.long) if value is True else value for key, value in changed.items()}
    found = plan(replace(base, **changed), p_cot)
    assert [said in text for text in found.warnings].count(True) == 1


def test_each_mode_has_its_own_length_and_truncation():
    base = measured()
    found = plan(replace(base, truncated=base.long & (np.arange(4) < 2)), guess_rate=0.5)
    assert (found.length_long, found.length_short) == (50, 1)
    assert 0.3 < found.truncated_long.value < 0.7


def test_one_prompt_is_not_certain_of_anything():
    few = measured(0.5, prompts=1, samples=8, seed=2)
    found = plan(few, guess_rate=0.5)
    assert found.long_share.high - found.long_share.low > 0.3
    assert any("Only 1 prompts" in text for text in found.warnings)


def test_a_long_greedy_mode_is_already_there():
    base = measured(0.6)
    found = plan(replace(base, greedy_long=np.ones(400, dtype=bool)), guess_rate=0.5)
    assert found.flip_round.value == 0
    assert "STaR: greedy flips                already\n" in words(found, 2048)
    worse = plan(replace(measured(0.6, a_long=0.2), greedy_long=np.ones(400, dtype=bool)), guess_rate=0.5)
    assert "already, but RL takes it back\n" in words(worse, 2048)


def test_table_json_and_figure(tmp_path):
    found = plan(measured(0.1), 0.1, 0.5)
    text = words(found, 1000)
    assert "long share                        " in text
    assert "p_cot ≥ 0.3" in text
    assert "about 3 000 rollouts" in text
    figure(found, tmp_path / "plan.png", "a checkpoint")
    assert (tmp_path / "plan.png").stat().st_size > 10_000
    assert as_json(plan(measured(0.5, 0.2)))["done_round"]["value"] is None
    figure(plan(measured(0.0)), tmp_path / "none.png", "nothing long")
