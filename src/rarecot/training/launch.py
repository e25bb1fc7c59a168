"""A checked request → a trained stage: what every recipe does once torch may be imported."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from accelerate import PartialState
from safetensors import SafetensorError
from trl import ModelConfig

from rarecot import checkpoints
from rarecot.errors import RunError, Stopped
from rarecot.quiet import quiet
from rarecot.training import batch, session
from rarecot.training.request import Request
from rarecot.training.run import Run, open_run
from rarecot.training.text import Text, text_of
from rarecot.training.trl_config import trl_config
from rarecot.training.verdict import verdict
from rarecot.whole import disk_is_full

Train = Callable[[Run, Any, ModelConfig, Text], None]


def launch(request: Request, train: Train) -> None:
    """Open the run, train the stage unless it is complete, and say in a line what came of it.

    Args:
        request: `environment.prepare` has seen it.
        train: of the stage: given the run, TRL's config, the model's options, and how its text is rendered.

    Raises:
        Stopped: it was asked to stop; on all processes.
        RunError: it cannot go on, for want of disk space too.
    """
    quiet()
    try:
        _launch(request, train)
    except Stopped:
        part()
        raise
    except (OSError, RuntimeError, SafetensorError) as error:
        if not disk_is_full(error):
            raise
        raise RunError(_no_space(request)) from error
    part()


def _no_space(request: Request) -> str:
    newest = checkpoints.resumable(request.output_dir)
    intact = (
        f"{newest} is whole: the same command goes on from there"
        if newest
        else "Nothing was saved before: the same command begins again"
    )
    return (
        f"no space is left on the device of {request.run_dir}, or its quota is used up. {intact}, once there is space. "
        f"--save_total_limit 2 keeps no more than the two newest checkpoints."
    )


def part() -> None:
    """Several processes end together: torch may crash one that leaves while its connections live."""
    if PartialState().num_processes > 1:
        PartialState().wait_for_everyone()
        PartialState().destroy_process_group()


def _launch(request: Request, train: Train) -> None:
    config, options = trl_config(request)
    with config.main_process_first():  # rank 0 makes the directory, and moves another aside, before the others look
        run = open_run(request, {**config.to_dict(), **asdict(options)}, is_main=config.process_index == 0)
    if run.is_main:
        session.finish_saving(run, config.save_total_limit)
    if not session.report_complete(run):
        if run.is_main:
            factors = (config.train_batch_size, config.gradient_accumulation_steps, config.world_size)
            print(batch.describe(request.stage, *factors), flush=True)
        text = text_of(run, config)  # what does not fit the model is refused before it loads
        try:
            train(run, config, options, text)
        except (OSError, RuntimeError, ValueError, SafetensorError):
            run.see_that_it_is_there()  # else that is why
            raise
    if run.is_main:
        print(verdict(run.dir))
