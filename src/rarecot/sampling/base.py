"""The protocol that the harness and the trainers sample through."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from rarecot.types import Completion


@dataclass(frozen=True)
class SamplingParams:
    """How to decode.

    Args:
        max_new_tokens: cap on generated tokens, the end-of-sequence token included.
        temperature: 0 is greedy; otherwise logits are divided by it. Nothing else (top-p, top-k) shapes the
            distribution: theory and importance ratios assume the model's own.
        n: completions a prompt.
        seed: of the random stream, which is the sampler's own; None draws from torch's global stream.
        logprobs: whether to return the log-probability of each generated token.
        top: with logprobs, how many of the likeliest tokens to return beside each generated one.
        stop: strings that end a response when they are written, beside the end-of-sequence tokens.
    """

    max_new_tokens: int
    temperature: float = 0.0
    n: int = 1
    seed: int | None = None
    logprobs: bool = False
    top: int = 0
    stop: tuple[str, ...] = ()


class Sampler(Protocol):
    """Something that completes prompts.

    Args:
        name: for records: the library and the data type that it computes in, such as `vllm bfloat16`.
        ends: ids that end a response.
    """

    name: str
    ends: Collection[int]

    def sample(self, prompt_ids: Sequence[Sequence[int]], params: SamplingParams) -> list[list[Completion]]:
        """For each of the B prompts, `params.n` completions, in order."""


def eos_ids(generation_config: Any, tokenizer: Any) -> list[int]:
    """Every id that ends a response: the tokenizer's and those of the model's generation config, as TRL has it.

    Args:
        generation_config: transformers' `GenerationConfig` of the model, or None.
        tokenizer: the model's.
    """
    configured = generation_config.eos_token_id if generation_config is not None else None
    listed = configured if isinstance(configured, list) else [configured]
    return sorted({tokenizer.eos_token_id, *listed} - {None})


def completion_from_ids(
    tokenizer: Any,
    ids: list[int],
    eos_token_ids: Collection[int],
    logprobs: list[float] | None = None,
    top: list[dict[int, float]] | None = None,
    stop: Sequence[str] = (),
) -> Completion:
    """What was written, from its ids: up to and with the first end-of-sequence token, up to a stop string, or cut off.

    Special tokens in the middle stay visible in the text, so that a malformed response cannot look well formed.
    """
    over = next((i + 1 for i, token in enumerate(ids) if token in eos_token_ids), len(ids))
    if over < len(ids):  # what stands behind the end was not said
        ids, logprobs, top = ids[:over], logprobs and logprobs[:over], top and top[:over]
    if (at := stop_string(tokenizer, ids, stop)) is not None:
        end, text, which = at
        shorter = (None if scores is None else scores[:end] for scores in (logprobs, top))
        is_end = ids[end - 1] in eos_token_ids  # protocols name end-of-sequence tokens among their stop strings
        return Completion(ids[:end], text, "stop", *shorter, stopped_by="" if is_end else which)
    stopped = bool(ids) and ids[-1] in eos_token_ids
    text = tokenizer.decode(ids[:-1] if stopped else ids, skip_special_tokens=False)
    return Completion(ids, text, "stop" if stopped else "length", logprobs, top)


def stop_string(tokenizer: Any, ids: Sequence[int], stop: Sequence[str]) -> tuple[int, str, str] | None:
    """Where a response ends by a stop string: how many of its ids it takes to complete the first one, the text before it, and which
    it is; None where there is none.

    Args:
        tokenizer: to decode with.
        ids: of the response.
        stop: the strings.
    """
    if not stop:
        return None

    def first(n: int) -> tuple[int, str, str] | None:
        text = tokenizer.decode(ids[:n], skip_special_tokens=False)
        found = [(text.find(string), string) for string in stop if string in text]
        return (n, text[: min(found)[0]], min(found)[1]) if found else None

    if first(len(ids)) is None:
        return None
    low, high = 1, len(ids)  # a prefix that holds a stop string holds it however it goes on: bisect
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if first(middle) else (middle + 1, high)
    return first(low)
