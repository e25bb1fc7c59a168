"""All that is measured on a GPU, size by size."""

import gc
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from on_gpu import models, sft
from on_gpu.sizes import SIZES, asked
from row import Row

from rarecot.training import environment


def measured(args: Any, with_vllm: bool, device: str) -> Iterator[Row | str]:
    """Rows as they come, and sentences for what is left out: for want of memory, or of time.

    Args:
        args: of the command line: sizes, stages, steps, rounds, minutes.
        with_vllm: after all else, GRPO once more with our rollouts by vLLM.
        device: name of the card.
    """
    started = time.perf_counter()
    for name, stages, vllm in parts(args, with_vllm):
        with tempfile.TemporaryDirectory() as folder:
            made = models.make(SIZES[name], Path(folder))
            if not with_vllm:  # it need not be imported
                environment.prepare(asked("sft", SIZES[name], *made, 1, run_dir=Path(folder) / "none"))
            from on_gpu import grpo  # TRL looks for vLLM now

            for stage in stages:
                title = f"{stage}_{name}{'_vllm' if vllm else ''}"
                if time.perf_counter() - started > 60 * args.minutes:
                    yield f"{title}: not begun, after --minutes {args.minutes:g}"
                    continue
                print(f"{title} …", flush=True)
                try:
                    if stage == "sft":
                        yield from sft.rows(name, SIZES[name], made, args.steps, device)
                    else:
                        yield from grpo.rows(name, SIZES[name], made, args.rounds, vllm)
                except torch.cuda.OutOfMemoryError as error:
                    yield f"{title}: the GPU's memory does not hold both ({str(error).partition('. ')[0]})"
                gc.collect()  # trainers refer to themselves
                if torch.cuda.is_available():
                    torch.cuda.empty_cache()


def parts(args: Any, with_vllm: bool) -> list[tuple[str, list[str], bool]]:
    """Size, stages, and whether by vLLM; in that order."""
    found = [(name, args.stages, False) for name in args.sizes]
    if with_vllm and "grpo" in args.stages:
        found += [(name, ["grpo"], True) for name in args.sizes]
    return found
