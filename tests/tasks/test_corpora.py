"""Corpora in words: from files to problems, and what is refused on the way."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import DATA

from rarecot.errors import ConfigError
from rarecot.parsing import parse
from rarecot.tasks import Blend, Gsm8k, Jsonl, Math
from rarecot.tasks.corpus import corrupted, partial, plain_words, problem_id, shuffled, steps_of
from rarecot.tasks.sources import read
from rarecot.verify import verify_all

GSM8K, MATH = str(DATA / "gsm8k"), str(DATA / "math")


def problems(call):
    with pytest.raises(ConfigError) as refused:
        call()
    return " ".join(refused.value.problems)


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_gsm8k():
    loaded = Gsm8k(source=GSM8K).load()
    assert (len(loaded.train), len(loaded.test)) == (60, 16)
    first = loaded.train.take([0])
    assert first.long[0].endswith(f"\n#### {first.answer[0]}")
    assert first.short[0] == f"#### {first.answer[0]}"
    assert "<<" not in "".join(loaded.train.long)
    assert "<<" in "".join(Gsm8k(source=GSM8K, keep_annotations=True).load().train.long)


def test_math_marks_the_answer_once_and_at_the_end():
    loaded = Math(source=MATH).load()
    assert loaded.train.attributes[0] == {"dataset": "math", "level": "Level 1", "subject": "Algebra"}
    for long, answer in zip(loaded.train.long, loaded.train.answer, strict=True):
        assert long.count("\\boxed") == 1
        assert long.endswith(f"\\boxed{{{answer}}}")


@pytest.mark.parametrize(
    "task",
    [Gsm8k(source=GSM8K), Gsm8k(source=GSM8K, style="boxed"), Math(source=MATH), Math(source=MATH, style="hashes")],
)
def test_every_demonstration_is_right_and_of_its_kind(task):
    for split in (task.load().train, task.load().test):
        for texts, kind in ((split.long, "long"), (split.short, "short")):
            assert set(verify_all(split.answer, texts, [task.style] * len(texts))) == {"correct"}
            parsed = [parse(text, task.style) for text in texts]
            assert {p.kind for p in parsed} == {kind}
            assert all(p.well_formed for p in parsed)


def test_own_columns(tmp_path):
    rows = [{"q": f"What is {i} + 1?", "why": f"We add. {i} + 1 = {i + 1}\n#### {i + 1}", "a": i + 1} for i in range(5)]
    path = write_lines(tmp_path / "mine.jsonl", rows)
    loaded = Jsonl(source=path, prompt_column="q", solution_column="why", answer_column="a").load()
    assert loaded.train.long[0] == "We add. 0 + 1 = 1\n#### 1"
    assert len(loaded.test) == 0


def test_parquet_json_and_hub_layout(tmp_path):
    rows = [{"question": f"{i}?", "answer": f"So it is.\n#### {i}"} for i in range(3)]
    (tmp_path / "main").mkdir()
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "main" / "train-00000-of-00001.parquet")
    assert len(Gsm8k(source=str(tmp_path)).load().train) == 3
    (tmp_path / "list.json").write_text(json.dumps(rows))
    assert len(Gsm8k(source=str(tmp_path / "list.json")).load().train) == 3


def test_bom_crlf_and_line_separators_inside_strings(tmp_path):
    path = tmp_path / "train.jsonl"
    row = json.dumps({"question": "one\u2028two?", "answer": "Yes it is.\n#### 2"}, ensure_ascii=False)
    path.write_bytes(("\ufeff" + row + "\r\n\r\n" + row + "\r\n").encode())
    assert [r.values["question"] for r in read(str(path))["train"]] == ["one\u2028two?"] * 2


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([{"question": "1?", "answer": "no mark"}], ["train.jsonl:1", "has no answer", "skip_bad_rows"]),
        ([{"question": "1?", "answer": "#### 3"}], ["train.jsonl:1", "empty solution"]),
        ([{"question": " ", "answer": "So.\n#### 3"}], ["empty prompt"]),
        ([{"question": None, "answer": "So.\n#### 3"}], ["empty prompt"]),
        ([{"qestion": "1?", "answer": "So.\n#### 3"}], ["no column 'question'", "Did you mean 'qestion'?"]),
        ([], ["is empty"]),
        ([{"question": "1?", "answer": "no"}] * 9, ["train.jsonl:5 and 4 more"]),
    ],
)
def test_rows_that_cannot_be_used(tmp_path, rows, expected):
    write_lines(tmp_path / "train.jsonl", rows)
    text = problems(Gsm8k(source=str(tmp_path)).load)
    assert all(word in text for word in expected), text


def test_bad_rows_can_be_left_out_and_are_listed(tmp_path):
    write_lines(
        tmp_path / "train.jsonl", [{"question": "1?", "answer": "no"}, {"question": "2?", "answer": "So.\n#### 2"}]
    )
    loaded = Gsm8k(source=str(tmp_path), skip_bad_rows=True).load()
    assert loaded.train.prompt == ["2?"]
    assert loaded.dropped == [{"reason": "bad_row", "where": "train.jsonl:1", "detail": "has no answer"}]


def test_a_half_written_line_is_named(tmp_path):
    (tmp_path / "train.jsonl").write_text('{"question": "1?", "answer": "So.\\n#### 1"}\n{"question": "2?", "ans')
    assert f"{tmp_path / 'train.jsonl'}:2: not whole JSON" in problems(Gsm8k(source=str(tmp_path)).load)


def test_headings_of_an_own_solution_are_not_its_answer(tmp_path):
    text = "#### Step 1\nadd 3 and 4\n#### Step 2\nso the total is 7"
    path = write_lines(tmp_path / "own.jsonl", [{"prompt": "3 + 4?", "solution": text, "answer": "7"}])
    assert Jsonl(source=path).load().train.long == [f"{text}\n#### 7"]


def test_broken_containers_are_named(tmp_path):
    (tmp_path / "a.json").write_text('[{"question": "1?"')
    (tmp_path / "b.parquet").write_bytes(b"PAR1 and no more")
    assert "no whole JSON list" in problems(Gsm8k(source=str(tmp_path / "a.json")).load)
    assert "no whole Parquet" in problems(Gsm8k(source=str(tmp_path / "b.parquet")).load)


def test_both_splits_report_their_faults_and_stray_files_are_left_alone(tmp_path):
    (tmp_path / "train.jsonl").write_text("{")
    (tmp_path / "test.jsonl").write_text("{")
    (tmp_path / "train_old.jsonl").write_text("not read")
    text = problems(Gsm8k(source=str(tmp_path)).load)
    assert "train.jsonl:1" in text
    assert "test.jsonl:1" in text
    assert "train_old" not in text


def test_not_utf8(tmp_path):
    (tmp_path / "train.jsonl").write_bytes(b'{"question": "\xff?"}\n')
    assert "not UTF-8" in problems(Gsm8k(source=str(tmp_path)).load)


def test_sources_that_are_not_there(tmp_path):
    assert "neither a folder" in problems(Gsm8k(source="/nowhere/at/all").load)
    (tmp_path / "readme.txt").write_text("x")
    assert "readme.txt" in problems(Gsm8k(source=str(tmp_path)).load)
    text = problems(Gsm8k(source="someone/no-such-dataset-anywhere").load)
    assert "cannot be had from the hub" in text
    assert "--source PATH" in text


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"style": "boxd"}, "did you mean 'boxed'"),
        ({"style": "bits"}, "must be one of"),
        ({"chain": "shufled"}, "did you mean 'shuffled'"),
        ({"source": ""}, "has no source"),
        ({"chain_noise": 1.5}, "between 0 and 1"),
        ({"keep_steps": 0}, "above 0"),
        ({"decontaminate": -1}, "0 (off) or more"),
    ],
)
def test_options(options, expected):
    assert expected in " ".join(Gsm8k(**options).problems_with_options())


def test_the_same_problem_has_the_same_id_whatever_its_layout():
    assert problem_id("x", "How many  Apples?\n") == problem_id("x", "how many apples")
    assert problem_id("x", "3 apples") != problem_id("x", "30 apples")
    for one, other in (("a + b", "a - b"), ("2*(3+4)", "(2*3)+4"), ("find f'(2)", "find f(2)"), ("3!?", "3?")):
        assert problem_id("x", one) != problem_id("x", other)
    assert plain_words("It’s $1,234.50, isn't it?") == ["it's", "1,234.50", "isn't", "it"]
    assert plain_words("f(x) = 2.", signs=True) == ["f", "(", "x", ")", "=", "2"]


CHAIN = "One.\nTwo 22.\nThree.\nFour 4."


@pytest.mark.parametrize(
    ("share", "expected"), [(1.0, CHAIN), (0.5, "Two 22.\nFour 4."), (0.25, "Four 4."), (0.01, "Four 4.")]
)
def test_partial_chains_keep_the_last_step(share, expected):
    assert partial(CHAIN, share) == expected


def test_sentences_are_steps_where_there_are_no_lines_and_formulas_stay_whole():
    assert steps_of("We add. Then $a. B$ holds. Done.") == ["We add.", "Then $a. B$ holds.", "Done."]


def test_corrupted_chains_change_numbers_alone():
    rng = np.random.default_rng(0)
    assert corrupted(CHAIN, 0.0, rng) == CHAIN
    changed = corrupted(CHAIN, 1.0, rng)
    assert [len(a) for a in changed.splitlines()] == [len(a) for a in CHAIN.splitlines()]
    assert all(
        a != b for a, b in zip(changed.splitlines(), CHAIN.splitlines(), strict=True) if any(c.isdigit() for c in b)
    )
    many = " ".join(["7"] * 4000)
    assert sum(a != "7" for a in corrupted(many, 0.25, rng).split()) == pytest.approx(1000, abs=90)


def test_shuffled_chains_are_as_long_and_never_ones_own():
    chains = [f"{'x' * (3 * i)}{i}" for i in range(21)]
    control = shuffled(chains, np.random.default_rng(0))
    assert all(a != b for a, b in zip(control, chains, strict=True))
    assert max(abs(len(a) - len(b)) for a, b in zip(control, chains, strict=True)) <= 4


def test_shown_variants_keep_the_answer():
    for options in ({"chain": "shuffled"}, {"keep_steps": 0.5}, {"chain_noise": 0.5}):
        task = Gsm8k(source=GSM8K, **options)
        train = task.load().train
        shown = task.shown(train, np.random.default_rng(0))
        assert shown != train.long
        assert set(verify_all(train.answer, shown, ["hashes"] * len(shown))) == {"correct"}


BLEND = [{"task": "gsm8k", "source": GSM8K, "share": 0.75}, {"task": "math", "source": MATH, "share": 0.25}]


def test_blend_has_its_shares_in_every_prefix():
    task = Blend(parts=BLEND)
    mixed = task.mixed(task.load().train)
    names = [attributes["dataset"] for attributes in mixed.attributes]
    assert len(names) == 80  # 60 of gsm8k are three quarters of it
    for n in (4, 20, 40, 80):
        assert abs(names[:n].count("gsm8k") - 0.75 * n) <= 1
    assert all("\\boxed{" in short for short in mixed.short)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([], "two or more"),
        (BLEND[:1], "two or more"),
        ([BLEND[0], {**BLEND[1], "share": 0.5}], "add up to 1.25"),
        ([BLEND[0], {**BLEND[1], "share": True}], "share is True"),
        ([BLEND[0], {**BLEND[1], "task": "mth"}], "did you mean 'math'"),
        ([BLEND[0], {**BLEND[1], "kep_steps": 1}], "did you mean 'keep_steps'"),
        ([BLEND[0], {**BLEND[1], "style": "hashes"}], "'style' is no option"),
        ([BLEND[0], {**BLEND[0], "share": 0.25}], "the same corpus"),
        ([BLEND[0], {**BLEND[1], "chain_noise": "1e-1"}], "must be a float"),
        ([BLEND[0], {**BLEND[1], "skip_bad_rows": "no"}], "must be a bool"),
    ],
)
def test_blends_that_make_no_sense(parts, expected):
    assert expected in " ".join(Blend(parts=parts).problems_with_options())


def test_blend_reports_all_sources_that_fail():
    text = problems(Blend(parts=[{**part, "source": f"/nowhere/{i}/x"} for i, part in enumerate(BLEND)]).load)
    assert "/nowhere/0/x" in text
    assert "/nowhere/1/x" in text
