"""The trainer's half of the weight probe; its other half needs a real engine (test_engine.py)."""

import torch
from transformers import GPT2Config, GPT2LMHeadModel
from transformers.pytorch_utils import Conv1D

from rarecot.sampling.vllm.probe import differing, incomparable, probe_trainer


def test_a_changed_parameter_is_named_and_no_other(tiny_model):
    before = probe_trainer(tiny_model.named_parameters())
    with torch.no_grad():
        tiny_model.model.layers[1].mlp.up_proj.weight.mul_(1.01)
        tiny_model.model.norm.weight[5] += 0.1
    after = probe_trainer(tiny_model.named_parameters())
    assert differing(before, after, torch.float32) == ["model.layers.1.mlp.up_proj.weight", "model.norm.weight"]
    assert differing(before, before, torch.float32) == []
    # one percent is within what bfloat16 rounds away
    assert differing(before, after, torch.bfloat16) == ["model.norm.weight"]


def test_a_tied_head_is_the_embedding_by_another_name(tiny_model):
    probe = probe_trainer([("model.embed_tokens.weight", torch.randn(6, 4))], tied_head="lm_head.weight")
    assert probe["lm_head.weight"] == probe["model.embed_tokens.weight"]
    assert len(probe["lm_head.weight"]) == 6


def test_stored_transposed_or_not_is_the_same_matrix():
    model = GPT2LMHeadModel(GPT2Config(vocab_size=6, n_positions=8, n_embd=8, n_layer=1, n_head=2))
    transposed = {f"{name}.weight" for name, module in model.named_modules() if isinstance(module, Conv1D)}
    assert "transformer.h.0.attn.c_proj.weight" in transposed
    weight = model.transformer.h[0].mlp.c_fc.weight
    a = probe_trainer([("w", weight)], {"w"})
    b = probe_trainer([("w", weight.T)])
    assert a == b


def test_another_model_is_incomparable(tiny_model):
    probe = probe_trainer(tiny_model.named_parameters())
    smaller = {name: values for name, values in probe.items() if "layers.1" not in name}
    assert all("layers.1" in name for name in incomparable(probe, smaller))
    assert len(incomparable(probe, smaller)) == 9
    assert differing({"w": [1.0, 2.0]}, {"w": [1.0]}, torch.float32) == ["w"]  # another shape
