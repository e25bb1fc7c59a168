import math

import pytest
import torch

from rarecot.rendering import render_prompts
from rarecot.sampling import SamplingParams
from rarecot.sampling.hf import HfSampler
from rarecot.training.rl.sync_check import TOLERANCE, Agreement, agreement, explain


@pytest.fixture
def greedy(tiny_model, tokenizer):
    ids = render_prompts(tokenizer, ["0101=", "1=", "00=", "111="])
    return ids, [c for (c,) in HfSampler(tiny_model, tokenizer).sample(ids, SamplingParams(20, logprobs=True))]


def test_the_same_weights_agree(tiny_model, greedy):
    found = agreement(tiny_model, *greedy)
    assert found.tokens == sum(len(c.token_ids) for c in greedy[1])
    assert found.worst < 1e-5
    assert found.gap < 1e-6
    assert not found.exceeds("float32")
    assert not tiny_model.eval().training
    agreement(tiny_model.train(), *greedy)
    assert tiny_model.training  # its mode is restored


@pytest.mark.parametrize("dtype", list(TOLERANCE))
def test_other_weights_do_not(tiny_model, greedy, dtype):
    with torch.no_grad():
        tiny_model.lm_head.weight.add_(torch.randn_like(tiny_model.lm_head.weight))
    assert agreement(tiny_model, *greedy).exceeds(dtype)


def test_what_exceeds():
    assert Agreement(10, worst=2e-3, mean=1e-5, gap=0).exceeds("float32")
    assert Agreement(10, worst=5e-4, mean=3e-4, gap=0).exceeds("float32")  # small everywhere is too much as well
    assert Agreement(10, worst=5e-4, mean=1e-4, gap=0.1).exceeds("float32")  # another greedy choice
    assert not Agreement(10, worst=5e-4, mean=1e-4, gap=0).exceeds("float32")
    assert Agreement(10, worst=math.nan, mean=math.nan, gap=0).exceeds("bfloat16")
    assert not Agreement(10, worst=0.1, mean=0.01, gap=0).exceeds("float32", tolerance=0.2)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (["lm_head.weight"], "did not arrive: lm_head.weight"),
        (None, "cannot be said"),
        ([], "every parameter that can be compared did arrive"),
    ],
)
def test_the_message_names_the_cause(wrong, words):
    text = explain(Agreement(64, 0.39, 0.1, 0.2), "float32", 2, wrong, ["visual.weight"])
    assert words in text
    assert "after step 2" in text
    assert "0.39" in text
