import pytest

from rarecot.rewards import REWARDS, bind

LONG, SHORT, GOLD = "0110", "0", "0"
EOS, PAD, BOS = 2, 0, 1


@pytest.mark.parametrize(
    ("completion", "answer", "chain"),
    [
        ("0110", 1, 1),  # the exact long demonstration
        ("0", 1, 1),  # the exact short one
        ("1", 0, 0),
        ("0010", 1, 0),  # right at the end, wrong on the way
        ("0111", 0, 0),
        ("01100", 1, 0),  # one step too many
        ("", 0, 0),
        ("0=0", 0, 0),
    ],
)
def test_rewards(completion, answer, chain):
    columns = {"answer": [GOLD], "long": [LONG], "short": [SHORT], "style": ["bits"], "problem_id": ["x"]}
    call = {"prompts": ["0101="], "completions": [completion], "completion_ids": [[3, EOS]], **columns}
    assert REWARDS["answer"](**call) == [answer]
    assert REWARDS["chain"](**call) == [chain]


def test_one_reward_a_completion_in_order():
    got = REWARDS["answer"](prompts=[""] * 3, completions=["1", "0", "1"], answer=["1", "1", "1"])
    assert got == [1.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("ids", "value"),
    [
        ([3, EOS], 1.0),
        ([3], 0.0),  # cut off: no end
        ([], 0.0),
        ([3, PAD, EOS], 0.0),  # the decoded text would hide the pad
        ([BOS, 3, EOS], 0.0),
        ([EOS, 3, EOS], 0.0),
    ],
)
def test_bound_rewards_see_what_decoding_hides(ids, value):
    (reward,) = bind([REWARDS["answer"]], [EOS], [PAD, BOS, EOS])
    assert reward(prompts=[""], completions=["0"], completion_ids=[ids], answer=["0"]) == [value]
    assert reward.__name__ == "answer"  # TRL names its metrics by it


def test_cutting_off_is_never_better_than_ending():
    (penalty,) = bind([lambda completions, **_: [-0.5, None, 0.5]], [EOS], [PAD])
    got = penalty(completions=["", "", ""], completion_ids=[[3], [3], [3]])
    assert got == [-0.5, None, 0.0]


def test_observer_sees_weighted_totals_once():
    seen = []
    rewards = bind(
        [REWARDS["answer"], REWARDS["chain"]], [EOS], [PAD], weights=[1.0, 0.5], observer=lambda **kw: seen.append(kw)
    )
    call = {
        "prompts": ["", "", ""],
        "completions": ["0110", "0010", "1"],
        "completion_ids": [[3, EOS]] * 3,
        "answer": [GOLD] * 3,
        "long": [LONG] * 3,
        "short": [SHORT] * 3,
    }
    for _ in range(2):
        for reward in rewards:
            reward(**call)
    assert [kw["rewards"] for kw in seen] == [[1.5, 1.0, 0.0]] * 2
    assert seen[0]["answer"] == [GOLD] * 3


def test_a_noisy_verifier_errs_at_its_rates_and_always_the_same():
    from rarecot.rewards import noisy

    n = 4000
    columns = {
        "completions": ["0"] * n + ["1"] * n,
        "answer": ["0"] * 2 * n,
        "problem_id": [f"p{i}" for i in range(2 * n)],
    }
    erring = noisy(REWARDS["answer"], false_positive_rate=0.2, false_negative_rate=0.1, seed=0)
    values = erring(**columns)
    assert abs(sum(values[:n]) / n - 0.9) < 0.02
    assert abs(sum(values[n:]) / n - 0.2) < 0.025
    assert erring(**columns) == values
    assert noisy(REWARDS["answer"], 0.2, 0.1, seed=1)(**columns) != values
    assert noisy(REWARDS["answer"], 0.0, 0.0, seed=0)(**columns) == [1.0] * n + [0.0] * n
    unscored = noisy(lambda completions, **_: [None] * len(completions), 1.0, 1.0, seed=0)
    assert unscored(completions=["0"], problem_id=["p"]) == [None]


def test_a_noisy_verifier_does_not_reward_what_did_not_end():
    from rarecot.rewards import noisy

    (bound,) = bind([noisy(REWARDS["answer"], 1.0, 0.0, seed=0)], [EOS], [PAD, BOS, EOS])
    call = {"answer": ["0", "0"], "problem_id": ["a", "b"], "completions": ["1", "1"]}
    assert bound(completion_ids=[[4, EOS], [4]], **call) == [1.0, 0.0]


def test_an_error_belongs_to_one_response_and_not_to_all_that_answer_a_problem():
    from rarecot.rewards import noisy

    n = 2000
    erring = noisy(REWARDS["answer"], false_positive_rate=0.5, false_negative_rate=0.0, seed=0)
    values = erring(completions=["1", "01"] * n, answer=["0"] * 2 * n, problem_id=[f"p{i // 2}" for i in range(2 * n)])
    alike = sum(values[2 * i] == values[2 * i + 1] for i in range(n)) / n
    assert abs(alike - 0.5) < 0.04


def test_a_verifier_errs_about_correctness_alone():
    from rarecot.rewards import named

    right, penalty = named(["answer", "length_penalty"], false_positive_rate=1.0, false_negative_rate=1.0)
    columns = {"completions": ["0", "1"], "completion_ids": [[3, EOS]] * 2, "answer": ["0", "0"]}
    columns |= {"problem_id": ["a", "b"], "eos_token_ids": [EOS]}
    assert (right(**columns), penalty(**columns)) == ([0.0, 1.0], [-1.0, -1.0])
