"""What weights does a vLLM model really compute with? Found by feeding each matrix a known vector.

Reading parameters is not enough: a backend may compute with a packed copy that an update never reached, as vLLM's CPU
build does with a tied output head. So each layer is asked for W·x at some rows, and the trainer's own W·x is held against it.
"""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from rarecot.rendering import fingerprint_of_folder

ROWS = 64  # of each matrix, evenly spaced; an update that was missed changes all of them
# Of a parameter's largest value; measured on SmolLM2-135M: 1.4e-6, 6.3e-4, 5.9e-3.
TOLERANCE = {torch.float32: 2e-5, torch.float16: 3e-3, torch.bfloat16: 1.5e-2}

Probe = dict[str, list[float]]


class WorkerProbe:
    """Methods that a vLLM server's workers get (`--worker-extension-cls`), to be called by its `/collective_rpc`."""

    model_runner: Any

    def rarecot_probe(self) -> Probe:
        """See `probe_engine`."""
        return probe_engine(self.model_runner.model)

    def rarecot_identity(self) -> dict[str, Any]:
        """What is served: the model's config, and the fingerprint of its tokenizer."""
        model = self.model_runner.model_config
        return {"config": model.hf_config.to_dict(), "tokenizer": fingerprint_of_folder(Path(model.tokenizer))}


def probe_engine(model: torch.nn.Module) -> Probe:
    """The probe of a vLLM model, under the parameter names of the transformers model it was loaded from.

    Works for a model that is not sharded (tensor parallel size 1). Vectors (norms, biases) are read as they are.
    """
    packed: Mapping[str, list[str]] = getattr(model, "packed_modules_mapping", {})
    first = next(model.parameters())
    dtype, device = first.dtype, first.device
    result: Probe = {}
    handled: set[str] = set()
    for name, module in model.named_modules():
        method = getattr(module, "quant_method", None)
        if method is None or not hasattr(method, "apply"):
            continue
        prefix, _, last = name.rpartition(".")
        prefix = f"{prefix}." if prefix else ""
        if hasattr(module, "org_vocab_size"):  # an embedding or the output head; padded to a round size
            parts = {f"{name}.weight": _vocabulary(module, method, type(module).__name__ == "ParallelLMHead", dtype)}
        elif not hasattr(module, "input_size"):  # fused experts: left out, so `incomparable` names them
            continue
        else:
            values = method.apply(module, _vector(module.input_size).to(device, dtype)[None])[0]
            names = packed.get(last, [last])
            sizes = module.output_partition_sizes if len(names) > 1 else [len(values)]
            pieces = values.split(list(sizes))
            parts = {f"{prefix}{part}.weight": piece for part, piece in zip(names, pieces, strict=True)}
            if getattr(module, "bias", None) is not None:
                biases = module.bias.split(list(sizes))
                parts |= {f"{prefix}{part}.bias": piece for part, piece in zip(names, biases, strict=True)}
        handled |= {f"{name}.weight", f"{name}.bias"}
        result |= {part: _some(piece) for part, piece in parts.items()}
    for name, parameter in model.named_parameters():
        if name in handled:
            continue
        if parameter.dim() == 2:
            result[name] = _some(parameter.float() @ _vector(parameter.shape[1]).to(device))
        elif parameter.dim() == 1:
            result[name] = _some(parameter)
    return result


def probe_trainer(
    named: Iterable[tuple[str, torch.Tensor]], transposed: Iterable[str] = (), tied_head: str | None = None
) -> Probe:
    """The probe of a trainer's parameters.

    Args:
        named: parameters under transformers' names.
        transposed: names of matrices that are stored (in, out), as GPT-2's are.
        tied_head: name of the output head if it shares the input embedding, whose parameter alone is listed.
    """
    result, transposed = {}, set(transposed)
    for name, tensor in named:
        tensor = tensor.detach()
        if tensor.dim() == 2:
            matrix = tensor.T if name in transposed else tensor
            tensor = matrix.float() @ _vector(matrix.shape[1]).to(tensor.device)
        if tensor.dim() == 1:
            result[name] = _some(tensor)
            if tied_head is not None and name.endswith(("embed_tokens.weight", "wte.weight")):
                result[tied_head] = result[name]
    return result


def differing(engine: Probe, trainer: Probe, dtype: torch.dtype) -> list[str]:
    """Names of the parameters that an engine does not compute with as the trainer has them, sorted.

    Only names that both know are compared; see `incomparable`.
    """
    tolerance = TOLERANCE.get(dtype, TOLERANCE[torch.bfloat16])
    return sorted(name for name in engine.keys() & trainer.keys() if _distance(engine[name], trainer[name]) > tolerance)


def incomparable(engine: Probe, trainer: Probe) -> list[str]:
    """Names that only one of the two knows."""
    return sorted(engine.keys() ^ trainer.keys())


def _distance(a: list[float], b: list[float]) -> float:
    if len(a) != len(b):
        return math.inf
    scale = max((abs(value) for value in b), default=0.0) or 1.0
    return max((abs(x - y) for x, y in zip(a, b, strict=True)), default=0.0) / scale


def _vocabulary(module: Any, method: Any, is_head: bool, dtype: torch.dtype) -> torch.Tensor:
    """W·x of an embedding matrix at the rows that are kept: by its look-up, or for the output head by what it computes."""
    vector, device = _vector(module.embedding_dim), module.weight.device
    if is_head:
        return method.apply(module, vector.to(device, dtype)[None])[0][: module.org_vocab_size]
    return method.embedding(module, _rows(module.org_vocab_size).to(device)).float() @ vector.to(device)


def _vector(width: int) -> torch.Tensor:
    """The same vector for every matrix of this width, on both sides."""
    return torch.randn(width, generator=torch.Generator().manual_seed(width)) / math.sqrt(width)


def _some(values: torch.Tensor) -> list[float]:
    return values.detach()[_rows(len(values)).to(values.device)].float().cpu().tolist()


def _rows(length: int) -> torch.Tensor:
    return torch.linspace(0, length - 1, min(ROWS, length)).round().long()
