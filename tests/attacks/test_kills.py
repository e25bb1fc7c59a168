"""`kill -9` at any moment, saves included: the same command goes on, and ends with the bytes of a run that was left alone.

RARECOT_KILLS=20 python -m pytest tests/attacks/test_kills.py -s      # 100 kills: 20 of each of the five
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import yaml
from attacked_runs import contents, look_at
from conftest import ROOT

from rarecot import checkpoints
from rarecot.evaluation import records

pytestmark = pytest.mark.slow
KILLS = int(os.environ.get("RARECOT_KILLS", "3"))  # of each
TINY = ROOT / "recipes" / "parity" / "tiny"
ALIKE = ("--disable_tqdm", "true", "--eval_n", "8")
STAGES = {
    "sft": ("--max_steps", "30", "--save_steps", "3", "--eval_every", "4"),
    "grpo": ("--max_steps", "12", "--save_steps", "2", "--num_iterations", "2"),
    "star": ("--rounds", "4"),
}


def stage_command(stage, run_dir, *words, keep="2"):
    recipe = (ROOT / "recipes" / f"{stage}.py", "--config", TINY / f"{stage}.yaml")
    return [
        sys.executable,
        *map(str, (*recipe, "--run_dir", run_dir, "--save_total_limit", keep, *ALIKE, *STAGES[stage], *words)),
    ]


def run(command):
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]


@pytest.fixture(scope="module")
def ntp(tmp_path_factory):
    """A run of next-token prediction with ten checkpoints and no records, as far as its evaluations go."""
    folder = tmp_path_factory.mktemp("ntp") / "run"
    run(stage_command("sft", folder, keep="20"))
    return folder


@pytest.fixture(params=["sft", "grpo", "star", "sweep", "evaluation"])
def work(request, ntp, tmp_path):
    """The name of what is attacked, and what gives its command for a folder."""
    name = request.param
    if name == "evaluation":
        suite = tmp_path / "suite.yaml"
        suite.write_text("n: 16\ntemperatures: [0, 0.7]\nsamples: 2\n")

        def command(folder):
            if not folder.exists():
                shutil.copytree(ntp, folder)
            return [sys.executable, str(ROOT / "eval/run.py"), "--run", str(folder), "--suite", str(suite)]

    elif name == "sweep":
        stages = {
            "ntp": {"recipe": "sft", "config": str(TINY / "sft.yaml"), "grid": {"seed": [0, 1]}},
            "rl": {"recipe": "grpo", "after": "ntp", "config": str(TINY / "grpo.yaml")},
        }
        path = tmp_path / "sweep.yaml"
        path.write_text(
            yaml.safe_dump({"stages": stages, "figure": [{"plot": "final", "x": "seed"}], "shows": "It runs."})
        )

        def command(folder):
            words = ("--config", path, "--sweep_dir", folder, "--jobs", "2")
            return [sys.executable, str(ROOT / "recipes/sweep.py"), *map(str, words)]

    else:
        start = () if name == "sft" else ("--model_name_or_path", ntp / "sft")

        def command(folder):
            return stage_command(name, folder, *start)

    return name, command


def half_saved(folder):
    """Checkpoints that are being written or removed now."""
    found = [path for path in folder.rglob("checkpoint-*") if path.is_dir()]
    return {path for path in found if not (path / checkpoints.STAMP).is_file()}


def lines(folder):
    return sum(path.read_bytes().count(b"\n") for path in folder.rglob(records.FILE))


def wait_for_a_moment(process, folder, dice, usual):
    """Return in the middle of a save, just after a record was written, or at any time once something was written; or when the
    process has ended."""
    before, seen = half_saved(folder), lines(folder)
    kind = dice.choice(("save", "record", "any"))
    began = time.monotonic()
    while process.poll() is None:
        if kind == "save" and half_saved(folder) - before:
            time.sleep(dice.uniform(0, 0.05))
            return
        if kind == "record" and lines(folder) > seen:
            time.sleep(dice.uniform(0, 0.02))
            return
        if kind == "any" and time.monotonic() - began > usual * (0.4 + 0.6 * dice.random()):  # before, it starts up
            return
        time.sleep(0.0005)


def processes_of(mark):
    """What `start` started with that mark, and what that has started, as far as it lives."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            found += [int(path.parent.name)] if f"RARECOT_ATTACK={mark}\0".encode() in path.read_bytes() else []
        except OSError:
            continue
    return found


def test_kills(work, tmp_path):
    name, command = work
    whole, dice, seconds = tmp_path / "attacked-not", random.Random(name), time.monotonic()
    run(command(whole))
    seconds, wanted = time.monotonic() - seconds, contents(whole)
    assert any(path.endswith(records.FILE) for path in wanted)
    killed, where = 0, Counter()
    while killed < KILLS:
        folder = tmp_path / f"attacked-{killed}"
        while killed < KILLS:
            process = start(command(folder), tmp_path)
            wait_for_a_moment(process, folder, dice, seconds)
            if process.poll() is None:
                os.kill(dice.choice(processes_of(tmp_path)), signal.SIGKILL)  # itself, or one that it started
                killed += 1
                where["in a save" if half_saved(folder) else "elsewhere"] += 1
            _, said = process.communicate()
            if process.returncode == 0:
                break
            assert_gone(tmp_path)
            look_at(folder)
        _, said = (process := start(command(folder), tmp_path)).communicate()
        assert process.returncode == 0, said[-3000:]
        found = contents(folder)
        assert sorted(found) == sorted(wanted)
        assert [path for path in wanted if found[path] != wanted[path]] == []
        shutil.rmtree(folder)
    print(f"\n{name}: {killed} kills, {dict(where)}")


def start(command, mark):
    """The command, in an environment by which `processes_of` finds it and all that it starts."""
    variables = {**os.environ, "RARECOT_ATTACK": str(mark)}
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=variables
    )


def assert_gone(mark):
    deadline = time.monotonic() + 20
    while (left := processes_of(mark)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left, "what it had started lives on"
