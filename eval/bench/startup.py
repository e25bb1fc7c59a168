"""Start-up: until a command has said its help or its refusal, and until the first optimizer step of the tiny recipes."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from row import Row, compared, seconds, take_turns

ROOT = Path(__file__).parents[2]
PATIENCE = 1.5  # seconds that a help or a refusal may take
STAGES = ("sft", "grpo", "star", "reinforce")
TINY = {stage: f"recipes/parity/tiny/{stage}.yaml" for stage in STAGES}
# What each is refused for: a misspelt key and a wrong value of the recipes, and of every other command what comes first to hand.
REFUSED = {
    **{f"{stage}, a key": (f"recipes/{stage}.py", "--config", TINY[stage], "--learning_rat", "1") for stage in STAGES},
    **{f"{stage}, a value": (f"recipes/{stage}.py", "--config", TINY[stage], "--p_cot", "7") for stage in STAGES},
    **{name: (f"eval/{name}.py", "nowhere") for name in ("report", "browse", "card")},
    "compare": ("eval/compare.py", "nowhere", "nowhere"),
    "run": ("eval/run.py", "--run", "nowhere", "--n", "-1"),
    "plan": ("eval/plan.py", "--model", "nowhere"),
    "sweep": ("recipes/sweep.py", "--config", "nowhere"),
}
# Leaves at the end of the first optimizer step, whoever takes it.
FIRST_STEP = """
import os, runpy, sys
from rarecot.command_line import lasting_imports
with lasting_imports():
    from torch.optim.optimizer import register_optimizer_step_post_hook
register_optimizer_step_post_hook(lambda *_: os._exit(0))
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
os._exit(3)
"""
# vLLM hidden, as a run without it hides it: importing it with GRPO's trainer takes ten seconds more.
IMPORTS = """
import importlib, os
import torch, trl
importlib.import_module("trl.import_utils").is_vllm_available = lambda min_version=None: False
from trl import {}
os._exit(0)
"""


def rows(args: Any) -> Iterator[Row]:
    """The slowest help and the slowest refusal against the limit, the first steps against importing torch and TRL."""
    helps = {str(path.relative_to(ROOT)): (str(path.relative_to(ROOT)), "--help") for path in scripts()}
    some = 2 if args.small else None
    yield slowest("startup_help", dict(list(helps.items())[:some]), 0, args.repeats or 5)
    yield slowest("startup_refusal", dict(list(REFUSED.items())[:some]), 2, args.repeats or 5)
    with tempfile.TemporaryDirectory() as folder:
        for stage, trainer in (("sft", "SFTTrainer"), ("grpo", "GRPOTrainer")):
            yield first_step(stage, trainer, Path(folder), args.repeats or (1 if args.small else 5))


def scripts() -> list[Path]:
    """The recipes, and the commands of evaluation."""
    return [path for folder in ("recipes", "eval") for path in sorted((ROOT / folder).glob("*.py"))]


def slowest(name: str, commands: dict[str, tuple[str, ...]], code: int, repeats: int) -> Row:
    """The command that takes longest, of several; each as often, in turns, and started once before."""
    took = {key: [] for key in commands}
    bare = []
    for turn in range(1 + repeats):
        for key, words in commands.items():
            took[key].append(seconds(lambda words=words: python(*words, code=code)))
        bare.append(seconds(lambda: python("-c", "pass")))
        if turn == 0:
            took, bare = {key: [] for key in commands}, []
    medians = {key: float(np.median(values)) for key, values in took.items()}
    last = max(medians, key=medians.get)
    note = f"{last}, the slowest of {len(commands)} (median {np.median(list(medians.values())):.2f}); python alone {np.median(bare):.3f}"
    return compared(name, took[last], [PATIENCE], "s", "the limit", "≤ 1", note, seconds=medians, bare=bare)


def first_step(stage: str, trainer: str, folder: Path, repeats: int) -> Row:
    """From the command line to the end of the first optimizer step, beside a process that imports torch and TRL and leaves."""
    start, run = folder / "start", folder / "run"
    if stage != "sft" and not start.exists():
        python(*asked("sft", start))

    def ours() -> None:
        shutil.rmtree(run, ignore_errors=True)
        if stage != "sft":
            shutil.copytree(start, run)
        python("-c", FIRST_STEP, *asked(stage, run))

    took, imports = take_turns(ours, lambda: python("-c", IMPORTS.format(trainer)), repeats)
    note = f"with building the mixture, the model, and an evaluation of one problem; {trainer}; our imports switch the garbage collector off, plain ones do not"
    return compared(f"startup_{stage}", took, imports, "s", "importing torch and TRL", "≤ 1.5", note)


def asked(stage: str, run: Path) -> tuple[str, ...]:
    """The tiny recipe's command, of one step."""
    words = (f"recipes/{stage}.py", "--config", TINY[stage], "--run_dir", str(run), "--max_steps", "1", "--eval_n", "1")
    return words if stage == "sft" else (*words, "--model_name_or_path", str(run / "sft"))


def python(*words: str, code: int = 0) -> None:
    """Run this interpreter in the repository's root.

    Raises:
        RuntimeError: it left with another exit code.
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, *words], cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode != code:
        raise RuntimeError(f"{' '.join(words)} left with {done.returncode}:\n{done.stderr[-2000:]}")
