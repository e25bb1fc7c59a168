"""The sequences of one optimizer step: what a process holds × what it accumulates × how many processes there are. Light: no torch."""

import math
import os
from collections.abc import Mapping
from typing import Any

from rarecot.stages import STAGES

# What a step is made of, and options that follow from it: another number of processes may share the same step otherwise.
FACTORS = ("per_device_train_batch_size", "gradient_accumulation_steps", "world_size")
SHARED_OUT = {*FACTORS, "global_batch_size", "steps_per_generation"}
_SEQUENCES = {"sft": "demonstrations", "star": "kept responses"}  # of the other stages: rollouts


def world_size() -> int:
    """How many processes train together, as the launcher says."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def held(request: Any) -> Any:
    """Sequences that a process holds at once: as asked, or the most below that of which a step of `global_batch_size` is a multiple."""
    most, wanted = request.asked_or_default("per_device_train_batch_size"), request.arguments.global_batch_size
    if wanted < 1 or not isinstance(most, int):
        return most
    return next((n for n in range(most, 0, -1) if wanted % (n * world_size()) == 0), most)


def accumulation(request: Any) -> Any:
    """Micro-batches that a process accumulates: as asked, or so that a step holds `global_batch_size` sequences (1 where `problems` has
    something to say)."""
    at_once = held(request)
    if request.arguments.global_batch_size < 1 or not isinstance(at_once, int) or at_once < 1:
        return request.asked_or_default("gradient_accumulation_steps")
    return max(1, request.arguments.global_batch_size // (at_once * world_size()))


# Options of TRL that follow from `global_batch_size` where it is set → what they then are.
DERIVED = {"per_device_train_batch_size": held, "gradient_accumulation_steps": accumulation}


def problems(request: Any) -> list[str]:
    """Why `global_batch_size` cannot be had, in sentences."""
    wanted, world = request.arguments.global_batch_size, world_size()
    at_once = held(request)
    if not wanted or not isinstance(at_once, int) or at_once < 1:  # a wrong one is refused by others
        return []
    found = []
    if wanted % (at_once * world):
        found.append(
            f"global_batch_size is {wanted}, which {_processes(world)} cannot share equally. Start a number of processes that divides "
            f"it, or change it."
        )
    elif request.asked("gradient_accumulation_steps") not in (None, wanted // (at_once * world)):
        given = request.asked("gradient_accumulation_steps")
        found.append(
            f"global_batch_size is {wanted}, but gradient_accumulation_steps is {given}, and {_processes(world)} × "
            f"{at_once} sequences at once need {wanted // (at_once * world)}. Leave gradient_accumulation_steps out: it follows."
        )
    if STAGES[request.stage].config == "GRPOConfig" and request.asked("steps_per_generation") is not None:
        found.append(
            "global_batch_size and steps_per_generation are both set, but the latter counts micro-batches, whose size follows the number "
            "of processes. Set generation_batch_size (rollouts of a round) instead."
        )
    return found


def describe(stage: str, held: int, accumulated: int, world: int) -> str:
    """One line on what a step holds.

    Args:
        stage: its name.
        held: sequences of a process's micro-batch.
        accumulated: micro-batches of a step.
        world: processes.
    """
    total = held * accumulated * world
    return (
        f"a step: {total} {_SEQUENCES.get(stage, 'rollouts')} = {held} a process × {accumulated} accumulated × "
        f"{_processes(world)}"
    )


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """How the step of a resumed run differs from what it was, in a clause; empty if it holds as many sequences.

    Args:
        old: the flat config of before, with `FACTORS`.
        new: the one now.
    """
    before, now = ([config[name] for name in FACTORS] for config in (old, new))
    if before == now or (math.prod(before) == math.prod(now) and old.get("loss_type") != "bnpo"):
        return []  # (bnpo weighs tokens by their micro-batch, so that its size matters)
    return [
        f"a step of {math.prod(before)} sequences ({_factors(before)}) → {math.prod(now)} ({_factors(now)}); global_batch_size "
        f"{math.prod(before)} keeps it, whatever the number of processes"
    ]


def resumed_elsewhere(stage: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """The line for a run that goes on with another number of processes; empty if it does not."""
    if old.get("world_size") in (None, new["world_size"]):
        return ""
    line = f"{stage} goes on with {_processes(new['world_size'])} instead of {old['world_size']}: steps hold the same number of sequences"
    if not STAGES[stage].is_rl:
        return line
    return f"{line}, but rollouts' random numbers follow the process count, so results are equal in distribution, not to the digit"


def _factors(values: list[int]) -> str:
    held, accumulated, world = values
    return f"{held} a process × {accumulated} accumulated × {_processes(world)}"


def _processes(world: int) -> str:
    return f"{world} process{'' if world == 1 else 'es'}"
