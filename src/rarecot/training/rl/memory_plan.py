"""What a round of RL will hold in memory and how much it will compute, said before anything is loaded.

Estimates for one device that shares nothing with others (FSDP and ZeRO need less): weights, gradients and AdamW's states
are exact; activations follow Korthikanti et al. 2022 (arXiv 2205.05198, 34·hidden bytes a token and layer in 16 bit,
2·hidden when recomputed). Logits are left out: TRL computes log-probabilities in chunks.
"""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rarecot import checkpoints, model_files
from rarecot.training.batch import world_size

GIB = 2**30
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True)
class MemoryPlan:
    """One round of RL, each of the sizes in bytes on one device.

    Args:
        prompts: of a round, over all processes.
        completions: of a round, over all processes.
        tokens: of a round at most: each completion as long as allowed, prompts included.
        steps: optimizer steps on a round's completions.
        parameters: of the model.
        training: weights, gradients and optimizer states in float32; a reference model with beta > 0; with LoRA the base alone.
        activations: of one micro-batch at its longest.
        engine: vLLM's copy of the weights, if it lives on this device.
        cache: its keys and values if all of this device's completions are as long as allowed; less is slower, not wrong.
        reserved: what vLLM takes of a GPU whatever it needs (vllm_gpu_memory_utilization of it); 0 on a CPU.
        takes_turns: training and vLLM do not hold their memory at the same time (sleep mode).
    """

    prompts: int
    completions: int
    tokens: int
    steps: int
    parameters: int
    training: int
    activations: int
    engine: int
    cache: int
    reserved: int
    takes_turns: bool

    @property
    def peak(self) -> int:
        """Bytes at most, on one device."""
        train, sample = self.training + self.activations, self.reserved or self.engine + self.cache
        return self.training + max(self.activations, sample) if self.takes_turns else train + sample


def plan(request: Any, folder: Path, gpu: int) -> MemoryPlan:
    """The plan of an RL request. Light: reads the checkpoint's config and file headers.

    Args:
        request: a checked request.
        folder: the checkpoint that RL starts from.
        gpu: bytes of one GPU's memory; 0: none is used.
    """
    value = request.trainer_value
    shape = model_files.shape(folder)
    parameters = checkpoints.parameters(folder)
    world = world_size()
    micro = value("per_device_train_batch_size")
    per_generation = value("steps_per_generation") or value("gradient_accumulation_steps")
    local = micro * per_generation
    if batch := value("generation_batch_size"):
        local = batch // world
    tokens = request.tokens_needed
    half = gpu > 0 and value("bf16") is not False
    dtype = request.arguments.vllm_dtype
    width = BYTES["bfloat16" if half else "float32"] if dtype == "auto" else BYTES[dtype]
    colocated = request.use_vllm and value("vllm_mode") == "colocate"
    recomputed = bool(value("gradient_checkpointing"))
    return MemoryPlan(
        prompts=local * world // value("num_generations"),
        completions=local * world,
        tokens=local * world * tokens,
        steps=max(1, local // (micro * value("gradient_accumulation_steps"))) * value("num_iterations"),
        parameters=parameters,
        training=parameters * _training_bytes(value),
        activations=activation_bytes(micro * tokens, shape["layers"], shape["hidden"], recomputed) * (1 if half else 2),
        engine=parameters * width if colocated else 0,
        cache=cache_bytes(local * tokens, shape["layers"], shape["kv_width"], width) if colocated else 0,
        reserved=int(gpu * value("vllm_gpu_memory_utilization")) if colocated else 0,
        takes_turns=colocated and bool(value("vllm_enable_sleep_mode")),
    )


def activation_bytes(tokens: int, layers: int, hidden: int, recomputed: bool) -> int:
    """Bytes that a backward pass needs of its forward pass, in 16 bit; twice as many in 32.

    Args:
        tokens: of a micro-batch.
        layers: of the model.
        hidden: width of a layer.
        recomputed: with gradient checkpointing: of each layer its input alone.
    """
    return tokens * layers * (2 if recomputed else 34) * hidden


def cache_bytes(tokens: int, layers: int, kv_width: int, width: int) -> int:
    """Bytes of keys and values.

    Args:
        tokens: held at once.
        layers: of the model.
        kv_width: keys of all heads.
        width: bytes of a number.
    """
    return 2 * layers * kv_width * width * tokens


def _training_bytes(value: Callable[[str], Any]) -> int:
    """Bytes a parameter: weight, gradient and AdamW's two states in float32; of a LoRA base the weight alone."""
    if value("use_peft") is True:
        return BYTES.get(value("dtype"), 4)
    return 16 + (4 if value("beta") else 0)


def cache_gib(plan: MemoryPlan) -> int:
    """Whole GiB that vLLM's CPU build should set aside for keys and values: what the plan needs, within a quarter of the
    memory."""
    return max(1, min(math.ceil(plan.cache / GIB), available_ram() // GIB // 4))


def describe(plan: MemoryPlan, available: int | None) -> str:
    """The plan as lines for the terminal, and what to change if it does not fit.

    Args:
        plan: the plan.
        available: bytes of the device; None if unknown.
    """
    lines = [
        f"a round: {plan.prompts} prompts, {plan.completions} completions, up to {plan.tokens:,} tokens, "
        f"{plan.steps} optimizer step{'' if plan.steps == 1 else 's'}",
        f"memory:  {_size(plan.training)} training ({plan.parameters:,} parameters) + {_size(plan.activations)} activations"
        + (f" + {_size(plan.engine)} vLLM weights + {_size(plan.cache)} its cache" if plan.engine else "")
        + f" → {_size(plan.peak)} at most"
        + (f" of {_size(available)}" if available else ""),
    ]
    if plan.reserved and plan.reserved < plan.engine + plan.cache:
        lines.append(
            f"vLLM gets {_size(plan.reserved)} of the GPU (vllm_gpu_memory_utilization): "
            + (
                "too little for the weights alone. Raise it."
                if plan.reserved < plan.engine
                else f"its cache holds {(plan.reserved - plan.engine) / plan.cache:.0%} of a round's completions at once."
            )
        )
    if available and plan.peak > available:
        lines.append("this does not fit. In this order: " + "; ".join(_remedies(plan)) + ".")
    return "\n".join(lines)


def available_ram() -> int:
    """Bytes of main memory that are free or can be freed, as Linux tells; all of it elsewhere."""
    info = Path("/proc/meminfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _remedies(plan: MemoryPlan) -> list[str]:
    remedies = []
    if plan.engine and not plan.takes_turns:
        remedies.append("vllm_enable_sleep_mode true (GPU), so that training and vLLM take turns")
    if plan.activations > plan.training:
        remedies.append("gradient_checkpointing true, or a smaller per_device_train_batch_size with more accumulation")
    if plan.engine:
        remedies.append("vllm_mode server, on another device")
    return [*remedies, "LoRA or a smaller model"]


def _size(number: int) -> str:
    return f"{number / GIB:.1f} GiB" if number >= GIB / 10 else f"{number / 2**20:.1f} MiB"
