import numpy as np
import pytest

from rarecot.theory import gradient
from rarecot.theory.gradient import Branches, group_gain, policy_gradient
from rarecot.theory.predict import odds


@pytest.mark.parametrize("group", [2, 4, 16])
@pytest.mark.parametrize("scale", ["group", "none"])
def test_group_gain_is_what_sampling_gives(group, scale):
    """Rewards of 0 or 1 with mean J, advantages as TRL computes them (std with G − 1 below the line)."""
    rng = np.random.default_rng(0)
    rewards = (rng.random((200_000, group)) < 0.7).astype(float)
    centred = rewards - rewards.mean(1, keepdims=True)
    advantage = centred / (rewards.std(1, ddof=1, keepdims=True) + 1e-4) if scale == "group" else centred
    sampled = advantage[rewards == 1].mean() - advantage[rewards == 0].mean()
    assert group_gain(0.7, group, scale) == pytest.approx(sampled, abs=0.01)


def test_large_groups_divide_by_the_standard_deviation():
    assert group_gain(0.3, 400) == pytest.approx(1 / np.sqrt(0.3 * 0.7), rel=0.01)
    assert group_gain(0.3, 400, "batch") == pytest.approx(1 / np.sqrt(0.3 * 0.7), rel=0.01)


def test_dead_groups_teach_nothing():
    assert group_gain(0.999, 4) < group_gain(0.999, 64)
    assert np.isfinite(group_gain(np.array([0.0, 1.0]), 4)).all()


def test_natural_form_is_a_straight_line_in_log_odds():
    p = policy_gradient(0.2, 1.0, 0.5, rate=0.3, rounds=10, form="natural")
    assert np.diff(np.log(odds(p))) == pytest.approx(0.3 * 0.5)


def test_replicator_form():
    """dp/dt = η·p(1 − p)·p(1 − p)·(a_L − a_S) to first order in a small step; slow at both ends."""
    p = policy_gradient([0.01, 0.5, 0.99], 1.0, 0.5, rate=1e-3, rounds=1, form="replicator")
    spread = p[0] * (1 - p[0])
    assert p[1] - p[0] == pytest.approx(1e-3 * 0.5 * spread**2, rel=1e-3)


def test_branching_form_bends_at_the_first_token():
    """p_0 = 1/4 and g = 1/2: the right first token has u = 5/8, which the long share tends to; it starts at v = 2/5."""
    p = policy_gradient(0.25, 1.0, 0.5, rate=1.0, rounds=60, branches=Branches(guess_rate=0.5))
    assert p[0] == pytest.approx(0.25)
    assert p[-1] == pytest.approx(5 / 8, abs=1e-6)
    decision = gradient.going_on(p[:10], 0.25, 0.5)
    assert decision[0] == pytest.approx(np.log(0.4 / 0.6))
    assert np.diff(decision) == pytest.approx(0.5)


def test_a_leak_leads_past_the_first_token():
    leaking = policy_gradient(0.25, 1.0, 0.5, 1.0, 60, branches=Branches(0.5, leak=-5.0))
    assert leaking[0] == pytest.approx(0.25)
    assert leaking[-1] > 0.99


def test_the_leak_has_a_rate_of_its_own():
    slow, fast = (
        policy_gradient(0.25, 1.0, 0.5, 1.0, 10, branches=Branches(0.5, leak=-5.0, leak_rate=rate))[-1]
        for rate in (0.3, 3.0)
    )
    then, first = 1 / (1 + np.exp(-(np.log(0.4 / 0.6) + 5.0))), 0.625
    for found, rate in ((slow, 0.3), (fast, 3.0)):
        assert found == pytest.approx(first * then + (1 - first) / (1 + np.exp(-(-5.0 + rate * 5.0))), abs=1e-6)


def test_without_guesses_branching_is_natural():
    forms = [policy_gradient(0.1, 0.6, 0.2, 0.5, 8, form) for form in ("branching", "natural")]
    assert forms[0] == pytest.approx(forms[1])


def test_worse_long_responses_die_out():
    assert policy_gradient(0.5, 0.2, 0.5, 1.0, 30)[-1] < 0.01


def test_rate_is_recovered():
    gain = lambda mean: group_gain(mean, 4)  # noqa: E731
    p = policy_gradient(0.25, 0.98, 0.5, 0.17, 3, branches=Branches(0.5), gain=gain)
    moved = gradient.going_on(p, 0.25, 0.5)
    pushed = gradient.pressure(p[:-1], 0.98, 0.5, "branching", gain)
    assert gradient.fit_rate(moved[1:] - moved[0], pushed) == pytest.approx(0.17)


@pytest.mark.parametrize(
    "call",
    [
        lambda: group_gain(0.5, 1),
        lambda: group_gain(0.5, 4, "sideways"),
        lambda: gradient.fit_rate([], []),
        lambda: gradient.fit_rate([0.1, 0.2], [0.1]),
        lambda: gradient.fit_rate([0.1], [0.0]),
    ],
)
def test_out_of_range(call):
    with pytest.raises(ValueError, match=r"group|pressure|alike"):
        call()
