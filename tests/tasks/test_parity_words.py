"""Parity in words: counted from the sentences, not from the code that wrote them."""

import re

import numpy as np
import pytest
from conftest import ROOT, run_command

from rarecot.mixtures.build import build, column, load
from rarecot.mixtures.spec import MixtureSpec, read_mapping
from rarecot.parsing import parse
from rarecot.tasks import Corpus, Generated, ParityWords
from rarecot.tasks.sources import sources_of
from rarecot.verify import ungradable, verify, verify_all

SMALL = {"d": 8, "problems": 150, "test_problems": 50}


def faces(text):
    return re.findall("heads|tails", text.split("left to right: ")[1].split(". Is")[0])


def parity(coins):
    return ("even", "odd")[coins.count("heads") % 2]


def test_the_words():
    loaded = ParityWords(d=3, problems=7, test_problems=1).load()
    both = loaded.train + loaded.test
    row = both.prompt.index(
        "A row of 3 coins, from left to right: heads, tails, heads. Is the number of heads even or odd?"
    )
    assert both.long[row] == "Coin 1 is heads: odd.\nCoin 2 is tails: odd.\nCoin 3 is heads: even.\n#### even"
    assert (both.short[row], both.answer[row], both.problem_id[row]) == ("#### even", "even", "parity_words-101")


@pytest.mark.parametrize(
    ("d", "leap", "sentences"),
    [
        (4, 2, ["Coins 1 and 2 are", "Coins 3 and 4 are"]),
        (5, 2, ["Coins 1 and 2 are", "Coins 3 and 4 are", "Coin 5 is"]),
        (8, 3, ["Coins 1 to 3 are", "Coins 4 to 6 are", "Coins 7 and 8 are"]),
    ],
)
def test_leap_tells_several_coins_in_a_sentence(d, leap, sentences):
    loaded = ParityWords(d=d, leap=leap, problems=10, test_problems=2).load()
    for long in loaded.train.long:
        lines = long.split("\n")[:-1]
        assert [re.match(r"Coins? [0-9a-z ]+ (?:is|are)", line)[0] for line in lines] == sentences


@pytest.mark.parametrize(
    "task",
    [
        ParityWords(**SMALL),
        ParityWords(**SMALL, leap=3),
        ParityWords(**SMALL, style="boxed"),
        ParityWords(d=20, problems=300),
    ],
    ids=["hashes", "leap", "boxed", "d20"],
)
def test_every_running_parity_is_that_of_the_coins_so_far(task):
    loaded = task.load()
    for split, size in ((loaded.train, task.problems), (loaded.test, task.test_problems)):
        assert len(split) == len(set(split.prompt)) == size
        for prompt, long, short, answer in zip(split.prompt, split.long, split.short, split.answer, strict=True):
            row = faces(prompt)
            assert len(row) == task.d
            assert answer == parity(row)
            *sentences, mark = long.split("\n")
            assert mark == short == (f"#### {answer}" if task.style == "hashes" else f"\\boxed{{{answer}}}")
            told = []
            for sentence in sentences:
                coins, said = re.fullmatch(r"Coins? [0-9a-z ]+ (?:is|are) (.+): (even|odd)\.", sentence).groups()
                told += coins.split(", ")
                assert said == parity(told)
            assert told == row
    assert not set(loaded.train.prompt) & set(loaded.test.prompt)
    assert loaded.dropped == []


@pytest.mark.parametrize("style", ["hashes", "boxed"])
def test_demonstrations_are_right_and_of_their_kind(style):
    train = ParityWords(**SMALL, style=style).load().train
    assert ungradable(train.answer) == []
    for texts, kind, steps in ((train.long, "long", 8), (train.short, "short", 0)):
        assert set(verify_all(train.answer, texts, [style] * len(texts))) == {"correct"}
        parsed = [parse(text, style) for text in texts]
        assert {(p.kind, p.well_formed, len(p.steps)) for p in parsed} == {(kind, True, steps)}


def test_the_other_parity_is_wrong():
    for gold, other in (("odd", "even"), ("even", "odd")):
        assert verify(gold, f"Coin 1 is heads: odd.\n#### {gold}", "hashes") == "correct"
        assert verify(gold, f"Coin 1 is heads: odd.\n#### {other}", "hashes") == "wrong"
        assert verify(gold, f"\\boxed{{{other}}}", "boxed") == "wrong"
        assert verify(gold, f"#### {gold} or {other}", "hashes") == "wrong"
        assert verify(gold, "Coin 1 is heads: odd.", "hashes") == "no_answer"


def test_noise_flips_intermediate_sentences_only():
    task = ParityWords(d=16, chain_noise=0.2, problems=2000, test_problems=10)
    train = task.load().train
    shown = task.shown(train, np.random.default_rng(0))
    flips = []
    for long, noisy in zip(train.long, shown, strict=True):
        lines = list(zip(long.split("\n"), noisy.split("\n"), strict=True))
        assert all(a == b for a, b in lines[-2:]), "the last coin's sentence and the answer"
        assert all(a.split(":")[0] == b.split(":")[0] for a, b in lines), "coins are told as they are"
        flips += [a != b for a, b in lines[:-2]]
    assert abs(np.mean(flips) - 0.2) < 0.012  # 30 000 flips: standard deviation 0.0023
    clean = ParityWords(d=16, problems=2000, test_problems=10)
    assert clean.load().train.long == train.long
    assert clean.shown(clean.load().train, np.random.default_rng(0)) == train.long


def test_draws_are_seeded_and_sizes_do_not_reshuffle():
    few, more = ParityWords(d=12, problems=100).load(), ParityWords(d=12, problems=1500).load()
    assert few.test == more.test
    assert few.train == more.train.take(list(range(100)))
    assert few.train != ParityWords(d=12, problems=100, draw_seed=1).load().train


def test_the_whole_space_can_be_asked_for():
    loaded = ParityWords(d=8, problems=192, test_problems=64).load()
    assert len({*loaded.train.prompt, *loaded.test.prompt}) == 256


def test_it_is_a_corpus_that_lies_nowhere():
    task = ParityWords()
    assert isinstance(task, Corpus)
    assert not isinstance(task, Generated)
    assert sources_of(task) == []
    assert task.identity() == {"style": "hashes", "d": task.d, "leap": task.leap, "chain_noise": 0.0}, (
        "RL on other problems is another task"
    )


def test_nothing_is_dropped_from_a_mixture_and_it_is_read_again(tmp_path):
    made = build(MixtureSpec(task=ParityWords(**SMALL, chain_noise=0.1), p_cot=0.25, n=0, n_rl=50, n_test=0))
    assert made.dropped == ()
    assert (len(made.fixed), len(made.rl), len(made.test)) == (100, 50, 50)
    assert column(made.fixed, "kind").count("long") == 25
    made.save(tmp_path / "mixture")
    assert load(tmp_path / "mixture").manifest == made.manifest


@pytest.mark.slow
def test_the_command_builds_the_shipped_mixture(tmp_path):
    yaml = "data_mixes/parity-words.yaml"
    spec = MixtureSpec.from_mapping(read_mapping(ROOT / yaml))
    assert (spec.task.d, spec.p_cot) == (8, 0.25)
    result = run_command("python", "data_mixes/build.py", yaml, "--out", tmp_path / "x", "--show", "2")
    assert result.returncode == 0, result.stderr
    assert "128 demonstrations, 32 long" in result.stdout
    assert len(re.findall(r"^ long  answer (?:odd|even)  A row of 8 coins", result.stdout, re.M)) == 2
    assert "left out" not in result.stdout


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"d": 1, "problems": 1, "test_problems": 1}, "2 bits"),
        ({"leap": 0}, "leap"),
        ({"leap": 16}, "leap < d"),
        ({"chain_noise": 0.6}, "0.5"),
        ({"problems": 0}, "problems is 0"),
        ({"test_problems": 0}, "test_problems is 0"),
        ({"d": 8, "problems": 200, "test_problems": 57}, "256 different rows"),
        ({"draw_seed": -1}, "draw_seed is -1"),
        ({"style": "digits"}, "hashes, boxed"),
        ({"style": "box"}, "hashes, boxed"),
    ],
)
def test_bad_options_are_named(options, word):
    (problem,) = ParityWords(**options).problems_with_options()
    assert word in problem
    assert problem.endswith(".")


def test_good_options_are_silent():
    assert ParityWords().problems_with_options() == ParityWords(**SMALL, leap=7).problems_with_options() == []
