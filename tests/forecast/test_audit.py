import numpy as np
import pytest
import torch

from rarecot.forecast import audit
from rarecot.forecast.audit import PARTS, Batch


def batch(n=64, seed=0, **changed):
    rng = np.random.default_rng(seed)
    long = rng.random(n) < 0.4
    correct = np.where(long, rng.random(n) < 0.9, rng.random(n) < 0.5).astype(float)
    columns = {
        "long": long,
        "finished": np.ones(n, dtype=bool),
        "tokens": np.where(long, 50, 2),
        "correctness": correct,
        "penalties": np.zeros(n),
        "importance": np.ones(n),
    }
    return Batch(**{**columns, **changed})


def total(parts):
    return sum(parts.values())


def test_advantages_are_trls():
    rewards = np.random.default_rng(1).integers(0, 3, 24).astype(float)
    grouped = torch.tensor(rewards).view(-1, 4)
    expected = (grouped - grouped.mean(1, keepdim=True)) / (grouped.std(1, keepdim=True) + 1e-4)
    assert audit.advantages(rewards, 4, "group") == pytest.approx(expected.flatten().numpy())
    batchwise = (grouped - grouped.mean(1, keepdim=True)) / (torch.tensor(rewards).std() + 1e-4)
    assert audit.advantages(rewards, 4, "batch") == pytest.approx(batchwise.flatten().numpy())


def test_what_cannot_be_scored_gets_no_advantage():
    found = audit.advantages(np.array([1.0, 0.0, np.nan, 1.0, np.nan, np.nan, np.nan, np.nan]), 4, "none")
    assert found == pytest.approx([1 / 3, -2 / 3, 0, 1 / 3, 0, 0, 0, 0])


def test_correctness_alone():
    here = batch()
    parts = audit.policy_gradient(here, 4, "none", "dr_grpo", (0.9, 0.5))
    advantage = audit.advantages(here.correctness, 4, "none")
    assert parts["selection_reward"] == pytest.approx(advantage[here.long].mean() - advantage[~here.long].mean())
    assert [parts[f"selection_{part}"] for part in PARTS[1:]] == pytest.approx([0, 0, 0, 0])


def test_truncation_is_named():
    """All long responses are cut off: correctness says more, truncation says less, and by more."""
    here = batch()
    cut = batch(finished=~here.long, correctness=np.where(here.long, 0.0, here.correctness))
    parts = audit.policy_gradient(cut, 4, "group", "dr_grpo", usual=(0.95, 0.5))
    assert parts["selection_reward"] > 0.3
    assert parts["selection_truncation"] < -parts["selection_reward"]
    advantage = audit.advantages(cut.correctness, 4, "group")
    assert total(parts) == pytest.approx(advantage[cut.long].mean() - advantage[~cut.long].mean())
    left_out = audit.policy_gradient(cut, 4, "group", "dr_grpo", usual=(0.95, 0.5), masked=True)
    assert total(left_out) == pytest.approx(-advantage[~cut.long].mean())


def test_length_penalty_and_loss_weights():
    here = batch()
    priced = batch(penalties=-0.02 * here.tokens)
    parts = audit.policy_gradient(priced, 4, "none", "dr_grpo", (0.9, 0.5))
    assert parts["selection_length"] == pytest.approx(-0.02 * 48 * 0.75, rel=0.35)  # less the group's mean, of four
    per_length = audit.policy_gradient(here, 4, "none", "grpo", (0.9, 0.5))
    assert abs(per_length["selection_normalisation"]) > 0.05
    assert audit.policy_gradient(here, 4, "none", "dapo", (0.9, 0.5))["selection_normalisation"] == 0


def test_importance_weights():
    here = batch()
    cut = batch(importance=np.where(here.long, 0.5, 1.0))
    parts = audit.policy_gradient(cut, 4, "none", "dr_grpo", (0.9, 0.5))
    assert parts["selection_importance"] == pytest.approx(
        -0.5 * audit.advantages(here.correctness, 4, "none")[here.long].mean()
    )


def test_star_is_the_log_ratio_of_what_is_kept():
    here = batch(n=4000)
    parts = audit.star(here, 1.0, (0.9, 0.5))
    assert total(parts) == pytest.approx(np.log(0.9 / 0.5), abs=0.1)
    assert parts["selection_reward"] == pytest.approx(total(parts))
    cut = batch(n=4000, finished=~here.long, correctness=np.where(here.long, 0.0, here.correctness))
    parts = audit.star(cut, 1.0, (0.9, 0.5))
    assert parts["selection_reward"] == pytest.approx(np.log(0.9 / 0.5), abs=0.1)
    assert parts["selection_truncation"] < -5


def test_stars_audit_does_not_depend_on_the_unit_of_reward():
    here = batch(n=400, finished=np.arange(400) % 5 > 0)
    here = batch(n=400, finished=here.finished, correctness=np.where(here.finished, here.correctness, 0.0))
    one = audit.star(here, 1.0, (0.9, 0.5))
    five = audit.star(batch(n=400, finished=here.finished, correctness=5 * here.correctness), 5.0, (0.9, 0.5))
    assert one == pytest.approx(five)
    rounded = audit.star(
        batch(n=400, finished=here.finished, correctness=(0.7 + 0.2 + 0.1) * here.correctness), 1.0, (0.9, 0.5)
    )
    assert rounded == pytest.approx(one)


def test_one_mode_alone_cannot_be_selected():
    assert audit.policy_gradient(batch(long=np.ones(64, dtype=bool)), 4, "group", "dr_grpo", (1, 0.5)) == {}
    assert audit.star(batch(long=np.zeros(64, dtype=bool)), 1.0, (1, 0.5)) == {}


def test_stars_log_ratio_by_hand():
    """Four long responses of which three are kept, eight short ones of which two are; half a response is added to each count."""
    long = np.array([True] * 4 + [False] * 8)
    kept = np.array([1, 1, 1, 0] + [1, 1] + [0] * 6, dtype=float)
    ended = {"finished": np.ones(12, dtype=bool), "tokens": np.ones(12), "penalties": np.zeros(12)}
    parts = audit.star(Batch(long=long, correctness=kept, importance=np.ones(12), **ended), 1.0, (0.9, 0.5))
    assert total(parts) == pytest.approx(np.log((3.5 / 5) / (2.5 / 9)))
