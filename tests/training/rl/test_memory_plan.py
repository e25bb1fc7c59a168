from dataclasses import replace

import pytest
from conftest import ROOT

from rarecot.training.request import make_request
from rarecot.training.rl import memory_plan
from rarecot.training.rl.memory_plan import GIB


@pytest.fixture
def checkpoint(tmp_path, tokenizer, tiny_model):
    """Two layers of width 32: 2·(4·32² + 3·32·64 + 2·32) + 2·6·32 + 32 parameters."""
    folder = tmp_path / "run" / "sft" / "checkpoint-10"
    tiny_model.save_pretrained(folder)
    return folder


def plan_of(checkpoint, monkeypatch, **values):
    from rarecot.training import request

    monkeypatch.setattr(request, "check", lambda request: [])
    given = {"mixture": str(ROOT / "data_mixes/parity-headline.yaml"), "d": 20, "max_completion_length": 21}
    given |= {"per_device_train_batch_size": 16, "num_generations": 4, **values}
    made = make_request("grpo", given, {}, ROOT / "here.yaml")
    return memory_plan.plan(made, checkpoint, gpu=10 * GIB if "bf16" in values else 0)


def test_arithmetic(checkpoint, monkeypatch):
    n = 2 * (4 * 32**2 + 3 * 32 * 64 + 2 * 32) + 2 * 6 * 32 + 32
    made = plan_of(checkpoint, monkeypatch, gradient_accumulation_steps=2, use_vllm=True)
    assert made.parameters == n
    assert (made.prompts, made.completions, made.tokens, made.steps) == (8, 32, 32 * (22 + 21), 1)
    assert made.training == 16 * n  # float32 weights, gradients, two moments
    assert made.engine == 4 * n
    assert made.cache == 2 * 2 * 32 * 4 * 32 * 43  # keys and values × layers × width × bytes × rows × tokens
    assert made.activations == 16 * 43 * 2 * 34 * 32 * 2
    assert made.peak == made.training + made.activations + made.engine + made.cache


def test_options_change_the_plan(checkpoint, monkeypatch):
    plain = plan_of(checkpoint, monkeypatch)
    assert (plain.engine, plain.cache) == (0, 0)
    assert plan_of(checkpoint, monkeypatch, use_vllm=True, vllm_mode="server").engine == 0
    assert plan_of(checkpoint, monkeypatch, beta=0.1).training == plain.training // 16 * 20
    half = plan_of(checkpoint, monkeypatch, use_vllm=True, bf16=True, vllm_enable_sleep_mode=True)
    assert half.engine == 2 * half.parameters
    assert half.reserved == 3 * GIB  # TRL's default share, whatever is needed
    assert half.peak == half.training + max(half.activations, half.reserved)
    several = plan_of(checkpoint, monkeypatch, steps_per_generation=4)
    assert (several.completions, several.steps) == (64, 4)
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert plan_of(checkpoint, monkeypatch).completions == 32


def test_words(checkpoint, monkeypatch):
    made = plan_of(checkpoint, monkeypatch, use_vllm=True)
    text = memory_plan.describe(made, 10 * GIB)
    assert "4 prompts, 16 completions" in text
    assert "does not fit" not in text
    text = memory_plan.describe(replace(made, engine=9 * GIB, training=2 * GIB), 10 * GIB)
    assert "does not fit. In this order: vllm_enable_sleep_mode true" in text
    assert "too little for the weights alone" in memory_plan.describe(replace(made, reserved=made.engine - 1), None)
    half = replace(made, reserved=made.engine + made.cache // 2)
    assert "its cache holds 50% of a round's completions" in memory_plan.describe(half, None)
    assert memory_plan.cache_gib(made) == 1
    monkeypatch.setattr(memory_plan, "available_ram", lambda: 64 * GIB)
    assert memory_plan.cache_gib(replace(made, cache=3 * GIB + 1)) == 4
    assert memory_plan.cache_gib(replace(made, cache=100 * GIB)) == 16
