"""Every demonstration once an epoch, whatever the number of processes.

Where the last batches of an epoch do not fill all processes, accelerate shows some demonstrations twice. Here blank rows fill them:
they come after all others, the loss ignores them, and nothing counts them. The order of the others is that of one process.
"""

from collections.abc import Iterator
from typing import Any

from accelerate.data_loader import SeedableRandomSampler
from datasets import Dataset, IterableDataset, concatenate_datasets
from torch.utils.data import RandomSampler, Sampler
from trl import SFTTrainer

from rarecot.evaluation.callback import BLANK_TOKENS, blank_rows
from rarecot.rendering import IGNORED_LABEL


class ThenBlanks(Sampler[int]):
    """The order of another sampler, then the blank rows.

    Args:
        order: of the real rows, which are 0 … rows − 1.
        rows: how many they are.
        blanks: how many follow them.
    """

    def __init__(self, order: Sampler[int], rows: int, blanks: int):
        self.order, self.rows, self.blanks = order, rows, blanks

    def __iter__(self) -> Iterator[int]:
        yield from self.order
        yield from range(self.rows, self.rows + self.blanks)

    def __len__(self) -> int:
        return self.rows + self.blanks

    def set_epoch(self, epoch: int) -> None:
        """Called by accelerate before each epoch."""
        if hasattr(self.order, "set_epoch"):
            self.order.set_epoch(epoch)


class ExactSFTTrainer(SFTTrainer):
    """TRL's trainer on a set that several processes see exactly once an epoch. The set is filled up as soon as TRL has prepared it."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.real_rows = 0  # 0: nothing was filled up
        if isinstance(self.train_dataset, IterableDataset):
            # Each process cuts its rows out of the stream; rank 0 could not send batches of different lengths in one piece.
            self.accelerator.dataloader_config.dispatch_batches = False
        elif blanks := blank_rows(self.args, rows := len(self.train_dataset)):
            self.real_rows = rows
            self.train_dataset = with_blanks(self.train_dataset, blanks, self.processing_class.eos_token_id)

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sampler[int] | None:
        if not self.real_rows:
            return super()._get_train_sampler(train_dataset)
        order = super()._get_train_sampler(self.train_dataset.select(range(self.real_rows)))
        if isinstance(order, RandomSampler):  # as accelerate would make it of a plain one
            order = SeedableRandomSampler(order.data_source, data_seed=self.args.data_seed)
        return ThenBlanks(order, self.real_rows, len(self.train_dataset) - self.real_rows)


def with_blanks(rows: Dataset, count: int, token: int) -> Dataset:
    """Rows followed by blank ones.

    Args:
        rows: with `input_ids`, `labels`, and what else TRL made.
        count: how many blank rows.
        token: what they hold.
    """
    values: dict[str, Any] = {"input_ids": [token] * BLANK_TOKENS, "labels": [IGNORED_LABEL] * BLANK_TOKENS}
    values["seq_lengths"] = [BLANK_TOKENS]
    blank = Dataset.from_dict(
        {name: [values.get(name, [0] * BLANK_TOKENS)] * count for name in rows.column_names}, features=rows.features
    )
    return concatenate_datasets([rows, blank])
