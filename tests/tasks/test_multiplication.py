"""Multiplication held against Python's integers."""

import re
from dataclasses import replace

import numpy as np
import pytest

from rarecot.mixtures.build import build, column
from rarecot.mixtures.spec import MixtureSpec
from rarecot.parsing import parse, write
from rarecot.rendering import as_transformers_tokenizer
from rarecot.rewards.correctness import answer as answer_reward
from rarecot.tasks import Generated, Multiplication
from rarecot.verify import judge, verify, verify_all

TASKS = [
    Multiplication(digits=digits, digits_second=second, order=order)
    for digits, second in ((2, 0), (3, 0), (4, 2), (2, 5), (1, 3), (9, 0), (11, 12))
    for order in ("reversed", "plain")
]


def draw(task, n=200, seed=0):
    return task.draw(n, np.random.default_rng(seed))


def name(task):
    return f"{task.digits}x{task.second}-{task.order}"


def number(text, task):
    """What a number in a task's order says."""
    return int(text if task.order == "plain" else text[::-1])


def written(value, width, task):
    text = str(value).zfill(width)
    return text if task.order == "plain" else text[::-1]


def chain_of(a, b, task):
    """The long demonstration by Python's integers."""
    b_digits = [int(digit) for digit in reversed(str(b).zfill(task.second))]
    pieces, total = [], 0
    for j, digit in enumerate(b_digits):
        partial, width = a * digit * 10**j, task.digits + 1 + j
        total += partial
        pieces.append(written(partial, width, task))
        if 0 < j < task.second - 1:
            pieces[-1] += f"({written(total, width, task)})"
    assert total == a * b
    return f"{'+'.join(pieces)}#{written(a * b, task.digits + task.second, task)}"


@pytest.mark.parametrize(
    ("task", "prompt", "long"),
    [
        # 123 · 456: 738, 6150 (6888), 49200, 56088
        (Multiplication(), "321*654=", "8370+05160(88860)+002940#880650"),
        (Multiplication(order="plain"), "123*456=", "0738+06150(06888)+049200#056088"),
        # 99 · 10: 0 and 990; two partial products have no sum between them
        (Multiplication(digits=2), "99*01=", "000+0990#0990"),
        # 12 · 3004: 48, 0 (48), 0 (48), 36000
        (
            Multiplication(digits=2, digits_second=4, order="plain"),
            "12*3004=",
            "048+0000(0048)+00000(00048)+036000#036048",
        ),
        # 5 · 20
        (Multiplication(digits=1, digits_second=2, order="plain"), "5*20=", "00+100#100"),
    ],
)
def test_known_products(task, prompt, long):
    a, b = re.findall("[0-9]+", prompt)
    digits = iter([a, b] if task.order == "reversed" else [a[::-1], b[::-1]])

    class Fixed:
        """A generator whose first two draws are these factors."""

        def integers(self, low, high, size, dtype):
            factor = next(digits, None)
            return np.ones(size, dtype) if factor is None else np.array([[int(digit) for digit in factor]], dtype)

        def random(self, size, dtype):
            return np.full(size, 0.5, dtype)

    problems = task.draw(1, Fixed())
    assert (problems.prompt, problems.long) == ([prompt], [long])
    assert problems.short == problems.answer == [long.split("#")[1]]
    assert problems.long_shown == problems.long


@pytest.mark.parametrize("task", TASKS, ids=name)
def test_every_step_is_right(task):
    problems = draw(task)
    for prompt, long, short, answer in zip(
        problems.prompt, problems.long, problems.short, problems.answer, strict=True
    ):
        texts = re.fullmatch(r"([0-9]+)\*([0-9]+)=", prompt).groups()
        assert [len(text) for text in texts] == [task.digits, task.second]
        a, b = (number(text, task) for text in texts)
        assert long == chain_of(a, b, task)
        assert number(answer, task) == a * b
        assert short == answer == long.split("#")[1]
    assert len(set(problems.prompt)) > 30


def test_both_orders_are_the_same_problems():
    reverse, plain = draw(Multiplication()), draw(Multiplication(order="plain"))
    assert reverse.problem_id == plain.problem_id
    assert reverse.answer == [answer[::-1] for answer in plain.answer]
    numbers = [re.findall("[0-9]+", prompt) for prompt in plain.prompt]
    assert plain.problem_id == [f"multiplication-{a}x{b}" for a, b in numbers]


def test_digits_are_uniform_up_to_the_largest_and_draws_are_seeded():
    drawn = "".join(draw(Multiplication(largest_digit=4), n=5000).prompt)
    counts = np.array([drawn.count(digit) for digit in "0123456789"])
    assert counts[5:].sum() == 0
    # 30 000 digits, a fifth each: standard deviation of a share 0.0023
    assert np.abs(counts[:5] / 30_000 - 0.2).max() < 0.012
    assert draw(Multiplication()) == draw(Multiplication())
    assert draw(Multiplication()) != draw(Multiplication(), seed=1)


def test_noise_replaces_digits_of_the_chain_only():
    task = Multiplication(digits=4, chain_noise=0.3)
    problems, clean = draw(task, n=2000), draw(replace(task, chain_noise=0.0), n=2000)
    assert (problems.prompt, problems.long, problems.answer) == (clean.prompt, clean.long, clean.answer)
    assert clean.long_shown == clean.long
    hits, replacements = [], []
    for long, shown, answer in zip(problems.long, problems.long_shown, problems.answer, strict=True):
        assert re.sub("[0-9]", "0", shown) == re.sub("[0-9]", "0", long)
        assert shown.split("#")[1] == answer
        pairs = [(a, b) for a, b in zip(long.split("#")[0], shown, strict=False) if a.isdigit()]
        hits += [a != b for a, b in pairs]
        replacements += [(int(b) - int(a)) % 10 for a, b in pairs if a != b]
    assert abs(np.mean(hits) - 0.3) < 0.008  # 78 000 digits or so: standard deviation 0.0016
    shares = np.bincount(replacements, minlength=10)[1:] / len(replacements)
    assert np.abs(shares - 1 / 9).max() < 0.01  # every other digit alike


@pytest.mark.parametrize("task", TASKS, ids=name)
def test_token_counts_and_round_trip(task):
    assert isinstance(task, Generated)
    tokenizer, problems = as_transformers_tokenizer(task.tokenizer()), draw(task, n=20)
    for prompt, long, short in zip(problems.prompt, problems.long, problems.short, strict=True):
        ids = tokenizer(long, add_special_tokens=False)["input_ids"]
        assert len(tokenizer(prompt)["input_ids"]) == task.prompt_tokens
        assert len(ids) + 1 == task.long_tokens
        assert len(ids) == len(long)
        assert tokenizer.decode(ids) == long
        assert tokenizer.decode(tokenizer(short, add_special_tokens=False)["input_ids"]) == short


@pytest.mark.parametrize("task", TASKS, ids=name)
def test_demonstrations_are_parsed_and_written_again(task):
    problems = draw(task, n=20)
    for long, short, answer in zip(problems.long, problems.short, problems.answer, strict=True):
        steps = long.split("#")[0]
        parsed = parse(long, "digits")
        assert (parsed.answer, parsed.kind, parsed.well_formed) == (answer, "long", True)
        assert len(parsed.steps) == task.second
        assert "+".join(parsed.steps) == steps
        assert write(steps, answer, "digits") == long
        parsed = parse(short, "digits")
        assert (parsed.answer, parsed.kind, parsed.well_formed, parsed.steps) == (answer, "short", True, ())
        assert write("", answer, "digits") == short


@pytest.mark.parametrize(
    ("text", "answer", "kind", "well_formed"),
    [
        ("880650", "880650", "short", True),
        ("8370+05160#880650", "880650", "long", True),
        ("8370#880650", "880650", "long", True),
        ("#880650", "880650", "short", True),
        ("", None, "short", False),
        ("8370+0516", None, "long", False),
        ("8370+", None, "long", False),
        ("12*3=", None, "short", False),
        ("8370+05160#", "", "long", False),
        ("8370+05160#88+0", "", "long", False),
        ("8370#880650#880650", "", "long", False),
        ("1 2", None, "short", False),
        ("12\n", None, "short", False),
        ("1+2#3\n", "", "long", False),
        ("٣", None, "short", False),  # a digit to str.isdigit, not to us
        ("1+2#٣", "", "long", False),
    ],
)
def test_parse(text, answer, kind, well_formed):
    parsed = parse(text, "digits")
    assert (parsed.answer, parsed.kind, parsed.well_formed) == (answer, kind, well_formed)


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("0990", "correct"),
        ("000+0990#0990", "correct"),
        ("111+1111#0990", "correct"),  # the answer counts, whatever stands before it
        ("990", "wrong"),  # a zero less in front: the same number, another string
        ("00990", "wrong"),
        ("099", "wrong"),
        ("09900", "wrong"),
        ("000+0990#", "wrong"),
        ("000+0990#0990#0990", "wrong"),
        ("000+0990", "no_answer"),
        ("", "no_answer"),
    ],
)
def test_only_the_exact_string_is_right(text, verdict):
    assert verify("0990", text, "digits") == verdict
    assert answer_reward([text], ["0990"], ["digits"]) == [float(verdict == "correct")]
    assert judge(text, "0990", "digits", finished=False) == "truncated"


def test_styles_may_be_mixed_in_a_batch():
    golds, texts = ["10", "10", "1", "10"], ["010", "#### 10.0", "01", "2+8#10"]
    assert verify_all(golds, texts, ["digits", "hashes", "bits", "digits"]) == [
        "wrong",
        "correct",
        "correct",
        "correct",
    ]


def test_mixture_shows_both_kinds_and_all_are_right():
    task = Multiplication(digits=2, digits_second=3)
    made = build(MixtureSpec(task=task, p_cot=0.25, n=400, n_rl=100, n_test=100))
    golds, texts, kinds = (column(made.fixed, key) for key in ("answer", "completion", "kind"))
    assert [parse(text, "digits").kind for text in texts] == kinds
    assert kinds.count("long") == 100
    assert set(verify_all(golds, texts, ["digits"] * 400)) == {"correct"}


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"digits": 0}, "digits is 0"),
        ({"digits": 0, "digits_second": 3}, "digits is 0"),
        ({"digits": 1}, "second factor has 1 digit"),
        ({"digits": 4, "digits_second": 1}, "digits_second 1"),
        ({"digits_second": -1}, "digits_second is -1"),
        ({"largest_digit": 0}, "largest_digit is 0"),
        ({"largest_digit": 10}, "1 to 9"),
        ({"order": "reverse"}, "reversed"),
        ({"chain_noise": -0.1}, "chain_noise is -0.1"),
        ({"chain_noise": 0.95}, "0.9"),
    ],
)
def test_bad_options_are_named(options, word):
    (problem,) = Multiplication(**options).problems_with_options()
    assert word in problem
    assert problem.endswith(".")


@pytest.mark.parametrize("options", [{}, {"digits": 1, "digits_second": 2}, {"largest_digit": 1, "chain_noise": 0.9}])
def test_good_options_are_silent(options):
    assert Multiplication(**options).problems_with_options() == []


def test_space_counts_the_problems():
    task = Multiplication(digits=2, largest_digit=1)
    assert task.space == 2**4 == len(set(draw(task, n=2000).problem_id))
    needed = MixtureSpec(task=task, n=8, n_rl=8, n_test=8).problems()
    assert any("24 distinct problems" in problem for problem in needed)
