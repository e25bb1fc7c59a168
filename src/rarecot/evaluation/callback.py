"""The harness during training: a callback that evaluates, records, and keeps the generations."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import TrainerCallback

from rarecot.evaluation import records
from rarecot.evaluation.harness import Suite, evaluate, save_responses
from rarecot.sampling import HfSampler



def progress(args: Any, state: Any) -> dict[str, int]:
    """Where a trainer stands: optimizer steps, sequences (demonstrations or rollouts) and tokens of this stage."""
    per_step = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
    reuse = getattr(args, "num_iterations", 1)  # GRPO may take several steps on the same rollouts
    return {
        "step": state.global_step,
        "sequences_seen": state.global_step * per_step // reuse,
        "tokens_seen": int(state.num_input_tokens_seen),
    }


@dataclass
class EvaluationCallback(TrainerCallback):
    """Evaluate the model in training at the first step, every `every` steps, and at the last.

    Args:
        run_dir: where records and generations go.
        append: writes a record (the run adds stage and seed).
        tokenizer: the model's.
        rows: problems; columns prompt, answer, style, problem_id.
        suite: what to evaluate.
        every: optimizer steps between evaluations.
        batch_size: sequences decoded together.
        describe: constant fields of every record of this stage (the loss normalisation).
        stage: name of the stage.
        seed: of the run.
    """

    run_dir: Path
    append: Callable[[dict[str, Any]], None]
    tokenizer: Any
    rows: Dataset
    suite: Suite
    every: int
    batch_size: int
    describe: dict[str, Any]
    stage: str
    seed: int

    def __post_init__(self) -> None:
        self.latest: dict[str, dict[str, Any]] = {}
        self._columns = self.rows[: self.suite.n]
        self._done = {records.identity(record) for record in records.read(self.run_dir)}

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        if state.global_step == 0:
            self._evaluate(args, state, model)

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        if state.global_step % self.every == 0 or state.global_step == state.max_steps:
            self._evaluate(args, state, model)

    def _evaluate(self, args: Any, state: Any, model: Any) -> None:
        if not state.is_world_process_zero:
            return
        # Prepared models (DDP) wrap the one that generates.
        model = getattr(model, "module", model)
        sampler = HfSampler(model, self.tokenizer, self.batch_size)
        for temperature in self.suite.temperatures:
            suite = replace(self.suite, seed=self.suite.seed + state.global_step)
            stub = self._identity(state.global_step, temperature)
            if records.identity(stub) in self._done:
                continue
            measured, responses = evaluate(sampler, self.tokenizer, self._columns, suite, temperature)
            record = {**progress(args, state), **measured, **self.describe}
            prompts = self._columns["prompt"]
            save_responses(self.run_dir, {**record, "stage": self.stage}, responses, prompts)
            self.append(record)
            self._done.add(records.identity(stub))
            self.latest[measured["decoding"]] = record

    def _identity(self, step: int, temperature: float) -> dict[str, Any]:
        return {
            "stage": self.stage,
            "step": step,
            "split": self.suite.split,
            "seed": self.seed,
            "decoding": "sampled" if temperature > 0 else "greedy",
            "temperature": temperature,
            "n": self.suite.n * (self.suite.samples if temperature > 0 else 1),
            "protocol": self.suite.protocol,
        }


