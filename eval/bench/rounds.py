"""A GRPO round beside that of a hand-written loop."""

import copy
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hand_loop
import turns
from row import Row, compared
from transformers import set_seed

from rarecot.quiet import quiet
from rarecot.training import environment, sft
from rarecot.training.rl import grpo
from rarecot.training.run import open_run
from rarecot.training.text import text_of
from rarecot.training.trl_config import trl_config

NTP_STEPS = 150  # of the model that RL starts from: it writes short and long responses by then


def rows(args: Any) -> Iterator[Row]:
    """One round of the headline, 64 prompts × 4."""
    quiet()
    with tempfile.TemporaryDirectory() as folder:
        start = made_start(folder, 5 if args.small else NTP_STEPS)
        rounds = turns.WARM_UP + (args.repeats or (3 if args.small else 12))
        request = turns.request("grpo", folder, rounds, "--model_name_or_path", str(start))
        environment.prepare(request)
        config, options = trl_config(request)
        run = open_run(request, config.to_dict())
        policy, adapter = grpo.make_model(request, options)
        prompts = config.per_device_train_batch_size // config.num_generations
        other = hand_loop.grpo_stepper(
            copy.deepcopy(policy), request.spec.task.d, prompts, config.num_generations, config.learning_rate
        )
        trainer = grpo.make_trainer(run, config, policy, adapter, text_of(run, config), grpo.constants(config))
        ours, others = turns.train(trainer, other).pair
        yield compared("round_grpo", ours, others, "s", "a hand-written loop", "≤ 1.3")


def made_start(folder: str, steps: int) -> Path:
    """A model after some steps of next-token prediction by hand, as a checkpoint."""
    request = turns.request("sft", folder, steps)
    config, options = trl_config(request)
    run = open_run(request, config.to_dict())
    text = text_of(run, config)
    set_seed(request.seed)
    model, _ = sft.make_model(request, options, text)
    step = hand_loop.ntp_stepper(model, request.spec.task.d, 64, request.spec.p_cot, config.learning_rate)
    for _ in range(steps):
        step()
    start = Path(folder) / "start"
    model.save_pretrained(start)
    text.tokenizer.save_pretrained(start)
    return start
