"""The last layer of a model, computed only where somebody asks for what comes out of it.

What the last layer computes at a position leaves the model there and nowhere else, but for its key and value, to which later positions attend. Most
positions of D(p_cot) are prompt: no label asks for their outputs, and of a prompt that is to be continued only keys and values are wanted. There the query,
the attention's output and the MLP are left out; all that is asked for, gradients too, stays what it was. Of the work this saves a third in a model of
two layers, and less the deeper it is.
"""

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import torch
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.llama.modeling_llama import rotate_half

FAMILIES = ("llama", "mistral", "qwen2", "qwen3")  # whose layers are built alike; others are computed whole


def is_known(model: Any) -> bool:
    """Whether the last layer of transformers' causal language model can be computed in part."""
    return model.config.model_type in FAMILIES and model.config._attn_implementation == "sdpa"


@contextlib.contextmanager
def only_from(model: Any, start: int) -> Iterator[int]:
    """Within, the model's last hidden states are those from a position on, shape (B, T − start, width).

    Args:
        model: transformers' causal language model, without an adapter around it, its weights whole: where they lie in parts on several processes, what
            gathers them expects each module to be called.
        start: the position, counted from the first that a call is given; T: none are asked for.

    Yields:
        The position that was taken: 0 where all are computed, of a model that is not known.
    """
    # A checkpointed layer is computed once more, outside of this.
    if start == 0 or not is_known(model) or (model.training and model.is_gradient_checkpointing):
        yield 0
        return
    layer = model.base_model.layers[model.config.num_hidden_layers - 1]
    before = vars(layer).get("forward")  # a library's hook, if there is one
    layer.forward = functools.partial(_forward, layer, start)
    try:
        yield start
    finally:
        if before is None:
            del layer.forward
        else:
            layer.forward = before


def fill(model: Any, ids: torch.Tensor, mask: torch.Tensor, cache: Any) -> None:
    """Enter prompts into an empty cache of keys and values.

    Args:
        model: one that is known, without an adapter around it.
        ids: shape (B, P), padded on the left.
        mask: 1 where a token is no padding, shape (B, P).
        cache: transformers'.
    """
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    with only_from(model, ids.shape[1]):
        model.base_model(
            input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True
        )


def _forward(layer: Any, start: int, hidden_states: torch.Tensor, **given: Any) -> torch.Tensor:
    """The layer's output from a position on, shape (B, T − start, width), for states of shape (B, T, width)."""
    attended = _attended(layer.self_attn, start, layer.input_layernorm(hidden_states), **given)
    states = hidden_states[:, start:] + attended
    return states + layer.mlp(layer.post_attention_layernorm(states))


def _attended(
    attention: Any,
    start: int,
    states: torch.Tensor,
    position_embeddings: tuple[torch.Tensor, torch.Tensor],
    attention_mask: torch.Tensor | None = None,
    past_key_values: Any = None,
    **_: Any,
) -> torch.Tensor:
    """What positions from `start` on attend to, (B, T − start, width), of normalised states (B, T, width); what lies in the cache is attended to, too."""
    queries = _heads(attention, "q", states[:, start:])  # (B, heads, T − start, head_dim)
    keys, values = _heads(attention, "k", states), _heads(attention, "v", states)  # (B, key-value heads, T, head_dim)
    cos, sin = (each[:, None] for each in position_embeddings)  # (B, 1, T, head_dim)
    keys = _rotated(keys, cos, sin)
    if past_key_values is not None:
        keys, values = past_key_values.update(keys, values, attention.layer_idx)
    if start == states.shape[1]:
        return states[:, start:]
    queries = _rotated(queries, cos[:, :, start:], sin[:, :, start:])
    if attention_mask is None:  # causal, which is not what sdpa's `is_causal` means for fewer queries than keys
        attention_mask = torch.ones(states.shape[1], states.shape[1], dtype=torch.bool, device=states.device)
        attention_mask = attention_mask.tril()[None, None]
    attended, _weights = ALL_ATTENTION_FUNCTIONS["sdpa"](
        attention,
        queries,
        keys,
        values,
        attention_mask[:, :, start:],
        dropout=attention.attention_dropout if attention.training else 0.0,
        scaling=attention.scaling,
    )  # (B, T − start, heads, head_dim)
    return attention.o_proj(attended.flatten(2))


def _heads(attention: Any, name: str, states: torch.Tensor) -> torch.Tensor:
    """Queries, keys or values by head, shape (B, heads, T, head_dim), of states (B, T, width)."""
    made = getattr(attention, f"{name}_proj")(states).unflatten(-1, (-1, attention.head_dim))
    norm = getattr(attention, f"{name}_norm", None)  # Qwen3 has one, of each head
    return (made if norm is None else norm(made)).transpose(1, 2)


def _rotated(heads: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    return heads * cos + rotate_half(heads) * sin
