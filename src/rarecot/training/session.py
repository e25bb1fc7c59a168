"""What the trainers of all stages share: a progress line, stamped checkpoints, resuming."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from accelerate import PartialState
from accelerate.utils import DistributedType
from peft import PeftModel
from transformers import PrinterCallback, ProgressCallback, TrainerCallback

from rarecot import checkpoints
from rarecot.errors import RunError, Stopped
from rarecot.evaluation import card
from rarecot.evaluation.callback import EvaluationCallback, progress
from rarecot.evaluation.harness import Harness
from rarecot.evaluation.records import STAGE_NAMES
from rarecot.evaluation.suite import Suite
from rarecot.sampling import Sampler, choose
from rarecot.sampling.hf import HfSampler
from rarecot.sampling.shared import MainSampler, shared
from rarecot.sampling.vllm.server import EngineLost
from rarecot.training.length_split import split_by_length
from rarecot.training.preemption import DataPosition, StopCallback
from rarecot.training.run import Run
from rarecot.training.text import Text
from rarecot.training.tracking import listener

UNREADABLE = (
    "Weights only load failed",
    "PytorchStreamReader failed",
)  # torch's words for a pickle it does not trust, and half a file


class ProgressLine(ProgressCallback):
    """The trainers' progress bar with rate and remaining time, and the latest measurement beside it."""

    def __init__(self, title: str, latest: dict[str, dict[str, Any]]):
        super().__init__()
        self.title, self.latest = title, latest

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        super().on_train_begin(args, state, control, **kwargs)
        if self.training_bar is not None:
            self.training_bar.set_description(self.title)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if self.training_bar is None:
            return
        shown = {key: f"{logs[key]:.3f}" for key in ("loss", "reward") if logs and key in logs}
        if greedy := self.latest.get("greedy"):
            shown |= {"greedy": f"{greedy['accuracy']:.0%}", "length": f"{greedy['length_median']:g}"}
        if sampled := self.latest.get("sampled"):
            shown |= {"long": f"{sampled['long_share']:.0%}"}
        self.training_bar.set_postfix(shown, refresh=False)


@dataclass
class StampCallback(TrainerCallback):
    """Marks a checkpoint as complete once the trainer has written everything else of it, and writes its card.

    Args:
        run: the open run.
        constants: fields of every record of the stage.
        text: how its prompts are rendered.
        stands: config and state of the trainer → where the stage stands.
    """

    run: Run
    constants: dict[str, Any]
    text: Text
    stands: Callable[[Any, Any], dict[str, int]]

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.run.see_that_it_is_there()

    def on_save(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        PartialState().wait_for_everyone()  # each process writes a part of a checkpoint, its random numbers at least
        if state.is_world_process_zero:
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            if checkpoints.is_adapter(folder):  # what a reader of checkpoints looks for, of the adapter's base
                base = base_model(getattr(model, "module", model))
                base.config.save_pretrained(folder)
                base.generation_config.save_pretrained(folder)
            self.run.stamp(folder, self.stands(args, state), self.constants, self.text.stamp())
            # In the checkpoint, whose numbers it holds and which is what gets published, instead of PEFT's empty form with its path
            # of this machine. TRL writes a general card into the stage's folder at every save; it is left alone there.
            card.write(self.run.dir, folder)


@dataclass
class KeepNewest(TrainerCallback):
    """Removes the oldest checkpoints once a new one is complete. The trainer would do so before, so that a kill in between leaves none,
    and takes what was touched last for the newest.

    Args:
        limit: how many to keep; None: all.
    """

    limit: int | None

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.is_world_process_zero:
            checkpoints.keep_newest(Path(args.output_dir), self.limit)


def base_model(model: Any) -> Any:
    """The transformers model, without a LoRA adapter around it."""
    return model.get_base_model() if isinstance(model, PeftModel) else model


def harnesses(run: Run, text: Text, constants: dict[str, Any]) -> tuple[Harness, Harness]:
    """What evaluates a stage on the test split: on the way, and at its end with more problems."""
    arguments = run.request.arguments
    suite = Suite(
        max_new_tokens=text.max_new_tokens,
        n=min(arguments.eval_n, run.mixture.spec.n_test),
        temperatures=(0.0, arguments.eval_temperature),
        seed=run.request.seed,
    )
    larger = replace(suite, n=min(arguments.eval_n_last or arguments.eval_n, run.mixture.spec.n_test))
    identity = {"stage": run.request.stage, "seed": run.request.seed, **constants}
    during, last = (
        Harness(run.dir, text.reader, run.mixture.test[: which.n], which, identity, run.append)
        for which in (suite, larger)
    )
    return during, last


def sampler_for(run: Run, trainer: Any, tokenizer: Any) -> Callable[[Any], Sampler]:
    """What evaluation during training samples with, as one of all processes: the model in training by transformers, or the rollouts'
    vLLM engine."""
    arguments = run.request.arguments
    if getattr(trainer.args, "use_vllm", False):
        parameters = sum(p.numel() for p in trainer.model.parameters())
        if choose(arguments.eval_backend, parameters) == "vllm":
            from rarecot.training.rl.vllm_rollouts import TrainerSampler

            together = shared if trainer.args.vllm_mode == "colocate" else MainSampler
            return lambda model: together(TrainerSampler(trainer))
    sharded = is_sharded(trainer.accelerator)
    return lambda model: shared(HfSampler(model, tokenizer, arguments.eval_batch_size, sharded))


def is_sharded(accelerator: Any) -> bool:
    """Whether the weights lie in parts on several processes, so that each forward is a collective."""
    if accelerator.distributed_type == DistributedType.DEEPSPEED:
        return accelerator.state.deepspeed_plugin.zero_stage == 3
    return accelerator.distributed_type == DistributedType.FSDP


def epoch_rows(run: Run) -> int | None:
    """Rows of the stage's training set, for counting sequences; None for streams and for RL's rollouts."""
    fixed = run.mixture.fixed
    return len(fixed) if run.request.stage == "sft" and fixed is not None else None


def train(run: Run, trainer: Any, text: Text, constants: dict[str, Any]) -> None:
    """Train a stage to its end, from its newest complete checkpoint if there is one.

    Args:
        run: the open run.
        trainer: TRL's trainer of the stage.
        text: how the stage reads and writes.
        constants: fields of every record of the stage.
    """
    rows, every = epoch_rows(run), run.request.arguments.eval_every
    sampler = sampler_for(run, trainer, text.tokenizer)
    evaluation = EvaluationCallback(*harnesses(run, text, constants), every, sampler, rows)
    run.listeners.append(listener(trainer))
    stamp = StampCallback(run, constants, text, lambda args, state: progress(args, state, rows))
    try:
        fit(run, trainer, [evaluation, stamp], STAGE_NAMES[run.request.stage], run.resume_from(), evaluation.latest)
    except EngineLost as error:
        raise RunError(f"{error}\n{save_what_there_is(run, trainer)}") from error


def fit(
    run: Run,
    trainer: Any,
    callbacks: list[TrainerCallback],
    title: str,
    resume: Path | None,
    latest: dict[str, dict[str, Any]],
) -> None:
    """Run a trainer to its last step, with our progress line instead of the library's.

    Args:
        run: the open run.
        trainer: TRL's.
        callbacks: of ours.
        title: of the progress line.
        resume: the checkpoint to go on from.
        latest: decoding → the latest evaluation, to be shown.

    Raises:
        Stopped: it was asked to stop, and has saved.
        RunError: the checkpoint to go on from is damaged.
    """
    stop = StopCallback()
    for callback in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(callback)
    keep, trainer.args.save_total_limit = KeepNewest(trainer.args.save_total_limit), None
    for callback in (*callbacks, keep, DataPosition(), stop):  # stop last: what belongs to a step is done before it
        trainer.add_callback(callback)
    if not trainer.args.disable_tqdm:
        trainer.add_callback(ProgressLine(title, latest))
    if run.request.arguments.split_by_length:
        split_by_length(base_model(trainer.model), is_sharded(trainer.accelerator))
    try:
        trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    except (UnpicklingError, RuntimeError) as error:
        if resume is None or not any(words in str(error) for words in UNREADABLE):
            raise
        raise RunError(
            f"torch refuses to read the trainer's state in {resume} ({str(error).splitlines()[0]}): a file there is damaged, or was not "
            f"written by this trainer. Remove that folder, and the same command goes on from the checkpoint before it."
        ) from error
    state = trainer.state
    if state.global_step < state.max_steps:
        if stop.stopped:
            where = f"{trainer.args.output_dir}/checkpoint-{state.global_step}"
            raise Stopped(f"{title} is saved after step {state.global_step} of {state.max_steps} in {where}.")
        raise RuntimeError(
            f"{trainer.args.output_dir} stopped after {state.global_step} of {state.max_steps} steps: no more data"
        )


def save_what_there_is(run: Run, trainer: Any) -> str:
    """After a failure between two optimizer steps: save the state of the last one; says from where the run will go on."""
    state, newest = trainer.state, run.resume_from()
    is_new = state.global_step > (checkpoints.step_of(newest) if newest else 0)
    if is_new and trainer.args.world_size == 1:  # with several processes the others are stuck in a collective
        trainer._save_checkpoint(trainer.model, trial=None)
        trainer.callback_handler.on_save(trainer.args, state, trainer.control)
    newest = run.resume_from()
    where = f"from {newest}" if newest else "from the start of the stage"
    return f"Run the same command again: it goes on {where}."


def finish_saving(run: Run, limit: int | None) -> None:
    """What a kill came before, between the stamp of a checkpoint and the end of its saving: its card, and room (rank 0).

    Args:
        run: the open run.
        limit: how many checkpoints the stage keeps; None: all. STaR keeps each round's.
    """
    if run.request.stage != "star":
        checkpoints.keep_newest(run.stage_dir, limit)
    if (newest := checkpoints.newest(run.stage_dir)) is not None:
        card.write(run.dir, newest)


def report_complete(run: Run) -> bool:
    """Say so and return True when the stage has nothing left to do."""
    if not run.is_complete:
        return False
    if run.is_main:
        print(f"{run.resume_from()} is this stage's last; nothing to do.", flush=True)
    return True
