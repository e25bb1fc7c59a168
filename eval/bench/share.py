"""What measuring costs: the harness's share of a training run of the headline, at the default interval between evaluations."""

import tempfile
from collections.abc import Iterator
from typing import Any

import rounds
import turns
from row import Row, compared, seconds

from rarecot.evaluation.harness import Harness
from rarecot.quiet import quiet
from rarecot.training import environment, sft
from rarecot.training.arguments import ARGUMENTS
from rarecot.training.request import Request
from rarecot.training.rl import grpo
from rarecot.training.run import open_run
from rarecot.training.text import text_of
from rarecot.training.trl_config import trl_config

STEPS = {"sft": 600, "grpo": 100}  # the headline's NTP; GRPO for two intervals
PROMISE = "≤ 0.1"


def rows(args: Any) -> Iterator[Row]:
    """The share of each stage's training time that passes within the harness."""
    quiet()
    for stage in STEPS:
        measured = [share(stage, args.small) for _ in range(args.repeats or 1)]
        inside, whole, evaluations = zip(*measured, strict=True)
        default = ARGUMENTS[stage]
        yield compared(
            f"harness_{stage}",
            inside,
            whole,
            "s",
            "the whole training",
            PROMISE,
            f"{evaluations[0]} evaluations of {default.eval_n} problems, greedy and sampled, one every {default.eval_every} steps",
        )


def share(stage: str, small: bool) -> tuple[float, float, int]:
    """Seconds in the harness, seconds of training, and evaluations."""
    with tempfile.TemporaryDirectory() as folder:
        more = ["--disable_tqdm", "true", "--eval_every", str(ARGUMENTS[stage].eval_every), "--eval_n_last", "0"]
        if stage == "grpo":
            more += ["--model_name_or_path", str(rounds.made_start(folder, 5 if small else rounds.NTP_STEPS))]
        request = turns.request(stage, folder, 8 if small else STEPS[stage], *more)
        environment.prepare(request)
        spent: list[float] = []
        measure = Harness.measure

        def timed(self: Harness, *args: Any) -> Any:
            made = []
            spent.append(seconds(lambda: made.append(measure(self, *args))))
            return made[0]

        Harness.measure = timed
        try:
            whole = seconds(lambda: train(request))
        finally:
            Harness.measure = measure
        return sum(spent), whole, len(spent)


def train(request: Request) -> None:
    """The stage, as its recipe trains it."""
    config, options = trl_config(request)
    run = open_run(request, config.to_dict())
    text = text_of(run, config)
    if request.stage == "sft":
        sft.train(run, config, options, text)
    else:
        grpo.train(run, config, options, text)
