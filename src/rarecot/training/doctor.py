"""What of this machine works for rarecot, tried for real, and the remedy for what does not.

Every trial runs in a process of its own with a time limit: a crash or a hang is a finding, not the end.
"""

import atexit
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal

from rarecot.model_files import NO_CODE
from rarecot.sampling.vllm import support
from rarecot.training.rl.memory_plan import GIB, available_ram

LIMIT = 180  # seconds for one trial
LEAST_DISK, LEAST_RAM = 5, 4  # GiB: below, even the small recipes are in danger

State = Literal["ok", "absent", "FAIL"]


@dataclass(frozen=True)
class Finding:
    """What one trial found.

    Args:
        name: of the trial.
        state: `absent` is something optional that is not there.
        text: what was found.
        remedy: what to do about it; empty when nothing is needed.
    """

    name: str
    state: State
    text: str
    remedy: str = ""

    def __str__(self) -> str:
        line = f"{self.state:<7} {self.name:<16} {self.text}"
        return f"{line}\n{'':<24} → {self.remedy}" if self.remedy else line


def examine(folder: Path) -> list[Finding]:
    """All trials, in the order in which they build on each other.

    Args:
        folder: where runs will be written.
    """
    device = _tried("device")
    findings = [packages(), disk(folder), memory(), _device_in_words(device), _tried("gloo")]
    if device.state == "ok" and json.loads(device.text)["cuda"]:
        findings.append(_tried("nccl"))
    if found := support.problems():
        state = "absent" if support.installed() is None else "FAIL"
        return [*findings, Finding("vLLM", state, found[0], "" if state == "absent" else " ".join(found[1:]))]
    return [*findings, *(_tried(name) for name in ("vllm-import", "vllm-generate", "vllm-sync"))]


def packages() -> Finding:
    """Python and the declared dependencies, against the versions that are asked for."""
    from packaging.requirements import Requirement

    wrong, seen = [], []
    for text in requires("rarecot") or []:
        need = Requirement(text)
        if need.marker is not None and not need.marker.evaluate({"extra": ""}):
            continue
        try:
            found = version(need.name)
        except PackageNotFoundError:
            wrong.append(f"{need.name} is missing")
            continue
        seen.append(f"{need.name} {found}")
        if not need.specifier.contains(found, prereleases=True):
            wrong.append(f"{need.name} {found} is not {need.specifier}")
    python = f"Python {sys.version.split()[0]}"
    if wrong:
        return Finding("packages", "FAIL", "; ".join(wrong), "pip install -e . -c constraints.txt")
    shown = [
        text for text in seen if text.split()[0] in ("torch", "transformers", "trl", "accelerate", "peft", "datasets")
    ]
    return Finding("packages", "ok", ", ".join([python, *shown]))


def disk(folder: Path) -> Finding:
    """Free space where runs are written."""
    folder = next(parent for parent in (folder.resolve(), *folder.resolve().parents) if parent.is_dir())
    free = shutil.disk_usage(folder).free / GIB
    if free < LEAST_DISK:
        return Finding("disk", "FAIL", f"{free:.1f} GiB free in {folder}", "free some, or set run_dir to another disk")
    return Finding("disk", "ok", f"{free:.0f} GiB free in {folder}")


def memory() -> Finding:
    """Free main memory."""
    free = available_ram() / GIB
    if free < LEAST_RAM:
        return Finding(
            "memory", "FAIL", f"{free:.1f} GiB free", "stop other programs, or use a smaller model and batch"
        )
    return Finding("memory", "ok", f"{free:.0f} GiB free")


def _device_in_words(found: Finding) -> Finding:
    if found.state != "ok":
        return found
    seen = json.loads(found.text)
    if not seen["cuda"]:
        return Finding("device", "ok", f"CPU with {seen['threads']} threads; torch {seen['torch']} finds no GPU")
    return Finding("device", "ok", f"{', '.join(seen['names'])}; bfloat16 {'yes' if seen['bf16'] else 'no'}")


# What a trial prints on its last line is what it found.


def _try_device() -> str:
    import torch

    cuda = torch.cuda.is_available()
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if cuda else []
    bf16 = cuda and torch.cuda.is_bf16_supported()
    return json.dumps(
        {"cuda": cuda, "names": names, "bf16": bf16, "torch": torch.__version__, "threads": torch.get_num_threads()}
    )


def _broadcast(rank: int, backend: str, world: int, store: str) -> None:
    import torch
    from torch import distributed

    distributed.init_process_group(backend, init_method=f"file://{store}", rank=rank, world_size=world)
    device = f"cuda:{rank}" if backend == "nccl" else "cpu"
    tensor = torch.full((1000,), float(rank + 1), device=device)
    distributed.broadcast(tensor, src=0)
    assert tensor.eq(1.0).all(), "a broadcast did not arrive"
    distributed.destroy_process_group()


def _try_broadcast(backend: str) -> str:
    import torch
    from torch import multiprocessing

    world = torch.cuda.device_count() if backend == "nccl" else 2
    with tempfile.TemporaryDirectory() as folder:
        multiprocessing.spawn(_broadcast, (backend, world, f"{folder}/store"), nprocs=world)
    return f"a broadcast among {world} process{'' if world == 1 else 'es'} arrives"


def _try_vllm_import() -> str:
    support.prepare_environment()
    import vllm

    name, number = support.installed()
    return f"{name} {number} ({vllm.__name__} imports)"


def _try_vllm_generate() -> str:
    engine, tokenizer, folder = _tiny_engine()
    from transformers import AutoModelForCausalLM

    from rarecot.rendering import render_prompts
    from rarecot.sampling import SamplingParams
    from rarecot.sampling.hf import HfSampler
    from rarecot.sampling.vllm.sampler import VllmSampler

    prompts, params = render_prompts(tokenizer, ["0101=", "110="]), SamplingParams(8)
    ends = [tokenizer.eos_token_id]
    theirs = VllmSampler(engine, tokenizer, ends).sample(prompts, params)
    ours = HfSampler(AutoModelForCausalLM.from_pretrained(folder, **NO_CODE), tokenizer).sample(prompts, params)
    assert [c[0].token_ids for c in theirs] == [c[0].token_ids for c in ours], "greedy tokens differ from transformers'"
    return "two prompts, greedy, the same tokens as transformers"


def _try_vllm_sync() -> str:
    engine, _, folder = _tiny_engine()
    import torch
    from transformers import AutoModelForCausalLM

    from rarecot.sampling.vllm.weights import load

    model = AutoModelForCausalLM.from_pretrained(folder, **NO_CODE)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter))
    model.save_pretrained(folder)
    load(engine, folder)  # raises unless every matrix computes with what was written
    return "new weights arrive in every layer, the tied output head included"


def _tiny_engine() -> tuple:
    """An engine of a random Llama with a tied head."""
    support.prepare_environment()
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from rarecot.rendering import as_transformers_tokenizer
    from rarecot.sampling.vllm.sampler import open_engine
    from rarecot.tasks import Parity

    torch.manual_seed(0)
    tokenizer = as_transformers_tokenizer(Parity().tokenizer())
    shape = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
    special = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("pad", "bos", "eos")}
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=32,
        initializer_range=0.3,
        tie_word_embeddings=True,
        **shape,
        **special,
    )
    folder = Path(tempfile.mkdtemp(prefix="rarecot-doctor-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return open_engine(folder, max_tokens=32, gpu_memory=0.3), tokenizer, folder


TRIALS: dict[str, tuple[Callable[[], str], str]] = {
    "device": (_try_device, "reinstall torch for this machine (README, installation)"),
    "gloo": (
        lambda: _try_broadcast("gloo"),
        "check that this machine's own name resolves, or set GLOO_SOCKET_IFNAME=lo",
    ),
    "nccl": (lambda: _try_broadcast("nccl"), "check the driver with nvidia-smi; try NCCL_P2P_DISABLE=1"),
    "vllm-import": (_try_vllm_import, f"install it anew with {support.INSTALL}"),
    "vllm-generate": (_try_vllm_generate, "run recipes without use_vllm until this works"),
    "vllm-sync": (_try_vllm_sync, "do not train with use_vllm: rollouts would come from stale weights"),
}


def _tried(name: str) -> Finding:
    """A trial in a process of its own."""
    command = [sys.executable, "-c", f"from rarecot.training import doctor; print(doctor.TRIALS[{name!r}][0]())"]
    remedy = TRIALS[name][1]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        return Finding(name, "FAIL", f"no answer after {LIMIT} s", remedy)
    if result.returncode:
        last = (result.stderr.strip().splitlines() or [f"ended with status {result.returncode}"])[-1]
        return Finding(name, "FAIL", last, remedy)
    return Finding(name, "ok", result.stdout.strip().splitlines()[-1])
