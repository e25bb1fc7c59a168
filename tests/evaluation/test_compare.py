import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import run_command

from rarecot.errors import ConfigError
from rarecot.evaluation import records
from rarecot.evaluation.compare import (
    Answers,
    compare,
    mcnemar,
    mean_interval,
    paired_interval,
    read_answers,
    sign_flip,
)
from rarecot.evaluation.generations import save_responses
from rarecot.evaluation.metrics import student_t
from rarecot.types import Completion, Response


@pytest.mark.parametrize(
    ("only_a", "only_b", "p"),
    # binomial tails by hand: 2 · Σ C(n, i) / 2^n
    [(0, 0, 1.0), (0, 5, 2 / 32), (1, 7, 2 * 9 / 256), (5, 5, 1.0), (0, 10, 2 / 1024)],
)
def test_mcnemar(only_a, only_b, p):
    assert mcnemar(only_a, only_b) == pytest.approx(p)
    assert mcnemar(only_b, only_a) == mcnemar(only_a, only_b)


def pairs(both, only_b, only_a, neither):
    a = [True] * both + [False] * only_b + [True] * only_a + [False] * neither
    b = [True] * both + [True] * only_b + [False] * only_a + [False] * neither
    return a, b


@pytest.mark.parametrize(
    ("counts", "low", "high"),
    # Newcombe 1998, table II: examples of method 10 with (e, f, g, h); the difference is (f - g) / n.
    [((36, 12, 2, 0), 0.0569, 0.3404), ((20, 12, 2, 16), 0.0562, 0.3292), ((0, 50, 0, 0), 0.8991, 1.0)],
)
def test_interval_of_paired_proportions(counts, low, high):
    assert paired_interval(*pairs(*counts)) == pytest.approx((low, high), abs=2e-3)


def test_no_disagreement_is_not_certainty():
    low, high = paired_interval([True] * 40, [True] * 40)
    assert low < 0 < high


def test_the_interval_holds_what_it_promises():
    rng, held = np.random.default_rng(0), 0
    for _ in range(300):
        latent = rng.random(60)
        a, b = latent < 0.4 + 0.1 * rng.standard_normal(60), latent < 0.55 + 0.1 * rng.standard_normal(60)
        low, high = paired_interval(a, b)
        held += low <= 0.15 <= high
    assert held >= 0.92 * 300


def test_mean_interval_and_sign_flip_know_a_shift_from_none():
    rng = np.random.default_rng(1)
    nothing, shifted = rng.standard_normal(200), rng.standard_normal(200) + 0.5
    low, high = mean_interval(nothing, shares=False)
    assert low < 0 < high
    assert mean_interval(shifted, shares=False)[0] > 0
    assert sign_flip(nothing) > 0.05 > sign_flip(shifted)


def test_quantiles_of_student():
    # tables: 2.5 % in each tail
    for freedom, t in ((1, 12.706), (4, 2.776), (5, 2.571), (10, 2.228), (30, 2.042), (1000, 1.962)):
        assert student_t(freedom) == pytest.approx(t, abs=0.005)


def test_few_problems_never_make_a_difference_certain():
    for n in (1, 2, 3):
        a, b = answers("a", [0] * n * 4, samples=4), answers("b", [1] * n * 4, samples=4)
        assert compare(a, b).verdict == "not told apart"
    low, high = mean_interval(np.zeros(3), shares=True)
    assert low < -0.3 < 0.3 < high


def test_equal_models_are_seldom_told_apart():
    rng, told = np.random.default_rng(2), 0
    for _ in range(200):
        rate = rng.beta(0.5, 0.5, size=12)
        a, b = (answers("x", (rng.random((12, 4)) < rate[:, None]).ravel(), samples=4) for _ in range(2))
        told += compare(a, b).verdict != "not told apart"
    assert told <= 0.07 * 200


def test_better_needs_interval_and_test_to_agree():
    # 5 problems gained and none lost of 1 319: Newcombe's interval leaves 0 just out, the exact test says p = 0.06.
    a, b = answers("a", [0] * 5 + [1] * 1314), answers("b", [1] * 1319)
    found = compare(a, b)
    assert found.differences[0].interval[0] > 0
    assert found.p == pytest.approx(0.0625)
    assert found.verdict == "not told apart"


def answers(name, right, record=None, prompts=None, samples=1):
    correct = np.array(right, dtype=bool).reshape(-1, samples)
    prompts = prompts or tuple(f"p{i}" for i in range(len(correct)))
    return Answers(name, record or {}, tuple(prompts), correct, correct * 10.0, ~correct)


def test_a_comparison_pairs_by_prompt_whatever_the_order():
    a = answers("a", [1, 0, 0, 0], prompts=("w", "x", "y", "z"))
    b = answers("b", [0, 1, 1, 1], prompts=("z", "y", "x", "w"))
    found = compare(a, b)
    assert (found.only_a, found.only_b, found.problems) == (0, 2, 4)
    accuracy, length, long = found.differences
    assert (accuracy.a, accuracy.b, accuracy.value) == (0.25, 0.75, 0.5)
    assert (length.a, length.b) == (2.5, 7.5)
    assert long.value == -0.5


def test_a_clear_gain_is_better_and_the_same_is_not():
    a, b = answers("a", [0] * 30 + [1] * 30), answers("b", [1] * 60)
    assert compare(a, b).verdict == "better"
    assert compare(b, a).verdict == "worse"
    assert compare(a, a).verdict == "not told apart"
    assert compare(a, a).p == 1.0


def test_several_responses_count_by_problem():
    # Four equal responses a problem are no more evidence than one.
    right = [0] * 12 + [1] * 8
    one, four = answers("a", right), answers("a", np.repeat(right, 4), samples=4)
    better = [1] * 3 + right[3:]
    single, several = compare(one, answers("b", better)), compare(four, answers("b", np.repeat(better, 4), samples=4))
    assert several.test == "paired permutation"
    assert several.p > 0.05
    assert single.p == pytest.approx(0.25)
    width = [np.diff(c.differences[0].interval)[0] for c in (single, several)]
    assert width[1] == pytest.approx(width[0], rel=0.35)


def test_what_cannot_be_compared_is_refused_all_at_once():
    a = answers("a", [1, 0], {"protocol": "native", "max_new_tokens": 8}, ("p", "q"))
    b = answers("b", [1, 0], {"protocol": "meta-8shot", "max_new_tokens": 9}, ("p", "r"))
    with pytest.raises(ConfigError) as refusal:
        compare(a, b)
    text = str(refusal.value)
    for word in ("protocol native", "max_new_tokens 8", "'q'", "'r'"):
        assert word in text
    with pytest.raises(ConfigError, match="no test holds for that"):
        compare(answers("a", [1, 0]), answers("b", [1, 0, 1, 1], samples=2))


def test_a_problem_that_is_asked_twice_is_paired_in_order():
    a, b = answers("a", [1, 0, 0], None, ("p", "p", "q")), answers("b", [0, 1, 0], None, ("q", "p", "p"))
    assert (compare(a, b).only_a, compare(a, b).only_b) == (0, 0)


def respond(problem, right, sample=0):
    verdict = "correct" if right else "wrong"
    return Response(problem, Completion([3, 2], "x", "stop"), "short", verdict, "1", "1")


def record_of(**changes):
    constant = {"stage": "sft", "step": 4, "split": "test", "seed": 0, "decoding": "greedy", "temperature": 0.0, "n": 3}
    rest = {"samples": 1, "max_new_tokens": 8, "sampling_seed": 0, "protocol": "native"}
    return {**constant, **rest, **changes}


def test_a_checkpoint_is_read_by_its_records(tmp_path):
    folder = tmp_path / "run" / "sft" / "checkpoint-4"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "rarecot.json").write_text("{}")
    for right, record in (([1, 0, 1], record_of()), ([0, 0, 0], record_of(protocol="other"))):
        path = folder.parents[1] / records.COMPLETIONS / records.completions_name(record)
        save_responses(path, [respond(f"p{i}", r) for i, r in enumerate(right)], ["a", "b", "c"], record)
        records.append(folder.parents[1], {k: v for k, v in record.items() if k in records.FIELDS})
    for name in (folder, folder.parent):
        found = read_answers(name)
        assert found.correct[:, 0].tolist() == [True, False, True]
        assert found.prompts == ("a", "b", "c")
        assert found.record["protocol"] == "native"
    assert not read_answers(folder, protocol="other").correct.any()
    with pytest.raises(
        ConfigError, match=r"no sampled evaluation under native .it has: greedy under native, greedy under other"
    ):
        read_answers(folder, decoding="sampled")


def test_files_that_are_no_generations_are_refused(tmp_path):
    half = tmp_path / "half.parquet"
    half.write_bytes(b"PAR1 and no more")
    with pytest.raises(ConfigError, match="not a whole Parquet file"):
        read_answers(half)
    other = tmp_path / "other.parquet"
    pq.write_table(pa.table({"text": ["x"]}), other)
    with pytest.raises(ConfigError, match="lacks the columns problem_id"):
        read_answers(other)
    with pytest.raises(ConfigError, match="neither a file"):
        read_answers(tmp_path)


def test_the_command_says_which_is_better(tmp_path):
    for name, right in (("a", 5), ("b", 40)):
        folder = tmp_path / name
        record = record_of(stage="model", step=0, n=40, suite="gsm8k")
        path = folder / records.COMPLETIONS / records.completions_name(record)
        rows = [respond(f"p{i}", i < right) for i in range(40)]
        save_responses(path, rows, [f"question {i}" for i in range(40)], record)
        (folder / records.FILE).write_text(json.dumps(record) + "\n")
    result = run_command("python", "eval/compare.py", tmp_path / "a", tmp_path / "b")
    assert result.returncode == 0, result.stderr
    assert "B is better." in result.stdout
    assert "better on 35 problems, worse on 0" in result.stdout
    refused = run_command("python", "eval/compare.py", tmp_path / "a", tmp_path / "nowhere")
    assert refused.returncode == 2
    assert "there is no" in refused.stderr


def test_of_several_evaluations_one_has_to_be_named(tmp_path):
    for model in ("1" * 64, "2" * 64):
        record = record_of(stage="model", step=0, model_sha256=model)
        path = tmp_path / records.COMPLETIONS / records.completions_name(record)
        save_responses(path, [respond("p", True)], ["a"], record)
        with (tmp_path / records.FILE).open("a") as file:
            file.write(json.dumps(record) + "\n")
    with pytest.raises(ConfigError, match="2 such evaluations, which differ in model_sha256"):
        read_answers(tmp_path)
    with pytest.raises(
        ConfigError, match=r"no greedy evaluation under native at temperature 0.5 .it has: greedy under native"
    ):
        read_answers(tmp_path, temperature=0.5)
    assert read_answers(path).correct.all()
