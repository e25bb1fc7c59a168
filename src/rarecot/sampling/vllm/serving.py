"""How a vLLM server for rollouts is started: its command and its environment."""

import contextlib
import ipaddress
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

from rarecot.sampling.vllm import plugin, support

PROBE = "rarecot.sampling.vllm.probe.WorkerProbe"


def command(
    folder: Path,
    host: str = "127.0.0.1",
    port: int = 8000,
    dtype: str = "auto",
    max_model_len: int | None = None,
    gpu_memory_utilization: float = 0.9,
    tensor_parallel_size: int = 1,
) -> list[str]:
    """The words of `vllm serve` as TRL's client needs it, and with our weight probe.

    Args:
        folder: the checkpoint.
        host: address to listen on.
        port: to listen on.
        dtype: of weights and computation; `auto`: bfloat16 on a GPU, float32 on a CPU.
        max_model_len: prompt and response in tokens; None: the model's positions.
        gpu_memory_utilization: share of the device's memory.
        tensor_parallel_size: GPUs that share the model.
    """
    on_cpu = support.is_cpu_build()
    options = {
        "--model": str(folder),
        "--host": host,
        "--port": str(port),
        "--dtype": ("float32" if on_cpu else "bfloat16") if dtype == "auto" else dtype,
        "--tensor-parallel-size": str(tensor_parallel_size),
        "--gpu-memory-utilization": str(min(gpu_memory_utilization, 0.3) if on_cpu else gpu_memory_utilization),
        "--weight-transfer-config": json.dumps({"backend": plugin.GLOO if on_cpu else "nccl"}),
        "--logprobs-mode": "processed_logprobs",  # of the distribution that is sampled from
        "--max-logprobs": "-1",
        "--generation-config": "vllm",  # a model's own sampling settings must not bend the policy
        "--worker-extension-cls": PROBE,
        "--uvicorn-log-level": "warning",
    }
    if max_model_len is not None:
        options["--max-model-len"] = str(max_model_len)
    # `vllm serve` asks for the version of a distribution named vllm, which the CPU build is not; the module below does not.
    words = [sys.executable, "-P", "-m", "vllm.entrypoints.openai.api_server"]
    # On a CPU: without compiling, and without the prefill in parts that crashes seeded sampling (`sampler.engine_options`).
    switches = ["--enforce-eager", "--no-enable-chunked-prefill"] if on_cpu else []
    return [*words, *(word for pair in options.items() for word in pair), *switches]


def environment() -> dict[str, str]:
    """What the server needs in its environment, where the user has not set it."""
    settings = {"VLLM_SERVER_DEV_MODE": "1", "VLLM_NO_USAGE_STATS": "1"}
    if support.is_cpu_build():
        settings |= {"VLLM_CPU_KVCACHE_SPACE": "1"}
    return settings


def is_free(host: str, port: int) -> bool:
    """Whether nothing listens on a port yet."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's own, which nobody else reaches."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def follow(server: subprocess.Popen, log: Path | None) -> int:
    """Copy a server's output to our own, and to a log if there is to be one, until it ends; a signal to us ends it. Returns its exit status. What it started ends with it:
    an engine that outlives its server answers nobody.

    Args:
        server: leader of a session, with its output in a pipe.
        log: is overwritten; None: there is none.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        if signal.getsignal(number) != signal.SIG_IGN:  # as nohup asks
            signal.signal(number, lambda *_: server.terminate())
    if log is not None:
        log.parent.mkdir(parents=True, exist_ok=True)

    def copy() -> None:
        with log.open("wb", buffering=0) if log else contextlib.nullcontext() as file:
            for line in server.stdout:
                for place in filter(None, (file, sys.stdout.buffer)):
                    with contextlib.suppress(
                        OSError
                    ):  # a full disk, a reader that went: the server must not wait for either
                        place.write(line)
                        place.flush()

    copying = threading.Thread(target=copy)
    copying.start()
    status = server.wait()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    copying.join()
    return status
