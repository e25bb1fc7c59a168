"""Where the numbers and words of options lie, as far as their types do not say it: ours, and those of TRL and transformers."""

# What a number may be where nothing else is said. The library's default always is.
USUAL = "[0, 1e12]"
_COUNT, _SHARE, _POSITIVE, _PORT = "[1, 1e12]", "[0, 1]", "(0, 1e12]", "[1, 65535]"
# Ours.
_OWN = {
    **dict.fromkeys(("eval_every", "eval_n", "eval_batch_size", "max_prompt_tokens", "vllm_request_timeout"), _COUNT),
    **dict.fromkeys(("rounds", "prompts_per_round"), _COUNT),
    **dict.fromkeys(("num_layers", "num_heads"), "[1, 1000]"),
    **dict.fromkeys(("hidden_size", "intermediate_size"), "[1, 1000000]"),
    "max_positions": "[0, 100000000]",
    "eval_temperature": _POSITIVE,
    "baseline_decay": "[0, 1)",
    **dict.fromkeys(("keep_from", "reward_weights"), "[-1e12, 1e12]"),
    **dict.fromkeys(("false_positive_rate", "false_negative_rate"), _SHARE),
}
# TRL's and transformers'.
_TRAINER = {
    **dict.fromkeys(
        ("per_device_train_batch_size", "per_device_eval_batch_size", "gradient_accumulation_steps"), _COUNT
    ),
    **dict.fromkeys(("max_steps", "save_total_limit", "eval_accumulation_steps", "torch_empty_cache_steps"), _COUNT),
    **dict.fromkeys(("dataloader_prefetch_factor", "dataset_num_proc", "pad_to_multiple_of", "max_length"), _COUNT),
    **dict.fromkeys(
        ("num_iterations", "steps_per_generation", "generation_batch_size", "ref_model_sync_steps"), _COUNT
    ),
    **dict.fromkeys(("max_completion_length", "vllm_max_model_length", "vllm_tensor_parallel_size"), _COUNT),
    **dict.fromkeys(("lora_r", "lora_alpha", "ddp_bucket_cap_mb", "num_completions_to_print"), _COUNT),
    **dict.fromkeys(("num_generations", "num_generations_eval"), "[2, 1e12]"),
    **dict.fromkeys(("num_train_epochs", "logging_steps", "eval_steps", "save_steps", "temperature"), _POSITIVE),
    **dict.fromkeys(("repetition_penalty", "vllm_server_timeout", "delta", "neftune_noise_alpha"), _POSITIVE),
    **dict.fromkeys(("vespo_k_pos", "vespo_lambda_pos", "vespo_k_neg", "vespo_lambda_neg"), _POSITIVE),
    **dict.fromkeys(("sapo_temperature_neg", "sapo_temperature_pos"), _POSITIVE),
    **dict.fromkeys(("adam_beta1", "adam_beta2", "lora_dropout", "label_smoothing_factor"), "[0, 1)"),
    **dict.fromkeys(("min_p", "ref_model_mixup_alpha", "top_entropy_quantile"), _SHARE),
    **dict.fromkeys(("top_p", "vllm_gpu_memory_utilization"), "(0, 1]"),
    **dict.fromkeys(("vllm_server_port", "vllm_group_port"), _PORT),
    "adam_epsilon": _POSITIVE,
    "dataloader_num_workers": "[0, 1024]",
    "ddp_timeout": "[1, 1000000000]",  # seconds, as a time delta
    "seed": "[0, 4294967295]",  # what NumPy's generators take
}
INTERVALS = {**_TRAINER, **_OWN}

# Options that count steps, or are a share of them where they lie below 1.
STEPS_OR_SHARE = ("logging_steps", "eval_steps", "save_steps", "warmup_steps")

NEEDS_EVALUATION = (
    "reduce_lr_on_plateau",
    "greedy",
)  # schedules that follow the trainer's own evaluation, of which there is none
_LEVELS = ("detail", "debug", "info", "warning", "error", "critical", "passive")
# Words that an option may be whose type in the library says only `str`.
CHOICES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("log_level", "log_level_replica"), _LEVELS),
    "include_for_metrics": ("inputs", "loss"),
    "attn_implementation": ("eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention"),
    "pad_to_multiple_of": ("auto",),
    "truncation_mode": ("keep_start",),
    "packing_strategy": ("bfd", "bfd_split", "wrapped"),
    "vllm_mode": ("colocate", "server"),
    "vllm_model_impl": ("vllm", "transformers"),
    "vllm_importance_sampling_mode": ("token_truncate", "token_mask", "sequence_truncate", "sequence_mask"),
    "importance_sampling_level": ("token", "sequence"),
    "multi_objective_aggregation": ("sum_then_normalize", "normalize_then_sum"),
    "scale_rewards": ("group", "batch", "none", "true", "false"),
    "dtype": ("auto", "float32", "bfloat16", "float16"),
    "torch_compile_mode": ("default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"),
    "lora_task_type": ("CAUSAL_LM",),
    "bnb_4bit_quant_type": ("nf4", "fp4"),
}


def interval(name: str) -> str:
    """Where an option's number lies, as an interval."""
    return INTERVALS.get(name, USUAL)
