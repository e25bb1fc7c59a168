"""What the last layer leaves out changes nothing that was asked for: outputs, gradients, keys and values."""

import copy

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    DynamicCache,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    Qwen2Config,
    Qwen3Config,
)

from rarecot.sampling import last_layer

SHAPE = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4}
SHAPE |= {"vocab_size": 17, "max_position_embeddings": 32}
CONFIGS = {
    "llama": LlamaConfig(**SHAPE, num_key_value_heads=4),
    "llama, grouped, biased": LlamaConfig(**SHAPE, num_key_value_heads=2, attention_bias=True, mlp_bias=True),
    "mistral": MistralConfig(**SHAPE, num_key_value_heads=2, sliding_window=4),
    "qwen2": Qwen2Config(**SHAPE, num_key_value_heads=2),
    "qwen3": Qwen3Config(**SHAPE, num_key_value_heads=2, head_dim=16),
}
PADDED = [0, 3, 1]  # tokens in front of each row


def made(config):
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(copy.deepcopy(config))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3).add_(
                torch.randn_like(parameter), alpha=0.02
            )  # biases and norms, too, differ from each other
    return model


def rows(padded=PADDED, length=12):
    ids = torch.randint(1, 17, (len(padded), length), generator=torch.Generator().manual_seed(1))
    mask = (torch.arange(length) >= torch.tensor(padded)[:, None]).long()
    return ids, mask


@pytest.mark.parametrize("start", [1, 7, 11])
@pytest.mark.parametrize("padded", [PADDED, [0, 0, 0]])
@pytest.mark.parametrize("name", CONFIGS)
def test_what_is_asked_for_and_its_gradients_are_the_whole_layers(name, padded, start):
    whole = made(CONFIGS[name])
    part = copy.deepcopy(whole)
    ids, mask = rows(padded)
    weights = torch.randn(3, 12 - start, 17, generator=torch.Generator().manual_seed(2))
    expected = whole(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, start:]
    with last_layer.only_from(part, start) as taken:
        logits = part(input_ids=ids, attention_mask=mask, use_cache=False).logits
    assert taken == start
    assert logits.shape == expected.shape
    assert torch.allclose(logits, expected, atol=1e-5)
    for made_of in (expected, logits):
        (made_of * weights).sum().backward()
    for (name, parameter), other in zip(whole.named_parameters(), part.parameters(), strict=True):
        largest = parameter.grad.abs().max()
        assert largest > 0, name
        assert (parameter.grad - other.grad).abs().max() < 1e-4 * largest, name


def test_the_rest_is_not_computed():
    model = made(CONFIGS["llama"])
    seen = {}
    for name in ("self_attn.q_proj", "self_attn.k_proj", "self_attn.o_proj", "mlp"):
        module = model.model.layers[-1].get_submodule(name)
        module.register_forward_pre_hook(lambda _, given, name=name: seen.update({name: given[0].shape[1]}))
    ids, _ = rows()
    with last_layer.only_from(model, 9):
        model(ids)
    assert seen == {"self_attn.q_proj": 3, "self_attn.k_proj": 12, "self_attn.o_proj": 3, "mlp": 3}
    model(ids)
    assert set(seen.values()) == {12}, "whole again"


@pytest.mark.parametrize("config", [GPT2Config(n_embd=32, n_layer=2, n_head=4, vocab_size=17), "eager"])
def test_what_is_not_known_is_computed_whole(config):
    if config == "eager":
        model = made(CONFIGS["llama"])
        model.set_attn_implementation("eager")
    else:
        model = made(config)
    model.eval()
    ids, mask = rows()
    expected = model(input_ids=ids, attention_mask=mask).logits
    with last_layer.only_from(model, 7) as taken:
        assert taken == 0
        assert torch.equal(model(input_ids=ids, attention_mask=mask).logits, expected)


def test_a_checkpointed_layer_is_whole_in_training_alone():
    model = made(CONFIGS["llama"])
    model.gradient_checkpointing_enable()
    ids, _ = rows()
    with last_layer.only_from(model.train(), 7) as taken:
        logits = model(ids).logits
    assert (taken, logits.shape[1]) == (0, 12)
    logits.sum().backward()  # which computes the layers once more
    with last_layer.only_from(model.eval(), 7) as taken:
        assert (taken, model(ids).logits.shape[1]) == (7, 5)


def test_the_layer_is_its_own_again_after_an_error():
    model = made(CONFIGS["llama"])
    layer = model.model.layers[-1]
    with pytest.raises(ZeroDivisionError), last_layer.only_from(model, 7):
        raise ZeroDivisionError
    assert "forward" not in vars(layer)
    layer.forward = hooked = layer.forward  # as accelerate's hooks do
    with last_layer.only_from(model, 7):
        pass
    assert layer.forward is hooked


@pytest.mark.parametrize("name", ["llama", "llama, grouped, biased", "qwen2", "qwen3"])
def test_a_filled_cache_is_that_of_the_whole_model(name):
    model = made(CONFIGS[name]).eval()
    ids, mask = rows()
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    whole, filled = DynamicCache(config=model.config), DynamicCache(config=model.config)
    with torch.no_grad():
        model(input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=whole)
        last_layer.fill(model, ids, mask, filled)
    for mine, theirs in zip(filled.layers, whole.layers, strict=True):
        for row, first in enumerate(PADDED):  # what stands at padding is never looked at
            assert torch.allclose(mine.keys[row, :, first:], theirs.keys[row, :, first:], atol=1e-5)
            assert torch.allclose(mine.values[row, :, first:], theirs.values[row, :, first:], atol=1e-5)


def test_a_cache_goes_on_behind_what_it_holds():
    """Several tokens on a cache that holds some: each attends to all before it."""
    model = made(CONFIGS["llama"]).eval()
    ids, mask = rows([0, 0, 0])
    cache = DynamicCache(config=model.config)
    with torch.no_grad():
        expected = model(ids).logits[:, 10:]
        last_layer.fill(model, ids[:, :5], mask[:, :5], cache)
        with last_layer.only_from(model, 5):  # of the seven that follow
            logits = model(input_ids=ids[:, 5:], attention_mask=mask, past_key_values=cache).logits
    assert torch.allclose(logits, expected, atol=1e-5)


def test_an_adapters_layers_are_computed():
    model = get_peft_model(made(CONFIGS["llama"]), LoraConfig(r=4, target_modules="all-linear"))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    ids, _ = rows()
    expected = model(ids).logits[:, 7:]
    with last_layer.only_from(model.get_base_model(), 7) as taken:
        logits = model(ids).logits
    assert taken == 7
    assert torch.allclose(logits, expected, atol=1e-4)
