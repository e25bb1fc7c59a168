import pytest
import torch

from rarecot.training.arguments import SftArguments
from rarecot.training.models import from_scratch


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("model_type", ["llama", "gpt2", "mistral", "qwen3"])
def test_shapes(model_type, tied, tokenizer):
    shape = SftArguments(
        model_type=model_type, num_layers=3, hidden_size=16, num_heads=2, intermediate_size=24, tie_embeddings=tied
    )
    model = from_scratch(shape, tokenizer, positions=40)
    assert model.config.model_type == model_type
    assert model.config.num_hidden_layers == 3
    assert model.config.hidden_size == 16
    assert model.config.max_position_embeddings == 40
    assert (model.config.pad_token_id, model.config.eos_token_id) == (0, 2)
    assert (model.lm_head.weight is model.get_input_embeddings().weight) == tied
    ids = torch.full((2, 40), 3)
    model.train()
    a, b = model(ids).logits, model(ids).logits
    assert a.shape == (2, 40, len(tokenizer))
    assert torch.equal(a, b)  # no dropout
