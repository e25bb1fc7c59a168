"""Models: from scratch by shape, or from a checkpoint, whole or as an adapter."""

from pathlib import Path
from typing import Any

from peft import PeftConfig, PeftModel
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig, MistralConfig, PreTrainedModel, Qwen3Config
from trl import ModelConfig, get_peft_config

from rarecot import checkpoints, model_files
from rarecot.hub import is_hub_id
from rarecot.training.arguments import SftArguments
from rarecot.training.request import Request

_CONFIGS = {"llama": LlamaConfig, "mistral": MistralConfig, "qwen3": Qwen3Config}


def from_scratch(shape: SftArguments, tokenizer: Any, positions: int) -> PreTrainedModel:
    """A randomly initialised causal language model.

    Args:
        shape: architecture, depth, width.
        tokenizer: gives the vocabulary and the special ids.
        positions: longest sequence in tokens.
    """
    special = {
        "vocab_size": len(tokenizer),
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "tie_word_embeddings": shape.tie_embeddings,
    }
    if shape.model_type == "gpt2":
        config = GPT2Config(
            n_positions=positions,
            n_embd=shape.hidden_size,
            n_layer=shape.num_layers,
            n_head=shape.num_heads,
            n_inner=shape.intermediate_size,
            # Dropout would make RL's log-probabilities differ from those of the policy that sampled.
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            **special,
        )
    else:
        extra = {"head_dim": shape.hidden_size // shape.num_heads} if shape.model_type == "qwen3" else {}
        extra |= {"sliding_window": None} if shape.model_type == "mistral" else {}
        config = _CONFIGS[shape.model_type](
            max_position_embeddings=positions,
            hidden_size=shape.hidden_size,
            intermediate_size=shape.intermediate_size,
            num_hidden_layers=shape.num_layers,
            num_attention_heads=shape.num_heads,
            num_key_value_heads=shape.num_heads,
            **extra,
            **special,
        )
    return AutoModelForCausalLM.from_config(config)


def base_name(request: Request, folder: Path) -> str:
    """What an adapter to the model of a stage says it belongs to: its hub id, or the folder."""
    name = request.arguments.model_name_or_path
    return name if name and is_hub_id(name) else str(folder)


def pretrained(folder: Path, name: str, options: ModelConfig) -> tuple[Any, PeftConfig | None]:
    """A model to go on training, and the configuration of the adapter that is still to be put on it, if any.

    An adapter is continued where LoRA is asked for, and otherwise merged into its base: all of the model is trained then.

    Args:
        folder: the checkpoint.
        name: what a new adapter will say it belongs to: the checkpoint's path, or its hub id.
        options: data type, attention, LoRA.
    """
    how = {"dtype": options.dtype, "attn_implementation": options.attn_implementation, **model_files.NO_CODE}
    model = AutoModelForCausalLM.from_pretrained(checkpoints.weights_folder(folder), **how)
    if not checkpoints.is_adapter(folder):
        model.name_or_path = name
        return model, get_peft_config(options)
    model.name_or_path, _ = checkpoints.base_of(folder)
    adapter = PeftConfig.from_pretrained(folder)
    adapter.lora_dropout = options.lora_dropout
    model = PeftModel.from_pretrained(model, folder, config=adapter, is_trainable=options.use_peft)
    if options.use_peft:
        return model, None
    merged = model.merge_and_unload()
    merged.requires_grad_(True)  # the adapter had frozen it
    return merged, None
