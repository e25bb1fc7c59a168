"""Shared pieces: a tiny real model, the repository's root, and the real commands."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
DATA = Path(__file__).parent / "data"  # problems of our own, in the layouts of GSM8K and MATH

# Before any library of the hub is imported: it reads them once.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"


@pytest.fixture(scope="session")
def tokenizer():
    from rarecot.rendering import as_transformers_tokenizer
    from rarecot.tasks import Parity

    return as_transformers_tokenizer(Parity().tokenizer())


CHAT_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<turn>{{ m.role }}\n{{ m.content }}<eos>\n{% endfor %}"
    "{% if add_generation_prompt %}<turn>assistant\n{% endif %}"
)


@pytest.fixture(scope="session")
def text_tokenizer():
    """A byte-level BPE on the test problems that puts one bos in front, as Llama's does; with a chat template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<pad>", "<bos>", "<eos>", "<turn>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=512, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train([str(path) for path in sorted(DATA.rglob("*.jsonl"))], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A", pair="<bos> $A $B", special_tokens=[("<bos>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        additional_special_tokens=["<turn>"],
        chat_template=CHAT_TEMPLATE,
        padding_side="left",
    )


@pytest.fixture(scope="session")
def text_model(text_tokenizer, tmp_path_factory):
    """A folder with a tiny Llama that knows those tokens, as someone would download it: no stamp of ours."""
    import torch
    from transformers import LlamaForCausalLM

    torch.manual_seed(0)
    config = tiny_config(
        text_tokenizer, hidden_size=64, intermediate_size=128, max_position_embeddings=512, tie_word_embeddings=True
    )
    folder = tmp_path_factory.mktemp("models") / "tiny-text"
    LlamaForCausalLM(config).save_pretrained(folder)
    text_tokenizer.save_pretrained(folder)
    return folder


def tiny_config(tokenizer, **shape):
    """A Llama of two layers × 32 that knows a tokenizer's tokens."""
    from transformers import LlamaConfig

    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "max_position_embeddings": 64}
    special = {name: getattr(tokenizer, name) for name in ("pad_token_id", "bos_token_id", "eos_token_id")}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2}
    return LlamaConfig(**{"vocab_size": len(tokenizer), **small, **heads, **special, **shape})


@pytest.fixture
def tiny_model(tokenizer):
    """A Llama of two layers, randomly initialised with weights large enough that its outputs vary."""
    import torch
    from transformers import LlamaForCausalLM

    torch.manual_seed(0)
    config = tiny_config(tokenizer, initializer_range=0.3)
    return LlamaForCausalLM(config)


@pytest.fixture(scope="session")
def learned(tokenizer, tmp_path_factory):
    """A complete NTP checkpoint for 7 bits, by a plain loop of seconds: it writes both kinds of responses, and some are right."""
    import torch
    from transformers import LlamaForCausalLM

    from rarecot.checkpoints import stamp
    from rarecot.rendering import render_demonstrations
    from rarecot.tasks import Parity

    torch.manual_seed(0)
    config = tiny_config(tokenizer)
    model = LlamaForCausalLM(config)
    problems = Parity(7).draw(64, np.random.default_rng(0))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(60):
        shown = problems.long if step % 2 else problems.short
        rows = render_demonstrations(tokenizer, problems.prompt, shown)
        loss = model(torch.tensor(rows["input_ids"]), labels=torch.tensor(rows["labels"])).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    folder = tmp_path_factory.mktemp("learned") / "checkpoint-10"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "trainer_state.json").write_text('{"global_step": 10, "max_steps": 10}')
    stamp(folder, {"task": {"task": "parity", "d": 7, "leap": 1, "chain_noise": 0.0}, "p_cot": 0.5})
    return folder


def run_command(
    *words: str | Path, cwd: Path = ROOT, timeout: float = 300, **variables: str
) -> subprocess.CompletedProcess[str]:
    """A command as a user types it, with this interpreter's environment first on the path, and further variables."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        env={**os.environ, "PATH": path, **variables},
        capture_output=True,
        text=True,
        timeout=timeout,
    )
