"""Steps of next-token prediction: the trainer's beside those of a hand-written loop, and beside what the machine can multiply."""

import copy
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import hand_loop
import numpy as np
import torch
import turns
from row import Row, compared, seconds
from torch.profiler import ProfilerActivity, profile

from rarecot.quiet import quiet
from rarecot.training import sft
from rarecot.training.run import open_run
from rarecot.training.text import text_of
from rarecot.training.trl_config import trl_config

SIDE = 2048  # of the matrices whose product is the machine's peak
# What a step's time goes to, by the beginning of torch's names of its operations
KINDS = {
    "matrix products": ("aten::mm", "aten::addmm", "aten::bmm"),
    "attention": ("aten::_scaled_dot_product",),
    "the optimizer": ("Optimizer", "aten::_fused", "aten::_foreach"),
}


def rows(args: Any) -> Iterator[Row]:
    """The headline's steps, 64 demonstrations of 50 bits: tokens a second, and FLOP/s."""
    quiet()
    with tempfile.TemporaryDirectory() as folder:
        request = turns.request("sft", folder, turns.WARM_UP + (args.repeats or (5 if args.small else 100)))
        config, options = trl_config(request)
        run = open_run(request, config.to_dict())
        text = text_of(run, config)
        model, adapter = sft.make_model(request, options, text)
        d, batch, p_cot = request.spec.task.d, config.per_device_train_batch_size, request.spec.p_cot
        other = hand_loop.ntp_stepper(copy.deepcopy(model), d, batch, p_cot, config.learning_rate)
        trainer = sft.make_trainer(config, model, adapter, text, sft.rendered(run.mixture, text))
        before = peak()
        ours, others = turns.train(trainer, other).pair
        after = peak()
    n_long = round(p_cot * batch)
    tokens = n_long * (2 * d + 3) + (batch - n_long) * (d + 4)
    yield compared(
        "ntp_tokens",
        tokens / np.array(ours),
        tokens / np.array(others),
        "tokens/s",
        "a hand-written loop",
        "≥ 0.8",
        f"a step {np.median(ours):.3f} / {np.median(others):.3f} s",
    )
    work = flops(model, n_long, 2 * d + 3, d + 1) + flops(model, batch - n_long, d + 4, 2)
    where = shares(other)
    yield compared(
        "ntp_peak",
        work / np.array(ours) / 1e9,
        [max(before, after) / 1e9],
        "GFLOP/s",
        f"the machine's peak (float32, {SIDE}³)",
        note="the hand-written step spends "
        + ", ".join(f"{share:.0%} on {kind}" for kind, share in where.items())
        + f"; matrix products alone run at {work / np.median(others) / where['matrix products'] / max(before, after):.0%} of peak",
        where=where,
        flops=work,
    )


def flops(model: Any, rows: int, length: int, asked: int) -> float:
    """Floating-point operations that a forward and a backward pass need over rows of so many tokens, whose last `asked` outputs are wanted:
    6 for each weight of a matrix and token, 12 · width for each token and token it attends to (PaLM, arXiv 2204.02311, appendix B). Of the last
    layer, keys and values of all tokens and the rest of those that are wanted."""
    layers, width = model.base_model.layers, model.config.hidden_size
    each = sum(p.numel() for p in layers[-1].parameters() if p.dim() == 2)
    attention = layers[-1].self_attn
    of_all = attention.k_proj.weight.numel() + attention.v_proj.weight.numel()
    before = (len(layers) - 1) * (6 * each * length + 12 * width * length * length / 2)
    head = model.get_output_embeddings().weight.numel()
    last = 6 * (of_all * length + (each - of_all + head) * asked) + 12 * width * asked * (length - asked / 2)
    return rows * (before + last)


def peak() -> float:
    """The machine's FLOP/s in float32 matrix products, the best of some."""
    a, b = torch.randn(2, SIDE, SIDE)
    return 2 * SIDE**3 / min(seconds(lambda: a @ b) for _ in range(10))


def shares(step: Callable[[], Any]) -> dict[str, float]:
    """What a step's time goes to."""
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        for _ in range(5):
            step()
    spent: Counter[str] = Counter()
    for event in profiled.key_averages():
        kind = next(
            (kind for kind, names in KINDS.items() if event.key.startswith(names)), "all else, element by element"
        )
        spent[kind] += event.self_cpu_time_total
    total = sum(spent.values())
    return {kind: time / total for kind, time in spent.most_common()}
