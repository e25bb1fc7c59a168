"""Rewards on responses in words, and those that look at tokens."""

import pytest

from rarecot.rewards import REWARDS, bind

EOS = 2
RIGHT = "Two and two.\n#### 4"


@pytest.mark.parametrize(
    ("completion", "answer", "format"),
    [
        (RIGHT, 1, 1),
        ("#### 4", 1, 1),
        ("#### 4.0", 1, 1),
        (RIGHT + "\nCheck: 5 items", 1, 0),  # goes on behind the answer
        ("#### 5\n#### 4", 1, 0),  # two marks
        (r"so \boxed{4}", 1, 0),  # another style's mark
        ("The answer is 4.", 0, 0),
        ("Two and two.\n#### 5", 0, 0),  # form alone earns nothing
        ("#### ", 0, 0),
    ],
)
def test_answer_and_format(completion, answer, format):
    columns = {"completions": [completion], "answer": ["4"], "style": ["hashes"]}
    assert REWARDS["answer"](**columns) == [answer]
    assert REWARDS["format"](**columns) == [format]


def test_an_unreadable_gold_is_not_scored():
    columns = {"completions": [r"\boxed{x + 2}"], "answer": ["x^{2"], "style": ["boxed"]}
    assert REWARDS["answer"](**columns) == [None]
    assert REWARDS["format"](**columns) == [None]


def test_length_penalty_counts_tokens_without_the_end():
    ids = [[5, 6, 7, EOS], [5, 6, 7], [EOS], []]
    assert REWARDS["length_penalty"](completion_ids=ids, eos_token_ids=[EOS]) == [-3, -3, 0, 0]


@pytest.mark.parametrize(("tokens", "value"), [(1, 0), (80, 0), (85, -0.25), (90, -0.5), (100, -1)])
def test_soft_overlong(tokens, value):
    ids = [[5] * (tokens - 1) + [EOS]]
    found = REWARDS["soft_overlong"](completion_ids=ids, max_completion_length=100, soft_overlong_tokens=20)
    assert found == [pytest.approx(value)]


def test_bound_rewards_get_what_the_run_has_set_and_their_weights():
    seen = {}
    names = ["answer", "soft_overlong", "length_penalty"]
    bound = bind(
        [REWARDS[name] for name in names],
        [EOS],
        [EOS],
        weights=[1.0, 0.5, 0.01],
        observer=lambda rewards, **_: seen.update(rewards=rewards),
        settings={"max_completion_length": 10, "soft_overlong_tokens": 4},
    )
    batch = {
        "completions": [RIGHT, RIGHT],
        "completion_ids": [[5] * 7 + [EOS], [5] * 10],
        "answer": ["4", "4"],
        "style": ["hashes"] * 2,
    }
    values = [reward(prompts=["", ""], **batch) for reward in bound]
    assert values == [[1.0, 0.0], [-0.5, -1.0], [-7.0, -10.0]]  # the second was cut off: no answer, all of the penalty
    assert seen["rewards"] == [pytest.approx(1 - 0.25 - 0.07), pytest.approx(-0.5 - 0.1)]
