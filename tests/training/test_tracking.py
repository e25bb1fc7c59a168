"""What trackers are told, and by which names: those are kept."""

import json
import sqlite3

import pytest
from conftest import run_command

from rarecot.training.tracking import tracked

RECORD = {"stage": "grpo", "step": 3, "split": "test", "decoding": "greedy", "protocol": "native"}
MEASURED = {"accuracy": 0.5, "long_share": 0.25, "length_median": 3.0, "accuracy_short": None, "accuracy_ci": [0, 1]}


def test_names():
    assert tracked({**RECORD, **MEASURED}) == {
        "eval_greedy/accuracy": 0.5,
        "eval_greedy/long_share": 0.25,
        "eval_greedy/length_median": 3.0,
    }
    rollouts = {**RECORD, "split": "rollouts", "decoding": "sampled", "reward_mean": 1, "round": 2}
    assert tracked(rollouts) == {"rollouts/reward_mean": 1.0, "rollouts/round": 2.0}


@pytest.mark.parametrize("changes", [{"protocol": "meta-8shot"}, {"suite": "math-500"}])
def test_other_protocols_and_problems_are_no_curve(changes):
    assert tracked({**RECORD, **MEASURED, **changes}) == {}


def records_of(run):
    return [json.loads(line) for line in (run / "records.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_real_trackers_show_what_the_records_say(tmp_path):
    """The tiny defaults with trackio and TensorBoard, whose files are read back: every evaluation, at its step, once."""
    pytest.importorskip("trackio", reason="trackio is not installed: pip install 'rarecot[trackers]'")
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run, store = tmp_path / "run", tmp_path / "trackio"
    for stage, tracker in (("sft", "tensorboard"), ("grpo", "trackio"), ("star", "trackio")):
        words = ["--run_dir", run, "--disable_tqdm", "true", "--report_to", tracker]
        result = run_command("python", f"recipes/{stage}.py", *words, TRACKIO_DIR=str(store))
        assert result.returncode == 0, result.stderr[-2000:]
    kept = {(r["stage"], r["step"], r["split"], r["decoding"]): r for r in records_of(run)}

    [folder] = (run / "sft" / "runs").iterdir()
    events = accumulator.EventAccumulator(str(folder))
    events.Reload()
    for decoding in ("greedy", "sampled"):
        shown = {scalar.step: scalar.value for scalar in events.Scalars(f"eval/{decoding}/accuracy")}
        wanted = {step: r["accuracy"] for (s, step, _, d), r in kept.items() if (s, d) == ("sft", decoding)}
        assert shown == pytest.approx(wanted)

    [database] = store.glob("*.db")
    with sqlite3.connect(database) as connection:
        rows = connection.execute("SELECT run_name, metrics FROM metrics ORDER BY rowid").fetchall()
    for stage in ("grpo", "star"):
        told = [json.loads(metrics) for name, metrics in rows if name == f"run-{stage}"]
        for split, key, decoding in (
            ("test", "eval/greedy/long_share", "greedy"),
            ("test", "eval/sampled/long_share", "sampled"),
            ("rollouts", "train/rollouts/long_share", "sampled"),
        ):
            shown = [(m["train/global_step"], m[key]) for m in told if key in m]
            which = (stage, split, decoding)
            assert shown == [(k[1], r["long_share"]) for k, r in kept.items() if (k[0], *k[2:]) == which], (stage, key)
    steps = [
        json.loads(metrics)["train/global_step"]
        for name, metrics in rows
        if name == "run-star" and b"train/epoch" in metrics
    ]
    assert steps == sorted(set(steps)), "the rounds' own steps go on, though each trainer counts from 0"
    assert len(steps) >= 3


def test_a_tracker_that_is_not_there_is_refused_before_anything_loads(tmp_path):
    for name, said in (("neptune", "pip install neptune"), ("trackioo", "did you mean 'trackio'")):
        result = run_command("python", "recipes/sft.py", "--run_dir", tmp_path / "run", "--report_to", name)
        assert result.returncode == 2
        assert said in result.stderr
