"""The harness during training: a callback that evaluates at the first step, at regular ones, and at the last."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from transformers import TrainerCallback

from rarecot.evaluation.harness import Harness
from rarecot.sampling import Sampler
from rarecot.sampling.shared import from_main

BLANK_TOKENS = 2  # of a row that fills up a batch


def blank_rows(args: Any, rows: int) -> int:
    """How many blank rows fill up the last batches of an epoch, so that all processes have as many; one process needs none.

    Args:
        args: the trainer's config.
        rows: of its training set.
    """
    if args.world_size == 1 or args.dataloader_drop_last or args.train_sampling_strategy == "batch_rebalance":
        return 0
    return -rows % (args.train_batch_size * args.world_size)


def tokens_seen(args: Any, state: Any, rows: int) -> int:
    """Tokens that a trainer has seen, without those of the blank rows at the end of each epoch.

    Args:
        args: the trainer's config.
        state: the trainer's state.
        rows: of its training set.
    """
    per_step = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
    epochs = state.global_step // -(-rows // per_step)
    return int(state.num_input_tokens_seen) - epochs * blank_rows(args, rows) * BLANK_TOKENS


def progress(args: Any, state: Any, epoch_rows: int | None = None) -> dict[str, int]:
    """Where a trainer stands: optimizer steps, sequences (demonstrations or rollouts) and tokens of this stage; of a trainer that
    samples, also how many rounds of rollouts its policy has learned from.

    Args:
        args: the trainer's config.
        state: the trainer's state.
        epoch_rows: rows of a fixed training set, whose last batch may be a short one; None for a stream.
    """
    per_step = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
    if epoch_rows is None:
        tokens = int(state.num_input_tokens_seen)
        reuse = getattr(args, "num_iterations", 1)  # GRPO may take several steps on the same rollouts
        sequences = state.global_step * per_step // reuse
    else:
        epochs, steps = divmod(state.global_step, -(-epoch_rows // per_step))
        sequences = epochs * epoch_rows + steps * per_step
        tokens = tokens_seen(args, state, epoch_rows)
    rounds = {}
    if hasattr(args, "steps_per_generation"):
        rounds = {"round": state.global_step // steps_a_round(args)}
    return {
        "step": state.global_step,
        **rounds,
        "sequences_seen": sequences,
        "tokens_seen": tokens,
    }


def steps_a_round(args: Any) -> int:
    """Optimizer steps that learn from one batch of rollouts; 1 for a trainer that samples none.

    Args:
        args: the trainer's config.
    """
    if not hasattr(args, "steps_per_generation"):
        return 1
    return max(1, args.steps_per_generation * args.num_iterations // args.gradient_accumulation_steps)


def due(step: int, every: int) -> bool:
    """Whether a step is evaluated: multiples of `every`, and an eighth, a quarter and a half of the first interval,
    where curves bend most."""
    return step % every == 0 or step in {every // 8, every // 4, every // 2}


@dataclass
class EvaluationCallback(TrainerCallback):
    """Evaluates the model in training, on all processes.

    Args:
        harness: of the stage.
        last: of the stage's last step, with more problems.
        every: optimizer steps between evaluations.
        sampler_for: the model in training → its sampler, as one of all processes.
        epoch_rows: see `progress`.
    """

    harness: Harness
    last: Harness
    every: int
    sampler_for: Callable[[Any], Sampler]
    epoch_rows: int | None = None
    latest: dict[str, dict[str, Any]] = field(default_factory=dict)

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        if state.global_step == 0:
            self._evaluate(args, state, model)

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        if due(state.global_step, self.every) or state.global_step == state.max_steps:
            self._evaluate(args, state, model)

    def _evaluate(self, args: Any, state: Any, model: Any) -> None:
        sampler = self.sampler_for(getattr(model, "module", model))  # DDP wraps the model that generates
        harness = self.last if state.global_step == state.max_steps else self.harness
        at = progress(args, state, self.epoch_rows)
        for record in measure_together(harness, sampler, at, state.is_world_process_zero):
            self.latest[record["decoding"]] = record


def measure_together(
    harness: Harness, sampler: Sampler, progress: dict[str, int], is_main: bool
) -> list[dict[str, Any]]:
    """Make the evaluations of a step that are missing, on all processes; returns their records on rank 0.

    Args:
        harness: of the stage.
        sampler: as one of all processes.
        progress: where the stage stands.
        is_main: whether this is rank 0, whose records say what is missing: a shared file system may show others' late.
    """
    missing = from_main(harness.missing(progress["step"]) if is_main else [])
    if is_main:
        return harness.measure(sampler, progress)
    harness.assist(sampler, progress["step"], missing)
    return []
