"""Training runs of several trainers in one process that take turns, an optimizer step each, so that a GPU whose clock drifts slows all."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from transformers import PrinterCallback, ProgressCallback, TrainerCallback

WARM_UP = 3  # turns that are not counted: kernels are chosen, the optimizer's state is made


class Turn(TrainerCallback):
    """One of the runs. It works while it holds the baton, and hands it on after each step.

    Args:
        mine: released when it is this run's turn.
        next: the baton of the run that follows.
        stop: set where another run failed.

    Attributes:
        seconds: of each step, with the fetching of its data and its logging.
        working: bytes of GPU memory that each step takes at most, beside what lay there when it began (0 on a CPU).
    """

    def __init__(self, mine: threading.Semaphore, next: threading.Semaphore, stop: threading.Event):
        self.mine, self.next, self.stop = mine, next, stop
        self.seconds: list[float] = []
        self.working: list[int] = []

    def run(self, trainer: Any) -> None:
        """Train to the end, or until another run fails."""
        self.take()
        try:
            if not self.stop.is_set():
                trainer.train()
        except BaseException:
            self.stop.set()
            raise
        finally:
            self.next.release()

    def take(self) -> None:
        """Wait for the baton."""
        self.mine.acquire()
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
            self.lying = torch.cuda.memory_allocated()
        self.started = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        working = 0
        if torch.cuda.is_available():
            torch.cuda.synchronize()
            working = torch.cuda.max_memory_allocated() - self.lying
        self.seconds.append(time.perf_counter() - self.started)
        self.working.append(working)
        self.next.release()
        self.take()
        if self.stop.is_set():
            control.should_training_stop = True


def train_in_turns(trainers: Sequence[Any]) -> list[Turn]:
    """Train all of them, each in a thread of its own, of which one works at a time; they share the process's random stream.

    Args:
        trainers: transformers trainers with as many steps each.

    Raises:
        Exception: what the first that failed raised; the others stop at their next step.
    """
    batons, stop = [threading.Semaphore(0) for _ in trainers], threading.Event()
    turns = [Turn(baton, batons[(i + 1) % len(batons)], stop) for i, baton in enumerate(batons)]
    for trainer, turn in zip(trainers, turns, strict=True):
        for callback in (PrinterCallback, ProgressCallback):
            trainer.remove_callback(callback)
        trainer.add_callback(turn)
    with ThreadPoolExecutor(len(trainers)) as pool:
        runs = [pool.submit(turn.run, trainer) for trainer, turn in zip(trainers, turns, strict=True)]
        batons[0].release()
        try:
            for run in runs:
                run.result()
        except BaseException:
            stop.set()
            raise
    return turns
