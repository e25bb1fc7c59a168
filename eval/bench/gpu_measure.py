"""All that is measured on a GPU, size by size."""

import gc
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import gpu_models
import gpu_sft
import torch
from gpu_sizes import SIZES, asked
from row import Row

from rarecot.training import environment


def measured(args: Any, with_vllm: bool, device: str) -> Iterator[Row | str]:
    """Rows as they come, and sentences for what the GPU's memory does not hold.

    Args:
        args: of the command line: sizes, stages, steps, rounds.
        with_vllm: GRPO once more, with our rollouts by vLLM.
        device: name of the card.
    """
    for name in args.sizes:
        size = SIZES[name]
        with tempfile.TemporaryDirectory() as folder:
            made = gpu_models.make(size, Path(folder))
            if not with_vllm:  # it need not be imported
                environment.prepare(asked("sft", size, *made, 1, run_dir=Path(folder) / "none"))
            import gpu_grpo  # TRL looks for vLLM now

            kinds = {f"sft_{name}": partial(gpu_sft.rows, name, size, made, args.steps, device)}
            for vllm in (False, True) if with_vllm else (False,):
                ending = "_vllm" if vllm else ""
                kinds[f"grpo_{name}{ending}"] = partial(gpu_grpo.rows, name, size, made, args.rounds, vllm)
            for title, rows in kinds.items():
                if title.partition("_")[0] not in args.stages:
                    continue
                print(f"{title} …", flush=True)
                try:
                    yield from rows()
                except torch.cuda.OutOfMemoryError as error:
                    yield f"{title}: the GPU's memory does not hold both ({str(error).partition('. ')[0]})"
                gc.collect()  # trainers refer to themselves
                torch.cuda.empty_cache()
