"""Samplers: prompts as token ids in, completions out."""

from rarecot.sampling.base import Sampler, SamplingParams
from rarecot.sampling.hf import HfSampler

__all__ = ["HfSampler", "Sampler", "SamplingParams"]
