import numpy as np
import pytest

from rarecot.tasks import Parity


def draw(task, n=200, seed=0):
    return task.draw(n, np.random.default_rng(seed))


@pytest.mark.parametrize(
    ("bits", "leap", "chain"),
    [
        # running prefixes of 1 1 0 1: 1, 1⊕1 = 0, 0⊕0 = 0, 0⊕1 = 1
        ("1101", 1, "1001"),
        ("0000", 1, "0000"),
        ("1111", 1, "1010"),
        # every second prefix of 1 0 0 1
        ("1101", 2, "01"),
        # with d = 5 and leap 2 the prefixes 2 and 4 are kept, and 5 because it is the answer
        ("11011", 2, "010"),
        ("110110", 3, "00"),  # prefixes 1 0 0 1 0 0: the third and the sixth
    ],
)
def test_chain_of_known_bits(bits, leap, chain):
    task = Parity(d=len(bits), leap=leap)
    problems = draw(task, n=3000)
    row = problems.prompt.index(f"{bits}=")
    assert problems.long[row] == chain
    assert problems.short[row] == problems.answer[row] == chain[-1]
    assert problems.problem_id[row] == f"parity-{bits}"


def test_answer_is_the_parity_of_the_bits():
    problems = draw(Parity(d=17))
    for prompt, answer, long in zip(problems.prompt, problems.answer, problems.long, strict=True):
        assert answer == str(prompt.count("1") % 2) == long[-1]
        assert len(long) == 17


def test_bits_are_fair_and_draws_are_seeded():
    problems = draw(Parity(d=50), n=2000)
    ones = sum(prompt.count("1") for prompt in problems.prompt) / (50 * 2000)
    assert abs(ones - 0.5) < 0.01  # 100 000 fair bits: standard deviation 0.0016
    assert draw(Parity(d=50), n=50) == draw(Parity(d=50), n=50)
    assert draw(Parity(d=50), n=50, seed=1) != draw(Parity(d=50), n=50)


def test_noise_flips_intermediate_steps_only():
    problems = draw(Parity(d=21, chain_noise=0.2), n=1000)
    flips = [
        a != b
        for long, shown in zip(problems.long, problems.long_shown, strict=True)
        for a, b in zip(long[:-1], shown[:-1], strict=True)
    ]
    assert abs(np.mean(flips) - 0.2) < 0.015  # 20 000 flips: standard deviation 0.003
    assert all(shown[-1] == gold for shown, gold in zip(problems.long_shown, problems.answer, strict=True))
    assert draw(Parity(d=21)).long_shown == draw(Parity(d=21)).long


def test_token_counts(tokenizer):
    for task in (Parity(d=6), Parity(d=7, leap=3)):
        problems = draw(task, n=1)
        assert len(tokenizer(problems.prompt[0])["input_ids"]) == task.prompt_tokens
        assert len(tokenizer(problems.long[0], add_special_tokens=False)["input_ids"]) + 1 == task.long_tokens


@pytest.mark.parametrize(
    ("options", "word"),
    [({"d": 1}, "2 bits"), ({"leap": 0}, "leap"), ({"d": 4, "leap": 4}, "leap < d"), ({"chain_noise": 0.7}, "0.5")],
)
def test_bad_options_are_named(options, word):
    (problem,) = Parity(**options).problems_with_options()
    assert word in problem


def test_good_options_are_silent():
    assert Parity(d=2).problems_with_options() == Parity(d=50, leap=2, chain_noise=0.5).problems_with_options() == []
