"""What would go wrong later, said now: for every stage, and for next-token prediction (RL: `rl/checks.py`). Light: no torch, no
model; a check returns sentences."""

import importlib.util
from typing import Any

from rarecot import checkpoints
from rarecot.errors import ConfigError, nearest, unwritable
from rarecot.hub import is_hub_id
from rarecot.stages import STAGES
from rarecot.tasks import Generated
from rarecot.tasks.sources import missing_source, sources_of
from rarecot.training import batch
from rarecot.training.rl import checks as rl
from rarecot.training.start import missing, model_folder, tokenizer_of
from rarecot.values import shown


def check(request: Any) -> list[str]:
    """Everything wrong with a request that needs more than one of its values to see."""
    problems = _common(request)
    name = request.arguments.model_name_or_path
    if name and is_hub_id(name):
        try:
            model_folder(request)
        except ConfigError as error:
            return problems + error.problems
    if STAGES[request.stage].config == "SFTConfig":
        problems += _cut_off(request)
    problems += {"sft": _sft, "grpo": rl.grpo, "reinforce": rl.reinforce, "star": rl.star}[request.stage](request)
    return problems


def _common(request: Any) -> list[str]:
    arguments, spec, problems = request.arguments, request.spec, []
    if request.run_dir.exists() and not request.run_dir.is_dir():
        problems.append(f"run_dir is {request.run_dir}, which is a file. Name a folder, or one that is not there yet.")
    else:
        problems += unwritable(request.run_dir)
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
    problems += _not_resumable(request)
    problems += _trackers(request) + batch.problems(request)
    max_steps = request.trainer_value("max_steps")
    if spec.online and request.stage == "sft" and not (isinstance(max_steps, int) and max_steps > 0):
        problems.append("the mixture is online, so training has no natural end. Set max_steps.")
    return problems


def _not_resumable(request: Any) -> list[str]:
    """Options with which a run that is stopped could not go on as it was."""
    problems = []
    if request.trainer_value("save_only_model") is True:
        problems.append(
            "save_only_model is true: a run that is stopped would go on without its optimizer's state. Use save_total_limit to save space."
        )
    if (order := request.trainer_value("train_sampling_strategy")) == "group_by_length":
        problems.append(
            f"train_sampling_strategy is {order}: a run that is stopped would go on in another order. Leave it out; split_by_length "
            "saves the padding without it."
        )
    return problems


# Trackers that transformers reports to by their own package; what it knows beside these it checks itself.
_TRACKERS = (
    "trackio",
    "wandb",
    "tensorboard",
    "mlflow",
    "swanlab",
    "comet_ml",
    "clearml",
    "neptune",
    "codecarbon",
    "dvclive",
)


def _trackers(request: Any) -> list[str]:
    asked = request.trainer_value("report_to")
    problems = []
    for name in asked if isinstance(asked, list) else [asked]:
        if name in ("none", "all", None):
            continue
        if name not in _TRACKERS:
            problems.append(
                f"report_to is {shown(name)}{nearest(str(name)[:100], _TRACKERS)} Known: none, all, {', '.join(_TRACKERS)}."
            )
        elif importlib.util.find_spec(name) is None:
            extra = "pip install 'rarecot[trackers]'" if name in ("trackio", "tensorboard") else f"pip install {name}"
            problems.append(
                f"report_to is {name}, which is not installed. Install it ({extra}), or leave report_to out."
            )
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


def _cut_off(request: Any) -> list[str]:
    """Training examples of a generated task that would lose their end; those of a corpus are looked at once they are tokenised."""
    task, max_length = request.spec.task, request.trainer_value("max_length")
    needed = task.prompt_tokens + task.long_tokens if isinstance(task, Generated) else 0
    if not isinstance(max_length, int) or max_length >= needed:
        return []
    return [
        f"max_length is {max_length}, but prompt and long demonstration need {needed} tokens: long demonstrations "
        f"would lose their answer and end. Set max_length to {needed} or more, or to null."
    ]


def _sft(request: Any) -> list[str]:
    arguments, task, problems = request.arguments, request.spec.task, []
    is_generated = isinstance(task, Generated)
    needed = task.prompt_tokens + task.long_tokens if is_generated else 0
    if name := arguments.model_name_or_path:
        folder = model_folder(request)
        if folder is None:
            return problems if request.start_comes_first else problems + missing(name)
        return problems + checkpoints.misfits(folder, request.spec.to_mapping(), request.spec.task)
    named = arguments.tokenizer_name_or_path
    if not is_generated and not named:
        problems.append(
            "a corpus in words needs a model that has seen words: set model_name_or_path to a folder or a hub id. (Or, for a model from "
            "scratch, tokenizer_name_or_path: without it such a model has the vocabulary of a generated task.)"
        )
    if is_generated and named:
        problems.append(
            "tokenizer_name_or_path is set, but a generated task has a vocabulary of its own. Leave it out."
        )
    if named:
        try:
            tokenizer_of(request)
        except ConfigError as error:
            problems += error.problems
    for key in ("num_layers", "hidden_size", "num_heads", "intermediate_size"):
        if getattr(arguments, key) < 1:
            problems.append(f"{key} is {getattr(arguments, key)}: it must be 1 or more.")
    if arguments.num_heads >= 1 and arguments.hidden_size % arguments.num_heads:
        problems.append(
            f"hidden_size {arguments.hidden_size} is not divisible by num_heads {arguments.num_heads}: heads share the "
            f"width equally. Change one of them."
        )
    if 0 < arguments.max_positions < needed:
        remedy = (
            "Raise max_positions, or leave it at 0, or make the task smaller (parity: lower d; multiplication: digits)"
        )
        problems.append(checkpoints.too_long(task.prompt_tokens, task.long_tokens, arguments.max_positions, remedy))
    return problems
