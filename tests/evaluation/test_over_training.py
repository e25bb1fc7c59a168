"""A run's checkpoints evaluated after training: by several processes, killed at any moment, on what is damaged."""

import json
import os
import random
import shutil
import subprocess
import sys
import time

import pytest
from conftest import DATA, ROOT, run_command

from rarecot.errors import ConfigError
from rarecot.evaluation import records

STEPS = 20
SUITE = "n: 16\ntemperatures: [0, 0.7]\nsamples: 2\n"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run with 20 checkpoints, whose records are forgotten."""
    folder = tmp_path_factory.mktemp("runs") / "many"
    options = ["--max_steps", str(STEPS), "--save_steps", "1", "--eval_every", "1000", "--disable_tqdm", "true"]
    result = run_command("python", "recipes/sft.py", "--run_dir", folder, *options)
    assert result.returncode == 0, result.stderr
    assert len(list((folder / "sft").glob("checkpoint-*"))) == STEPS
    forget(folder)
    return folder


def forget(folder):
    (folder / "records.jsonl").unlink()
    shutil.rmtree(folder / "completions", ignore_errors=True)


def copy_of(trained, tmp_path, name="copy"):
    shutil.copytree(trained, tmp_path / name)
    suite = tmp_path / "suite.yaml"
    suite.write_text(SUITE)
    return tmp_path / name, suite


def start(run, suite):
    command = [sys.executable, str(ROOT / "eval/run.py"), "--run", str(run), "--suite", str(suite)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )


def lines(run):
    return [json.loads(line) for line in (run / "records.jsonl").read_text().splitlines()]


def comparable(run):
    return sorted(json.dumps({**record, "seconds": 0}) for record in lines(run))


@pytest.mark.slow
def test_twenty_checkpoints_survive_kills_and_are_shared(trained, tmp_path):
    """Killed eight times, and then by two processes at once: the records of an undisturbed evaluation, each once, byte for byte."""
    whole, suite = copy_of(trained, tmp_path, "whole")
    output, errors = start(whole, suite).communicate(timeout=300)
    assert len(output.splitlines()) == STEPS, errors
    assert len(lines(whole)) == 2 * STEPS

    broken, _ = copy_of(trained, tmp_path, "broken")
    moments, seen = random.Random(0), 0
    for _ in range(8):
        process = start(broken, suite)
        deadline = time.monotonic() + 120
        wanted = seen + moments.randint(
            1, 3
        )  # starting up takes longer than an evaluation: killed some records later, at any point
        while process.poll() is None and time.monotonic() < deadline:
            found = (
                len((broken / "records.jsonl").read_bytes().splitlines()) if (broken / "records.jsonl").is_file() else 0
            )
            if found >= wanted:
                time.sleep(moments.random() * 0.05)
                break
            time.sleep(0.002)
        process.kill()
        process.communicate()
        seen = len((broken / "records.jsonl").read_bytes().splitlines())
    assert 8 <= seen < 2 * STEPS, "the kills came in the middle"
    several = [start(broken, suite) for _ in range(2)]
    results = [process.communicate(timeout=300) for process in several]
    assert [process.returncode for process in several] == [0, 0], results
    shared = [len(output.splitlines()) for output, _ in results]
    assert min(shared) >= 1, f"one process did it all: {shared}"
    assert comparable(broken) == comparable(whole)
    for record in lines(broken):
        name = records.completions_name(record)
        assert (broken / "completions" / name).is_file()
    assert not list((broken / "completions").glob("*.part")), "what a kill left half written was written anew"


@pytest.mark.slow
def test_a_greedy_evaluation_repeats_byte_for_byte(trained, tmp_path):
    suite = tmp_path / "greedy.yaml"
    suite.write_text("mixture: data_mixes/parity-tiny.yaml\nn: 16\ntemperatures: [0]\n")
    made = []
    for name in ("first", "second"):
        result = run_command(
            "python", "eval/run.py", "--model", trained / "sft", "--suite", suite, "--out", tmp_path / name
        )
        assert result.returncode == 0, result.stderr
        [record] = lines(tmp_path / name)
        assert {**record, "seconds": 0} == {**json.loads(result.stdout), "seconds": 0}
        made.append({**record, "seconds": 0})
    assert made[0] == made[1]
    again = run_command(
        "python", "eval/run.py", "--model", trained / "sft", "--suite", suite, "--out", tmp_path / "first"
    )
    assert len(lines(tmp_path / "first")) == 1, "what is known is not made again"
    assert json.loads(again.stdout) == lines(tmp_path / "first")[0]
    other = run_command(
        "python",
        "eval/run.py",
        "--model",
        trained / "sft" / "checkpoint-1",
        "--suite",
        suite,
        "--out",
        tmp_path / "first",
    )
    assert other.returncode == 2
    assert "holds records of" in other.stderr


@pytest.mark.slow
def test_damaged_checkpoints_are_refused_or_left_out(trained, tmp_path):
    run, suite = copy_of(trained, tmp_path)
    (run / "sft" / "checkpoint-3" / "rarecot.json").unlink()
    result = run_command(
        "python", "eval/run.py", "--model", run / "sft" / "checkpoint-3", "--suite", "eval/suites/parity-tiny.yaml"
    )
    assert result.returncode == 2
    assert "was not saved to its end" in result.stderr
    weights = run / "sft" / "checkpoint-5" / "model.safetensors"
    data = weights.read_bytes()
    weights.write_bytes(data[: len(data) // 2])
    result = run_command("python", "eval/run.py", "--run", run, "--suite", suite)
    assert result.returncode == 2
    assert "checkpoint-5" in result.stderr
    assert "ends too early" in result.stderr
    assert "checkpoint-3 is left out" in result.stderr
    assert not (run / "records.jsonl").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--protocol", "meta-8shot"], "says how to ask gsm8k, math, not parity"),
        (["--protocol", "metta-8shot"], "did you mean 'meta-8shot'"),
        (
            ["--n", "-1", "--batch_size", "0", "--protocol", "nope"],
            "--n is -1: it must be 0|batch_size is 0|no protocol 'nope'",
        ),
        (["--out", "README.md"], "README.md is a file"),
    ],
)
def test_bad_requests_are_refused(tmp_path, words, said):
    model = tmp_path / "model"
    model.mkdir()
    for name, text in (("config.json", '{"max_position_embeddings": 64}'), ("tokenizer.json", '{"model": {}}')):
        (model / name).write_text(text)
    result = run_command("python", "eval/run.py", "--model", model, "--suite", "eval/suites/parity-tiny.yaml", *words)
    assert result.returncode == 2
    for words in said.split("|"):
        assert words in result.stderr


@pytest.mark.slow
def test_an_old_record_never_answers_another_question(trained, tmp_path):
    """Under one name and into one folder: other problems, another system prompt, other weights, another k."""

    def asked(out, suite, model=trained / "sft"):
        result = run_command("python", "eval/run.py", "--model", model, "--suite", suite, "--out", out)
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)

    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    for seed, path in enumerate((first, second)):
        mixture = tmp_path / f"mixture-{seed}.yaml"
        mixture.write_text(f"task: parity\nd: 6\nn: 32\nn_rl: 8\nn_test: 16\nseed: {seed}\n")
        path.write_text(f"mixture: {mixture}\nn: 16\ntemperatures: [0]\n")
    one, other = asked(tmp_path / "out", first), asked(tmp_path / "out", second)
    assert one["asked_sha256"] != other["asked_sha256"]
    assert len(lines(tmp_path / "out")) == 2
    assert len(list((tmp_path / "out" / "completions").iterdir())) == 2
    model = tmp_path / "model"
    shutil.copytree(trained / "sft" / "checkpoint-20", model)
    before = asked(tmp_path / "weights", first, model)
    shutil.copy(trained / "sft" / "checkpoint-1" / "model.safetensors", model)
    after = asked(tmp_path / "weights", first, model)
    assert before["model_sha256"] != after["model_sha256"]
    assert after["asked_sha256"] == before["asked_sha256"]
    several = tmp_path / "k.yaml"
    several.write_text(first.read_text().replace("[0]", "[1.0]") + "samples: 4\nk: [1]\n")
    asked(tmp_path / "k", several)
    several.write_text(several.read_text().replace("k: [1]", "k: [1, 3]"))
    refused = run_command(
        "python", "eval/run.py", "--model", trained / "sft", "--suite", several, "--out", tmp_path / "k"
    )
    assert refused.returncode == 2
    assert "evaluated before, without pass@3" in refused.stderr


@pytest.mark.slow
def test_more_tokens_than_positions_are_refused(trained, tmp_path):
    run, suite = copy_of(trained, tmp_path)
    suite.write_text("n: 16\ntemperatures: [0]\nmax_new_tokens: 3000\n")
    result = run_command("python", "eval/run.py", "--run", run, "--suite", suite)
    assert result.returncode == 2
    assert "Lower max_new_tokens to" in result.stderr


def line_of(step):
    return json.dumps({"stage": "sft", "step": step, "split": "test", "decoding": "greedy"}).encode()


def test_damaged_records_are_refused_with_their_line(tmp_path):
    for damaged in (b'{"stage": "sf', b"[1]", b"\xff\xfe"):
        (tmp_path / "records.jsonl").write_bytes(line_of(1) + b"\n" + damaged + b"\n")
        with pytest.raises(ConfigError, match=r"records.jsonl:2 is no whole JSON object"):
            records.read(tmp_path)


def test_a_whole_record_without_a_line_end_is_kept(tmp_path):
    path = tmp_path / "records.jsonl"
    path.write_bytes(line_of(1) + b"\n\n" + line_of(2))
    assert [r["step"] for r in records.read(tmp_path)] == [1, 2]
    records.append(tmp_path, json.loads(line_of(3)))
    assert [r["step"] for r in records.read(tmp_path)] == [1, 2, 3]
    path.write_bytes(line_of(1) + b'\n{"stage": "sft", "st')
    records.append(tmp_path, json.loads(line_of(3)))
    assert [r["step"] for r in records.read(tmp_path)] == [1, 3]


@pytest.mark.slow
def test_a_model_of_symbols_cannot_be_asked_in_words(trained, tmp_path):
    suite = tmp_path / "words.yaml"
    suite.write_text(f"problems: {{task: gsm8k, source: {DATA / 'gsm8k'}}}\n")
    for words in (["--run", trained], ["--model", trained / "sft", "--protocol", "simplerl-cot"]):
        result = run_command("python", "eval/run.py", *words, "--suite", suite)
        assert result.returncode == 2, result.stderr[-800:]
        assert "knows only the symbols" in result.stderr


@pytest.mark.slow
def test_a_tokenizer_that_changed_since_is_found_in_every_checkpoint(trained, tmp_path):
    run, suite = copy_of(trained, tmp_path)
    path = run / "sft" / "checkpoint-7" / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary["0"], vocabulary["1"] = vocabulary["1"], vocabulary["0"]
    path.write_text(json.dumps(tokenizer))
    result = run_command("python", "eval/run.py", "--run", run, "--suite", suite)
    assert result.returncode == 2
    assert "checkpoint-7 was trained on prompts rendered otherwise" in result.stderr
