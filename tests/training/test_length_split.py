"""The split forward must give the numbers of the padded one, to the gradient."""

import copy

import pytest
import torch
from trl.trainer import utils
from trl.trainer.utils import add_fused_lm_head

from rarecot.training.length_split import best_cut, split_by_length

PAD = 0


def batch(lengths, left=(), width=None):
    """Rows of random tokens: `left[i]` pads in front, then lengths[i] tokens, then pads; the last half is labelled."""
    generator = torch.Generator().manual_seed(0)
    left = list(left) or [0] * len(lengths)
    width = width or max(a + b for a, b in zip(left, lengths, strict=True))
    ids = torch.full((len(lengths), width), PAD)
    mask = torch.zeros_like(ids)
    labels = torch.full_like(ids, -100)
    for i, (start, n) in enumerate(zip(left, lengths, strict=True)):
        ids[i, start : start + n] = torch.randint(2, 6, (n,), generator=generator)
        mask[i, start : start + n] = 1
        labels[i, start + n // 2 : start + n] = ids[i, start + n // 2 : start + n]
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


@pytest.mark.parametrize(
    ("lengths", "left", "width"),
    [
        ([5, 20, 6, 5, 20], (), None),  # right-padded, as in SFT
        ([12, 9, 30, 12], (0, 3, 0, 1), None),  # left-padded prompts, as in GRPO
        ([8, 8], (), 14),  # a fully padded right edge
        ([7, 3], (), None),
        ([10, 10, 10], (), None),  # nothing to gain
        ([4, 9], (2, 0), None),
        ([20, 5, 9, 30], (), None),  # whose order is not its own inverse
        ([2, 3, 1], (), None),  # a row whose label nothing predicts
    ],
)
def test_outputs_and_gradients_equal_the_padded_batch(tiny_model, lengths, left, width):
    plain, split = tiny_model, copy.deepcopy(tiny_model)
    for model in (plain, split):
        add_fused_lm_head(model, outputs=("log_probs", "entropy", "is_top1"))
    split_by_length(split)
    inputs = batch(lengths, left, width)
    results = []
    for model in (plain, split):
        out = model(**inputs, fused_lm_head=True, use_cache=False)
        (-out.log_probs.sum() / out.label_mask.sum()).backward()
        results.append((out, {name: p.grad for name, p in model.named_parameters()}))
    (a, grad_a), (b, grad_b) = results
    assert torch.equal(a.label_mask, b.label_mask)
    assert torch.equal(a.is_top1, b.is_top1)
    assert torch.allclose(a.log_probs, b.log_probs, atol=1e-5)
    assert torch.allclose(a.entropy, b.entropy, atol=1e-5)
    assert torch.allclose(a.loss, b.loss, atol=1e-5)
    assert all(torch.allclose(grad_a[name], grad_b[name], atol=1e-5) for name in grad_a)


def test_it_computes_less(tiny_model):
    add_fused_lm_head(tiny_model, outputs=("log_probs",))
    split_by_length(tiny_model)
    seen = []
    tiny_model.model.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs["input_ids"].numel()), with_kwargs=True
    )
    tiny_model(**batch([5] * 48 + [50] * 16), fused_lm_head=True)
    assert seen == [48 * 5, 16 * 50]  # instead of 64 × 50


def test_logits_come_in_tiles_as_wide_as_the_vocabulary(tiny_model):
    """And the constant is TRL's own again after each call, whatever came of it."""
    usual = utils._CHUNKED_LOGPROB_CHUNK_SIZE
    add_fused_lm_head(tiny_model, outputs=("log_probs",))
    split_by_length(tiny_model)
    seen = []

    def look(*_):
        seen.append(utils._CHUNKED_LOGPROB_CHUNK_SIZE)
        if len(seen) > 2:
            raise ZeroDivisionError

    tiny_model.model.register_forward_hook(look)
    tiny_model(**batch([5, 9]), fused_lm_head=True)
    assert seen == [tiny_model.config.vocab_size] * 2
    assert usual == utils._CHUNKED_LOGPROB_CHUNK_SIZE
    with pytest.raises(ZeroDivisionError):
        tiny_model(**batch([5, 9]), fused_lm_head=True)
    assert usual == utils._CHUNKED_LOGPROB_CHUNK_SIZE


def test_the_last_layer_is_computed_from_the_first_label_on(tiny_model):
    add_fused_lm_head(tiny_model, outputs=("log_probs",))
    split_by_length(tiny_model)
    seen = []
    tiny_model.model.layers[-1].mlp.register_forward_pre_hook(lambda _, given: seen.append(tuple(given[0].shape[:2])))
    tiny_model(**batch([6, 6, 20, 20]), fused_lm_head=True)  # labelled from columns 3 and 10 on
    assert seen == [(2, 4), (2, 11)]


def test_generation_and_plain_calls_pass_through(tiny_model, tokenizer):
    inputs = batch([6, 6])
    before = tiny_model(**inputs).loss, tiny_model.generate(inputs["input_ids"], max_new_tokens=5, do_sample=False)
    add_fused_lm_head(tiny_model)
    split_by_length(tiny_model)
    after = tiny_model(**inputs).loss, tiny_model.generate(inputs["input_ids"], max_new_tokens=5, do_sample=False)
    assert torch.allclose(before[0], after[0])
    assert torch.equal(before[1], after[1])


@pytest.mark.parametrize(
    ("lengths", "cut"),
    [([5, 5, 5, 50], 3), ([5, 50, 50], 1), ([9, 9], 1), ([1, 2, 3, 4], 2)],
)
def test_best_cut(lengths, cut):
    assert best_cut(lengths) == cut
