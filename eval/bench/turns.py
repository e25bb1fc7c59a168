"""Ours and another take turns inside one training run."""

import copy
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hand_loop
import numpy as np
from transformers import PrinterCallback, ProgressCallback, TrainerCallback

from rarecot.quiet import quiet
from rarecot.training import sft
from rarecot.training.length_split import split_by_length
from rarecot.training.request import parse
from rarecot.training.rl import grpo
from rarecot.training.run import open_run
from rarecot.training.text import Text, text_of
from rarecot.training.trl_config import trl_config

ROOT = Path(__file__).parents[2]
WARM_UP = 3  # turns that are not counted


class Turns(TrainerCallback):
    """After each of the trainer's steps, one step of the other; both timed from end to end. The harness and saving are
    left out of ours, as the other has none: what evaluation costs stands in the records (`seconds`)."""

    def __init__(self, other: Callable[[], None]):
        self.other, self.ours, self.others = other, [], []

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.started = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        ended = time.perf_counter()
        self.other()
        self.ours.append(ended - self.started)
        self.started = time.perf_counter()
        self.others.append(self.started - ended)

    def row(self, name: str, unit: str) -> dict[str, Any]:
        """Medians, and the ratio turn by turn."""
        ours, others = np.array(self.ours[WARM_UP:]), np.array(self.others[WARM_UP:])
        ratio = ours / others
        return {
            "name": name,
            "ours": float(np.median(ours)),
            "other": float(np.median(others)),
            "ratio": float(np.median(ratio)),
            "ratio_range": [float(q) for q in np.quantile(ratio, [0.1, 0.9])],
            "unit": unit,
            "repeats": len(ratio),
        }


def headline(steps: int, rounds: int, with_grpo: bool) -> Iterator[dict[str, Any]]:
    """The rows `ntp_step` and `grpo_round`, on the headline's model and mixture (d = 50)."""
    quiet()
    with tempfile.TemporaryDirectory() as folder:
        row, model, text = _ntp(folder, steps)
        yield row
        if with_grpo:
            yield _grpo(folder, rounds, model, text)


def _request(stage: str, folder: str, steps: int, *more: str) -> Any:
    config = ROOT / "recipes" / "parity" / "headline" / f"{stage}.yaml"
    words = ["--config", str(config), "--run_dir", folder, "--max_steps", str(steps), "--save_strategy", "no"]
    return parse(stage, "", [*words, *more])


def _ntp(folder: str, steps: int) -> tuple[dict[str, Any], Any, Text]:
    request = _request("sft", folder, steps)
    config, options = trl_config(request)
    run = open_run(request, config.to_dict())
    text = text_of(run, config)
    model, adapter = sft.make_model(request, options, text)
    task, batch = request.spec.task, config.per_device_train_batch_size
    other = hand_loop.ntp_stepper(copy.deepcopy(model), task.d, batch, request.spec.p_cot, config.learning_rate)
    trainer = sft.make_trainer(config, model, adapter, text, sft.rendered(run.mixture, text))
    return _take_turns(trainer, other).row("ntp_step", "s/step"), model, text


def _grpo(folder: str, rounds: int, model: Any, text: Text) -> dict[str, Any]:
    start = Path(folder) / "start"
    model.save_pretrained(start)
    text.tokenizer.save_pretrained(start)
    request = _request("grpo", folder, rounds, "--model_name_or_path", str(start))
    config, options = trl_config(request)
    run = open_run(request, config.to_dict())
    policy, adapter = grpo.make_model(request, options)
    prompts = config.per_device_train_batch_size // config.num_generations
    other = hand_loop.grpo_stepper(
        copy.deepcopy(policy), request.spec.task.d, prompts, config.num_generations, config.learning_rate
    )
    trainer = grpo.make_trainer(run, config, policy, adapter, text_of(run, config), grpo.constants(config))
    return _take_turns(trainer, other).row("grpo_round", "s/round")


def _take_turns(trainer: Any, other: Callable[[], None]) -> Turns:
    for callback in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(callback)
    turns = Turns(other)
    trainer.add_callback(turns)
    split_by_length(trainer.model)
    trainer.train()
    return turns
