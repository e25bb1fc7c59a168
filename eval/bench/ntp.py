"""Steps of next-token prediction: the trainer's beside those of a hand-written loop, and beside what the machine can multiply."""

import copy
import tempfile
from collections.abc import Iterator
from typing import Any

import hand_loop
import turns
from row import Row, compared

from rarecot.quiet import quiet
from rarecot.training import sft
from rarecot.training.run import open_run
from rarecot.training.text import text_of
from rarecot.training.trl_config import trl_config


def rows(args: Any) -> Iterator[Row]:
    """One step of the headline, 64 demonstrations of 50 bits."""
    quiet()
    with tempfile.TemporaryDirectory() as folder:
        request = turns.request("sft", folder, turns.WARM_UP + (args.repeats or (5 if args.small else 100)))
        config, options = trl_config(request)
        run = open_run(request, config.to_dict())
        text = text_of(run, config)
        model, adapter = sft.make_model(request, options, text)
        task, batch = request.spec.task, config.per_device_train_batch_size
        other = hand_loop.ntp_stepper(copy.deepcopy(model), task.d, batch, request.spec.p_cot, config.learning_rate)
        trainer = sft.make_trainer(config, model, adapter, text, sft.rendered(run.mixture, text))
        ours, others = turns.train(trainer, other).pair
        yield compared("ntp_step", ours, others, "s", "a hand-written loop", "≤ 1.25")
