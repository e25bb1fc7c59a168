"""Verdicts on 1 466 labelled answers, 2 000 hostile ones, and a pool that outlives what it runs."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cases import GROUPS, cases
from hostile import CANARY, hostile

from rarecot.errors import RunError
from rarecot.verify import judge_all, ungradable, verify, verify_all
from rarecot.verify.compare import at_once
from rarecot.verify.pool import Pool

FALSE_NEGATIVES = 0.01  # of the right answers; none may be taken for right that is wrong


@pytest.fixture(scope="module")
def verdicts():
    table = cases()
    golds, responses, styles, labels = zip(*table, strict=True)
    return list(zip(table, labels, verify_all(golds, responses, styles), strict=True))


def test_the_table_is_what_it_promises():
    table = cases()
    assert len(table) >= 300
    assert len(set(table)) == len(table)
    assert len({group.name for group in GROUPS}) >= 3
    assert {label for *_, label in table} == {"correct", "wrong", "no_answer"}


def test_no_wrong_answer_is_credited(verdicts):
    assert [case for case, label, verdict in verdicts if verdict == "correct" != label] == []


def test_right_answers_are_credited(verdicts):
    missed = [(case, verdict) for case, label, verdict in verdicts if label == "correct" != verdict]
    right = sum(label == "correct" for _, label, _ in verdicts)
    print(f"false negatives: {len(missed)} of {right} = {len(missed) / right:.2%}")
    assert len(missed) <= FALSE_NEGATIVES * right, missed


def test_no_answer_is_told_from_a_wrong_one(verdicts):
    confused = [(case, v) for case, label, v in verdicts if (label == "no_answer") != (v == "no_answer")]
    assert confused == []


@pytest.mark.parametrize("style", ["boxed", "hashes", "any"])
@pytest.mark.parametrize("gold", ["7", r"x^2+\sqrt{3}", r"(1,\infty)"])
def test_hostile_responses_neither_score_nor_hang(gold, style):
    Path(CANARY).unlink(missing_ok=True)
    texts = hostile(300)
    found = verify_all([gold] * len(texts), texts, [style] * len(texts))
    assert "correct" not in found
    assert found.count("timed_out") < 5
    assert not Path(CANARY).exists(), "a response was executed"


@pytest.mark.slow
@pytest.mark.parametrize("style", ["boxed", "hashes", "any"])
def test_two_thousand_hostile_responses(style):
    texts = hostile()
    assert len(texts) == 2000
    assert "correct" not in verify_all(["7"] * 2000, texts, [style] * 2000)


@pytest.mark.parametrize(
    ("gold", "readable"),
    [
        ("18", True),
        ("1,234.50", True),
        (r"\frac{3}{4}", True),
        (r"\text{Monday}", True),
        (r"(-\infty, 3] \cup (5, \infty)", True),
        (r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}", True),
        (r"x^2 + 2x", True),
        ("3:30", True),
        ("", False),
        ("   ", False),
        (r"\begin{tikz} ...", False),
        ("(" * 60 + "1" + ")" * 60, False),
        ("7\x00", False),
    ],
)
def test_gold_that_nothing_can_be_compared_with(gold, readable):
    assert (ungradable([gold]) == []) == readable


def test_an_unreadable_gold_is_nobodys_mistake():
    assert verify("x^{2", r"\boxed{x + 2}", "boxed") == "unparseable_gold"


def test_judging_knows_what_was_cut_off():
    assert judge_all(["#### 3", "#### 3", "3"], ["3"] * 3, ["hashes"] * 3, [True, False, True]) == [
        "correct",
        "truncated",
        "no_answer",
    ]


PAIRS = [(r"2\sqrt{3}", rf"\sqrt{{{12 * k * k}}}/{k}") for k in range(1, 30)]


def test_order_is_kept_from_many_threads():
    pool = Pool(workers=2)
    try:
        mixed = [(gold, answer if i % 3 else answer + "+1") for i, (gold, answer) in enumerate(PAIRS)]
        expected = ["correct" if i % 3 else "wrong" for i in range(len(PAIRS))]
        assert all(at_once(gold, answer) is None for gold, answer in mixed), "these must need the workers"
        with ThreadPoolExecutor(4) as threads:
            assert list(threads.map(pool.compare, [mixed] * 4)) == [expected] * 4
    finally:
        pool.close()


def test_a_worker_that_hangs_is_killed_and_the_others_go_on():
    pool = Pool(workers=1, seconds=0.5, cache=0)
    try:
        assert pool.compare(PAIRS[:1]) == ["correct"]
        stuck = pool._all[0].process
        os.kill(stuck.pid, signal.SIGSTOP)  # does not even hear its own alarm
        assert pool.compare(PAIRS[1:2]) == ["timed_out"]
        assert stuck.poll() is not None, "still alive"
        assert pool.compare(PAIRS[2:4]) == ["correct", "correct"]
    finally:
        pool.close()


def test_a_worker_that_dies_is_replaced():
    pool = Pool(workers=1, cache=0)
    try:
        assert pool.compare(PAIRS[:1]) == ["correct"]
        os.kill(pool._all[0].process.pid, signal.SIGKILL)
        pool._all[0].process.wait()
        assert pool.compare(PAIRS[1:2]) == ["timed_out"]
        assert pool.compare(PAIRS[1:2]) == ["correct"]
    finally:
        pool.close()


def test_what_takes_too_long_is_told_apart():
    pool = Pool(workers=1, seconds=0.02, cache=0)
    try:
        slow = ("x", "+".join(rf"\sqrt{{x+{i}}}" for i in range(30)))
        assert pool.compare([slow]) == ["timed_out"]
    finally:
        pool.close()


def test_verdicts_are_remembered(monkeypatch):
    pool = Pool(workers=1)
    try:
        first = pool.compare(PAIRS[:3])
    finally:
        pool.close()
    monkeypatch.setattr("sys.executable", "/bin/false")
    assert pool.compare(PAIRS[:3]) == first


def test_a_pool_that_cannot_start_says_so(monkeypatch):
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(RunError, match="did not start"):
        Pool(workers=1).compare(PAIRS[:1])


def test_a_comparison_whose_worker_died_is_not_remembered():
    pool = Pool(workers=1)
    try:
        pool.compare(PAIRS[:1])
        os.kill(pool._all[0].process.pid, signal.SIGKILL)
        pool._all[0].process.wait()
        assert pool.compare(PAIRS[1:2]) == ["timed_out"]
        assert pool.compare(PAIRS[1:2]) == ["correct"]
    finally:
        pool.close()
