"""Models, a vocabulary and problems made here, for a GPU without a hub: random weights, of which only the shape decides the speed."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from on_gpu.sizes import Size
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import LlamaConfig, LlamaForCausalLM

from rarecot.rendering import as_transformers_tokenizer
from rarecot.tasks.vocabulary import BOS, EOS, PAD

POSITIONS = 2048
P_COT = 0.25
MARKS = [PAD, BOS, EOS, "<unk>", "Question:", "Answer:", "####", *"0123456789"]  # the first ids; words follow


def make(size: Size, folder: Path) -> tuple[Path, Path]:
    """Write a checkpoint and a mixture of random words.

    Returns:
        The checkpoint's folder and the mixture's YAML.
    """
    words = [f"w{i}" for i in range(size.shape["vocab_size"] - len(MARKS))]
    checkpoint, problems = folder / "model", folder / "problems.jsonl"
    bigram(size).save_pretrained(checkpoint)
    as_transformers_tokenizer(vocabulary(words)).save_pretrained(checkpoint)
    rng = np.random.default_rng(0)

    def text(lengths: tuple[int, int]) -> str:
        return " ".join(words[i] for i in rng.integers(len(words), size=rng.integers(lengths[0], lengths[1] + 1)))

    count = size.test + 768  # 512 to train on, 256 for RL
    rows = ({"prompt": text(size.prompt), "solution": text(size.solution), "answer": str(i % 10)} for i in range(count))
    problems.write_text("".join(json.dumps(row) + "\n" for row in rows))
    mixture = {"task": "jsonl", "source": str(problems), "p_cot": P_COT, "n": 512, "n_rl": 256, "n_test": size.test}
    path = folder / "mixture.yaml"  # JSON is YAML
    path.write_text(json.dumps({**mixture, "near_duplicates": 0.0, "decontaminate": 0}))
    return checkpoint, path


def vocabulary(words: list[str]) -> Tokenizer:
    """A tokenizer with one id a word."""
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate([*MARKS, *words])}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    bos = [(BOS, MARKS.index(BOS))]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A $B", special_tokens=bos
    )
    tokenizer.add_special_tokens([PAD, BOS, EOS])
    return tokenizer


def bigram(size: Size) -> Any:
    """A Llama whose responses are short or long, as a mixture's are: its layers add next to nothing, and words come in two kinds that follow
    only themselves. A response of the first kind (three in four) ends after `size.short` tokens on average, one of the second never.
    """
    torch.manual_seed(0)
    special = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "tie_word_embeddings": True}
    rope = {"rope_type": "default", "rope_theta": size.theta}
    config = LlamaConfig(**size.shape, max_position_embeddings=POSITIONS, rope_parameters=rope, **special)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):  # a billion random numbers take a CPU 20 s
        model = LlamaForCausalLM(config)
    table, hidden = model.model.embed_tokens.weight.data, size.shape["hidden_size"]
    first, last = len(MARKS), len(table)
    shorts = round((last - first) * (1 - P_COT))
    spread = 0.05  # squared length of a word's random part, beside its kind's 1
    table.normal_(std=math.sqrt(spread / hidden))
    table[:, :2] = 0
    table[first : first + shorts, 0] = table[first + shorts :, 1] = 1
    gain = math.sqrt(hidden / (1 + spread))  # of the last norm: the logit of a word after one of its kind
    table[MARKS.index(EOS), 0] = 1 + math.log(shorts / size.short) / gain  # P(end) = 1 / size.short
    for layer in model.model.layers:
        layer.self_attn.o_proj.weight.data *= 1e-4
        layer.mlp.down_proj.weight.data *= 1e-4
    return model
