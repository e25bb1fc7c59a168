"""What would go wrong in RL, said before it starts. Light: no torch, no model; a check returns sentences."""

from typing import Any

from rarecot import checkpoints
from rarecot.errors import nearest
from rarecot.rewards import REWARDS
from rarecot.sampling.vllm import support
from rarecot.tasks import Generated
from rarecot.training.batch import world_size
from rarecot.training.rl.losses import LOSS_NORMALISATION, SEQUENCE_LEVEL
from rarecot.training.start import missing, model_folder
from rarecot.values import shown


def grpo(request: Any) -> list[str]:
    """Everything wrong with a request for GRPO."""
    return _common(request) + _batches(request) + _policy_gradient(request) + _vllm(request)


def reinforce(request: Any) -> list[str]:
    """Everything wrong with a request for REINFORCE."""
    problems, arguments = grpo(request), request.arguments
    if not 0 <= arguments.baseline_decay < 1:
        problems.append(
            f"baseline_decay is {arguments.baseline_decay}: it weighs the past, so it lies in [0, 1), 1 excluded."
        )
    if (loss := request.trainer_value("loss_type")) in LOSS_NORMALISATION and loss not in SEQUENCE_LEVEL:
        problems.append(
            f"loss_type is {loss}: REINFORCE weighs whole responses, and this loss weighs tokens by the length of their response or "
            f"batch. Use {' or '.join(SEQUENCE_LEVEL)}."
        )
    if request.trainer_value("multi_objective_aggregation") != "sum_then_normalize":
        problems.append(
            "multi_objective_aggregation is set, but REINFORCE sums rewards and normalises nothing. Leave it out."
        )
    if str(request.trainer_value("scale_rewards")).lower() not in ("none", "false"):
        problems.append(
            "scale_rewards is set, but REINFORCE takes rewards as they are (less the baseline). Leave it out, or use GRPO."
        )
    return problems


def star(request: Any) -> list[str]:
    """Everything wrong with a request for STaR."""
    problems, arguments, spec = _common(request), request.arguments, request.spec
    for key in ("rounds", "prompts_per_round", "max_completion_length"):
        if getattr(arguments, key) < 1:
            problems.append(f"{key} is {getattr(arguments, key)}: it must be 1 or more.")
    if 0 < spec.n_rl < arguments.prompts_per_round:
        problems.append(
            f"prompts_per_round is {arguments.prompts_per_round}, but the RL split has {spec.n_rl} problems. Raise n_rl, or lower it."
        )
    if (steps := request.trainer_value("max_steps")) not in (-1, None):
        problems.append(
            f"max_steps is {steps}: how many steps a round of STaR takes follows from what it keeps. Set rounds and num_train_epochs."
        )
    if (strategy := request.trainer_value("save_strategy")) != "steps":
        problems.append(f"save_strategy is {strategy}: a round of STaR ends with a checkpoint. Use steps.")
    if not request.trainer_value("num_train_epochs") > 0:
        problems.append("num_train_epochs is not positive: it counts passes over what a round keeps.")
    if request.use_vllm:
        problems += support.problems()
        if (folder := model_folder(request)) is not None:
            problems += support.model_problems(folder)
    return problems


def _common(request: Any) -> list[str]:
    problems = _rewards(request) + _truncation(request)
    temperature = request.value("temperature")
    if not isinstance(temperature, int | float) or temperature <= 0:
        problems.append(f"temperature is {temperature!r}: rollouts are sampled, so it must be a positive number.")
    name, folder = request.arguments.model_name_or_path, model_folder(request)
    if folder is None:
        return problems if request.start_comes_first else problems + missing(name or str(request.run_dir / "sft"))
    if not name and not request.start_comes_first and (left := checkpoints.steps_left(folder)):
        problems.append(
            f"next-token prediction in {folder.parent} has {left} steps to go: RL would start from a model that is not "
            f"finished. Run recipes/sft.py to its end, or name the checkpoint with --model_name_or_path {folder}."
        )
    trained_on = (checkpoints.read_stamp(folder) or {}).get("p_cot")
    if trained_on is not None and trained_on != request.spec.p_cot:
        problems.append(
            f"{folder} was trained with p_cot {trained_on}, but the mixture here says {request.spec.p_cot}: the run would be filed under "
            f"a share that it was not trained on. Set p_cot to {trained_on}, or start from another checkpoint."
        )
    return problems + checkpoints.misfits(folder, request.spec.to_mapping(), request.spec.task)


def _policy_gradient(request: Any) -> list[str]:
    """Rollouts must come from the policy itself, and the loss must be one whose weighing of lengths is known."""
    problems = []
    for key, neutral in (("top_p", 1.0), ("top_k", 0), ("min_p", None), ("repetition_penalty", 1.0)):
        value = request.trainer_value(key)
        if value not in (neutral, None):
            problems.append(
                f"{key} is {value}: rollouts must be sampled from the policy itself, or the policy gradient and every "
                f"long share measured on them are biased. Leave {key} out; temperature is free."
            )
    choices = {"loss_type": list(LOSS_NORMALISATION), "scale_rewards": ["group", "batch", "none", "true", "false"]}
    for key, known in choices.items():
        value = str(request.trainer_value(key)).lower()
        if value not in known:
            problems.append(
                f"{key} is {shown(value)}{nearest(value[:100], known)} It must be one of {', '.join(known)}."
            )
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
            problems.append(
                f"reward_funcs: unknown reward {shown(name)}{nearest(name[:100], REWARDS)} Known: {', '.join(REWARDS)}."
            )
    for key in ("false_positive_rate", "false_negative_rate"):
        if not 0 <= getattr(request.arguments, key) <= 1:
            problems.append(f"{key} is {getattr(request.arguments, key)}: it is a probability, between 0 and 1.")
    weights = request.value("reward_weights")
    weights = weights if isinstance(weights, list) or weights is None else [weights]
    if weights and len(weights) != len(names):
        problems.append(
            f"reward_weights has {len(weights)} entries for {len(names)} rewards ({', '.join(names)}). Give one each."
        )
    return problems


def _truncation(request: Any) -> list[str]:
    task, limit = request.spec.task, request.value("max_completion_length")
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
    world = world_size()
    steps_per_generation = request.trainer_value("steps_per_generation") or accumulation
    batch = request.trainer_value("generation_batch_size") or per_device * world * steps_per_generation
    if group < 2:
        return [
            f"num_generations is {group}: responses to one prompt are compared (and TRL needs as many), so it must be 2 or more."
        ]
    if batch % (per_device * world * accumulation):
        return [
            f"a generation batch of {batch} responses is no multiple of the {per_device * world * accumulation} that one "
            f"optimizer step takes, so a step would mix responses of several policies. Raise steps_per_generation."
        ]
    steps = batch // (per_device * world * accumulation) * (request.trainer_value("num_iterations") or 1)
    if steps > 1 and isinstance(apart := request.trainer_value("save_steps"), int) and apart % steps:
        return [
            f"save_steps is {apart}, but {steps} optimizer steps learn from one round of rollouts: a run that resumes in the middle of a "
            f"round could not go on as it was. Use a multiple of {steps}."
        ]
    if batch // group > request.spec.n_rl > 0:
        return [
            f"a round takes {batch // group} prompts, but the RL split has {request.spec.n_rl} problems. Raise n_rl, or "
            f"lower per_device_train_batch_size."
        ]
    if batch % group:
        fixed = request.arguments.global_batch_size
        parts = f"per_device_train_batch_size {per_device} × {world} processes × {steps_per_generation} steps"
        return [
            f"a generation batch holds {batch} responses ({f'global_batch_size {fixed}' if fixed else parts}), which is no multiple of num_generations {group}: groups would be "
            f"split. Change one of them."
        ]
    return []
