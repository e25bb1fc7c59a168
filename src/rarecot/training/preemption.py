"""A stage that is asked to stop, and one that goes on afterwards: it leaves between two steps, on all processes at once, and the data
go on where they were."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from torch.utils.data import DataLoader, Sampler
from transformers import TrainerCallback
from transformers.trainer_utils import has_length
from trl.trainer.utils import RepeatSampler

from rarecot import checkpoints, stopping
from rarecot.errors import Stopped
from rarecot.evaluation.callback import steps_a_round


def asked_anywhere() -> bool:
    """Whether any process of this run was asked to stop; on all of them, which then agree."""
    process = PartialState()
    if process.num_processes == 1:
        return stopping.asked()
    votes = torch.tensor([float(stopping.asked())], device=process.device)
    torch.distributed.all_reduce(votes, op=torch.distributed.ReduceOp.MAX)
    return bool(votes.item())


def leave_if_asked(where: str) -> None:
    """Raise `Stopped` on all processes if any was asked to stop.

    Args:
        where: from where the stage goes on, a sentence.
    """
    if asked_anywhere():
        raise Stopped(where)


class StopCallback(TrainerCallback):
    """Saves and leaves at the first step at which the run can go on as if nothing had happened: of a trainer that takes several
    steps on a batch of rollouts, the last of them.

    What is saved for that alone lies apart (`checkpoints.STOPPED`), so that it neither counts nor is counted on as a checkpoint of the run, and
    goes when the run has saved again.
    """

    stopped = False
    apart = False

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        leave_if_asked(f"Nothing was trained since step {state.global_step}.")

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step % steps_a_round(args) or not asked_anywhere():
            return
        self.stopped = control.should_training_stop = True
        control.should_log = True  # what was not logged yet would be forgotten
        saved_anyway = control.should_save or (args.save_strategy == "epoch" and float(state.epoch).is_integer())
        if not saved_anyway:
            self.apart = control.should_save = True
            args.output_dir = str(Path(args.output_dir) / checkpoints.STOPPED)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.apart:  # the epoch has not come to its end
            control.should_save = False

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if not state.is_world_process_zero:
            return
        if not self.apart:
            shutil.rmtree(Path(args.output_dir) / checkpoints.STOPPED, ignore_errors=True)  # it need not be there
            return
        for folder in Path(args.output_dir).glob("checkpoint-*"):
            if folder.name != f"checkpoint-{state.global_step}":
                shutil.rmtree(folder)


class DataPosition(TrainerCallback):
    """Tells the samplers of a resumed run in which pass over the data it stands. Accelerate's loader does not reach one behind the
    wrappers for several processes and for skipped batches."""

    def on_train_begin(
        self, args: Any, state: Any, control: Any, train_dataloader: DataLoader | None = None, **_: Any
    ) -> None:
        if state.global_step and has_length(train_dataloader):
            steps = max(1, -(-len(train_dataloader) // args.gradient_accumulation_steps))
            for sampler in samplers_in(train_dataloader):
                sampler.set_epoch(state.global_step // steps)


def samplers_in(loader: Any) -> Iterator[Any]:
    """The samplers behind a loader's wrappers that count passes."""
    for name in ("batch_sampler", "sampler"):
        inner = getattr(loader, name, None)
        if inner is None:
            continue
        if isinstance(inner, Sampler) and hasattr(inner, "set_epoch"):
            yield inner
        yield from samplers_in(inner)


class PromptOrder(RepeatSampler):
    """TRL's order of RL prompts, whose pass n is the same whether or not the passes before it were made by this process."""

    def set_epoch(self, epoch: int) -> None:
        """Stand before a pass, counting from 0."""
        if self.shuffle:
            self.generator.manual_seed(self.seed)
            for _ in range(epoch):
                torch.randperm(self.num_samples, generator=self.generator)
