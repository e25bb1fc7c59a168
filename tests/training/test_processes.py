"""Two and three processes train as one does: the same curve, every demonstration once, rollouts of their own. Over gloo, on the CPU."""

import json
import os
import shutil
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, run_command

from rarecot.evaluation import records

pytestmark = pytest.mark.slow

PORTS = iter(range(29740, 29800))
BESIDE = (
    Path(sys.prefix) / "beside"
)  # where DeepSpeed lies: what imports it when it finds it must not find it elsewhere
CPU = {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}


def train(processes, script, *words, **variables):
    launch = ("torchrun", "--nproc_per_node", str(processes), "--master_port", str(next(PORTS)), "--")
    start = launch if processes > 1 else ("python",)
    quiet = ("--disable_tqdm", "true", "--logging_steps", "1")
    result = run_command(*start, *script, *words, *quiet, **CPU, **variables)
    assert result.returncode == 0, result.stderr
    return result


def tiny(stage):
    return (ROOT / "recipes" / f"{stage}.py", "--config", ROOT / f"recipes/parity/tiny/{stage}.yaml")


def seeing(stage, folder):
    folder.mkdir()
    script = (ROOT / "tests/training/seeing.py", stage, folder)
    return (*script, "--config", ROOT / f"recipes/parity/tiny/{stage}.yaml")


def seen(folder):
    """What each process saw, by rank."""
    return [[json.loads(line) for line in path.read_text().splitlines()] for path in sorted(folder.glob("*.jsonl"))]


def logged(run_dir, name):
    folder = max((run_dir / "sft").glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    history = json.loads((folder / "trainer_state.json").read_text())["log_history"]
    return [entry[name] for entry in history if "loss" in entry]


def without_seconds(run_dir):
    return [{**record, "seconds": 0} for record in records.read(run_dir)]


def interrupted(run_dir, copy):
    """As if a run had been killed after step 10, in the middle of an epoch that is not the first."""
    shutil.copytree(run_dir, copy)
    for step in (20, 22):
        shutil.rmtree(copy / f"sft/checkpoint-{step}")


STEP = ("--n", "29", "--max_steps", "22", "--global_batch_size", "12")  # 29 demonstrations: no step divides an epoch


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("one") / "run"
    train(1, tiny("sft"), *STEP, "--per_device_train_batch_size", "6", "--run_dir", run_dir)
    return run_dir


@pytest.mark.parametrize(("processes", "held"), [(2, 6), (3, 2)])
def test_the_curve_is_that_of_one_process(one, tmp_path, processes, held):
    result = train(processes, tiny("sft"), *STEP, "--per_device_train_batch_size", held, "--run_dir", tmp_path / "run")
    said = (
        f"a step: 12 demonstrations = {held} a process × {12 // held // processes} accumulated × {processes} processes"
    )
    assert said in result.stdout.splitlines()
    for name in ("loss", "grad_norm"):
        assert logged(tmp_path / "run", name) == pytest.approx(logged(one, name), abs=1e-4)
    assert len(logged(one, "loss")) == 22
    greedy = [r for r in without_seconds(tmp_path / "run") if r["decoding"] == "greedy"]
    assert greedy == [r for r in without_seconds(one) if r["decoding"] == "greedy"]


@pytest.mark.parametrize(("processes", "held"), [(2, 4), (3, 3)])
def test_an_epoch_shows_every_demonstration_once(tmp_path, processes, held):
    words = ("--n", "29", "--max_steps", "-1", "--num_train_epochs", "2", "--run_dir", tmp_path / "run")
    train(processes, seeing("sft", tmp_path / "seen"), *words, "--per_device_train_batch_size", held)
    ranks = seen(tmp_path / "seen")
    shown = Counter(tuple(row["ids"]) for rank in ranks for row in rank if not row["blank"])
    assert len(shown) == 29
    assert set(shown.values()) == {2}
    assert len({len(rank) for rank in ranks}) == 1
    last = records.read(tmp_path / "run")[-1]
    assert last["sequences_seen"] == 2 * 29
    assert last["tokens_seen"] == sum(len(ids) * times for ids, times in shown.items())


def test_a_stream_goes_to_the_processes_in_its_order_and_each_demonstration_to_one(tmp_path):
    step = ("--online", "true", "--n", "10", "--max_steps", "10", "--global_batch_size", "12")
    for processes in (1, 2):
        words = (*step, "--per_device_train_batch_size", "3", "--run_dir", tmp_path / f"run-{processes}")
        train(processes, seeing("sft", tmp_path / f"seen-{processes}"), *words)
    (alone,), ranks = seen(tmp_path / "seen-1"), seen(tmp_path / "seen-2")
    for step in range(10):
        of_all = [row["ids"] for rank in ranks for row in rank if row["step"] == step]
        assert Counter(map(tuple, of_all)) == Counter(tuple(row["ids"]) for row in alone if row["step"] == step)
    long = [len(row["ids"]) > 10 for rank in ranks for row in rank]
    assert sum(long) / len(long) == 0.5  # 12 blocks of 10, each with exactly half


def test_rollouts_differ_between_processes_and_prompts_come_once_a_pass(one, tmp_path):
    words = ("--run_dir", tmp_path / "run", "--model_name_or_path", one / "sft", "--per_device_train_batch_size", "4")
    train(2, seeing("grpo", tmp_path / "seen"), *words, "--global_batch_size", "16", "--num_generations", "2")
    ranks = seen(tmp_path / "seen")
    passed = Counter((row["problem"], row["step"] // 2) for rank in ranks for row in rank)
    assert set(passed.values()) == {2}  # 8 prompts × 2 responses a round, 16 prompts: a pass is two rounds
    assert {len({name for name, _ in passed if _ == number}) for number in (0, 1)} == {16}
    assert not {r["problem"] for r in ranks[0] if r["step"] < 2} & {r["problem"] for r in ranks[1] if r["step"] < 2}
    assert [r["ids"] for r in ranks[0]] != [r["ids"] for r in ranks[1]]


def test_star_learns_from_each_kept_response_once_an_epoch(one, tmp_path):
    import pyarrow.parquet as pq

    words = ("--run_dir", tmp_path / "run", "--model_name_or_path", one / "sft", "--rounds", "1", "--keep_from", "0")
    many = ("--prompts_per_round", "13", "--per_device_train_batch_size", "3")
    train(2, seeing("star", tmp_path / "seen"), *words, *many)
    rows = pq.read_table(tmp_path / "run/star/round-001/samples.parquet").to_pylist()
    ranks = seen(tmp_path / "seen")
    kept = Counter(tuple(row["ids"]) for row in rows for _ in range(2))  # two epochs
    shown = [row["ids"] for rank in ranks for row in rank if not row["blank"]]
    prompt = len(shown[0]) - next(n for n in range(len(shown[0])) if tuple(shown[0][n:]) in kept)
    assert len(shown) == 2 * 13
    assert prompt
    assert sum(kept.values()) == 2 * 13
    last = records.read(tmp_path / "run")[-1]
    assert last["tokens_seen"] == sum(map(len, shown))
    assert len({row["text"] for row in rows[:7]} | {row["text"] for row in rows[7:]}) > 1


def test_another_number_of_processes_may_go_on_with_the_same_step(one, tmp_path):
    interrupted(one, tmp_path / "run")
    launch = ("torchrun", "--nproc_per_node", "2", "--master_port", str(next(PORTS)), "--")
    other = ("--per_device_train_batch_size", "6", "--run_dir", tmp_path / "run", "--logging_steps", "1")
    larger = run_command(*launch, *tiny("sft"), *STEP[:4], *other, "--global_batch_size", "24", **CPU)
    assert larger.returncode
    assert "a step of 12 sequences (6 a process × 2 accumulated × 1 process) → 24" in larger.stderr
    result = train(2, tiny("sft"), *STEP, "--per_device_train_batch_size", "3", "--run_dir", tmp_path / "run")
    assert "sft goes on with 2 processes instead of 1" in result.stdout
    assert logged(tmp_path / "run", "loss") == pytest.approx(logged(one, "loss"), abs=1e-4)
    config = yaml.safe_load((tmp_path / "run/config.yaml").read_text())["sft"]
    assert (config["world_size"], config["gradient_accumulation_steps"]) == (2, 2)


def test_accelerate_launch_starts_processes_over_gloo(tmp_path):
    launch = ("accelerate", "launch", "--config_file", ROOT / "recipes/accelerate/gloo.yaml", "--num_processes", "2")
    words = ("--main_process_port", str(next(PORTS)), *tiny("sft"), "--run_dir", tmp_path / "run", "--max_steps", "2")
    result = run_command(*launch, *words, **CPU)
    assert result.returncode == 0, result.stderr
    assert "a step: 16 demonstrations = 8 a process × 1 accumulated × 2 processes" in result.stdout
    assert yaml.safe_load((tmp_path / "run/config.yaml").read_text())["sft"]["world_size"] == 2


def sharded(stage, *words, how="fsdp2"):
    """Two processes that share the weights, as accelerate launch starts them."""
    config = (
        "--config_file",
        ROOT / f"recipes/accelerate/{how}.yaml",
        "--mixed_precision",
        "no",
        "--num_processes",
        "2",
    )
    script = (ROOT / "tests/training/sharded_on_cpu.py", stage, "--config", ROOT / f"recipes/parity/tiny/{stage}.yaml")
    quiet = ("--disable_tqdm", "true", "--logging_steps", "1")
    launch = ("accelerate", "launch", *config, "--main_process_port", str(next(PORTS)))
    path = os.pathsep.join(filter(None, [str(BESIDE) if how != "fsdp2" else "", os.environ.get("PYTHONPATH", "")]))
    result = run_command(*launch, *script, *words, *quiet, **CPU, DS_ACCELERATOR="cpu", PYTHONPATH=path)
    assert result.returncode == 0, result.stderr
    return result


def test_sharded_weights_train_evaluate_save_and_resume_as_whole_ones(one, tmp_path):
    """FSDP2: the curve of one process, ordinary checkpoints, the same greedy records though processes have unequal numbers of batches."""
    from transformers import AutoModelForCausalLM

    words = (*STEP, "--per_device_train_batch_size", "6", "--run_dir", tmp_path / "run")
    sharded("sft", *words, "--eval_batch_size", "7", "--eval_n_last", "15")
    assert (tmp_path / "run/sft/checkpoint-22/pytorch_model_fsdp.bin").is_file(), "it was FSDP's"
    losses = logged(tmp_path / "run", "loss")
    assert losses == pytest.approx(logged(one, "loss"), abs=1e-4)
    greedy = [r for r in without_seconds(tmp_path / "run") if r["decoding"] == "greedy" and r["step"] < 22]
    assert greedy == [r for r in without_seconds(one) if r["decoding"] == "greedy" and r["step"] < 22]
    whole, there = (
        AutoModelForCausalLM.from_pretrained(folder / "sft/checkpoint-22").state_dict()
        for folder in (tmp_path / "run", one)
    )
    assert max((whole[name] - there[name]).abs().max() for name in there) < 1e-4
    interrupted(tmp_path / "run", tmp_path / "again")
    sharded("sft", *words[:-1], tmp_path / "again", "--eval_batch_size", "7", "--eval_n_last", "15")
    assert logged(tmp_path / "again", "loss") == pytest.approx(losses, abs=1e-6)


def test_sharded_weights_do_rl(one, tmp_path):
    words = ("--run_dir", tmp_path / "run", "--model_name_or_path", one / "sft", "--per_device_train_batch_size", "8")
    sharded("grpo", *words, "--eval_n", "15", "--eval_batch_size", "7")
    made = records.read(tmp_path / "run")
    assert [r["n"] for r in made if r["split"] == "rollouts"] == [16] * 4
    assert {r["n"] for r in made if r["split"] == "test"} == {15}
    shifts = [r["log_odds_shift"] for r in made if r["split"] == "rollouts"]
    assert shifts[0] == 0
    assert all(shifts[1:])


@pytest.mark.skipif(not (BESIDE / "deepspeed").is_dir(), reason="needs DeepSpeed: make install-checks")
@pytest.mark.parametrize("how", ["zero2", "zero3"])
def test_deepspeed_trains_saves_and_resumes_as_ddp_does(one, tmp_path, how):
    start = ("--model_name_or_path", one / "sft", *STEP, "--per_device_train_batch_size", "6", "--run_dir")
    train(2, tiny("sft"), *start, tmp_path / "ddp")
    sharded("sft", *start, tmp_path / "run", how=how)
    assert (tmp_path / "run/sft/checkpoint-22/zero_to_fp32.py").is_file(), "it was DeepSpeed's"
    assert logged(tmp_path / "run", "loss") == pytest.approx(logged(tmp_path / "ddp", "loss"), abs=1e-4)
    interrupted(tmp_path / "run", tmp_path / "again")
    sharded("sft", *start, tmp_path / "again", how=how)
    assert logged(tmp_path / "again", "loss") == pytest.approx(logged(tmp_path / "run", "loss"), abs=1e-6)


def test_sharded_weights_do_star(one, tmp_path):
    words = ("--run_dir", tmp_path / "run", "--model_name_or_path", one / "sft", "--rounds", "2", "--keep_from", "0")
    sharded("star", *words, "--prompts_per_round", "13", "--per_device_train_batch_size", "3")
    folders = list((tmp_path / "run/star").glob("checkpoint-*"))
    assert len(folders) == 2
    assert not [file for folder in folders for file in folder.glob("*fsdp*")]
