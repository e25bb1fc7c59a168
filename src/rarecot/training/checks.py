"""What would go wrong later, said now. Light: no torch, no model; a check returns sentences."""

import json
import os
from pathlib import Path
from typing import Any

from rarecot import checkpoints
from rarecot.errors import nearest
from rarecot.rendering import fingerprint_of_folder, fingerprint_of_task
from rarecot.rewards import REWARDS


def check(request: Any) -> list[str]:
    """Everything wrong with a request that needs more than one of its values to see."""
    problems = _common(request)
    problems += {"sft": _sft, "grpo": _grpo}[request.stage](request)
    return problems


def model_folder(request: Any) -> Path | None:
    """The local folder that a stage starts from: `model_name_or_path`, else RUN_DIR/sft; None for a hub id."""
    name = request.trainer_value("model_name_or_path")
    return checkpoints.resolve(Path(name) if name else request.run_dir / "sft")


def _common(request: Any) -> list[str]:
    arguments, spec, problems = request.arguments, request.spec, []
    if arguments.eval_every < 1:
        problems.append(f"eval_every is {arguments.eval_every}: it counts optimizer steps, so it must be 1 or more.")
    for key, least in (("eval_n", 1), ("eval_n_last", 0)):
        value = getattr(arguments, key)
        if value < least or 1 <= spec.n_test < value:
            problems.append(
                f"{key} is {value}, but the test split has {spec.n_test} problems. Use {least} to {spec.n_test}, or "
                f"raise n_test."
            )
    if arguments.eval_temperature <= 0:
        problems.append(
            f"eval_temperature is {arguments.eval_temperature}: the greedy evaluation is always made; this is the "
            f"temperature of the sampled one and must be positive."
        )
    max_steps = request.trainer_value("max_steps")
    if spec.online and request.stage == "sft" and not (isinstance(max_steps, int) and max_steps > 0):
        problems.append("the mixture is online, so training has no natural end. Set max_steps.")
    return problems


def _sft(request: Any) -> list[str]:
    arguments, task, problems = request.arguments, request.spec.task, []
    needed = task.prompt_tokens + task.long_tokens
    name = request.trainer_value("model_name_or_path")
    if name:
        folder = checkpoints.resolve(Path(name))
        return _checkpoint(request, folder) if folder else _missing(name)
    if arguments.hidden_size % arguments.num_heads:
        problems.append(
            f"hidden_size {arguments.hidden_size} is not divisible by num_heads {arguments.num_heads}: heads share the "
            f"width equally. Change one of them."
        )
    for key in ("num_layers", "hidden_size", "num_heads", "intermediate_size"):
        if getattr(arguments, key) < 1:
            problems.append(f"{key} is {getattr(arguments, key)}: it must be 1 or more.")
    if 0 < arguments.max_positions < needed:
        problems.append(_too_long(task, needed, arguments.max_positions, "Raise max_positions, or leave it at 0"))
    max_length = request.trainer_value("max_length")
    if isinstance(max_length, int) and max_length < needed:
        problems.append(
            f"max_length is {max_length}, but prompt and long demonstration need {needed} tokens: long demonstrations "
            f"would lose their answer and end. Set max_length to {needed} or more, or to null."
        )
    return problems


def _grpo(request: Any) -> list[str]:
    problems = _rewards(request) + _truncation(request) + _batches(request)
    name = request.trainer_value("model_name_or_path")
    folder = model_folder(request)
    if folder is None and not request.is_default:
        problems += _missing(name or str(request.run_dir / "sft"))
    elif folder is not None:
        problems += _checkpoint(request, folder)
    for key, neutral in (("top_p", 1.0), ("top_k", 0), ("min_p", None), ("repetition_penalty", 1.0)):
        value = request.trainer_value(key)
        if value not in (neutral, None):
            problems.append(
                f"{key} is {value}: rollouts must be sampled from the policy itself, or the policy gradient and every "
                f"long share measured on them are biased. Leave {key} out; temperature is free."
            )
    return problems


def _rewards(request: Any) -> list[str]:
    names, problems = request.arguments.reward_funcs, []
    if not names:
        problems.append(f"reward_funcs is empty: RL needs a reward. Known: {', '.join(REWARDS)}.")
    for name in names:
        if name not in REWARDS:
            problems.append(f"unknown reward '{name}'{nearest(name, REWARDS)} Known: {', '.join(REWARDS)}.")
    weights = request.trainer_value("reward_weights")
    weights = weights if isinstance(weights, list) or weights is None else [weights]
    if weights is not None and len(weights) != len(names):
        problems.append(
            f"reward_weights has {len(weights)} entries for {len(names)} rewards ({', '.join(names)}). Give one each."
        )
    return problems


def _truncation(request: Any) -> list[str]:
    limit, needed = request.trainer_value("max_completion_length"), request.spec.task.long_tokens
    if not isinstance(limit, int) or limit >= needed or request.arguments.allow_truncation:
        return []
    return [
        f"max_completion_length is {limit}, but a long response needs {needed} tokens (chain and end-of-sequence): every "
        f"long response would be cut off and get no reward, so RL would silently kill the long mode. Set "
        f"max_completion_length to {needed} or more (or allow_truncation to true, to watch it happen)."
    ]


def _batches(request: Any) -> list[str]:
    keys = ("per_device_train_batch_size", "gradient_accumulation_steps", "num_generations")
    values = {key: request.trainer_value(key) for key in keys}
    if wrong := [key for key, value in values.items() if not isinstance(value, int) or value < 1]:
        return [f"{key} is {values[key]!r}: it must be a whole number, 1 or more." for key in wrong]
    per_device, accumulation, group = values.values()
    world = int(os.environ.get("WORLD_SIZE", "1"))
    steps_per_generation = request.trainer_value("steps_per_generation") or accumulation
    batch = request.trainer_value("generation_batch_size") or per_device * world * steps_per_generation
    if group < 2:
        return [f"num_generations is {group}: GRPO compares responses to one prompt, so it needs 2 or more."]
    if batch % group:
        return [
            f"a generation batch holds {batch} responses (per_device_train_batch_size {per_device} × {world} processes "
            f"× {steps_per_generation} steps), which is no multiple of num_generations {group}: groups would be "
            f"split. Change one of them."
        ]
    return []


def _checkpoint(request: Any, folder: Path) -> list[str]:
    """Does the model in `folder` fit the mixture: its positions and its tokenizer?"""
    task, problems = request.spec.task, []
    config = json.loads((folder / "config.json").read_text())
    positions = config.get("max_position_embeddings") or config.get("n_positions")
    needed = task.prompt_tokens + task.long_tokens
    if positions is not None and positions < needed:
        problems.append(_too_long(task, needed, positions, f"Train a model with more positions than {folder}"))
    found = fingerprint_of_folder(folder)
    if found is None:
        problems.append(f"{folder} holds no tokenizer.json, so what its ids mean cannot be checked. Save it there.")
    elif found != fingerprint_of_task(task.tokenizer()):
        problems.append(
            f"the tokenizer in {folder} is not the mixture's: the same text would become other token ids than the model "
            f"was trained on. Use the mixture that the checkpoint was trained on, or train on this one first."
        )
    stamp = checkpoints.read_stamp(folder)
    trained_on = stamp.get("task") if stamp else None
    asked = {key: value for key, value in request.spec.to_mapping().items() if key in (trained_on or {})}
    if trained_on and trained_on != asked:
        changed = ", ".join(f"{k} {trained_on[k]} → {asked[k]}" for k in trained_on if trained_on[k] != asked[k])
        problems.append(
            f"{folder} was trained on another task than this mixture's ({changed}). Use its mixture, or train on this "
            f"one first."
        )
    return problems


def _missing(name: str) -> list[str]:
    return [
        f"there is no complete checkpoint at {name}. Run recipes/sft.py with the same run_dir first, or name one with "
        f"--model_name_or_path."
    ]


def _too_long(task: Any, needed: int, positions: int, remedy: str) -> str:
    return (
        f"the model has {positions} positions, but a prompt of {task.prompt_tokens} tokens and a long response of "
        f"{task.long_tokens} need {needed}. {remedy}, or make the task smaller (for parity: lower d)."
    )
