"""Samplers: prompts as token ids in, completions out. `hf` and `vllm` hold the two implementations."""

from rarecot.sampling.base import Sampler, SamplingParams, completion_from_ids, eos_ids
from rarecot.sampling.choose import BACKENDS, Samplers, choose, one_gpu_each

__all__ = [
    "BACKENDS",
    "Sampler",
    "Samplers",
    "SamplingParams",
    "choose",
    "completion_from_ids",
    "eos_ids",
    "one_gpu_each",
]
