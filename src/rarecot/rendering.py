"""The one renderer: text → token ids, the same for training, RL and evaluation; and its fingerprint.

A prompt is put into a template and tokenised with the tokenizer's own special tokens (one bos where it has one); a
response is tokenised without and closed by eos. Prompt and response never merge, so what RL and evaluation feed a model
is exactly the prefix it was trained on.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from rarecot.tasks.vocabulary import BOS, EOS, PAD

IGNORED_LABEL = -100  # torch's cross-entropy ignores this label

# Chat templates that look at the calendar or offer a mode are held still: a prompt must be the same in every stage.
CHAT_OPTIONS = {"date_string": "26 Jul 2024", "enable_thinking": False}
PLAIN = "Question: {prompt}\nAnswer:\n"


@dataclass(frozen=True)
class Template:
    """How a problem becomes the text that a model reads.

    Args:
        name: `bare` (the problem as it is), `plain` (`PLAIN`, for base models), or `chat` (the tokenizer's chat template).
        system: what the system says in a chat; empty: nothing.
    """

    name: str = "bare"
    system: str = ""

    def texts(self, tokenizer: Any, prompts: Sequence[str]) -> list[str]:
        """The prompts as text which the tokenizer, adding its special tokens, turns into the ids that a model reads."""
        if self.name == "bare":
            return list(prompts)
        if self.name == "plain":
            return [PLAIN.format(prompt=prompt) for prompt in prompts]
        system = [{"role": "system", "content": self.system}] if self.system else []
        chats = [[*system, {"role": "user", "content": prompt}] for prompt in prompts]
        rendered = tokenizer.apply_chat_template(chats, tokenize=False, add_generation_prompt=True, **CHAT_OPTIONS)
        bos = tokenizer.bos_token
        if bos and tokenizer("").input_ids[:1] == [tokenizer.bos_token_id]:  # it will be added once more
            rendered = [text.removeprefix(bos) for text in rendered]
        return rendered

    def to_mapping(self) -> dict[str, str]:
        """For a checkpoint's stamp; `Template(**mapping)` inverts it."""
        return asdict(self)


TEMPLATES = ("bare", "plain", "chat")
BARE = Template()


def render_prompts(tokenizer: Any, prompts: Sequence[str], template: Template = BARE) -> list[list[int]]:
    """Prompt ids, without padding. `tokenizer` is a transformers tokenizer."""
    return tokenizer(template.texts(tokenizer, prompts), padding=False, truncation=False)["input_ids"]


def render_demonstrations(
    tokenizer: Any, prompts: Sequence[str], completions: Sequence[str], template: Template = BARE
) -> dict[str, list[list[int]]]:
    """Training examples: `input_ids` = prompt + response + eos; `labels` the same, with the prompt ignored.

    The end-of-sequence token is labelled, so a model learns to stop.
    """
    prompt_ids = render_prompts(tokenizer, prompts, template)
    response_ids = render_responses(tokenizer, completions)
    return {
        "input_ids": [p + r for p, r in zip(prompt_ids, response_ids, strict=True)],
        "labels": [[IGNORED_LABEL] * len(p) + r for p, r in zip(prompt_ids, response_ids, strict=True)],
    }


def render_responses(tokenizer: Any, completions: Sequence[str]) -> list[list[int]]:
    """Response ids, closed by eos."""
    eos = tokenizer.eos_token_id
    return [[*ids, eos] for ids in tokenizer(list(completions), add_special_tokens=False)["input_ids"]]


def holding_special_tokens(tokenizer: Any, texts: Sequence[str]) -> list[int]:
    """Positions of texts that spell one of the tokenizer's special tokens: it would be read as that token, not as text."""
    special = [token for token in tokenizer.all_special_tokens if token.strip()]
    return [i for i, text in enumerate(texts) if any(token in text for token in special)]


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
