"""The loss of a batch of mostly short rows, without computing on padding, nor what no label asks for.

A padded batch of D(p_cot) is mostly padding: its rows are either short or long. TRL's trainers ask the model for
per-token outputs of the whole batch (`model(..., labels=…, fused_lm_head=True)`); here that call is answered by two
forwards, one over the shorter rows and one over the longer, each cut to its own width, and the outputs are put back in
place. Within each the last layer is computed only where a label asks for its output (`last_layer`). The numbers are those of the padded batch; only the
work differs. It is always two forwards where there are two rows, so all ranks of a distributed run do the same collectives.
"""

import contextlib
import functools
import types
from collections.abc import Iterator
from typing import Any

import torch
from torch.nn.functional import pad
from trl.trainer import utils
from trl.trainer.utils import FusedCausalLMOutput

from rarecot.rendering import IGNORED_LABEL
from rarecot.sampling import last_layer

# TRL computes logits in tiles of so many columns, whatever the vocabulary. With a smaller one, each row of a tile lies on pages of
# its own, and touching them took longer than all that is done with them.
_TILE = utils._CHUNKED_LOGPROB_CHUNK_SIZE
_PER_TOKEN = ("log_probs", "entropy", "log_sum_sq_probs", "mean_logits", "is_top1", "label_mask")


def split_by_length(model: Any, sharded: bool = False) -> None:
    """Wrap the fused forward that a TRL trainer installed on a model. Other calls pass through unchanged.

    Args:
        model: without an adapter around it.
        sharded: its weights lie in parts on several processes: all layers are computed whole then.
    """
    fused = model.forward
    columns = min(_TILE, model.config.get_text_config().vocab_size)

    @functools.wraps(type(model).forward)
    def forward(
        self: Any,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        fused_lm_head: bool = False,
        **kwargs: Any,
    ) -> Any:
        call = functools.partial(fused, fused_lm_head=fused_lm_head, **kwargs) if fused_lm_head else fused
        # Packed rows and auxiliary losses of mixture-of-experts models are not per row.
        if not fused_lm_head or "position_ids" in kwargs or "output_router_logits" in kwargs or len(input_ids) < 2:
            named = {"input_ids": input_ids, "attention_mask": attention_mask, "labels": labels}
            return call(**{k: v for k, v in named.items() if v is not None}, **({} if fused_lm_head else kwargs))
        with _tiles_of(columns):
            return _two_parts(self, call, sharded, input_ids, attention_mask, labels)

    model.forward = types.MethodType(forward, model)


@contextlib.contextmanager
def _tiles_of(columns: int) -> Iterator[None]:
    utils._CHUNKED_LOGPROB_CHUNK_SIZE = columns
    try:
        yield
    finally:
        utils._CHUNKED_LOGPROB_CHUNK_SIZE = _TILE


def _two_parts(
    model: Any, call: Any, sharded: bool, input_ids: torch.Tensor, mask: torch.Tensor, labels: torch.Tensor
) -> FusedCausalLMOutput:
    columns = torch.arange(mask.shape[1], device=mask.device)
    first = torch.where(mask.bool(), columns, mask.shape[1]).amin(dim=1)  # (B,) first real column
    last = torch.where(mask.bool(), columns + 1, 0).amax(dim=1)  # (B,) one past the last
    labelled = torch.where(labels != IGNORED_LABEL, columns, mask.shape[1]).amin(dim=1)  # (B,) first with a label
    order = last.argsort(stable=True)
    cut = best_cut(last[order].tolist())
    fields: dict[str, torch.Tensor] = {}
    for rows in (order[:cut], order[cut:]):
        left, right = int(first[rows].amin()), int(last[rows].amax())
        window = slice(left, max(right, left + 1))
        # The column before the first label predicts it; two are left at least, of which one is predicted.
        asked = 0 if sharded else max(0, min(int(labelled[rows].amin()) - 1, window.stop - 2) - left)
        with last_layer.only_from(model, asked) as start:
            part = call(
                input_ids=input_ids[rows, window],
                attention_mask=mask[rows, window],
                labels=labels[rows, left + start : window.stop],
            )
        for name in _PER_TOKEN:
            value = getattr(part, name)  # (rows, width − start − 1)
            if value is not None:
                widened = pad(value, (left + start, mask.shape[1] - 1 - left - start - value.shape[1]))
                fields[name] = torch.cat([fields[name], widened]) if name in fields else widened
    back = order.argsort()
    fields = {name: value[back] for name, value in fields.items()}  # (B, T − 1)
    loss = -fields["log_probs"].sum() / fields["label_mask"].sum().clamp(min=1)
    return FusedCausalLMOutput(loss=loss, **fields)


def best_cut(lengths: list[int]) -> int:
    """Where to cut ascending row lengths in two so that the two padded parts hold the fewest tokens; 1 … n − 1."""
    n = len(lengths)
    return min(range(1, n), key=lambda cut: cut * lengths[cut - 1] + (n - cut) * lengths[-1])
