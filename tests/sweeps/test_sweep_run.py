"""A sweep by the real commands: skipped when done, resumed when killed, and a failing run does not take the others with it."""

import json
import shutil
import signal
import subprocess
import sys
import time

import pytest
import yaml
from conftest import ROOT, run_command

from rarecot import checkpoints
from rarecot.evaluation import records

TINY = ROOT / "recipes/parity/tiny"
pytestmark = pytest.mark.slow


@pytest.fixture
def config(tmp_path):
    """Two seeds of NTP, two temperatures of GRPO after each."""
    path = tmp_path / "sweep.yaml"
    stages = {
        "ntp": {"recipe": "sft", "config": str(TINY / "sft.yaml"), "grid": {"seed": [0, 1]}},
        "grpo": {
            "recipe": "grpo",
            "after": "ntp",
            "config": str(TINY / "grpo.yaml"),
            "grid": {"temperature": [0.7, 1.0]},
        },
    }
    figure = [{"plot": "final", "x": "temperature"}]
    path.write_text(yaml.safe_dump({"stages": stages, "figure": figure, "shows": "It runs."}, sort_keys=False))
    return path


def command(config, *more):
    return [sys.executable, str(ROOT / "recipes/sweep.py"), "--config", str(config), "--sweep_dir", "out", *more]


def test_a_sweep_runs_reports_and_is_skipped_when_done(config, tmp_path):
    result = run_command(*command(config, "--jobs", "2"), cwd=tmp_path, OMP_NUM_THREADS="1")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "[6/6]" in result.stdout
    out = tmp_path / "out"
    assert (out / "report.html").is_file()
    assert (out / "figures" / "overview.png").is_file()
    for entry in json.loads((out / "sweep.json").read_text())["runs"]:
        folder = checkpoints.newest(out / entry["run_dir"] / entry["recipe"])
        assert checkpoints.is_last(folder)
        made = [r for r in records.read(out / entry["run_dir"]) if r["stage"] == entry["recipe"]]
        assert {r["seed"] for r in made} == {entry["values"]["seed"]}
        if entry["recipe"] == "grpo":
            rollouts = [r for r in made if r["split"] == "rollouts"]
            assert {r["temperature"] for r in rollouts} == {entry["values"]["temperature"]}
    before = {path: path.stat().st_mtime_ns for path in out.rglob("records.jsonl")}
    again = run_command(*command(config), cwd=tmp_path)
    assert again.stdout.count(" known ") == 6
    assert before == {path: path.stat().st_mtime_ns for path in out.rglob("records.jsonl")}


def test_a_failing_run_is_named_and_the_others_go_on(config, tmp_path):
    """One NTP run finds another in its directory: what goes on from it is not run, the other seed is."""
    place = tmp_path / "out" / "ntp" / "seed=0"
    place.mkdir(parents=True)
    (place / "config.yaml").write_text("sft: {learning_rate: 5}")
    other = {"stage": "sft", "step": 0, "split": "test", "decoding": "greedy"}
    (place / "records.jsonl").write_text(json.dumps(other) + "\n")
    result = run_command(*command(config, "--jobs", "2"), cwd=tmp_path, OMP_NUM_THREADS="1")
    assert result.returncode == 1, result.stdout + result.stderr
    assert "3 of 6 runs did not come to their end: ntp seed=0; grpo seed=0,temperature=0.7" in result.stderr
    assert result.stdout.count(" done ") == 3
    assert "000-ntp-seed=0.log" in result.stdout
    report = run_command(sys.executable, ROOT / "eval/report.py", "out", cwd=tmp_path)
    assert "3 of 6 runs are missing" in report.stdout
    assert "out/ntp/seed=0" in report.stdout, "why a run is missing that has records"


def test_one_task_of_an_array_is_one_root_and_what_follows(config, tmp_path):
    result = run_command(*command(config, "--task", "1"), cwd=tmp_path, OMP_NUM_THREADS="1")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "[3/3]" in result.stdout
    assert sorted(p.name for p in (tmp_path / "out").rglob("seed=*")) == [
        "seed=1",
        "seed=1,temperature=0.7",
        "seed=1,temperature=1.0",
    ]
    beyond = run_command(*command(config, "--task", "2"), cwd=tmp_path)
    assert beyond.returncode == 2
    assert "the sweep has the tasks 0 to 1" in beyond.stderr


def test_a_sweep_that_is_stopped_in_its_last_run_is_not_over(config, tmp_path, monkeypatch):
    """And one whose run was stopped by somebody else neither waits for ever nor calls it done."""
    from rarecot import stopping
    from rarecot.errors import Stopped
    from rarecot.sweeps import local
    from rarecot.sweeps.spec import read_sweep

    sweep = read_sweep(config, tmp_path / "out", None)
    (tmp_path / "out").mkdir()
    monkeypatch.setattr(local, "command", lambda *_: [sys.executable, "-c", "print('saved'); raise SystemExit(75)"])
    monkeypatch.setattr(local, "is_done", lambda *_: False)
    outcomes = list(local.run_all(sweep.runs, sweep.dir, tmp_path, jobs=1))
    assert sorted(outcome.status for outcome in outcomes) == ["not run"] * 4 + ["stopped"] * 2
    shutil.rmtree(tmp_path / "out/logs")
    root = [run for run in sweep.runs if run.after is None][:1]
    made = local.run_all(root, sweep.dir, tmp_path, jobs=1)
    monkeypatch.setattr(stopping, "asked", lambda: bool(list((tmp_path / "out/logs").glob("*.log"))))
    with pytest.raises(Stopped, match=r"0 of 1 runs are done\. saved"):
        list(made)


def test_a_stopped_sweep_stops_its_runs_and_goes_on(config, tmp_path):
    process = subprocess.Popen(command(config), cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    log = tmp_path / "out" / "logs" / "000-ntp-seed=0.log"
    for _ in range(600):
        if log.is_file() and b"it/s" in log.read_bytes():
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 75
    listed = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True).stdout
    still = [line for line in listed.splitlines() if str(config) in line or f"{TINY}/sft.yaml --run_dir=out" in line]
    assert still == []
    result = run_command(*command(config, "--jobs", "2"), cwd=tmp_path, OMP_NUM_THREADS="1")
    assert result.returncode == 0, result.stdout + result.stderr
    for seed in (0, 1):
        greedy = [r["step"] for r in records.read(tmp_path / "out/ntp" / f"seed={seed}") if r["decoding"] == "greedy"]
        assert greedy == [0, 1, 2, 5, 10, 20]
