import pytest
import torch

from rarecot.rendering import render_prompts
from rarecot.sampling import SamplingParams, last_layer
from rarecot.sampling import cache as cache_module
from rarecot.sampling import hf as hf_module
from rarecot.sampling.hf import HfSampler
from rarecot.training.arguments import SftArguments
from rarecot.training.models import from_scratch

PROMPTS = ["0110=", "01=", "1=", "111111=", "0=", "1010="]


@pytest.fixture
def prompt_ids(tokenizer):
    return render_prompts(tokenizer, PROMPTS)


def test_greedy_in_chunks_equals_one_row_at_a_time(tiny_model, tokenizer, prompt_ids, monkeypatch):
    """Dropping finished rows and padding unequal prompts must not change a single token."""
    params = SamplingParams(max_new_tokens=20, logprobs=True)
    together = HfSampler(tiny_model, tokenizer).sample(prompt_ids, params)
    monkeypatch.setattr(hf_module, "FIRST_CHUNK", 10**6)
    alone = [HfSampler(tiny_model, tokenizer).sample([ids], params)[0] for ids in prompt_ids]
    assert [c[0].token_ids for c in together] == [c[0].token_ids for c in alone]
    for a, b in zip(together, alone, strict=True):
        assert a[0].logprobs == pytest.approx(b[0].logprobs, abs=1e-4)


@pytest.mark.parametrize("temperature", [0.0, 1.0, 0.5])
def test_logprobs_are_the_models(tiny_model, tokenizer, prompt_ids, temperature):
    params = SamplingParams(max_new_tokens=12, temperature=temperature, seed=1, logprobs=True)
    for ids, (completion,) in zip(prompt_ids, HfSampler(tiny_model, tokenizer).sample(prompt_ids, params), strict=True):
        sequence = torch.tensor([ids + completion.token_ids])
        with torch.no_grad():
            logits = tiny_model(sequence).logits[0, len(ids) - 1 : -1] / (temperature or 1.0)
        expected = logits.log_softmax(-1).gather(-1, torch.tensor(completion.token_ids)[:, None])[:, 0]
        assert completion.logprobs == pytest.approx(expected.tolist(), abs=1e-4)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_sampling_follows_the_models_distribution(tiny_model, tokenizer, prompt_ids, temperature):
    n = 4000
    params = SamplingParams(max_new_tokens=1, temperature=temperature, n=n, seed=0)
    (completions,) = HfSampler(tiny_model, tokenizer, batch_size=n).sample(prompt_ids[:1], params)
    counts = torch.bincount(torch.tensor([c.token_ids[0] for c in completions]), minlength=len(tokenizer)) / n
    with torch.no_grad():
        probabilities = (tiny_model(torch.tensor(prompt_ids[:1])).logits[0, -1] / temperature).softmax(-1)
    assert (counts - probabilities).abs().max() < 0.03  # 4 000 draws: standard deviation at most 0.008


def test_finish_reason_length_and_text(tiny_model, tokenizer, prompt_ids):
    params = SamplingParams(max_new_tokens=9, temperature=1.0, n=20, seed=0)
    completions = [c for cs in HfSampler(tiny_model, tokenizer).sample(prompt_ids, params) for c in cs]
    assert {c.finish_reason for c in completions} == {"stop", "length"}  # the seed gives both
    for c in completions:
        ended = c.token_ids[-1] == tokenizer.eos_token_id
        assert (c.finish_reason == "stop") == ended
        assert tokenizer.eos_token_id not in c.token_ids[:-1]
        assert c.length == len(c.token_ids) - ended
        assert len(c.token_ids) == 9 or ended
        assert ("<pad>" in c.text) == (tokenizer.pad_token_id in c.token_ids)


def test_seeded_sampling_repeats_and_leaves_the_global_stream_alone(tiny_model, tokenizer, prompt_ids):
    sampler, params = HfSampler(tiny_model, tokenizer), SamplingParams(10, temperature=1.0, seed=5)
    torch.manual_seed(0)
    first = sampler.sample(prompt_ids, params)
    after = torch.rand(1)
    torch.manual_seed(0)
    assert torch.rand(1) == after
    assert sampler.sample(prompt_ids, params) == first
    assert sampler.sample(prompt_ids, SamplingParams(10, temperature=1.0, seed=6)) != first


def test_training_mode_is_restored(tiny_model, tokenizer, prompt_ids):
    tiny_model.train()
    HfSampler(tiny_model, tokenizer).sample(prompt_ids[:1], SamplingParams(1))
    assert tiny_model.training


def test_a_models_own_generation_settings_do_not_bend_the_policy(tiny_model, tokenizer, prompt_ids):
    sampler, params = HfSampler(tiny_model, tokenizer), SamplingParams(10, temperature=1.0, seed=5)
    plain = sampler.sample(prompt_ids, params), sampler.sample(prompt_ids, SamplingParams(10))
    settings = tiny_model.generation_config
    settings.do_sample, settings.top_k, settings.top_p, settings.repetition_penalty = True, 1, 0.1, 5.0
    assert (sampler.sample(prompt_ids, params), sampler.sample(prompt_ids, SamplingParams(10))) == plain


def test_likeliest_tokens_beside_the_greedy_one(tiny_model, tokenizer, prompt_ids):
    params = SamplingParams(max_new_tokens=6, logprobs=True, top=3)
    (completion,) = HfSampler(tiny_model, tokenizer).sample(prompt_ids[:1], params)[0]
    assert len(completion.top) == len(completion.token_ids)
    with torch.no_grad():
        logits = tiny_model(torch.tensor([prompt_ids[0] + completion.token_ids])).logits[0, len(prompt_ids[0]) - 1 : -1]
    for token, score, likely, row in zip(
        completion.token_ids, completion.logprobs, completion.top, logits.log_softmax(-1), strict=True
    ):
        values, ids = row.topk(3)
        assert set(likely) == set(ids.tolist())
        assert likely[token] == pytest.approx(score) == pytest.approx(values[0].item(), abs=1e-4)


def test_a_stop_string_ends_a_response_at_its_token(tiny_model, tokenizer, prompt_ids):
    """As if nothing had been generated behind it: the same tokens, the text cut before it, others untouched."""
    free = [c[0] for c in HfSampler(tiny_model, tokenizer).sample(prompt_ids, SamplingParams(max_new_tokens=40))]
    stop = next(c.text[3:5] for c in free if len(c.text) > 8)
    params = SamplingParams(max_new_tokens=40, stop=("never written", stop))
    stopped = [c[0] for c in HfSampler(tiny_model, tokenizer).sample(prompt_ids, params)]
    assert any(c.stopped_by == stop for c in stopped)
    for before, after in zip(free, stopped, strict=True):
        if stop not in before.text:
            assert after == before
            continue
        assert (after.finish_reason, after.stopped_by) == ("stop", stop)
        assert after.text == before.text[: before.text.index(stop)]
        assert after.token_ids == before.token_ids[: len(after.token_ids)]
        assert stop in tokenizer.decode(after.token_ids)
        assert stop not in tokenizer.decode(after.token_ids[:-1]), "it ends with the token that completed the string"
        assert after.length == len(after.token_ids), "no end-of-sequence token to leave out"


@pytest.mark.parametrize(
    ("model_type", "more"), [("llama", {}), ("gpt2", {}), ("qwen3", {}), ("mistral", {"sliding_window": 6})]
)
def test_a_prompt_enters_the_cache_once_for_all_its_samples(tokenizer, prompt_ids, monkeypatch, model_type, more):
    """With prompts of unequal lengths and a cache that grows several times, the log-probabilities are still the model's own."""
    arguments = SftArguments(model_type=model_type, hidden_size=32, num_heads=4, intermediate_size=64)
    torch.manual_seed(0)
    model = from_scratch(arguments, tokenizer, 64)
    for name, value in more.items():
        setattr(model.config, name, value)
    model = type(model)(model.config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4)  # else every token is as likely
    monkeypatch.setattr(cache_module, "ROOM", 3)
    computed = []
    model.get_input_embeddings().register_forward_hook(lambda _, given, __: computed.append(tuple(given[0].shape)))
    params = SamplingParams(max_new_tokens=12, temperature=1.0, n=5, seed=0, logprobs=True)
    made = HfSampler(model, tokenizer).sample(prompt_ids, params)
    width = max(map(len, prompt_ids))
    # Of a layer that is known, keys and values alone; the prompt's last token follows with the response.
    first = {"gpt2": (len(prompt_ids), width), "mistral": (len(prompt_ids) * 5, width)}
    assert computed[0] == first.get(model_type, (len(prompt_ids), width - 1))
    assert all(length == 1 for _, length in computed[1:])
    different = [{tuple(completion.token_ids) for completion in completions} for completions in made]
    assert sum(map(len, different)) > 2 * len(prompt_ids), "samples of their own"
    for ids, completions in zip(prompt_ids, made, strict=True):
        for completion in completions:
            with torch.no_grad():
                logits = model(torch.tensor([ids + completion.token_ids])).logits[0, len(ids) - 1 : -1]
            expected = logits.log_softmax(-1).gather(-1, torch.tensor(completion.token_ids)[:, None])[:, 0]
            assert completion.logprobs == pytest.approx(expected.tolist(), abs=1e-4)


def test_prompts_that_come_again_are_computed_once(tiny_model, tokenizer, prompt_ids, monkeypatch):
    """Greedy, then sampled twice, as a sampler of its own each time: what one decoding writes is not in the way of the next."""
    filled = []
    fill = last_layer.fill
    monkeypatch.setattr(
        last_layer, "fill", lambda model, ids, *rest: (filled.append(len(ids)), fill(model, ids, *rest))
    )
    ways = [SamplingParams(12), SamplingParams(12, 1.0, n=3, seed=1), SamplingParams(12, 1.0, seed=2)]
    alone = [HfSampler(tiny_model, tokenizer, batch_size=4).sample(prompt_ids, way) for way in ways]
    assert len(filled) == 2 + 5 + 2  # batches of four responses
    filled.clear()
    sampler = HfSampler(tiny_model, tokenizer, batch_size=4)
    assert [sampler.sample(prompt_ids, way) for way in ways] == alone
    assert len(filled) == 2 + 4  # two prompts are a batch both times
    filled.clear()
    monkeypatch.setattr(hf_module, "KEPT_BYTES", 0)
    sampler = HfSampler(tiny_model, tokenizer, batch_size=4)
    assert [sampler.sample(prompt_ids, way) for way in ways] == alone
    assert len(filled) == 2 + 5 + 2
