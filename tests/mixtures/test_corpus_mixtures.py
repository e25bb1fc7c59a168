"""Mixtures of corpora: exact shares, clean and disjoint splits, nothing lost without a word."""

import json
import shutil
from collections import Counter

import numpy as np
import pytest
from conftest import DATA

from rarecot.errors import ConfigError
from rarecot.mixtures.build import build, column, keep, load, of_run
from rarecot.mixtures.cleaning import clean
from rarecot.mixtures.corpus import even_order
from rarecot.mixtures.lengths import measure, threshold
from rarecot.mixtures.show import show
from rarecot.mixtures.spec import MixtureSpec
from rarecot.rendering import Template
from rarecot.tasks import Gsm8k
from rarecot.types import Problems

GSM8K, MATH = str(DATA / "gsm8k"), str(DATA / "math")
BASE = {
    "task": "gsm8k",
    "source": GSM8K,
    "p_cot": 0.25,
    "n": 40,
    "n_rl": 10,
    "n_test": 8,
    "near_duplicates": 1,
    "decontaminate": 0,
}
BLEND = {
    "task": "blend",
    "parts": [
        {"task": "gsm8k", "source": GSM8K, "share": 0.6},
        {"task": "math", "source": MATH, "share": 0.4},
    ],
    "p_cot": 0.5,
    "n": 50,
    "n_rl": 10,
    "n_test": 10,
    "near_duplicates": 1,
    "decontaminate": 0,
}


def made(**changes):
    return build(MixtureSpec.from_mapping({**BASE, **changes}))


def problems(call):
    with pytest.raises(ConfigError) as refused:
        call()
    return " ".join(refused.value.problems)


@pytest.mark.parametrize(
    ("p_cot", "n", "n_long"), [(0, 40, 0), (0.1, 40, 4), (0.25, 40, 10), (1, 40, 40), (0.1, 33, 3)]
)
def test_the_share_is_exact(p_cot, n, n_long):
    mixture = made(p_cot=p_cot, n=n)
    kinds = column(mixture.fixed, "kind")
    assert kinds.count("long") == n_long == mixture.manifest["n_long"]
    assert mixture.manifest["p_cot_realised"] == n_long / n


def test_raising_p_cot_only_turns_short_into_long():
    few, many = (made(p_cot=p) for p in (0.1, 0.5))
    assert column(few.fixed, "prompt") == column(many.fixed, "prompt")
    for before, after in zip(column(few.fixed, "kind"), column(many.fixed, "kind"), strict=True):
        assert (before, after) != ("long", "short")


def test_resizing_one_split_leaves_the_others():
    one, other = made(n=40, n_rl=10), made(n=20, n_rl=10)
    assert column(one.rl, "problem_id") == column(other.rl, "problem_id")
    assert column(one.fixed, "prompt")[:20] == column(other.fixed, "prompt")
    assert column(one.test, "prompt") == column(made(seed=7).test, "prompt"), "the test split has its own order"
    assert column(one.fixed, "prompt") != column(made(seed=7).fixed, "prompt")


def test_all_of_it():
    mixture = made(n=0, n_test=0)
    assert (mixture.spec.n, mixture.spec.n_rl, mixture.spec.n_test) == (50, 10, 16)
    assert mixture.manifest["n"] == len(mixture.fixed) == 50
    everything = made(n=0, n_rl=0, rl_split="train")
    assert everything.spec.n == everything.spec.n_rl == 60
    assert set(column(everything.rl, "problem_id")) == set(column(everything.fixed, "problem_id"))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"n": 55}, ["n 55 and n_rl 10", "60 training problems", "rl_split to train"]),
        ({"n_test": 17}, ["n_test is 17", "16 test problems"]),
        ({"rl_split": "train", "n_rl": 41}, ["n_rl is 41", "40 problems"]),
        ({"n_rl": 0}, ["n_rl is 0"]),
        ({"online": True}, ["online is true"]),
        ({"rl_split": "trian"}, ["did you mean 'train'"]),
        ({"stratify": "level"}, ["stratify is 'level'", "They have: dataset"]),
        ({"n": 55, "n_test": 17}, ["n 55", "n_test is 17"]),
        ({"d": 5}, ["'d' is no option of a gsm8k mixture"]),
    ],
)
def test_refusals(changes, expected):
    text = problems(lambda: made(**changes))
    assert all(word in text for word in expected), text


def test_generated_tasks_refuse_what_is_for_corpora():
    for changes in ({"stratify": "level"}, {"rl_split": "train"}, {"n": 0}):
        assert problems(lambda changes=changes: MixtureSpec.from_mapping({"task": "parity", **changes}))


def test_strata_have_the_share_each_and_every_subset_their_proportions():
    spec = {
        "task": "math",
        "source": MATH,
        "p_cot": 0.5,
        "n": 24,
        "n_rl": 6,
        "n_test": 6,
        "near_duplicates": 0,
        "stratify": "level",
    }
    mixture = build(MixtureSpec.from_mapping({**spec, "decontaminate": 0}))
    levels = {
        json.loads(line)["problem"].strip(): json.loads(line)["level"]
        for line in (DATA / "math" / "train.jsonl").read_text().splitlines()
    }
    both = Counter(
        (levels[p], k) for p, k in zip(column(mixture.fixed, "prompt"), column(mixture.fixed, "kind"), strict=True)
    )
    assert all(abs(count - 4) <= 1 for count in both.values()), both
    assert len(both) == 6


def test_an_even_order_is_even():
    strata = ["a"] * 90 + ["b"] * 30
    order = even_order(strata, np.random.default_rng(3))
    assert sorted(order) == list(range(120))
    for n in range(4, 121, 4):
        assert abs(sum(strata[i] == "b" for i in order[:n]) - n / 4) <= 1


def test_blends_share_p_cot_and_size():
    mixture = build(MixtureSpec.from_mapping(BLEND))
    names = [i.split("-")[0] for i in column(mixture.fixed, "problem_id")]
    both = Counter(zip(names, column(mixture.fixed, "kind"), strict=True))
    assert both == {("gsm8k", "long"): 15, ("gsm8k", "short"): 15, ("math", "long"): 10, ("math", "short"): 10}
    assert [i.split("-")[0] for i in column(mixture.test, "problem_id")].count("math") == 4
    assert mixture.manifest["parts_realised"] == {"gsm8k": 0.6, "math": 0.4}


def test_the_hash_is_about_the_problems_not_about_where_they_lie(tmp_path):
    shutil.copytree(GSM8K, tmp_path / "elsewhere")
    moved = made(source=str(tmp_path / "elsewhere"))
    assert moved.manifest["sha256"] == made().manifest["sha256"]
    assert made(chain_noise=0.5).manifest["sha256"] != made().manifest["sha256"]


def test_saved_and_loaded_and_kept_with_a_run(tmp_path):
    mixture = made(near_duplicates=0.5, n=20)
    assert mixture.dropped
    mixture.save(tmp_path / "mix")
    again = load(tmp_path / "mix")
    assert again.manifest == mixture.manifest
    assert again.dropped == mixture.dropped
    (tmp_path / "run").mkdir()
    keep(mixture, tmp_path / "run")
    assert of_run(tmp_path / "run").manifest == mixture.manifest
    listed = [json.loads(line) for line in (tmp_path / "run" / "dropped.jsonl").read_text().splitlines()]
    assert Counter(entry["reason"] for entry in listed) == mixture.manifest["dropped"]


def some(prompts, answers=None):
    answers = answers or ["1"] * len(prompts)
    ids = [Gsm8k.name + prompt for prompt in prompts]
    return Problems(
        ids, list(prompts), answers, *([f"So it is.\n#### {a}" for a in answers] for _ in range(3)), [{} for _ in ids]
    )


STORY = "a farmer has forty two sheep and buys nine more at the market on a sunny day in june how many are there"


def test_each_reason_to_leave_a_problem_out_is_named():
    near = STORY.replace("june", "july")
    train = some([STORY, near, STORY, "seen in test", "fine and new", "bad gold"], ["1"] * 5 + ["(" * 50])
    test = some(["seen in test", "other words and " + " ".join(STORY.split()[:14])])
    kept, tests, dropped = clean(train, test, "hashes", near_duplicates=0.5, decontaminate=13)
    assert kept.prompt == ["fine and new"]
    assert len(tests) == 2
    reasons = Counter(entry.reason for entry in dropped)
    assert reasons == {"duplicate": 1, "in_test": 1, "ungradable_gold": 1, "near_duplicate": 1, "test_overlap": 1}
    overlap = next(entry for entry in dropped if entry.reason == "test_overlap")
    assert "a farmer has forty two sheep" in overlap.detail


def test_cleaning_can_be_switched_off():
    train = some([STORY, STORY.replace("june", "july")])
    kept, _, dropped = clean(train, some([STORY + " today"]), "hashes", near_duplicates=0, decontaminate=0)
    assert len(kept) == 2
    assert dropped == []


def test_problems_that_differ_in_their_numbers_alone_are_near_only_where_asked():
    train = some([STORY, STORY.replace("forty", "fifty")])
    assert len(clean(train, some(["x"]), "hashes", 0.9, 0)[0]) == 2
    assert len(clean(train, some(["x"]), "hashes", 0.4, 0)[0]) == 1


def test_lengths_in_tokens_of_a_model(text_tokenizer):
    mixture = made()
    lengths = measure(mixture, text_tokenizer, Template("plain"))
    rows = [*mixture.rl, *mixture.test]
    long = sorted(len(text_tokenizer(row["long"], add_special_tokens=False)["input_ids"]) + 1 for row in rows)
    short = max(len(text_tokenizer(row["short"], add_special_tokens=False)["input_ids"]) for row in rows)
    assert lengths.long == long[-1]
    assert short < lengths.long_from < long[0]
    assert lengths.prompt == max(
        len(text_tokenizer(f"Question: {row['prompt']}\nAnswer:\n")["input_ids"]) for row in rows
    )


def test_the_length_that_tells_short_from_long():
    assert threshold(np.array([1, 1, 1]), np.array([50, 51])) == 26
    assert threshold(np.array([1, 2, 9]), np.array([5, 20, 30, 40])) == 15  # one short of three beats two


def test_show_marks_the_loss(text_tokenizer):
    mixture = made()
    text = show(mixture, 1)
    assert "⟦end⟧" in text
    tokens = show(mixture, 1, text_tokenizer, Template("plain"))
    assert "⟦<eos>⟧" in tokens
    assert tokens.count("<bos>") == 2, "one bos an example"


def test_every_one_of_many_near_copies_is_found():
    stem = STORY.split()
    train = some([" ".join([*stem[: i % 20], f"word{i}", *stem[i % 20 :]]) for i in range(300)])
    kept, _, dropped = clean(train, some(["x"]), "hashes", 0.5, 0)
    assert len(kept) < 10
    assert len(dropped) == 300 - len(kept)


def test_a_paraphrase_of_a_test_problem_is_left_out():
    kept, _, dropped = clean(some([STORY.replace("june", "july")]), some([STORY]), "hashes", 0.5, 0)
    assert len(kept) == 0
    assert "(test)" in dropped[0].detail


def test_formulas_that_differ_in_a_sign_are_different_problems():
    train = some(["Compute $1 + 2$.", "Compute $1 - 2$.", "What is 2*(3+4)?", "What is (2*3)+4?"])
    assert len(clean(train, some(["x"]), "hashes", 0.9, 0)[0]) == 4


def test_a_demonstration_that_is_not_judged_right_has_no_usable_gold():
    train = some(["one", "two"], ["3", "4"])
    train.short[0] = "#### 5"
    assert clean(train, some(["x"]), "hashes", 0, 0)[0].prompt == ["two"]


def test_own_data_without_a_test_file_are_decontaminated_too(tmp_path):
    rows = [{"prompt": f"{STORY} version {i}", "solution": "So.", "answer": str(i)} for i in range(20)]
    (tmp_path / "own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    spec = {
        "task": "jsonl",
        "source": str(tmp_path / "own.jsonl"),
        "n": 0,
        "n_rl": 1,
        "n_test": 5,
        "near_duplicates": 1,
    }
    assert "0 training problems" in problems(lambda: build(MixtureSpec.from_mapping(spec)))
    mixture = build(MixtureSpec.from_mapping({**spec, "decontaminate": 0}))
    assert (mixture.spec.n, mixture.spec.n_test) == (14, 5)


def test_another_mixture_in_the_same_place_replaces_the_kept_one(tmp_path):
    one, other = made(), made(seed=3)
    keep(one, tmp_path)
    keep(other, tmp_path)
    assert of_run(tmp_path).manifest == other.manifest
