"""What the GPU can multiply, measured and by its data sheet, and what a model's training multiplies."""

import shutil
import subprocess
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from rarecot.training.rl.scale import Machine, Model

# Words of the device's name → dense bfloat16, FLOPs a second, by NVIDIA's data sheets; the first that fits counts.
SHEETS = {
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": Machine.flops,  # SXM
    "H200 NVL": 835e12,
    "H200": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "RTX 4090": 165e12,
}
SIDE = {"cuda": 8192, "cpu": 256}  # rows and columns of a matrix
REPEATS = 10


def sheet(name: str) -> float | None:
    """FLOPs a second that a card is sold with; None: it is not in the list."""
    return next((flops for words, flops in SHEETS.items() if words in name), None)


def matmul_peak() -> list[float]:
    """FLOPs a second of multiplying square bfloat16 matrices, of several turns."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    side = SIDE[device]
    a, b = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    result = torch.empty_like(a)
    rates = []
    for _ in range(1 + REPEATS):
        _wait()
        started = time.perf_counter()
        for _ in range(REPEATS):
            torch.matmul(a, b, out=result)
        _wait()
        rates.append(2 * side**3 * REPEATS / (time.perf_counter() - started))
    return rates[1:]


def training_flops(model: Model, lengths: Sequence[int], looks_back: float = 0.5) -> float:
    """FLOPs of a step on sequences of these lengths, without padding and without what is computed a second time to save memory.

    Three forward passes' worth, each of 2·N FLOPs a token, N the parameters with the output matrix (Kaplan et al. 2020, arXiv
    2001.08361, section 2.1), and of 4·L·h·(tokens looked back at) for attention (Chowdhery et al. 2022, arXiv 2204.02311, appendix B).

    Args:
        model: its shape.
        lengths: of the sequences, in tokens.
        looks_back: share of its sequence that a token looks back at: 0.5 as a causal model does, so 6·N + 6·L·h·T a token; 1 as
            that appendix counts, 6·N + 12·L·h·T.
    """
    return sum(3 * length * model.forward(round(2 * looks_back * length)) for length in lengths)


def machine() -> dict[str, Any]:
    """The device, for the JSON: name, memory in GiB, driver, CUDA, the data sheet's and the measured FLOPs a second."""
    rates = matmul_peak()
    found: dict[str, Any] = {"device": "cpu", "peak_measured": float(np.median(rates)), "peak_range": _range(rates)}
    if not torch.cuda.is_available():
        return found
    properties = torch.cuda.get_device_properties(0)
    found |= {"device": properties.name, "memory_gib": round(properties.total_memory / 2**30, 1)}
    found |= {"driver": _driver(), "cuda": torch.version.cuda, "peak_sheet": sheet(properties.name)}
    return found


def _driver() -> str | None:
    """The version of NVIDIA's driver; None: nobody tells."""
    if shutil.which("nvidia-smi") is None:
        return None
    words = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    told = subprocess.run(words, capture_output=True, text=True, timeout=30)
    return told.stdout.splitlines()[0].strip() if told.returncode == 0 and told.stdout else None


def _range(values: Sequence[float]) -> list[float]:
    return [float(value) for value in np.quantile(values, (0.1, 0.9))]


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
