"""The key-value cache of `HfSampler`: it grows in place, and prompts that are sampled several times enter it once."""

from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

ROOM = 64  # tokens


class RoomyLayer(DynamicLayer):
    """transformers' growing layer, with room for the tokens to come: a token is written beside the others instead of all of them being
    copied for it, which took longer than the rest of a step."""

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self._buffers: tuple[torch.Tensor, torch.Tensor] | None = None  # of which keys and values are the first columns

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """As `DynamicLayer.update`: all keys and values, shape (B, heads, T, width), the new ones last."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        before = self.get_seq_length()
        after = before + key_states.shape[-2]
        if self._buffers is None or self._buffers[0].shape[-2] < after:
            held = (self.keys, self.values) if before else (None, None)
            self._buffers = tuple(
                _with_room(old, new, after + ROOM) for old, new in zip(held, (key_states, value_states), strict=True)
            )
        for buffer, new in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[:, :, before:after] = new
        self.keys, self.values = (buffer[:, :, :after] for buffer in self._buffers)
        return self.keys, self.values

    def crop(self, max_length: int) -> None:
        if self.is_initialized:  # a layer may not have been asked
            super().crop(max_length)

    def reset(self) -> None:
        self._buffers = None
        super().reset()

    def reorder_cache(self, beam_idx: torch.LongTensor) -> None:
        self._buffers = None
        super().reorder_cache(beam_idx)

    def batch_repeat_interleave(self, repeats: int) -> None:
        self._buffers = None
        super().batch_repeat_interleave(repeats)

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        self._buffers = None
        super().batch_select_indices(indices)


def _with_room(old: torch.Tensor | None, new: torch.Tensor, length: int) -> torch.Tensor:
    """A buffer of so many tokens for states like `new`, which begins with the old ones."""
    buffer = new.new_empty((*new.shape[:2], length, new.shape[-1]))
    if old is not None:
        buffer[:, :, : old.shape[-2]] = old
    return buffer


def make_cache(model: Any) -> DynamicCache:
    """An empty cache for a model, of the layers that transformers would take; those that hold all tokens have room.

    Args:
        model: transformers' causal language model.
    """
    cache = DynamicCache(config=model.config.get_text_config(decoder=True))
    cache.layers = [RoomyLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache


def can_be_cut(cache: DynamicCache) -> bool:
    """Whether the last token can be taken out again: each layer holds all tokens."""
    return bool(cache.layers) and all(isinstance(layer, RoomyLayer) for layer in cache.layers)
