"""Where a stage starts from. Light: no torch."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from rarecot import checkpoints, stopping
from rarecot.errors import EXIT_STOPPED, Stopped
from rarecot.hub import is_hub_id, model_snapshot, tokenizer_folder


def model_folder(request: Any) -> Path | None:
    """The folder that a stage starts from: `model_name_or_path`, for RL else the newest checkpoint in RUN_DIR/sft.
    None: from scratch, or there is none. Of a model on the hub, configuration and tokenizer are fetched for it.

    Raises:
        ConfigError: the hub does not give it.
    """
    if name := request.arguments.model_name_or_path:
        if is_hub_id(name):
            return model_snapshot(name, request.trainer_value("model_revision"))
        return checkpoints.resolve(Path(name))
    return None if request.stage == "sft" else checkpoints.newest(request.run_dir / "sft")


def tokenizer_of(request: Any) -> Path | None:
    """The folder of the tokenizer that a model from scratch gets; None: its task's own.

    Raises:
        ConfigError: the hub does not give it, or the folder has none.
    """
    name = getattr(request.arguments, "tokenizer_name_or_path", "")
    return tokenizer_folder(name, "tokenizer_name_or_path") if name else None


def make_start(request: Any, script: Path) -> None:
    """Train the model that the tiny RL default starts from, where it is not there yet; leaves the process if that fails. Of several
    processes the first one does it, alone, and the others wait.

    Args:
        request: a checked request for RL.
        script: recipes/sft.py.

    Raises:
        Stopped: it was asked to stop.
    """
    if not request.start_comes_first:
        return
    first, told = None, False
    if int(os.environ.get("RANK", "0")) == 0 and not _is_there(request):
        alone = {name: value for name, value in os.environ.items() if name not in _OF_A_LAUNCHER}
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0")
        first = subprocess.Popen([sys.executable, script], env={**alone, "CUDA_VISIBLE_DEVICES": visible.split(",")[0]})
    while first.poll() is None if first else not (_is_there(request) or stopping.asked()):
        time.sleep(0.2)
        if first and stopping.asked():
            told = told or stopping.tell(first)
    if first and first.returncode not in (0, EXIT_STOPPED):
        sys.exit(first.returncode)
    if not _is_there(request):
        raise Stopped("The model that RL starts from is not trained to its end.")


def _is_there(request: Any) -> bool:
    folder = model_folder(request)
    return folder is not None and not checkpoints.steps_left(folder)


# What makes a process one of several: torchrun's and accelerate's variables.
_OF_A_LAUNCHER = {
    *("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK", "ROLE_RANK", "ROLE_WORLD_SIZE"),
    *("MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RUN_ID", "TORCHELASTIC_USE_AGENT_STORE", "RARECOT_STOP_NOTE"),
    *("ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED"),
}


def missing(name: str) -> list[str]:
    """The sentence for a start that is not there."""
    return [
        f"there is no complete checkpoint at {name}. Run recipes/sft.py with the same run_dir first, or name a folder with a model, or "
        f"a hub id (organisation/name), with --model_name_or_path."
    ]
