"""What a prompt may say of its answer, and what not: tables. Whole mixtures and suites of such prompts are in tests/attacks."""

import pytest

from rarecot.mixtures.giveaway import given_away, has_gold_as_number, in_constant_text, marked, too_many


@pytest.mark.parametrize(
    ("prompt", "gold", "has"),
    [
        ("She has 5 bags. How many?", "5", True),
        ("She has 15 bags. How many?", "5", False),
        ("She has 5.5 bags, or 5,000. How many?", "5", False),
        ("It costs $1,298.00 now.", "1298", True),
        ("It costs 1298 now.", "$1,298", True),
        ("From -7 to 7?", "-7", True),
        ("What is x+5?", "x+5", False),
        ("Five bags. How many?", "5", False),
        ("What is nan or inf?", "nan", False),
    ],
)
def test_a_gold_that_is_a_number_of_its_question(prompt, gold, has):
    assert has_gold_as_number(prompt, gold) == has
    assert given_away(prompt, gold) is None


def test_every_mark_is_seen():
    text = "#### 1 #### 2\n#### \n" + r"\boxed{3} \boxed 4 \fbox{\frac{5}{6}} \boxed{\boxed{7}} \boxed{} \boxed{8"
    assert [answer for _, answer in marked(text)] == ["1", "2", "3", "4", r"\frac{5}{6}", r"\boxed{7}", "7"]


@pytest.mark.parametrize(
    ("prompt", "gold"),
    [
        (r"Is it \fbox{\frac{1}{2}}?", "0.5"),
        ("Q?\nFinal answer: 12", "12"),
        ("Q? **The answer is** 12.", "12"),
        ("Q?\n#### 1,200 ", "1200"),
    ],
)
def test_the_same_answer_in_another_notation_is_the_answer(prompt, gold):
    assert given_away(prompt, gold)
    assert given_away(prompt, "13") is None


def test_a_few_by_chance_are_no_pattern():
    assert [too_many(*case) for case in ((1, 1), (1, 5), (2, 5), (10, 100), (11, 100))] == [
        False,
        False,
        True,
        False,
        True,
    ]
    assert in_constant_text("Say #### A", ["A", "B", "A", "B"], "it") == []
    (said,) = in_constant_text("Say #### A", ["A", "B", "A"], "it")
    assert said.startswith("it marks the answer of 2 of the 3 problems (A)")
