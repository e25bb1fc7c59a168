"""Samplers: prompts as token ids in, completions out."""

from rarecot.sampling.base import Sampler, SamplingParams, completion_from_ids, eos_ids
from rarecot.sampling.hf import HfSampler

__all__ = ["HfSampler", "Sampler", "SamplingParams", "completion_from_ids", "eos_ids"]
