"""A request → TRL's config, by TRL's parser."""

import argparse
import os
from typing import Any

import torch
from trl import GRPOConfig, SFTConfig, TrlParser

from rarecot.errors import ConfigError
from rarecot.training.arguments import Request

_CONFIGS = {"sft": SFTConfig, "grpo": GRPOConfig}

# Where TRL's or transformers' default would surprise in this project. A YAML or the command line still overrides.
_DEFAULTS: dict[str, Any] = {
    "report_to": "none",
    "gradient_checkpointing": False,  # the models that fit a laptop need no memory saved
    "logging_steps": 10,
    "save_strategy": "steps",
    "save_only_model": False,
    "dataloader_pin_memory": False,
    "disable_tqdm": False,  # transformers hides its bar when its log level is quiet
}
_STAGE_DEFAULTS: dict[str, dict[str, Any]] = {
    "sft": {},
    "grpo": {
        "vllm_importance_sampling_mode": "token_truncate",  # TRL's sequence masks remove long responses first
        "logging_steps": 1,
    },
}


class _Parser(TrlParser):
    """TRL's parser, which reports a wrong value instead of printing hundreds of options and exiting."""

    def error(self, message: str) -> None:
        raise ConfigError([f"{message} (TRL's options; --help lists them)"])


def trl_config(request: Request) -> Any:
    """TRL's config of the stage: `SFTConfig` or `GRPOConfig`.

    Raises:
        ConfigError: a value of the wrong type, or a combination that TRL refuses.
    """
    parser = _Parser(_CONFIGS[request.stage], conflict_handler="resolve")
    asked_for_cpu = os.environ.get("ACCELERATE_USE_CPU", "false").lower() in ("1", "true")  # `accelerate launch --cpu`
    on_cpu = asked_for_cpu or not torch.cuda.is_available()
    computed = {"output_dir": str(request.output_dir), "seed": request.seed, "use_cpu": on_cpu, "bf16": not on_cpu}
    defaults = {**_DEFAULTS, **_STAGE_DEFAULTS[request.stage], **computed, **request.from_yaml}
    parser.set_defaults_with_config(**defaults)
    words = [word for key, values in request.from_command_line.items() for word in (f"--{key}", *values)]
    try:
        (config,) = parser.parse_args_into_dataclasses(args=words, look_for_args_file=False)
    except (ValueError, argparse.ArgumentError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError([f"TRL refuses the options of {request.stage}: {error}"]) from error
    if request.stage == "sft":  # tokens_seen in records; GRPO's trainer counts by itself. Not settable by the parser.
        config.include_num_input_tokens_seen = "non_padding"
    return config
