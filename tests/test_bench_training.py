"""The bench's rows of training: its yardsticks do what ours does, and each row says what it was held against."""

import json

import pytest
import torch
from conftest import ROOT, run_command

from rarecot.rendering import render_prompts
from rarecot.sampling import SamplingParams
from rarecot.sampling.hf import HfSampler

EOS = 2


@pytest.fixture
def bench(monkeypatch):
    """The modules of eval/bench/ can be imported."""
    monkeypatch.syspath_prepend(ROOT / "eval" / "bench")


def test_a_promise_is_kept_or_not(bench):
    from row import compared

    assert compared("x", [1.0, 2.0, 3.0], [2.0, 2.0, 2.0], "s", "another", "≤ 1.3").kept is True
    assert compared("x", [1.0, 2.0, 3.0], [2.0, 2.0, 2.0], "s", "another", "≤ 0.9").kept is False
    assert compared("x", [4.0, 4.0], [1.0], "s", "a limit", "≥ 5").kept is False
    row = compared("x", [4.0, 8.0, 8.0], [2.0], "s", "a limit", "≥ 3.5")
    assert (row.kept, row.ours, row.ratio, row.repeats) == (True, 8.0, 4.0, 3)
    assert compared("x", [1.0], [2.0], "s", "another").kept is None


def test_what_is_sampled_by_hand_is_what_ours_samples(bench, tiny_model, tokenizer):
    """The yardstick of a round computes the same: greedy responses of equal prompts, each as often as asked."""
    import hand_loop

    prompts = render_prompts(tokenizer, [f"{i:05b}=" for i in range(12)])
    ours = HfSampler(tiny_model, tokenizer).sample(prompts, SamplingParams(max_new_tokens=9))
    ids = hand_loop.sample(tiny_model, torch.tensor(prompts), 2, 9, greedy=True)[:, len(prompts[0]) :].tolist()
    by_hand = [row[: row.index(EOS) + 1] if EOS in row else row for row in ids]
    assert by_hand == [completions[0].token_ids for completions in ours for _ in range(2)]
    assert len({len(row) for row in by_hand}) > 1


def test_responses_judged_by_hand(bench):
    import hand_loop

    response = torch.tensor([[3, 4, EOS, 0], [4, EOS, 0, 0], [EOS, 0, 0, 0], [3, 3, 3, 4]])
    last, reward = hand_loop.judged(response, torch.tensor([4, 3, 3, 4]))
    assert last.tolist() == [2, 1, 0, 3]
    assert reward.tolist() == [1.0, 0.0, 0.0, 0.0]  # wrong, empty, never ended


def test_what_a_headline_says_of_the_other(bench):
    from headline import told

    ours = {"ntp": 100.0, "greedy": 1.0, "rounds": 5}
    assert told(ours, {"ntp": 700.0, "greedy": 1.0, "rounds": 10}).endswith("the other after round 10")
    assert told(ours, {"ntp": 700.0, "greedy": 0.5, "rounds": 3, "stopped": True}).endswith("so the ratio is a bound")
    assert "did not get there: 50%" in told(ours, {"ntp": 700.0, "greedy": 0.5, "rounds": 30, "stopped": False})


def test_a_step_is_credited_with_what_it_needs(bench):
    """The matrix products that torch itself counts, attention beside them."""
    import ntp
    from torch.utils.flop_counter import FlopCounterMode
    from transformers import LlamaConfig, LlamaForCausalLM

    from rarecot.sampling import last_layer

    shape = {"hidden_size": 32, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4}
    model = LlamaForCausalLM(LlamaConfig(**shape, vocab_size=6))
    rows, length, asked = 8, 60, 21
    with FlopCounterMode(display=False) as counter, last_layer.only_from(model, length - asked):
        model(torch.ones(rows, length, dtype=torch.long), use_cache=False).logits.sum().backward()
    attention = 12 * 32 * rows * (2 * length * length / 2 + asked * (length - asked / 2))
    products = counter.get_flop_counts()["Global"][torch.ops.aten.mm]
    assert ntp.flops(model, rows, length, asked) - attention == pytest.approx(products, rel=1e-6)


@pytest.mark.slow
def test_plain_trl_runs_to_its_end(tmp_path):
    words = ("--d", "8", "--steps", "2", "--rounds", "1")
    result = run_command("python", ROOT / "eval/bench/plain_trl.py", *words, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout.splitlines()[-1])
    assert 0 < told["ntp"] < told["seconds"]
    assert (told["rounds"], told["stopped"]) == (1, False)


@pytest.mark.slow
def test_bench_measures_side_by_side(tmp_path):
    """The rows of training: each is there, and says what it was held against and whether its promise was kept."""
    result = run_command(
        "python", "eval/bench.py", "--small", "--rows", "ntp,round", "--json", tmp_path / "rows.json", timeout=600
    )
    assert result.returncode == 0, result.stderr
    found = json.loads((tmp_path / "rows.json").read_text())
    rows = {row["name"]: row for row in found["rows"]}
    parts = ("generate", "reward", "train", "weigh", "evaluation")
    assert set(rows) - {"round_sync"} == {"ntp_tokens", "ntp_peak", "round_grpo", *(f"round_{part}" for part in parts)}
    for row in rows.values():
        assert row["ratio_range"][0] <= row["ratio"] <= row["ratio_range"][1]
        assert row["ours"] > 0 < row["other"]
        if row["promise"]:
            sign, bound = row["promise"].split()
            assert row["kept"] == (row["ratio"] <= float(bound) if sign == "≤" else row["ratio"] >= float(bound))
    assert found["machine"]["trl"]
