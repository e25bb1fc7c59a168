import numpy as np
import pytest

from rarecot.evaluation.metrics import proportion_interval, summarise, wilson
from rarecot.types import Completion, Response


def response(problem="a", length=1, kind="short", verdict="correct"):
    reason = "length" if verdict == "truncated" else "stop"
    return Response(problem, Completion([3] * length + [2] * (reason == "stop"), "0" * length, reason), kind, verdict)


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [
        # Brown, Cai, DasGupta 2001 and direct evaluation of Wilson's formula with z = 1.959964
        (0, 10, 0.0, 0.27753),
        (5, 10, 0.23659, 0.76341),
        (10, 10, 0.72247, 1.0),
        (1, 1, 0.20655, 1.0),
        (50, 100, 0.40383, 0.59617),
    ],
)
def test_wilson(k, n, low, high):
    assert wilson(k, n) == pytest.approx((low, high), abs=1e-4)


def test_one_trial_a_prompt_is_wilson():
    values = [True] * 30 + [False] * 70
    assert proportion_interval(values, [str(i) for i in range(100)]) == pytest.approx(wilson(30, 100))


def test_identical_responses_to_a_prompt_count_once():
    # 25 prompts, 4 equal responses each: as much evidence as about 25 trials
    values = [i % 2 == 0 for i in range(25) for _ in range(4)]
    clusters = [str(i) for i in range(25) for _ in range(4)]
    low, high = proportion_interval(values, clusters)
    expected = wilson(13, 25)
    assert high - low == pytest.approx(expected[1] - expected[0], rel=0.05)


def test_independent_responses_to_a_prompt_count_each():
    values = [True, False] * 200
    clusters = [str(i) for i in range(100) for _ in range(4)]
    assert proportion_interval(values, clusters) == pytest.approx(wilson(200, 400))


def test_summary_of_known_responses():
    record = summarise(
        [
            response("a", 4, "long", "correct"),
            response("b", 4, "long", "wrong"),
            response("c", 1, "short", "correct"),
            response("d", 1, "short", "wrong"),
            response("e", 1, "short", "wrong"),
            response("f", 5, "long", "truncated"),
            response("g", 0, "short", "no_answer"),
            response("h", 2, "long", "correct"),
        ]
    )
    assert record["n"] == 8
    assert record["accuracy"] == 3 / 8
    assert record["length_mean"] == 18 / 8
    assert record["length_median"] == 1.5
    assert record["length_correct_mean"] == 7 / 3
    assert record["length_wrong_mean"] == 11 / 5
    assert record["long_share"] == 0.5
    assert record["accuracy_long"] == 0.5
    assert record["accuracy_short"] == 0.25
    assert record["truncated_share"] == record["no_answer_share"] == 1 / 8
    assert record["accuracy_ci"] == pytest.approx(list(wilson(3, 8)))


def test_undefined_is_null():
    record = summarise([response(), response("b")])
    assert record["accuracy_long"] is None
    assert record["accuracy_long_ci"] is None
    assert record["length_wrong_mean"] is None
    with pytest.raises(ValueError, match="no responses"):
        summarise([])


def test_long_by_length_and_what_could_not_be_compared():
    def one(length, kind, verdict):
        return Response("p", Completion([3] * length + [2], "", "stop"), kind, verdict)

    responses = [
        one(30, "long", "correct"),
        one(20, "short", "wrong"),  # as long as a chain, but without steps
        one(2, "long", "timed_out"),  # steps of a word or two
        one(1, "short", "unparseable_gold"),
    ]
    made = summarise(responses, long_from=15)
    assert (made["long_share"], made["long_share_by_length"], made["long_from_tokens"]) == (0.5, 0.5, 15)
    assert (made["timed_out_share"], made["unparseable_gold_share"]) == (0.25, 0.25)
    assert "long_share_by_length" not in summarise(responses)


def test_nearly_unanimous_clusters_count_once_each():
    """Five problems always right, 64 responses each, are five observations, not 320."""
    clusters = [str(i) for i in range(5) for _ in range(64)]
    low, _ = proportion_interval([True] * 320, clusters)
    assert low == pytest.approx(wilson(5, 5)[0], abs=0.02)
    almost, _ = proportion_interval([True] * 319 + [False], clusters)
    assert almost < 0.7


def test_the_interval_of_clusters_holds_what_it_promises():
    rng = np.random.default_rng(0)
    for hard, rest in ((0.1, 1.0), (0.05, 0.99)):
        truth, held = (1 - hard) * rest, 0
        for _ in range(300):
            rate = np.where(rng.random(10) < hard, 0.0, rest)
            values = rng.random((10, 16)) < rate[:, None]
            low, high = proportion_interval(values.ravel().tolist(), np.repeat(np.arange(10), 16).tolist())
            held += low <= truth <= high
        assert held >= 0.88 * 300  # it was 0.48 to 0.61 with the variance of these few problems taken for granted


def test_every_length_and_rate_is_of_those_it_names():
    """Ten right short answers of 1 … 10 tokens, and long ones of 20, 30 and 40, of which one was cut off: each number by hand."""
    short = [response(f"s{i}", i, "short", "correct") for i in range(1, 11)]
    long = [response("a", 20, "long"), response("b", 30, "long", "wrong"), response("c", 40, "long", "truncated")]
    made = summarise([*short, *long], long_from=10)
    assert (made["length_short_mean"], made["length_long_mean"]) == (5.5, 30)
    assert made["length_p95"] == pytest.approx(34)  # of 13, place 11.4 from 0: between 30 and 40
    assert made["long_share_by_length"] == pytest.approx(4 / 13), "the one of exactly 10 counts"
    assert (made["truncated_long_share"], made["truncated_short_share"]) == (pytest.approx(1 / 3), 0)
    assert made["tokens_generated"] == 55 + 10 + 20 + 30 + 2 + 40  # each end is a token
    assert made["correct_per_1000_tokens"] == pytest.approx(1000 * 11 / 157)
    cut = summarise([response("a", 4, "short", "truncated"), response("b", 4, "long", "wrong")])
    assert (cut["truncated_short_share"], cut["truncated_long_share"]) == (1, 0)


def test_what_was_cut_off_counts_as_such_however_it_was_judged():
    """Published protocols judge what there is at the cap."""
    at_the_cap = Response("a", Completion([3] * 9, "0", "length"), "long", "correct")
    made = summarise([at_the_cap, response("b")])
    assert (made["accuracy"], made["truncated_share"]) == (1, 0.5)


def test_the_lenient_reading_is_a_number_of_its_own_where_all_were_read_so():
    def read(strict, lenient):
        return Response(strict, Completion([3, 2], "", "stop"), "short", strict, lenient=lenient)

    both = [
        read("no_answer", "correct"),
        read("wrong", "wrong"),
        read("correct", "correct"),
        read("truncated", "correct"),
    ]
    made = summarise(both)
    assert (made["accuracy"], made["accuracy_lenient"]) == (0.25, 0.75)
    assert made["accuracy_lenient_ci"] == pytest.approx(list(wilson(3, 4)))
    assert "accuracy_lenient" not in summarise([*both, read("wrong", None)])
