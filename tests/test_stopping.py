"""Being asked to stop: what entry scripts then do, and that a stage which was stopped ends with the records of one that was not."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest
from conftest import ROOT

from rarecot import stopping
from rarecot.errors import STOP_NOTE, Stopped, exit_with
from rarecot.evaluation import records


@pytest.fixture
def handlers(monkeypatch):
    monkeypatch.setattr(stopping, "_asked", [])
    before = {number: signal.getsignal(number) for number in stopping.SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", stopping.SIGNALS)
def test_a_signal_is_remembered(handlers, number):
    stopping.listen()
    assert not stopping.asked()
    signal.raise_signal(number)
    signal.raise_signal(number)
    assert stopping.asked()


def test_work_that_loses_nothing_is_left_at_once(handlers):
    stopping.leave_at_once()
    with pytest.raises(Stopped):
        signal.raise_signal(signal.SIGUSR1)
    signal.raise_signal(signal.SIGTERM)  # asked again while it leaves


def test_stopped_is_an_exit_code_of_its_own_or_a_note(monkeypatch, tmp_path, capsys):
    def main():
        raise Stopped("NTP is saved after step 3.")

    monkeypatch.delenv(STOP_NOTE, raising=False)
    with pytest.raises(SystemExit) as ended:
        exit_with(main)
    assert ended.value.code == 75
    assert "NTP is saved after step 3. The same command goes on from there." in capsys.readouterr().err
    monkeypatch.setenv(STOP_NOTE, str(tmp_path / "note"))
    with pytest.raises(SystemExit) as ended:
        exit_with(main)
    assert ended.value.code == 0
    assert (tmp_path / "note").read_text() == "NTP is saved after step 3.\n"


@pytest.mark.parametrize(("ends", "code"), [("pass", 0), ("raise Stopped('saved')", 75), ("raise RunError('lost')", 1)])
def test_one_of_several_processes_ends_with_all_that_it_had_to_say(ends, code):
    """Without the interpreter's teardown: what is buffered and what is registered for the end is not lost."""
    program = (
        "import atexit; from rarecot.errors import *; from rarecot.errors import Stopped\n"
        "atexit.register(lambda: print('registered'))\n"
        f"def main():\n    print('said')\n    {ends}\nexit_with(main)\n"
    )
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, env={**os.environ, "WORLD_SIZE": "2"}, capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (code, "said\nregistered\n")


# 16 RL prompts in rounds of 4: the fifth round begins a second pass over them.
STAGES = {"sft": (), "grpo": ("--max_steps", "10"), "reinforce": ("--max_steps", "10"), "star": ("--rounds", "3")}


def start(stage, run_dir, *words):
    script = (ROOT / "recipes" / f"{stage}.py", "--config", ROOT / f"recipes/parity/tiny/{stage}.yaml")
    command = [sys.executable, *script, "--run_dir", run_dir, "--disable_tqdm", "true", *STAGES[stage], *words]
    return subprocess.Popen(
        list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )


def ended(process):
    """Its exit code, and what it said on stderr."""
    _, said = process.communicate()
    return process.returncode, said


def without_seconds(run_dir):
    return [{**record, "seconds": 0} for record in records.read(run_dir)]


@pytest.fixture(scope="module")
def ntp(tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("ntp") / "run"
    code, said = ended(start("sft", run_dir))
    assert code == 0, said
    return run_dir


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_that_is_stopped_ends_as_if_it_had_not_been(stage, ntp, tmp_path):
    from_ntp = () if stage == "sft" else ("--model_name_or_path", ntp / "sft")
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    code, said = ended(start(stage, whole, *from_ntp))
    assert code == 0, said
    rng, codes = random.Random(stage), []
    while not codes or codes[-1] == 75:
        assert len(codes) < 12
        process = start(stage, stopped, *from_ntp)
        enough = len(records.read(stopped)) + rng.choice((2, 5, 9))
        while process.poll() is None and len(records.read(stopped)) < enough:
            time.sleep(0.01)
        if process.poll() is None:
            process.send_signal(rng.choice(stopping.SIGNALS))
        code, said = ended(process)
        codes.append(code)
        assert "Traceback" not in said
    assert codes[-1] == 0
    assert len(codes) > 2
    assert without_seconds(stopped) == without_seconds(whole)
    folders = [sorted(path.name for path in (run / stage).glob("checkpoint-*")) for run in (whole, stopped)]
    assert folders[0] == folders[1]  # what was saved only to stop is gone


@pytest.mark.slow
def test_an_evaluation_that_is_stopped_keeps_what_it_has(ntp, tmp_path):
    suite = tmp_path / "suite.yaml"
    suite.write_text(f"n: 16\ntemperatures: {[number / 20 for number in range(1, 19)]}\n")
    command = [sys.executable, str(ROOT / "eval/run.py"), "--run", str(ntp), "--suite", str(suite)]
    before = len(records.read(ntp))
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and len(records.read(ntp)) == before:
        time.sleep(0.01)
    process.send_signal(signal.SIGUSR1)
    code, said = ended(process)
    assert code == 75, said
    assert "evaluations are kept" in said
    kept = records.read(ntp)[before:]
    assert 1 <= len(kept) < 36
    assert subprocess.run(command, capture_output=True).returncode == 0
    assert records.read(ntp)[before : before + len(kept)] == kept
    assert len(records.read(ntp)) == before + 36  # two checkpoints, 18 temperatures
