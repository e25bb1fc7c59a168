"""Measuring a real checkpoint, small and half trained."""

import pytest

from rarecot.errors import ConfigError
from rarecot.evaluation.harness import Reader
from rarecot.evaluation.suite import Suite
from rarecot.forecast.measure import measure
from rarecot.forecast.pay import Pay
from rarecot.mixtures.build import build
from rarecot.mixtures.spec import MixtureSpec
from rarecot.sampling import Samplers
from rarecot.tasks import Parity


@pytest.fixture(scope="module")
def rows():
    mixture = build(MixtureSpec(task=Parity(7), p_cot=0.5, n=4, n_rl=4, n_test=64, seed=0))
    return mixture.test[:64]


def test_modes_rewards_and_branching_of_a_checkpoint(learned, rows):
    sampler, tokenizer = Samplers("transformers", 64).open(learned, 32)
    suite = Suite(n=64, samples=4, max_new_tokens=8, seed=3)
    found = measure(sampler, Reader(tokenizer), rows, suite, 1.0, Pay())
    assert found.long.shape == (64, 4)
    assert 0.1 < found.long.mean() < 0.9
    assert (found.reward == found.correct).all()  # reward answer: what ended and is right
    assert (found.kept == found.correct).all()
    assert (found.length[~found.long & ~found.truncated] <= 1).all()
    assert found.branch.position is not None
    short = ~found.greedy_long
    assert (found.branch.factor[short] >= 1).all() or short.sum() == 0
    assert (found.branch.factor[found.greedy_long] <= 1).all()
    again = measure(sampler, Reader(tokenizer), rows, suite, 1.0, Pay())
    assert (again.reward == found.reward).all()


def test_rls_cap_and_verifier_are_measured(learned, rows):
    sampler, tokenizer = Samplers("transformers", 64).open(learned, 32)
    suite = Suite(n=64, samples=4, max_new_tokens=8, seed=3)
    whole = measure(sampler, Reader(tokenizer), rows, suite, 1.0, Pay())
    cut = measure(sampler, Reader(tokenizer), rows, suite, 1.0, Pay(max_completion_length=4))
    assert (cut.long == whole.long).all()
    assert cut.truncated[whole.length > 3].all()
    assert cut.reward[cut.truncated].max(initial=0) == 0
    assert whole.reward[whole.long].mean() > 0.3 > cut.reward[whole.long].mean()
    fooled = measure(sampler, Reader(tokenizer), rows, suite, 1.0, Pay(false_positive_rate=1.0))
    assert fooled.reward[fooled.truncated].max(initial=0) == 0
    assert fooled.reward[~fooled.truncated].mean() > 0.95  # all that ended, but for special tokens in the middle
    assert (fooled.reward >= whole.reward).all()


def test_problems_without_gold_are_refused(rows):
    without = {**rows, "answer": ["", *rows["answer"][1:]]}
    with pytest.raises(ConfigError, match="1 of 64 problems have no gold answer"):
        measure(None, None, without, Suite(n=64, samples=1, max_new_tokens=8), 1.0, Pay())


@pytest.mark.parametrize(
    ("pay", "said"),
    [
        (Pay(("anser",)), "did you mean 'answer'"),
        (Pay(reward_weights=(1.0, 2.0)), "reward_weights has 2 entries for 1"),
        (Pay(false_positive_rate=1.5), "is a probability"),
        (Pay(keep_from=2.0), "a response earns 1 at most"),
        (Pay(keep_from=float("nan")), "must be a number"),
        (Pay(max_completion_length=-1), "it counts tokens"),
    ],
)
def test_what_cannot_be_paid(pay, said):
    assert any(said in text for text in pay.problems())
