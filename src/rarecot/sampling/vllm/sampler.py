"""vLLM as a `Sampler`, in this process."""

import contextlib
import gc
import json
import random
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rarecot.sampling.base import SamplingParams, completion_from_ids
from rarecot.sampling.vllm import support
from rarecot.types import Completion


class VllmSampler:
    """A vLLM engine as a `Sampler`.

    Args:
        engine: a `vllm.LLM`.
        tokenizer: the model's, to decode with.
        ends: ids that end a response.
    """

    def __init__(self, engine: Any, tokenizer: Any, ends: Collection[int]):
        self.engine, self.tokenizer, self.ends = engine, tokenizer, ends
        self.name = f"vllm {str(engine.llm_engine.model_config.dtype).removeprefix('torch.')}"

    def sample(self, prompt_ids: Sequence[Sequence[int]], params: SamplingParams) -> list[list[Completion]]:
        """See `Sampler.sample`.

        Raises:
            RuntimeError: the engine did not read the ids it was given (a second bos, a truncated prompt).
        """
        prompts = [{"prompt_token_ids": list(ids)} for ids in prompt_ids]
        how = [sampling_params(params, row, self.ends) for row in range(len(prompts))]
        own_stream = params.seed is not None or params.temperature == 0
        # The engine draws from torch's global stream even where every request has a seed; a measurement must not.
        with random_stream_kept() if own_stream else contextlib.nullcontext():
            outputs = self.engine.generate(prompts, how, use_tqdm=False)
        for ids, output in zip(prompt_ids, outputs, strict=True):
            same_prompt(ids, output.prompt_token_ids)
        return [[self._completion(c, params) for c in output.outputs] for output in outputs]

    def _completion(self, output: Any, params: SamplingParams) -> Completion:
        ids, scores, top = list(output.token_ids), None, None
        if params.logprobs:
            scores = [step[token].logprob for step, token in zip(output.logprobs, ids, strict=True)]
        if params.top:
            top = [
                {i: found.logprob for i, found in step.items() if found.rank <= params.top} for step in output.logprobs
            ]
        return completion_from_ids(self.tokenizer, ids, self.ends, scores, top, params.stop)


@contextlib.contextmanager
def random_stream_kept() -> Iterator[None]:
    """Afterwards, the global random streams stand where they stood: torch's, and numpy's and Python's, from which vLLM on a
    GPU takes a seed for every request."""
    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else []
    numpy_state, python_state = np.random.get_state(), random.getstate()
    with torch.random.fork_rng(devices=devices):
        yield
    np.random.set_state(numpy_state)
    random.setstate(python_state)


def open_engine(
    folder: Path, max_tokens: int, dtype: str | None = None, sequences: int = 256, gpu_memory: float = 0.9
) -> Any:
    """A vLLM engine for one model, whose weights can be replaced (`weights.load`).

    Args:
        folder: a checkpoint.
        max_tokens: prompt and response together.
        dtype: of weights and computation; None: what the checkpoint is stored in (vLLM's own `auto` would turn
            float32 into bfloat16).
        sequences: decoded together.
        gpu_memory: share of the GPU's memory that the engine may fill.

    `support.prepare_environment` must have been called before torch was imported.
    """
    from vllm import LLM

    on_cpu = support.is_cpu_build()
    return LLM(
        model=str(folder),
        dtype=dtype or stored_dtype(folder),
        **engine_options(eager=on_cpu),  # on a CPU, compiling takes longer than a laptop's evaluation
        max_model_len=max_tokens,
        max_num_seqs=sequences,
        seed=0,
        logprobs_mode="processed_logprobs",  # of the distribution that is sampled from: after the temperature
        **({"gpu_memory_utilization": 0.3} if on_cpu else {"gpu_memory_utilization": gpu_memory}),
    )


def engine_options(eager: bool) -> dict[str, Any]:
    """Options of every engine that we or TRL open in this process.

    Args:
        eager: do not compile.
    """
    options = {
        "enforce_eager": eager,
        "use_tqdm_on_load": False,
        "generation_config": "vllm",  # a model's own sampling settings must not bend the policy
    }
    if support.is_cpu_build():
        # A prompt cut in two is sampled from once too often, and to undo it vLLM 0.32 turns the request's random stream back,
        # which no CPU generator can: seeded sampling of many prompts at once would crash.
        options["enable_chunked_prefill"] = False
    return options


def stored_dtype(folder: Path) -> str:
    """The data type that a checkpoint's config names; float32 where it names none."""
    config = json.loads((folder / "config.json").read_text())
    return config.get("dtype") or config.get("torch_dtype") or "float32"


def close(engine: Any) -> None:
    """Free an engine. Another can be opened in this process only after that."""
    from vllm.distributed import cleanup_dist_env_and_memory

    engine.llm_engine.engine_core.shutdown()
    gc.collect()
    cleanup_dist_env_and_memory()


def sampling_params(params: SamplingParams, row: int, ends: Collection[int]) -> Any:
    """vLLM's sampling parameters for the prompt in a row: temperature alone shapes the distribution."""
    from vllm import SamplingParams as VllmSamplingParams

    return VllmSamplingParams(
        n=params.n,
        temperature=params.temperature,
        max_tokens=params.max_new_tokens,
        stop_token_ids=sorted(ends),
        seed=None if params.seed is None or params.temperature == 0 else row_seed(params.seed, row),
        logprobs=params.top if params.logprobs else None,
        stop=list(params.stop) or None,
        detokenize=bool(
            params.stop
        ),  # our own decoding keeps special tokens visible; vLLM looks for stop strings in its own
        **({"skip_special_tokens": False} if params.stop else {}),
    )


def row_seed(*path: int) -> int:
    """A seed for each prompt, from a run's seed, a row, …: with one for all, every prompt would see the same random numbers."""
    return int(np.random.SeedSequence(path).generate_state(1, np.uint64)[0] >> 2)


def same_prompt(sent: Sequence[int], read: Sequence[int] | None) -> None:
    """Raise unless the engine read exactly the ids that were sent."""
    if read is not None and list(read) != list(sent):
        raise RuntimeError(f"vLLM was given a prompt of ids {list(sent)[:8]}… but read {list(read)[:8]}…")
