"""Ours and another take turns inside one training run of the headline (d = 50)."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import PrinterCallback, ProgressCallback, TrainerCallback

from rarecot.training.length_split import split_by_length
from rarecot.training.request import parse

ROOT = Path(__file__).parents[2]
WARM_UP = 3  # turns that are not counted


class Turns(TrainerCallback):
    """After each of the trainer's steps, one step of the other; both timed from end to end. The harness and saving are
    left out of ours, as the other has none: the rows `harness` and `headline` have them."""

    def __init__(self, other: Callable[[], Any]):
        self.other, self.ours, self.others, self.said = other, [], [], []

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.started = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        ended = time.perf_counter()
        self.said.append(self.other())
        self.ours.append(ended - self.started)
        self.started = time.perf_counter()
        self.others.append(self.started - ended)

    @property
    def pair(self) -> tuple[list[float], list[float]]:
        """Seconds of the turns that count."""
        return self.ours[WARM_UP:], self.others[WARM_UP:]


def request(stage: str, folder: str, steps: int, *more: str) -> Any:
    """What the headline's recipe asks for, in another folder and without checkpoints."""
    config = ROOT / "recipes" / "parity" / "headline" / f"{stage}.yaml"
    words = ["--config", str(config), "--run_dir", folder, "--max_steps", str(steps), "--save_strategy", "no"]
    return parse(stage, "", [*words, *more])


def train(trainer: Any, other: Callable[[], Any]) -> Turns:
    """Train with a trainer of ours, and take turns with the other."""
    for callback in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(callback)
    turns = Turns(other)
    trainer.add_callback(turns)
    split_by_length(trainer.model)
    trainer.train()
    return turns
