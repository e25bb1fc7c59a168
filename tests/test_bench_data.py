"""The bench's rows on data: that they measure, and what they say where a corpus cannot be had."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from conftest import ROOT, run_command

BENCH = ROOT / "eval" / "bench"


@pytest.fixture
def bench(monkeypatch):
    """The bench's modules, as `bench.py` finds them."""
    monkeypatch.syspath_prepend(str(BENCH))
    return __import__


def test_the_pairs_for_a_machine_without_corpora_need_algebra_and_half_are_wrong(bench):
    from rarecot.parsing import last_box
    from rarecot.verify.compare import at_once

    pairs = bench("verification").made_up(10)
    assert all(at_once(gold, last_box(text).answer) is None for gold, text in pairs)


def test_a_corpus_that_is_not_there_is_said_and_left_out(bench, capsys, tmp_path):
    args = SimpleNamespace(small=False, gsm8k=str(tmp_path / "a"), math=str(tmp_path / "b"), repeats=1)
    assert list(bench("verification").rows(args)) == []
    said = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in said] == ["verification_gsm8k", "verification_math"]
    assert all("not measured" in line and str(tmp_path) in line for line in said)


def test_by_hand_writes_what_ours_has(bench, tmp_path):
    """The yardstick of `mixtures_parity` is no easier than the task: the same columns, the same shares, right answers."""
    bench("building_alone").by_hand(40, d=6)(tmp_path)
    with pa.memory_map(str(tmp_path / "train.arrow")) as file:
        rows = pa.ipc.open_stream(file).read_all().to_pylist()
    assert len(rows) == 40
    assert sum(row["kind"] == "long" for row in rows) == 10
    for row in rows:
        bits = [int(bit) for bit in row["prompt"].removesuffix("=")]
        chain = "".join(map(str, np.cumsum(bits) % 2))
        assert row["completion"] == (chain if row["kind"] == "long" else chain[-1])
        assert (row["answer"], row["problem_id"]) == (chain[-1], f"parity-{row['prompt'][:-1]}")


@pytest.mark.slow
def test_every_row_on_data_can_be_measured(tmp_path):
    words = ("--rows", "verification,mixtures", "--small", "--repeats", "1", "--json", tmp_path / "rows.json")
    done = run_command(sys.executable, "eval/bench.py", *words, PYTHONPATH=str(ROOT / "src"))
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
    verification = [f"verification_made_up{what}" for what in ("", "_known", "_memory")]
    mixtures = [f"mixtures_{what}" for what in ("parity", "memory", "growth", "gsm8k")]
    assert [row["name"] for row in rows] == verification + mixtures
    assert all(0 < row["ratio"] < np.inf and row["ours"] > 0 and row["other"] > 0 for row in rows)
