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

from rarecot.documents import loads, why
from rarecot.errors import ConfigError
from rarecot.tasks.vocabulary import BOS, EOS, PAD, character_tokenizer

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
        return chat_texts(tokenizer, [[*system, {"role": "user", "content": prompt}] for prompt in prompts])

    def to_mapping(self) -> dict[str, str]:
        """For a checkpoint's stamp; `Template(**mapping)` inverts it."""
        return asdict(self)


TEMPLATES = ("bare", "plain", "chat")
BARE = Template()


def chat_texts(tokenizer: Any, chats: Sequence[Sequence[dict[str, str]]]) -> list[str]:
    """Chats up to the model's turn, as text for a tokenizer that adds its special tokens: no bos of the template's before its own."""
    rendered = tokenizer.apply_chat_template(list(chats), tokenize=False, add_generation_prompt=True, **CHAT_OPTIONS)
    bos = tokenizer.bos_token
    if bos and tokenizer("").input_ids[:1] == [tokenizer.bos_token_id]:  # it will be added once more
        rendered = [text.removeprefix(bos) for text in rendered]
    return rendered


def around(tokenizer: Any, template: Template) -> str:
    """What a model reads around every problem, the problem a question mark and each special token the end of a line."""
    (text,) = template.texts(tokenizer, ["?"])
    for token in tokenizer.convert_ids_to_tokens(sorted(special_ids(tokenizer))):
        text = text.replace(token, "\n")
    return text


def render_prompts(tokenizer: Any, prompts: Sequence[str], template: Template = BARE) -> list[list[int]]:
    """Prompt ids, without padding. `tokenizer` is a transformers tokenizer."""
    return encode(tokenizer, template.texts(tokenizer, prompts), add_special_tokens=True)


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
    rows = encode(tokenizer, completions, add_special_tokens=False)
    for ids in rows:
        ids.append(eos)
    return rows


def encode(tokenizer: Any, texts: Sequence[str], add_special_tokens: bool) -> list[list[int]]:
    """The ids that `tokenizer(texts, add_special_tokens=…)` gives, without padding and truncation, and without what else it
    makes of a text (offsets, masks): that takes as long again. Texts that come again are encoded once."""
    if (table := _characters(tokenizer)) is not None:
        known, ids_of, bos = table
        if not "".join(texts).encode(errors="replace").translate(None, known):  # else the tokenizer says what is wrong
            start = [bos] if add_special_tokens else []
            return [[*start, *text.encode().translate(ids_of)] for text in texts]
    unique = list(dict.fromkeys(texts))
    if _encodes_plainly(tokenizer):
        backend = tokenizer.backend_tokenizer
        backend.no_padding()
        backend.no_truncation()
        backend.encode_special_tokens = tokenizer.split_special_tokens
        found = [made.ids for made in backend.encode_batch_fast(unique, add_special_tokens=add_special_tokens)]
    else:
        found = tokenizer(unique, add_special_tokens=add_special_tokens, padding=False, truncation=False)["input_ids"]
    if len(unique) == len(texts):
        return found
    by_text = dict(zip(unique, found, strict=True))
    return [list(by_text[text]) for text in texts]


MOST_CHARACTERS = 64  # of a vocabulary that is looked at


def _characters(tokenizer: Any) -> tuple[bytes, bytes, int] | None:
    """Of a task's own tokenizer, where a character is a token: its characters, the id of each byte, and bos; None of any other."""
    if len(tokenizer) > MOST_CHARACTERS or not getattr(tokenizer, "is_fast", False):
        return None
    ids = tokenizer.get_vocab()
    alphabet = "".join(sorted((token for token in ids if len(token) == 1 and token.isascii()), key=ids.__getitem__))
    if fingerprint_of_task(tokenizer.backend_tokenizer) != fingerprint_of_task(character_tokenizer(alphabet)):
        return None
    ids_of = bytearray(256)
    for character in alphabet:
        ids_of[ord(character)] = ids[character]
    return alphabet.encode(), bytes(ids_of), ids[BOS]


def _encodes_plainly(tokenizer: Any) -> bool:
    """Whether a call of the tokenizer is one of its backend's and nothing besides."""
    from transformers import PreTrainedTokenizerFast

    plain = PreTrainedTokenizerFast
    return isinstance(tokenizer, plain) and all(
        getattr(type(tokenizer), name) is getattr(plain, name) for name in ("__call__", "_encode_plus")
    )


def special_ids(tokenizer: Any) -> set[int]:
    """Every id that decoding without special tokens leaves out, those of the vocabulary that play no named role included."""
    added = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    return added | set(tokenizer.all_special_ids)


def holding_special_tokens(tokenizer: Any, texts: Sequence[str]) -> list[int]:
    """Positions of texts that spell one of the tokenizer's special tokens: it would be read as that token, not as text."""
    special = [token for token in tokenizer.convert_ids_to_tokens(sorted(special_ids(tokenizer))) if token.strip()]
    return [i for i, text in enumerate(texts) if any(token in text for token in special)]


# Tokens that may pad where a model names none, or its end-of-sequence token.
PADS = ("<|finetune_right_pad_id|>", "<pad>", "[PAD]", "<|endoftext|>", "<|reserved_special_token_0|>", "<unk>")


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer that lies beside a model, padding on the left as generation needs.

    Where a model has no pad token, or uses its end-of-sequence token for it (so that a trainer which masks padding would mask
    the end too), another special token of the vocabulary pads.

    Raises:
        ConfigError: it is code that comes with the model.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left", trust_remote_code=False)
    except ValueError as error:
        if "trust_remote_code" not in str(error):
            raise
        raise ConfigError(
            [
                f"the tokenizer in {folder} is code of the model's own (auto_map in its tokenizer_config.json), which is never run here. Use a model "
                f"whose tokenizer transformers knows by itself."
            ]
        ) from error
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id == tokenizer.eos_token_id:
        spare = [token for token in PADS if token in tokenizer.get_added_vocab() and token != tokenizer.eos_token]
        others = [t for t in tokenizer.all_special_tokens if t not in (tokenizer.eos_token, tokenizer.bos_token)]
        tokenizer.pad_token = next(iter([*spare, *others]), tokenizer.eos_token)
    return tokenizer


def fingerprint_of(tokenizer: Any) -> str:
    """The fingerprint of a transformers tokenizer."""
    return fingerprint(tokenizer.backend_tokenizer.to_str(), tokenizer.chat_template)


def rendering_fingerprint(tokenizer: Any, template: Template) -> str:
    """sha256 of all that decides which ids a problem becomes: tokenizer, template, and what a template is given."""
    fixed = {"plain": PLAIN, "chat": CHAT_OPTIONS}.get(template.name)
    words = [fingerprint_of(tokenizer), template.to_mapping(), fixed]
    return hashlib.sha256(json.dumps(words, sort_keys=True).encode()).hexdigest()


def fingerprint(serialised: str, chat_template: str | None = None) -> str:
    """sha256 of what decides the ids: the tokenizer's JSON (batching state left out) and the chat template."""
    state = loads(serialised)
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
    try:
        said = template.read_text() if template.is_file() else None
        return fingerprint(path.read_text(), said)
    except (AttributeError, TypeError, ValueError) as error:  # no JSON or no object; not UTF-8
        raise ConfigError(
            [f"{path} or its template is damaged ({why(error)}). Save or fetch the tokenizer again."]
        ) from error


def fingerprint_of_task(tokenizer: Tokenizer) -> str:
    """The fingerprint of a task's own tokenizer."""
    return fingerprint(tokenizer.to_str())


def as_transformers_tokenizer(tokenizer: Tokenizer) -> Any:
    """A task's tokenizer as transformers knows it: saved beside the model, loaded by `AutoTokenizer`."""
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=PAD, bos_token=BOS, eos_token=EOS, padding_side="left"
    )
