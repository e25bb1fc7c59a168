"""What would go wrong later, said now. Light: no torch, no model; a check returns sentences."""

import os
from pathlib import Path
from typing import Any

from rarecot import checkpoints
from rarecot.errors import ConfigError, nearest
from rarecot.hub import is_hub_id, model_snapshot
from rarecot.rewards import REWARDS
from rarecot.sampling.vllm import support
from rarecot.tasks import Generated
from rarecot.tasks.sources import missing_source, sources_of
from rarecot.training.losses import LOSS_NORMALISATION


def check(request: Any) -> list[str]:
    """Everything wrong with a request that needs more than one of its values to see."""
    problems = _common(request)
    name = request.arguments.model_name_or_path
    if name and is_hub_id(name):
        try:
            model_folder(request)
        except ConfigError as error:
            return problems + error.problems
    problems += {"sft": _sft, "grpo": _grpo}[request.stage](request)
    return problems


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
    if not request.is_built:
        problems += [missing for source in sources_of(spec.task) if (missing := missing_source(source))]
    for key, least in (("max_prompt_tokens", 1), ("eval_max_new_tokens", 0)):
        if getattr(arguments, key) < least:
            problems.append(f"{key} is {getattr(arguments, key)}: it counts tokens, so it must be {least} or more.")
    if request.trainer_value("use_peft") is True:
        problems += _lora(request)
    max_steps = request.trainer_value("max_steps")
    if spec.online and request.stage == "sft" and not (isinstance(max_steps, int) and max_steps > 0):
        problems.append("the mixture is online, so training has no natural end. Set max_steps.")
    return problems


def _lora(request: Any) -> list[str]:
    problems = []
    for key, least in (("lora_r", 1), ("lora_alpha", 1)):
        value = request.trainer_value(key)
        if not isinstance(value, int) or value < least:
            problems.append(f"{key} is {value!r}: it must be a whole number, {least} or more.")
    if request.stage == "sft" and not request.arguments.model_name_or_path:
        problems.append(
            "use_peft is true, but a model from scratch has nothing that an adapter could adapt. Leave it out."
        )
    if (dropout := request.trainer_value("lora_dropout")) and request.stage != "sft":
        problems.append(
            f"lora_dropout is {dropout}: RL's log-probabilities would differ from those of the policy that sampled. Set it to 0."
        )
    if request.stage != "sft" and request.use_vllm and request.trainer_value("vllm_mode") == "server":
        problems.append(
            "use_peft with a vLLM server is not supported: its weights could not be checked. Use vllm_mode colocate."
        )
    return problems


def _sft(request: Any) -> list[str]:
    arguments, task, problems = request.arguments, request.spec.task, []
    is_generated = isinstance(task, Generated)
    needed = task.prompt_tokens + task.long_tokens if is_generated else 0
    max_length = request.trainer_value("max_length")
    if isinstance(max_length, int) and max_length < needed:
        problems.append(
            f"max_length is {max_length}, but prompt and long demonstration need {needed} tokens: long demonstrations "
            f"would lose their answer and end. Set max_length to {needed} or more, or to null."
        )
    if name := arguments.model_name_or_path:
        folder = model_folder(request)
        return problems + (
            checkpoints.misfits(folder, request.spec.to_mapping(), request.spec.task) if folder else _missing(name)
        )
    if not is_generated:
        problems.append(
            "a corpus in words needs a model that has seen words: set model_name_or_path to a folder or a hub id. (Models from "
            "scratch have the vocabulary of a generated task.)"
        )
    for key in ("num_layers", "hidden_size", "num_heads", "intermediate_size"):
        if getattr(arguments, key) < 1:
            problems.append(f"{key} is {getattr(arguments, key)}: it must be 1 or more.")
    if arguments.num_heads >= 1 and arguments.hidden_size % arguments.num_heads:
        problems.append(
            f"hidden_size {arguments.hidden_size} is not divisible by num_heads {arguments.num_heads}: heads share the "
            f"width equally. Change one of them."
        )
    if 0 < arguments.max_positions < needed:
        remedy = "Raise max_positions, or leave it at 0, or make the task smaller (for parity: lower d)"
        problems.append(checkpoints.too_long(task.prompt_tokens, task.long_tokens, arguments.max_positions, remedy))
    return problems


def _grpo(request: Any) -> list[str]:
    problems = _rewards(request) + _truncation(request) + _batches(request) + _sampling(request) + _vllm(request)
    name, folder = request.arguments.model_name_or_path, model_folder(request)
    if folder is None:
        return problems if request.is_default else problems + _missing(name or str(request.run_dir / "sft"))
    if not name and (left := checkpoints.steps_left(folder)):
        problems.append(
            f"next-token prediction in {folder.parent} has {left} steps to go: RL would start from a model that is not "
            f"finished. Run recipes/sft.py to its end, or name the checkpoint with --model_name_or_path {folder}."
        )
    return problems + checkpoints.misfits(folder, request.spec.to_mapping(), request.spec.task)


def _sampling(request: Any) -> list[str]:
    """Rollouts must come from the policy itself, and the loss must be one whose weighing of lengths is known."""
    problems = []
    for key, neutral in (("top_p", 1.0), ("top_k", 0), ("min_p", None), ("repetition_penalty", 1.0)):
        value = request.trainer_value(key)
        if value not in (neutral, None):
            problems.append(
                f"{key} is {value}: rollouts must be sampled from the policy itself, or the policy gradient and every "
                f"long share measured on them are biased. Leave {key} out; temperature is free."
            )
    temperature = request.trainer_value("temperature")
    if not isinstance(temperature, int | float) or temperature <= 0:
        problems.append(f"temperature is {temperature!r}: rollouts are sampled, so it must be a positive number.")
    choices = {"loss_type": list(LOSS_NORMALISATION), "scale_rewards": ["group", "batch", "none", "true", "false"]}
    for key, known in choices.items():
        value = str(request.trainer_value(key)).lower()
        if value not in known:
            problems.append(f"{key} is '{value}'{nearest(value, known)} It must be one of {', '.join(known)}.")
    return problems


def _vllm(request: Any) -> list[str]:
    arguments, problems = request.arguments, []
    for key, least in (("sync_check_every", 0), ("sync_tolerance", 0), ("vllm_request_timeout", 1)):
        if getattr(arguments, key) < least:
            problems.append(f"{key} is {getattr(arguments, key)}: it must be {least} or more.")
    if not request.use_vllm:
        if arguments.eval_backend == "vllm":
            problems.append("eval_backend is vllm, but the rollouts do not use it. Set use_vllm too.")
        return problems
    problems += support.problems()
    if (folder := model_folder(request)) is not None:
        problems += support.model_problems(folder)
    correction = request.trainer_value("vllm_importance_sampling_mode")
    if str(correction).startswith("sequence") and request.trainer_value("vllm_importance_sampling_correction"):
        problems.append(
            f"vllm_importance_sampling_mode is {correction}: a ratio over a whole sequence grows with its length, so it removes "
            f"or shrinks long responses first, which is what this program measures. Use token_truncate or token_mask."
        )
    if request.trainer_value("vllm_importance_sampling_correction") is False:
        problems.append(
            "vllm_importance_sampling_correction is false: the mismatch between vLLM and the trainer would be neither corrected "
            "nor measured. Leave it out; in float32 it changes nothing."
        )
    if request.trainer_value("off_policy_mask_threshold") is not None:
        problems.append(
            "off_policy_mask_threshold removes whole responses, long ones first, which is what this program measures. Leave it "
            "out; token-level correction is on."
        )
    if request.trainer_value("vllm_tensor_parallel_size") != 1:
        problems.append(
            "vllm_tensor_parallel_size is not 1: a colocated engine over several GPUs is not supported (its ranks would draw "
            "different tokens). Use vllm_mode server, whose recipes/serve.py takes --tensor_parallel_size."
        )
    mode, modes = request.trainer_value("vllm_mode"), ("colocate", "server")
    if mode not in modes:
        problems.append(f"vllm_mode is '{mode}'{nearest(str(mode), modes)} It must be one of {', '.join(modes)}.")
    given = request.trainer_value("vllm_max_model_length")
    if isinstance(given, int) and given < request.tokens_needed:
        problems.append(
            f"vllm_max_model_length is {given}, but a prompt of {request.prompt_tokens} tokens and "
            f"max_completion_length need {request.tokens_needed}: vLLM would cut responses short. Leave it out (it is then as "
            f"long as needed), or raise it."
        )
    if support.is_cpu_build() and request.trainer_value("vllm_enable_sleep_mode"):
        problems.append("vllm_enable_sleep_mode is true: vLLM's CPU build cannot sleep. Leave it out.")
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
    task, limit = request.spec.task, request.trainer_value("max_completion_length")
    window = request.arguments.soft_overlong_tokens
    if isinstance(limit, int) and not 0 <= window <= limit:
        return [
            f"soft_overlong_tokens is {window}: it counts tokens below max_completion_length {limit}. Use 0 to {limit}."
        ]
    if not isinstance(task, Generated):  # known once the corpus is read and tokenised: training/text.py
        return []
    needed = task.long_tokens
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
    if batch % (per_device * world * accumulation):
        return [
            f"a generation batch of {batch} responses is no multiple of the {per_device * world * accumulation} that one "
            f"optimizer step takes, so a step would mix responses of several policies. Raise steps_per_generation."
        ]
    if batch // group > request.spec.n_rl > 0:
        return [
            f"a round takes {batch // group} prompts, but the RL split has {request.spec.n_rl} problems. Raise n_rl, or "
            f"lower per_device_train_batch_size."
        ]
    if batch % group:
        return [
            f"a generation batch holds {batch} responses (per_device_train_batch_size {per_device} × {world} processes "
            f"× {steps_per_generation} steps), which is no multiple of num_generations {group}: groups would be "
            f"split. Change one of them."
        ]
    return []


def _missing(name: str) -> list[str]:
    return [
        f"there is no complete checkpoint at {name}. Run recipes/sft.py with the same run_dir first, or name a folder with a model, or "
        f"a hub id (organisation/name), with --model_name_or_path."
    ]
