"""Building data: a million of parity beside a hand-written loop, how that grows, and GSM8K in tokens beside its tokenizer alone."""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import peaks
from row import Row, compared, take_turns

from rarecot.errors import ConfigError
from rarecot.mixtures.build import build
from rarecot.mixtures.spec import MixtureSpec
from rarecot.quiet import quiet
from rarecot.rendering import Template, render_demonstrations
from rarecot.tasks import Gsm8k, ParityWords

SIZES = (125_000, 250_000, 500_000, 1_000_000)
VOCABULARY = 8192
PLAIN = Template("plain")


def rows(args: Any) -> Iterator[Row]:
    """Seconds, peak memory and growth of parity; seconds of GSM8K in tokens."""
    quiet()
    sizes = (1000, 2000) if args.small else SIZES
    turns = [
        (
            [peaks.alone("building_alone.py", "ours", str(n)) for n in sizes],
            peaks.alone("building_alone.py", "by_hand", str(sizes[-1])),
        )
        for _ in range(args.repeats or 3)
    ]
    seconds = np.array([[one["seconds"] for one in ours] for ours, _ in turns])  # (turns, sizes)
    what = f"{sizes[-1]:,} problems of 50 bits, drawn, checked, written, hashed"
    yield compared(
        "mixtures_parity",
        seconds[:, -1],
        [other["seconds"] for _, other in turns],
        "s",
        "numpy and pyarrow by hand",
        "≤ 6",
        what,
    )
    memory = [ours[-1]["megabytes"] for ours, _ in turns]
    yield compared(
        "mixtures_memory",
        memory,
        [other["megabytes"] for _, other in turns],
        "MB",
        "the same by hand",
        "≤ 4",
        "peak of the whole process",
    )
    slopes = [float(np.polyfit(np.log(sizes), np.log(turn), 1)[0]) for turn in seconds]
    yield compared(
        "mixtures_growth",
        seconds[:, -1],
        2 * seconds[:, -2],
        "s",
        "twice the time of half",
        "≤ 1.15",
        f"log seconds on log n from {sizes[0]:,}: {np.median(slopes):.2f}",
        seconds={n: float(np.median(column)) for n, column in zip(sizes, seconds.T, strict=True)},
    )
    try:
        yield in_tokens(args)
    except ConfigError as error:
        print(f"mixtures_gsm8k: not measured: {error.problems[0]}", flush=True)


def in_tokens(args: Any) -> Row:
    """Every demonstration of the corpus, long, as ids and labels, beside `encode_batch` on the same texts."""
    corpus = ParityWords(problems=300, test_problems=50) if args.small else Gsm8k(source=args.gsm8k)
    started = time.perf_counter()
    mixture = build(MixtureSpec(corpus, p_cot=1.0, n=0, n_rl=1, n_test=0))
    built = time.perf_counter() - started
    prompts, completions = (list(mixture.fixed[name]) for name in ("prompt", "completion"))
    tokenizer = bpe([*prompts, *completions])
    backend, texts = tokenizer.backend_tokenizer, PLAIN.texts(tokenizer, prompts)

    def ours() -> list[list[int]]:
        return render_demonstrations(tokenizer, prompts, completions, PLAIN)["input_ids"]

    def alone() -> None:
        backend.encode_batch(texts)
        backend.encode_batch(completions, add_special_tokens=False)

    tokens = sum(map(len, ours()))
    what = f"{len(prompts):,} demonstrations, {tokens:,} tokens; built (read, cleaned, golds checked) in {built:.1f} s"
    pair = take_turns(ours, alone, args.repeats or 5)
    return compared(
        "mixtures_gsm8k", *pair, "s", "encode_batch alone", "≤ 1.25", what, tokens=tokens, build_seconds=built
    )


def bpe(texts: list[str]) -> Any:
    """A byte-level BPE of these texts, as transformers knows it."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=VOCABULARY, special_tokens=["<eos>", "<pad>"], initial_alphabet=alphabet, show_progress=False
        ),
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>", pad_token="<pad>")
