"""Real vLLM engines, one after another in this process."""

import pytest
import torch

from rarecot.rendering import render_prompts
from rarecot.sampling import Samplers, SamplingParams
from rarecot.sampling.hf import HfSampler
from rarecot.sampling.vllm import support
from rarecot.training.arguments import SftArguments
from rarecot.training.models import from_scratch

pytestmark = [pytest.mark.vllm, pytest.mark.slow]

PROMPTS = [f"{i:012b}="[: 2 + i % 12] + "=" for i in range(40)]  # of several lengths


@pytest.fixture(autouse=True, scope="module")
def _environment():
    support.prepare_environment()


@pytest.mark.parametrize("model_type", ["gpt2", "mistral", "qwen3"])
def test_every_architecture_that_we_train(tokenizer, tmp_path, model_type):
    from rarecot.sampling.vllm import sampler, weights

    shape = SftArguments(model_type=model_type, hidden_size=64, num_heads=2, intermediate_size=128, tie_embeddings=True)
    models = []
    for number in range(2):
        torch.manual_seed(number)
        models.append(from_scratch(shape, tokenizer, positions=64))
        with torch.no_grad():
            for parameter in models[-1].parameters():
                parameter.add_(0.2 * torch.randn_like(parameter))
        models[-1].save_pretrained(tmp_path / str(number))
        tokenizer.save_pretrained(tmp_path / str(number))
    opened = sampler.open_engine(tmp_path / "0", max_tokens=64)
    weights.verify(opened, tmp_path / "0")
    with pytest.raises(RuntimeError, match="these differ"):
        weights.verify(opened, tmp_path / "1")
    weights.load(opened, tmp_path / "1")
    ids, params = render_prompts(tokenizer, PROMPTS), SamplingParams(20)
    theirs = sampler.VllmSampler(opened, tokenizer, [tokenizer.eos_token_id]).sample(ids, params)
    sampler.close(opened)
    ours = HfSampler(models[1], tokenizer).sample(ids, params)
    assert [c.token_ids for (c,) in theirs] == [c.token_ids for (c,) in ours]


def test_samplers_keep_one_engine_for_checkpoints_of_one_shape(tokenizer, tmp_path):
    shape = SftArguments(hidden_size=64, num_heads=2, intermediate_size=128)
    models = []
    for number in range(2):
        torch.manual_seed(number)
        models.append(from_scratch(shape, tokenizer, positions=64))
        models[-1].save_pretrained(tmp_path / str(number))
        tokenizer.save_pretrained(tmp_path / str(number))
    opener, engines = Samplers("vllm", 64), []
    ids, params = render_prompts(tokenizer, PROMPTS), SamplingParams(20)
    for number, model in enumerate(models):
        sampler, _ = opener.open(tmp_path / str(number), max_tokens=64)
        engines.append(sampler.engine)
        ours = HfSampler(model, tokenizer).sample(ids, params)
        assert [c.token_ids for (c,) in sampler.sample(ids, params)] == [c.token_ids for (c,) in ours]
    assert engines[0] is engines[1]
    opener.close()
