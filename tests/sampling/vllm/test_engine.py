"""A real vLLM engine in this process."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from rarecot.rendering import render_prompts
from rarecot.sampling import SamplingParams
from rarecot.sampling.hf import HfSampler

pytestmark = [pytest.mark.vllm, pytest.mark.slow]

PROMPTS = [f"{i:012b}="[: 2 + i % 12] + "=" for i in range(40)]  # of several lengths


@pytest.fixture(scope="module", params=[False, True], ids=["untied", "tied"])
def engine(request, tokenizer, tmp_path_factory):
    """(engine, folder, model): a tiny Llama whose heads vLLM's CPU build knows."""
    from rarecot.sampling.vllm import support

    support.prepare_environment()
    from rarecot.sampling.vllm.sampler import close, open_engine

    torch.manual_seed(0)
    special = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("pad", "bos", "eos")}
    shape = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=64,
        initializer_range=0.3,
        tie_word_embeddings=request.param,
        **shape,
        **special,
    )
    folder = tmp_path_factory.mktemp("model")
    model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    opened = open_engine(folder, max_tokens=64)
    yield opened, folder, model
    close(opened)


@pytest.fixture
def samplers(engine, tokenizer):
    from rarecot.sampling.vllm.sampler import VllmSampler
    from rarecot.sampling.vllm.weights import load

    opened, folder, model = engine
    load(opened, folder)  # whatever another test has done to the weights
    return VllmSampler(opened, tokenizer, [tokenizer.eos_token_id]), HfSampler(model, tokenizer)


def test_greedy_equals_transformers_token_for_token(samplers, tokenizer):
    ids, params = render_prompts(tokenizer, PROMPTS), SamplingParams(6, logprobs=True)
    theirs, ours = (sampler.sample(ids, params) for sampler in samplers)
    assert {c.finish_reason for (c,) in ours} == {"stop", "length"}  # both kinds occur
    for (a,), (b,) in zip(theirs, ours, strict=True):
        assert (a.token_ids, a.text, a.finish_reason) == (b.token_ids, b.text, b.finish_reason)
        assert a.logprobs == pytest.approx(b.logprobs, abs=1e-4)


def test_stop_strings_end_responses_where_they_do_in_transformers(samplers, tokenizer):
    ids = render_prompts(tokenizer, PROMPTS)
    free = [c for (c,) in samplers[0].sample(ids, SamplingParams(12))]
    stop = next(c.text[2:4] for c in free if len(c.text) > 6)
    theirs, ours = (sampler.sample(ids, SamplingParams(12, stop=(stop,))) for sampler in samplers)
    assert any(c.stopped_by for (c,) in ours)
    for (a,), (b,) in zip(theirs, ours, strict=True):
        assert (a.token_ids, a.text, a.finish_reason, a.stopped_by) == (
            b.token_ids,
            b.text,
            b.finish_reason,
            b.stopped_by,
        )


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_sampled_logprobs_are_the_models_at_the_temperature(samplers, engine, tokenizer, temperature):
    params = SamplingParams(20, temperature=temperature, n=2, seed=3, logprobs=True)
    ids = render_prompts(tokenizer, PROMPTS[:8])
    for prompt, several in zip(ids, samplers[0].sample(ids, params), strict=True):
        for completion in several:
            sequence = torch.tensor([prompt + completion.token_ids])
            with torch.no_grad():
                logits = engine[2](sequence).logits[0, len(prompt) - 1 : -1] / temperature
            expected = logits.log_softmax(-1).gather(-1, torch.tensor(completion.token_ids)[:, None])[:, 0]
            assert completion.logprobs == pytest.approx(expected.tolist(), abs=1e-3)


def test_seeds_repeat_and_prompts_do_not_share_randomness(samplers, tokenizer):
    same_prompt = render_prompts(tokenizer, ["0101="] * 200)
    params = SamplingParams(1, temperature=1.0, n=2, seed=1)
    first = samplers[0].sample(same_prompt, params)
    assert [[c.token_ids for c in several] for several in samplers[0].sample(same_prompt, params)] == [
        [c.token_ids for c in several] for several in first
    ]
    drawn = [c.token_ids[0] for several in first for c in several]
    counts = torch.bincount(torch.tensor(drawn), minlength=len(tokenizer)) / len(drawn)
    model = samplers[1].model
    with torch.no_grad():
        probabilities = model(torch.tensor(same_prompt[:1])).logits[0, -1].softmax(-1)
    assert (counts - probabilities).abs().max() < 0.1  # 400 draws: standard deviation at most 0.025


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_measurement_leaves_the_global_stream_alone(samplers, tokenizer, temperature):
    ids = render_prompts(tokenizer, PROMPTS)
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    samplers[0].sample(ids, SamplingParams(10, temperature=temperature, seed=5))
    assert torch.rand(1) == expected


def test_new_weights_arrive_in_every_layer(engine, samplers, tokenizer, tmp_path):
    from rarecot.sampling.vllm.weights import load

    opened, _, model = engine
    changed = LlamaForCausalLM(model.config)
    changed.save_pretrained(tmp_path)
    load(opened, tmp_path)
    ids, params = render_prompts(tokenizer, PROMPTS), SamplingParams(30)
    theirs, ours = samplers[0].sample(ids, params), HfSampler(changed, tokenizer).sample(ids, params)
    assert [c.token_ids for (c,) in theirs] == [c.token_ids for (c,) in ours]


def test_a_matrix_that_did_not_arrive_is_named(engine, samplers, tmp_path, monkeypatch):
    from rarecot.sampling.vllm import weights

    opened, _, model = engine
    changed = LlamaForCausalLM(model.config)
    changed.save_pretrained(tmp_path)
    missed = "model.layers.0.self_attn.k_proj.weight"
    old = model.get_parameter(missed).detach()
    stale = ((name, old if name == missed else tensor) for name, tensor in weights.tensors(tmp_path))
    weights.replace(opened, stale)
    with pytest.raises(RuntimeError, match=rf"these differ: {missed}$"):
        weights.verify(opened, tmp_path)


def test_without_retying_the_head_goes_stale_and_is_named(engine, samplers, tmp_path, monkeypatch):
    """vLLM's reload skips a tied head (weights.repack). The fix switched off, the probe must see it."""
    from rarecot.sampling.vllm import support, weights

    opened, _, model = engine
    if not support.is_cpu_build():
        pytest.skip("only the CPU build packs its matrices")
    LlamaForCausalLM(model.config).save_pretrained(tmp_path)
    monkeypatch.setattr(weights, "retie", lambda model: None)
    if model.config.tie_word_embeddings:
        with pytest.raises(RuntimeError, match=r"these differ: lm_head\.weight$"):
            weights.load(opened, tmp_path)
    else:
        weights.load(opened, tmp_path)


def test_a_second_bos_would_be_noticed():
    from rarecot.sampling.vllm.sampler import same_prompt

    same_prompt([1, 3, 4], (1, 3, 4))
    with pytest.raises(RuntimeError, match="was given a prompt of ids"):
        same_prompt([1, 3, 4], [1, 1, 3, 4])
