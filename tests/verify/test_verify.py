"""Verdicts on 1 466 labelled answers, 2 000 hostile ones, and a pool that outlives what it runs."""

import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cases import GROUPS, cases
from hostile import CANARY, hostile

from rarecot.errors import RunError
from rarecot.verify import judge_all, ungradable, verify, verify_all
from rarecot.verify.compare import at_once, compare
from rarecot.verify.pool import Pool

FALSE_NEGATIVES = 0.005  # of the right answers; none may be taken for right that is wrong


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


# What independent readers got past earlier versions: words behind a number that are no unit, labels, percent signs, the t
# of 3t + 16t read as tons.
CREDITED_ONCE = [
    ("2", "2 hours 30 minutes"),
    ("2", "2 hr 30 min"),
    ("2", "2h30"),
    ("5", "5 feet 3 inches"),
    ("5", "5 lbs 3 oz"),
    ("7", "7 weeks 3 days"),
    ("5", "5 dollars 20 cents"),
    ("7", "7 apples 3 oranges"),
    ("1", "1 hour 15"),
    ("4", "4 x 4"),
    ("4", "4 by 4"),
    ("4", "4 boxes of 12 eggs"),
    ("3", "3 per day for 4 days"),
    ("7", "7 divided by 2"),
    ("7", "7 multiplied by 2"),
    ("7", "7 out of 10"),
    ("7", "7 in 10"),
    ("10", "10 percent of 20"),
    ("5", "5 from 10"),
    ("7", "7 R2"),
    ("7", "7 r 2"),
    ("7", "7 remainder 2"),
    ("2", "2 thirds"),
    ("3", "3 quarters"),
    ("3", "3 halves"),
    ("3", "3 point 5"),
    ("5", "5 hundreds"),
    ("5", "5 thousands"),
    ("5", "5 millions"),
    ("5", "5 dozens"),
    ("5", "5 grand"),
    ("5", "5M"),
    ("5", "5 mil"),
    ("5", "5 bn"),
    ("5", "5 lakh"),
    ("20", "20 five"),
    ("300", "3 hundred fifty"),
    ("2000", "2 thousand five hundred"),
    ("2000000", "2 million 500 thousand"),
    ("7", "7 pi"),
    ("7", "7 sqrt 2"),
    ("7", "7 root 2"),
    ("7", "7 log 2"),
    ("7", "7 choose 2"),
    ("3", "3 squared"),
    ("3", "3 cubed"),
    ("3", "3 factorial"),
    ("7", "7 but actually 8"),
    ("7", "7 then 8"),
    ("7", "7 vs 8"),
    ("7", "7 through 9"),
    ("7", "7 is wrong"),
    ("7", "7 incorrect"),
    ("7", "7 negative"),
    ("20", "20 below"),
    ("8", "8 fewer"),
    ("5", "5\\text{ halves}"),
    ("5", "5\\text{ thirds}"),
    ("5", "5\\text{ squared}"),
    ("5", "5\\text{ pi}"),
    ("5", "5\\text{ x}"),
    ("5", "5\\mathrm{i}"),
    ("5", "5\\mathrm{e}"),
    ("5", "5\\mathrm{x}"),
    ("2", "2\\text{e3}"),
    ("5", "5\\ldots"),
    ("5", "5..."),
    ("3,4", "a=4,b=3"),
    ("x=3,y=4", "4,3"),
    ("(3,4)", "(y,x)=(3,4)"),
    ("6^\\circ", "6\\%"),
    ("6\\%", "6^\\circ"),
    ("0.25", "0.25\\%"),
    ("0.5", ".5%"),
    ("5", "500%"),
    ("\\$6", "6\\text{ cents}"),
    ("6^\\circ", "6\\text{ radians}"),
    ("e", "2.718281828459045"),
    ("f'(x)", "f(x)"),
    ("1,200", "1, 200"),
    ("12", "1 2"),
    ("3t^2+16t", "3t^2+16"),
    ("3t^2+16t", "16+3t^2"),
    ("-16t^2+80t", "80-16t^2"),
    ("h^2+4h", "h^2+4"),
    ("\\frac{5t}{2}+3t", "\\frac{5t}{2}+3"),
    ("cd + 2c", "cd + 2"),
    ("m+2", "m+2m"),
    ("2k", "k2"),
    ("12x", "x12"),
    ("6x", "3x2"),
    ("-\\frac{1}{2x}", "-1/2x"),
    ("\\frac1{2\\pi}", "1/2\\pi"),
    ("15", "15 \\approx 16"),
    ("15", "29 \\equiv 15"),
    ("15", "15 \\mod 16"),
    ("3m", "3"),
    ("\\frac{13}{4} m", "\\frac{13}{4}"),
    ("12 \\text{ gm}", "12 \\text{ kg}"),
    ("\\frac{\\pi}{4}", "\\frac{\\pi}{4}^\\circ"),
    ("2\\sqrt{3}", "2\\sqrt{3}\\text{ thousand}"),
    ("2\\sqrt{3}", "2\\sqrt{3}\\%"),
    ("18", "not equal = 18"),
    ("18", "less than = 18"),
    ("5", "5\\text{ thousandth}"),
    ("5", "5 pm"),
    ("11,\\! 111,\\! 111,\\! 100", "11,\\! 100,\\! 111,\\! 111"),
    ("(0,1)", "0<x\\le 1"),
    ("[46,\\infty)", "x > 46"),
    ("(2,-1)", "y=2,x=-1"),
]
NOT_CREDITED_ONCE = [
    ("7", "=7"),
    (r"\frac{1}{2}", r"= \frac12"),
    ("7", "Total = 7"),
    ("7", "x = 3 + 4 = 7"),
    ("25", "25¢"),
    (r"\text{June 20}", "June 20"),
    ("5", r"\text{Area}=5"),
    (r"\mathbb{R}", r"(-\infty,\infty)"),
    (r"\frac13", r"0.\bar{3}"),
    ("18", "18 eggs per day"),
    ("18000000", "18 million"),
    ("12", "12 miles per hour"),
    ("3,4", "x=3,y=4"),
    ("2,-3", "x=2,x=-3"),
    ("6t - 5", "-5+6t"),
    ("9c+6", "6+9c"),
    ("3t^2+16t", "t(3t+16)"),
    ("2t+1", "1+2t"),
    ("\\frac15+\\frac35i", "\\frac{1+3i}{5}"),
    ("\\frac32+\\frac32 i", "\\frac{3+3i}{2}"),
    ("-668i", "-668\\cdot i"),
    ("\\frac{1}{2}x", "1/2x"),
    ("\\frac{\\pi}{2}", "1/2\\pi"),
    ("11,\\! 111,\\! 111,\\! 100", "11111111100"),
    ("11,\\! 111,\\! 111,\\! 100", "11,111,111,100"),
    ("[46,\\infty)", "x \\ge 46"),
    ("(0,1]", "0<x\\le1"),
    ("(-\\infty,-14)\\cup(-3,\\infty)", "x<-14 \\text{ or } x>-3"),
    ("-2<x<7", "(-2,7)"),
    ("(2,-1)", "x=2,y=-1"),
    ("\\text{C,E}", "C, E"),
    ("\\text{C,E}", "\\text{C and E}"),
    ("\\text{4:30 p.m.}", "4:30 \\text{ p.m.}"),
    ("\\text{1:03 PM}", "1:03 PM"),
    ("1101_4", "(1101)_4"),
    ("72", "AB = 72"),
    ("72", "f(3) = 72"),
    ("72", "S_{10} = 72"),
    ("105^\\circ", "\\angle ABC = 105^\\circ"),
    ("\\cos 58^\\circ", "\\cos{58^\\circ}"),
    ("16\\pi", "16\\pi \\approx 50.27"),
    ("\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}", "\\begin{pmatrix} 1 & 2 \\\\[4pt] 3 & 4 \\end{pmatrix}"),
    ("2\\sqrt3", "2\\sqrt3\\text{ cm}"),
]


def test_what_was_once_credited_no_longer_is():
    both = [
        (gold, text) for gold, answer in CREDITED_ONCE for text in (f"So.\n#### {answer}", rf"So $\boxed{{{answer}}}$.")
    ]
    found = verify_all([g for g, _ in both], [t for _, t in both], ["hashes", "boxed"] * len(CREDITED_ONCE))
    assert [pair for pair, verdict in zip(both, found, strict=True) if verdict == "correct"] == []


def test_what_was_once_missed_is_credited():
    found = verify_all(
        *zip(*((g, f"#### {a}") for g, a in NOT_CREDITED_ONCE), strict=True), ["hashes"] * len(NOT_CREDITED_ONCE)
    )
    assert [pair for pair, verdict in zip(NOT_CREDITED_ONCE, found, strict=True) if verdict != "correct"] == []


def test_an_answer_cannot_make_its_gold_unreadable():
    for answer in ("?? = 7", "% = 7", "= = 7"):
        assert verify("7", f"#### {answer}", "hashes") in ("wrong", "correct")


def test_whole_numbers_are_told_as_their_notation_tells_them():
    def never(gold, answer):
        raise AssertionError("two numbers need no algebra")

    numbers = ["0", "-0", "00", "007", "7", "-7", "-07", "10", "100", "999999999999999999", "-999999999999999999"]
    pairs = [(gold, answer) for gold in numbers for answer in numbers]
    assert [at_once(*pair) for pair in pairs] == [compare(*pair, never) for pair in pairs]


def test_long_runs_of_blanks_cost_nothing():
    assert verify("7", "so" + " " * 200_000 + "the\n#### 7", "hashes") == "correct"


@pytest.mark.parametrize(
    ("gold", "style"), [("7", "hashes"), ("7", "any"), (r"x^2+\sqrt{3}", "boxed"), (r"(1,\infty)", "boxed")]
)
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


def test_a_worker_that_hangs_is_killed_and_its_comparison_not_remembered():
    pool = Pool(workers=1, seconds=0.5)
    try:
        assert pool.compare(PAIRS[:1]) == ["correct"]
        stuck = pool._all[0].process
        os.kill(stuck.pid, signal.SIGSTOP)  # does not even hear its own alarm
        assert pool.compare(PAIRS[1:2]) == ["timed_out"]
        assert stuck.poll() is not None, "still alive"
        assert pool.compare(PAIRS[1:4]) == ["correct", "correct", "correct"]
    finally:
        pool.close()


def test_a_worker_that_is_killed_costs_no_verdict():
    """Where memory is short the system kills processes: what they were asked is asked again."""
    pool = Pool(workers=1, cache=0)
    try:
        assert pool.compare(PAIRS[:1]) == ["correct"]
        os.kill(pool._all[0].process.pid, signal.SIGKILL)
        pool._all[0].process.wait()
        assert pool.compare(PAIRS[1:2]) == ["correct"]
    finally:
        pool.close()


def test_a_pair_that_kills_every_worker_is_given_up(tmp_path, monkeypatch):
    counted = tmp_path / "started"
    script = tmp_path / "worker"
    script.write_text(f"#!/bin/sh\necho >> {counted}\necho ready\nread pair\nkill -9 $$\n")
    script.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(script))
    assert Pool(workers=1).compare(PAIRS[:1]) == ["timed_out"]
    assert counted.read_text().count("\n") == 3


def test_a_worker_that_is_killed_while_it_starts_is_started_again(tmp_path, monkeypatch):
    script, real = tmp_path / "worker", sys.executable
    script.write_text(
        f'#!/bin/sh\n[ -e {tmp_path}/again ] || {{ touch {tmp_path}/again; kill -9 $$; }}\nexec {real} "$@"\n'
    )
    script.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(script))
    pool = Pool(workers=1)
    try:
        assert pool.compare(PAIRS[:1]) == ["correct"]
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


def test_a_fault_of_the_workers_own_code_is_no_wrong_answer():
    pool = Pool(workers=1)
    try:
        with pytest.raises(RuntimeError, match="Traceback"):
            pool.compare([("x", 5)])  # not text: nothing of ours expects it
        assert pool.compare(PAIRS[:1]) == ["correct"]
    finally:
        pool.close()


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
def test_a_worker_answers_though_all_processes_are_asked_to_stop(number):
    """A scheduler's signal must not turn an answer into one that could not be judged."""
    pool = Pool(workers=1, cache=0)
    pool.compare(PAIRS[:1])
    process = pool._all[0].process
    process.send_signal(number)
    assert pool.compare([(r"\sqrt{2}", r"2^{1/2}")]) == ["correct"]
    assert pool._all[0].process is process
    pool.close()
