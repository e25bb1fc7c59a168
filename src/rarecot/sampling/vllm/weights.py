"""Replacing the weights of a vLLM model that runs in this process."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from rarecot.sampling.vllm import probe, support

Named = Iterable[tuple[str, torch.Tensor]]


def engine_model(engine: Any) -> torch.nn.Module:
    """The model inside a `vllm.LLM` of this process."""
    return engine.llm_engine.model_executor.driver_worker.model_runner.model


def replace(engine: Any, named: Named) -> None:
    """Write parameters, under transformers' names, into an engine."""
    model = engine_model(engine)
    if support.is_cpu_build():
        repack(engine.llm_engine.vllm_config, model, named)
    else:
        for name, tensor in named:
            model.load_weights([(name, tensor)])
    engine.reset_prefix_cache()


def repack(vllm_config: Any, model: torch.nn.Module, named: Named) -> None:
    """Write parameters into a model of vLLM's CPU build, which computes with packed copies of its matrices.

    What upstream lacks (vLLM 0.32): the CPU build packs every linear layer for oneDNN after loading and drops the parameter,
    so a plain `load_weights` finds nothing to write to. Its own `reload_weights` unpacks, loads and packs again, but skips
    a tied output head, whose weight is in no checkpoint: the head would go on computing with the old embedding. `retie`
    packs it anew. Can go when vLLM's reload does that.
    """
    from vllm.config import set_current_vllm_config
    from vllm.model_executor.model_loader.reload.inplace import reload_weights

    with set_current_vllm_config(vllm_config):
        reload_weights(vllm_config, model, weights_iterator=named, weights_path=None, is_checkpoint_format=True)
    if model.config.tie_word_embeddings:
        retie(model)


def retie(model: torch.nn.Module) -> None:
    """Let a tied output head compute with the present embedding."""
    by_class = {type(module).__name__: module for module in model.modules()}
    head, embedding = by_class.get("ParallelLMHead"), by_class.get("VocabParallelEmbedding")
    if head is not None and embedding is not None:  # some models use one module for both
        head.weight = embedding.weight
        head.quant_method.process_weights_after_loading(head)


def load(engine: Any, folder: Path) -> None:
    """Replace an engine's weights by those of another checkpoint of the same shape, and make sure that they arrived.

    Raises:
        RuntimeError: see `verify`.
    """
    replace(engine, tensors(folder))
    verify(engine, folder)


def verify(engine: Any, folder: Path) -> None:
    """Make sure that an engine computes with a checkpoint's weights, as far as the probe sees them.

    Raises:
        RuntimeError: it does not; names the parameters.
    """
    model = engine_model(engine)
    transposed = {name for name, _ in tensors(folder) if model.config.model_type == "gpt2" and ".c_" in name}  # Conv1D
    tied = "lm_head.weight" if model.config.tie_word_embeddings else None
    ours = probe.probe_trainer(tensors(folder), transposed, tied)
    if wrong := probe.differing(probe.probe_engine(model), ours, next(model.parameters()).dtype):
        raise RuntimeError(f"vLLM does not compute with the weights in {folder}; these differ: {', '.join(wrong)}")


def tensors(folder: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """The parameters of a model folder, one at a time."""
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 (not a mapping)
                yield name, file.get_tensor(name)
