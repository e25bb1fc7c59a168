"""Tokens a second and MFU of next-token prediction: the recipe's settings beside plain TRL's defaults, on the same batches."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from on_gpu.peak import flops_by_the_book, matmul_peak, sheet, training_flops
from on_gpu.sizes import Size, asked
from on_gpu.turns import WARM_UP, train_in_turns
from row import Row, compared
from trl import SFTConfig, SFTTrainer

from rarecot.rendering import IGNORED_LABEL
from rarecot.training import sft
from rarecot.training.length_split import split_by_length
from rarecot.training.rl.scale import read_model
from rarecot.training.run import open_run
from rarecot.training.text import text_of
from rarecot.training.trl_config import trl_config


class Lengths:
    """A collator that remembers the rows of its batches, each by its tokens and its labelled tokens; a batch is a step's.

    Args:
        collate: makes a batch of rows.
    """

    def __init__(self, collate: Any):
        self.collate, self.seen = collate, []

    def __call__(self, rows: list[dict[str, Any]]) -> Any:
        labelled = [sum(label != IGNORED_LABEL for label in row["labels"]) for row in rows]
        self.seen.append([(len(row["input_ids"]), count) for row, count in zip(rows, labelled, strict=True)])
        return self.collate(rows)


def rows(name: str, size: Size, made: tuple[Path, Path], steps: int, device: str) -> Iterator[Row]:
    """Two rows.

    Args:
        name: of the size.
        size: what is trained.
        made: its checkpoint and its mixture.
        steps: turns that count.
        device: name of the card, as its data sheet has it.
    """
    checkpoint, mixture = made
    wanted = asked("sft", size, checkpoint, mixture, WARM_UP + steps, run_dir=checkpoint.with_name("run-sft"))
    config, options = trl_config(wanted)
    run = open_run(wanted, config.to_dict())
    text = text_of(run, config)
    model, adapter = sft.make_model(wanted, options, text)
    data = sft.rendered(run.mixture, text)
    ours = sft.make_trainer(config, model, adapter, text, data)
    split_by_length(ours.model)
    plain = plain_trainer(checkpoint, config, text.tokenizer, data)
    collators = []
    for trainer in (ours, plain):
        trainer.data_collator = Lengths(trainer.data_collator)
        collators.append(trainer.data_collator)
    before = matmul_peak()
    turns = train_in_turns([ours, plain])
    peak = float(np.median([*before, *matmul_peak()]))
    # The order is the same on both sides, so a turn compares two steps on the same rows.
    seconds = [np.array(turn.seconds[WARM_UP:]) for turn in turns]
    batches = [collator.seen[WARM_UP : WARM_UP + steps] for collator in collators]
    tokens = [np.array([sum(length for length, _ in step) for step in seen]) for seen in batches]
    rates = [count / took for count, took in zip(tokens, seconds, strict=True)]
    working = [max(turn.working) / 2**30 for turn in turns]
    yield compared(
        f"sft_{name}_tokens",
        *rates,
        "tokens/s",
        "TRL's defaults",
        "≥ 1",
        f"a step takes {working[0]:.1f} GiB beside weights and optimizer, TRL's {working[1]:.1f}"
        if any(working)
        else "",
        batch=len(batches[0][0]),
        tokens_per_step=float(tokens[0].mean()),
        tokens_per_padded_step=float(np.mean([len(step) * max(step)[0] for step in batches[0]])),
        working_gib=working,
        same_batches=batches[0] == batches[1],
    )
    yield _mfu(f"sft_{name}_mfu", checkpoint, batches, seconds, peak, sheet(device))


def plain_trainer(checkpoint: Path, config: Any, tokenizer: Any, data: Any) -> SFTTrainer:
    """TRL's with its defaults, but for the batch, the number of steps and the order of the rows, which are ours."""
    same = ("max_steps", "per_device_train_batch_size", "gradient_accumulation_steps", "seed", "use_cpu", "bf16")
    shared = {name: getattr(config, name) for name in same}
    quiet = {"report_to": "none", "save_strategy": "no", "disable_tqdm": True}
    args = SFTConfig(output_dir=str(checkpoint.with_name("plain")), **shared, **quiet)
    return SFTTrainer(model=str(checkpoint), args=args, train_dataset=data, processing_class=tokenizer)


def _mfu(
    name: str, checkpoint: Path, batches: Sequence[Any], seconds: Sequence[Any], peak: float, sold: float | None
) -> Row:
    """FLOPs a second against the measured peak; against the data sheet's, as others count, and TRL's in words."""
    model = read_model(checkpoint)
    ours, plain = (
        np.array([training_flops(model, step) for step in seen]) / took
        for seen, took in zip(batches, seconds, strict=True)
    )
    book = float(np.median(np.array([flops_by_the_book(model, step) for step in batches[0]]) / seconds[0]))
    share = {key: float(np.median(rate)) for key, rate in (("ours", ours), ("trl", plain), ("ours_by_the_book", book))}
    note = f"by the book {book / peak:.1%}; TRL's defaults {share['trl'] / peak:.1%}"
    if sold:
        note += f"; of the data sheet's {sold / 1e12:.0f}: {share['ours'] / sold:.1%}, by the book {book / sold:.1%}"
    mfu = {key: {"measured": rate / peak, "sheet": rate / sold if sold else None} for key, rate in share.items()}
    return compared(name, ours / 1e12, [peak / 1e12], "TFLOP/s", "the measured bf16 matmul peak", "", note, mfu=mfu)
