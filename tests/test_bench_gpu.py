"""The GPU's bench, on a CPU: what it counts, that both sides take turns on the same rows, and that the command gives every row."""

import importlib
import json
import sys
import threading

import pytest
from conftest import ROOT, run_command

from rarecot.errors import ConfigError


@pytest.fixture
def bench(monkeypatch):
    """Name of a module in eval/bench/ → the module."""
    monkeypatch.syspath_prepend(str(ROOT / "eval" / "bench"))
    return importlib.import_module


def test_flops_of_a_step(bench):
    from rarecot.training.rl.scale import Model

    model = Model("m", hidden=4, layers=2, heads=2, kv_heads=1, head_dim=2, intermediate=8, vocabulary=10, tied=True)
    # A layer: 4·4 + 2·4·2 + 4·4 of attention, 3·4·8 of the MLP, 2·4 of norms = 152; two of them, 40 embeddings and the last norm.
    assert model.parameters == 2 * 152 + 40 + 4 == 348
    peak = bench("on_gpu.peak")
    assert peak.flops_by_the_book(model, [(10, 4)]) == 10 * (6 * 348 + 12 * 2 * 4 * 10)  # 6·N + 12·L·h·T a token
    assert peak.training_flops(model, [(10, 10)]) == 10 * (6 * 348 + 6 * 2 * 4 * 10)
    assert peak.training_flops(model, [(10, 4)]) == 10 * (6 * (348 - 40) + 6 * 2 * 4 * 10) + 4 * 6 * 40
    several = peak.training_flops(model, [(10, 4), (3, 1)])  # no padding
    assert several == peak.training_flops(model, [(10, 4)]) + peak.training_flops(model, [(3, 1)])


@pytest.mark.parametrize(
    ("name", "tera"),
    [
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA H200", 989),
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA L40S", 362),
        ("NVIDIA GeForce RTX 4090", 165),
        ("Tesla T4", None),
    ],
)
def test_data_sheets(bench, name, tera):
    found = bench("on_gpu.peak").sheet(name)
    assert (found and found / 1e12) == tera


def test_responses_of_the_made_model_are_short_or_long(bench):
    import torch

    models, sizes = bench("on_gpu.models"), bench("on_gpu.sizes").SIZES
    model, size = models.bigram(sizes["tiny"]).eval(), sizes["tiny"]
    first, words = len(models.MARKS), size.shape["vocab_size"] - len(models.MARKS)
    shorts = round(words * 0.75)
    after = torch.tensor([[1, models.MARKS.index("Answer:")], [1, first + 5], [1, first + shorts + 5]])
    with torch.no_grad():
        start, short, long = model(after).logits[:, -1].softmax(-1)
    assert start[first : first + shorts].sum() == pytest.approx(0.75, abs=0.05)
    assert short[2] == pytest.approx(1 / size.short, rel=0.2)  # ends
    assert short[first + shorts :].sum() < 0.01  # a word of the other kind
    assert long[2] < 0.001
    assert long[first + shorts :].sum() > 0.95


class Trainer:
    """Writes its name at each step."""

    def __init__(self, name, written, fails_at=None):
        self.name, self.written, self.fails_at, self.callbacks = name, written, fails_at, []

    def remove_callback(self, callback):
        pass

    def add_callback(self, callback):
        self.callbacks.append(callback)

    def train(self):
        from transformers import TrainerControl

        control = TrainerControl()
        for step in range(3):
            if step == self.fails_at:
                raise MemoryError(self.name)
            self.written.append(self.name)
            for callback in self.callbacks:
                callback.on_step_end(None, None, control)
            if control.should_training_stop:
                return
        self.written.append(self.name.upper())


def test_trainers_take_turns(bench):
    written = []
    turns = bench("on_gpu.turns").train_in_turns([Trainer("a", written), Trainer("b", written)])
    assert written[:6] == ["a", "b"] * 3
    assert sorted(written[6:]) == ["A", "B"]
    assert [len(turn.seconds) for turn in turns] == [3, 3]
    assert all(value > 0 for turn in turns for value in turn.seconds)


@pytest.mark.parametrize("failing", [0, 1])
def test_a_trainer_that_fails_stops_the_other(bench, failing):
    written, before = [], threading.active_count()
    trainers = [Trainer(name, written, 1 if i == failing else None) for i, name in enumerate("ab")]
    with pytest.raises(MemoryError):
        bench("on_gpu.turns").train_in_turns(trainers)
    assert len(written) <= 4
    assert {"A", "B"}.isdisjoint(written)
    assert threading.active_count() == before


def test_what_is_wrong_is_refused_at_once(bench, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    words = ("--sizes", "135m,huge", "--stages", "", "--steps", "0", "--json", str(tmp_path / "file" / "x.json"))
    monkeypatch.setattr(sys, "argv", ["gpu.py", *words])
    with pytest.raises(ConfigError) as refused:
        bench("gpu").main()
    assert sorted(problem.split()[0] for problem in refused.value.problems) == [
        "--json",
        "--sizes",
        "--stages",
        "--steps",
    ]


def test_sizes_for_a_gpu_are_refused_without_one(bench, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--vllm", "false"])
    with pytest.raises(ConfigError, match="0 CUDA devices"):
        bench("gpu").main()
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ConfigError, match="CUDA_VISIBLE_DEVICES"):
        bench("gpu").main()


def test_names_of_sizes_are_those_that_can_be_made(bench):
    assert tuple(bench("on_gpu.sizes").SIZES) == bench("gpu").SIZES


def test_table(bench):
    row = bench("row").compared("sft_1b_tokens", [3.0, 4.0], [2.0, 2.0], "tokens/s", "TRL's defaults", "≥ 2", "a note")
    machine = {"device": "NVIDIA H100", "memory_gib": 79.2, "driver": "570.1", "cuda": "12.8"}
    machine |= {"peak_measured": 7e14, "peak_sheet": 9.89e14, "packages": {"torch": "2.11", "commit": "abc"}}
    found = {"machine": machine, "rows": [row.as_json()], "left_out": ["grpo_1b: no memory"]}
    lines = bench("on_gpu.table").table(found).splitlines()
    assert lines[0] == (
        "NVIDIA H100, 79.2 GiB, driver 570.1, CUDA 12.8; bf16 matmul 700 TFLOP/s measured, 989 by its data sheet; torch 2.11; commit abc."
    )
    assert lines[4] == (
        "| `sft_1b_tokens`, tokens/s | 3.5 | 2 | 1.75 [1.55, 1.95] | ≥ 2 (not kept) | 2 turns; a note |"
    )
    assert lines[-1] == "Not measured: grpo_1b: no memory."


@pytest.mark.slow
def test_gpu_bench_measures_every_row_on_a_cpu(tmp_path):
    files = ("--json", tmp_path / "gpu.json", "--table", tmp_path / "gpu.md")
    words = ("--sizes", "tiny", "--steps", "3", "--rounds", "2", "--vllm", "false")
    result = run_command("python", ROOT / "eval/bench/gpu.py", *words, *files)
    assert result.returncode == 0, result.stderr
    found = json.loads((tmp_path / "gpu.json").read_text())
    rows = {row["name"]: row for row in found["rows"]}
    names = [
        "sft_tiny_tokens",
        "sft_tiny_mfu",
        *(f"grpo_tiny_{part}" for part in ("round", "generate", "train", "tokens")),
    ]
    assert list(rows) == names
    assert [row["repeats"] for row in rows.values()] == [3, 3, 2, 2, 2, 2]
    assert found["left_out"] == []
    assert found["machine"]["packages"]["trl"]
    tokens = rows["sft_tiny_tokens"]["details"]
    assert tokens["same_batches"]
    assert tokens["batch"] == 8
    assert tokens["tokens_per_padded_step"] > 1.5 * tokens["tokens_per_step"]  # a quarter is long
    assert rows["sft_tiny_mfu"]["other"] == pytest.approx(found["machine"]["peak_measured"] / 1e12, rel=0.9)
    ours, plain = rows["grpo_tiny_round"]["details"]["sides"]
    for side in (ours, plain):
        assert 0 < side["generate"] < side["round"]
        assert 0 < side["cut"] < 1
        assert 1 < side["length"] < 24
    table = (tmp_path / "gpu.md").read_text()
    assert all(f"`{name}`" in table for name in names)


@pytest.mark.slow
def test_what_memory_or_time_does_not_hold_is_left_out(bench, monkeypatch):
    import argparse

    import torch

    measure = bench("on_gpu.measure")

    def too_large(*_):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        yield

    monkeypatch.setattr(measure.sft, "rows", too_large)
    monkeypatch.setattr(measure.environment, "prepare", lambda request: None)  # it would hide packages from later tests
    args = argparse.Namespace(sizes=["tiny"], stages=["sft", "grpo"], steps=1, rounds=1, minutes=1.0)
    said = measure.measured(args, False, "cpu")
    assert next(said) == "sft_tiny: the GPU's memory does not hold both (CUDA out of memory)"
    args.minutes = 0.0
    assert list(said) == ["grpo_tiny: not begun, after --minutes 0"]
