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


def training_flops(model: Model, rows: Sequence[tuple[int, int]]) -> float:
    """FLOPs that a step on these sequences needs: nothing for padding, for what is computed twice to save memory, or for the output
    matrix at tokens without a label. 6·(N − V·h) + 6·L·h·T a token of a sequence of T, and 6·V·h a labelled one: three forward passes'
    worth of 2 FLOPs a parameter, and of attention to half of the sequence on average (Kaplan et al. 2020, arXiv 2001.08361, section
    2.1; Chowdhery et al. 2022, arXiv 2204.02311, appendix B, halved because the model is causal).

    Args:
        model: its shape, with a tied output matrix or its own.
        rows: tokens and labelled tokens of each sequence.
    """
    head = 2 * model.vocabulary * model.hidden
    return sum(3 * (length * model.forward(length) - (length - labelled) * head) for length, labelled in rows)


def flops_by_the_book(model: Model, rows: Sequence[tuple[int, int]]) -> float:
    """As that appendix counts, which others report: 6·N + 12·L·h·T for every token that is no padding.

    Args:
        model: its shape.
        rows: as of `training_flops`.
    """
    return sum(3 * length * model.forward(2 * length) for length, _ in rows)


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
