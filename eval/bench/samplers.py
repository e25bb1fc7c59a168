"""Tokens a second of the two samplers on the same prompts, in turns, and what `auto` picks between them."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from row import Row, compared
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from rarecot import checkpoints, model_files
from rarecot.rendering import as_transformers_tokenizer, render_prompts
from rarecot.sampling import SamplingParams, choose
from rarecot.sampling.hf import HfSampler
from rarecot.sampling.vllm import support
from rarecot.sampling.vllm.sampler import VllmSampler, close, open_engine
from rarecot.tasks import Parity

# Random weights: only the shape decides the speed. `tiny` is the headline's model, `135m` has the shape of SmolLM2-135M.
SHAPES: dict[str, dict[str, int]] = {
    "tiny": {
        "hidden_size": 128,
        "intermediate_size": 512,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "vocab_size": 6,
    },
    "12m": {
        "hidden_size": 320,
        "intermediate_size": 864,
        "num_hidden_layers": 8,
        "num_attention_heads": 5,
        "num_key_value_heads": 5,
        "vocab_size": 8192,
    },
    "36m": {
        "hidden_size": 448,
        "intermediate_size": 1216,
        "num_hidden_layers": 12,
        "num_attention_heads": 7,
        "num_key_value_heads": 7,
        "vocab_size": 16384,
    },
    "135m": {
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "vocab_size": 49152,
    },
}
LOAD = {"tiny": (256, 51), "12m": (32, 48), "36m": (32, 48), "135m": (16, 32)}  # prompts, tokens of each response
WARM_UP = 1  # rounds that are not counted: the first one is several times slower


def rows(args: Any) -> Iterator[Row]:
    """One row for each shape: what `auto` picked against the other one, in milliseconds a token."""
    if problems := support.problems():
        print(f"samplers: not measured. {problems[0]}", flush=True)
        return
    for name in ("tiny",) if args.small else SHAPES:
        with tempfile.TemporaryDirectory() as folder:
            yield measure(name, Path(folder), args.repeats or 5)


def measure(name: str, folder: Path, repeats: int) -> Row:
    """Time both samplers on one shape."""
    prompts, tokens = LOAD[name]
    tokenizer = as_transformers_tokenizer(Parity().tokenizer())
    tokenizer.eos_token = None  # nothing ends a response, so both samplers write the same number of tokens
    torch.manual_seed(0)
    config = LlamaConfig(
        **SHAPES[name],
        max_position_embeddings=128,
        tie_word_embeddings=True,
        eos_token_id=None,
        bos_token_id=1,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    ids = render_prompts(tokenizer, [f"{i:050b}=" for i in range(prompts)])
    params = SamplingParams(tokens, temperature=1.0, seed=0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    engine = open_engine(folder, max_tokens=128, dtype="float32")
    both = {
        "transformers": HfSampler(
            AutoModelForCausalLM.from_pretrained(folder, **model_files.NO_CODE).to(device), tokenizer
        ),
        "vllm": VllmSampler(engine, tokenizer, []),
    }
    seconds: dict[str, list[float]] = {key: [] for key in both}  # a token
    for _ in range(WARM_UP + repeats):
        for key, sampler in both.items():
            started = time.perf_counter()
            made = sampler.sample(ids, params)
            count = sum(len(completion.token_ids) for several in made for completion in several)
            seconds[key].append((time.perf_counter() - started) / count)
    close(engine)
    picked = choose("auto", checkpoints.parameters(folder))
    other = next(key for key in both if key != picked)
    ours, others = (np.array(seconds[key][WARM_UP:]) * 1000 for key in (picked, other))
    rates = {key: float(1 / np.median(seconds[key][WARM_UP:])) for key in both}
    return compared(
        f"samplers_{name}",
        ours,
        others,
        "ms/token",
        other,
        "≤ 1",
        f"auto took {picked}: {rates[picked]:,.0f} tokens/s, {other} {rates[other]:,.0f}; {prompts} prompts × {tokens} tokens",
        picked=picked,
        parameters=checkpoints.parameters(folder),
        tokens_per_second=rates,
        rollouts_per_second={key: rate / tokens for key, rate in rates.items()},
    )
