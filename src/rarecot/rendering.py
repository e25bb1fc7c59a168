"""The one renderer: text → token ids, the same for training, RL and evaluation; and its fingerprint.

A prompt is tokenised with the tokenizer's own special tokens (one bos where it has one); a response is tokenised
without and closed by eos. Prompt and response never merge, so what RL and evaluation feed a model is exactly the
prefix it was trained on.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from rarecot.tasks.vocabulary import BOS, EOS, PAD

IGNORED_LABEL = -100  # torch's cross-entropy ignores this label


def render_prompts(tokenizer: Any, prompts: Sequence[str]) -> list[list[int]]:
    """Prompt ids, without padding. `tokenizer` is a transformers tokenizer."""
    return tokenizer(list(prompts), padding=False, truncation=False)["input_ids"]


def render_demonstrations(
    tokenizer: Any, prompts: Sequence[str], completions: Sequence[str]
) -> dict[str, list[list[int]]]:
    """Training examples: `input_ids` = prompt + response + eos; `labels` the same, with the prompt ignored.

    The end-of-sequence token is labelled, so a model learns to stop.
    """
    prompt_ids = render_prompts(tokenizer, prompts)
    response_ids = tokenizer(list(completions), add_special_tokens=False)["input_ids"]
    eos = tokenizer.eos_token_id
    return {
        "input_ids": [p + r + [eos] for p, r in zip(prompt_ids, response_ids, strict=True)],
        "labels": [[IGNORED_LABEL] * len(p) + r + [eos] for p, r in zip(prompt_ids, response_ids, strict=True)],
    }


def fingerprint(serialised: str, chat_template: str | None = None) -> str:
    """sha256 of what decides the ids: the tokenizer's JSON (batching state left out) and the chat template."""
    state = json.loads(serialised)
    for transient in ("padding", "truncation"):
        state.pop(transient, None)
    blob = json.dumps([state, chat_template], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(blob.encode()).hexdigest()


def fingerprint_of_folder(folder: Path) -> str | None:
    """The fingerprint of the tokenizer in a checkpoint folder; None if it holds no `tokenizer.json`."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        return None
    template = folder / "chat_template.jinja"
    return fingerprint(path.read_text(), template.read_text() if template.is_file() else None)


def fingerprint_of_task(tokenizer: Tokenizer) -> str:
    """The fingerprint of a task's own tokenizer."""
    return fingerprint(tokenizer.to_str())


def as_transformers_tokenizer(tokenizer: Tokenizer) -> Any:
    """A task's tokenizer as transformers knows it: saved beside the model, loaded by `AutoTokenizer`."""
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=PAD, bos_token=BOS, eos_token=EOS, padding_side="left"
    )
