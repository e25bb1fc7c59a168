"""A request → TRL's config, by TRL's parser."""

import argparse
import os
from typing import Any

import torch
import trl
from trl import ModelConfig, TrlParser

from rarecot.errors import ConfigError
from rarecot.stages import STAGES
from rarecot.training import batch
from rarecot.training.options import DEFAULTS
from rarecot.training.request import Request


class _Parser(TrlParser):
    """TRL's parser, which reports a wrong value instead of printing hundreds of options and exiting."""

    def error(self, message: str) -> None:
        raise ConfigError([f"{message} (TRL's options; --help lists them)"])


def trl_config(request: Request) -> tuple[Any, ModelConfig]:
    """TRL's config of the stage (`SFTConfig` or `GRPOConfig`), and of the model (data type, attention, LoRA).

    Raises:
        ConfigError: a value of the wrong type, or a combination that TRL refuses.
    """
    parser = _Parser((getattr(trl, STAGES[request.stage].config), ModelConfig), conflict_handler="resolve")
    asked_for_cpu = os.environ.get("ACCELERATE_USE_CPU", "false").lower() in ("1", "true")  # `accelerate launch --cpu`
    on_cpu = asked_for_cpu or not torch.cuda.is_available()
    computed = {"output_dir": str(request.output_dir), "seed": request.seed, "use_cpu": on_cpu, "bf16": not on_cpu}
    computed |= {"run_name": f"{request.run_dir.name}-{request.stage}", "project": "rarecot"}  # as trackers show them
    is_sft = STAGES[request.stage].config == "SFTConfig"
    if request.use_vllm and not is_sft:  # the tightest context that fits: less cache, and no guess of vLLM's
        computed["vllm_max_model_length"] = request.tokens_needed
    derived = {key: request.trainer_value(key) for key in batch.DERIVED} if request.arguments.global_batch_size else {}
    parser.set_defaults_with_config(**{**DEFAULTS[request.stage], **computed, **request.trainer, **derived})
    try:
        config, model_config = parser.parse_args_into_dataclasses(args=[], look_for_args_file=False)
    except (ValueError, TypeError, ImportError, NotImplementedError, argparse.ArgumentError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError([f"TRL refuses the options of {request.stage}: {error}"]) from error
    if is_sft:  # tokens_seen in records; GRPO's trainer counts by itself. Not settable by the parser.
        config.include_num_input_tokens_seen = "non_padding"
    wanted, step = request.arguments.global_batch_size, config.train_batch_size * config.gradient_accumulation_steps
    if wanted not in (0, step * config.world_size):
        raise ConfigError(
            [
                f"global_batch_size is {wanted}, but this process uses {config.n_gpu} GPUs at once and a step would hold "
                f"{step * config.world_size}. Start one process a GPU (accelerate launch), or set CUDA_VISIBLE_DEVICES to one."
            ]
        )
    return config, model_config
