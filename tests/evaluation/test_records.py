import json

import pytest

from rarecot.errors import ConfigError
from rarecot.evaluation import records

RECORD = {
    "stage": "sft",
    "step": 10,
    "split": "test",
    "seed": 0,
    "decoding": "greedy",
    "temperature": 0.0,
    "n": 4,
    "samples": 1,
    "max_new_tokens": 8,
    "sampling_seed": 10,
    "protocol": "native",
    "accuracy": 0.5,
}


def test_append_and_read(tmp_path):
    later = {**RECORD, "step": 20}
    for record in (RECORD, later):
        records.append(tmp_path, record)
    assert records.read(tmp_path) == [RECORD, later]
    assert [json.loads(line) for line in (tmp_path / records.FILE).read_text().splitlines()] == [RECORD, later]


def test_a_line_that_was_cut_short_is_dropped_and_written_again(tmp_path):
    records.append(tmp_path, RECORD)
    with (tmp_path / records.FILE).open("a") as file:
        file.write('{"stage": "sft", "st')
    assert records.read(tmp_path) == [RECORD]
    records.append(tmp_path, {**RECORD, "step": 20})
    assert [r["step"] for r in records.read(tmp_path)] == [10, 20]
    assert (tmp_path / records.FILE).read_text().count("\n") == 2


def test_what_was_read_before_is_not_parsed_again(tmp_path, monkeypatch):
    parsed = []
    loads = records.loads
    monkeypatch.setattr(records, "loads", lambda text: parsed.append(text) or loads(text))
    for step in range(3):
        records.append(tmp_path, {**RECORD, "step": step})
        assert len(records.read(tmp_path)) == step + 1
    assert len(parsed) == 3


def test_what_has_changed_is_parsed_again(tmp_path):
    for step in (10, 20):
        records.append(tmp_path, {**RECORD, "step": step})
    records.read(tmp_path)[0]["accuracy"] = 0.9
    assert records.read(tmp_path)[0]["accuracy"] == 0.5, "what a caller makes of a record is not read back"
    file = tmp_path / records.FILE
    file.write_text(file.read_text().replace('"step": 10', '"step": 30'))
    assert [r["step"] for r in records.read(tmp_path)] == [30, 20]
    file.write_text(file.read_text().splitlines()[1] + "\n\n")
    assert [r["step"] for r in records.read(tmp_path)] == [20]
    file.write_text(file.read_text() + "no record\n")
    with pytest.raises(ConfigError, match=r"records.jsonl:3 is no whole JSON object"):
        records.read(tmp_path)


def test_the_same_evaluation_counts_once(tmp_path):
    records.append(tmp_path, RECORD)
    records.append(tmp_path, {**RECORD, "accuracy": 0.9})
    assert records.read(tmp_path) == [RECORD]


def test_every_field_is_documented(tmp_path):
    with pytest.raises(ValueError, match="accurasy"):
        records.append(tmp_path, {**RECORD, "accurasy": 1})


def test_no_file_no_records(tmp_path):
    assert records.read(tmp_path) == []


@pytest.mark.parametrize("key", records.IDENTITY)
def test_evaluations_that_differ_in_anything_are_two(tmp_path, key):
    other = {**RECORD, key: "other" if isinstance(RECORD.get(key), str | None) else RECORD[key] + 1}
    for record in (RECORD, other):
        records.append(tmp_path, record)
    assert records.read(tmp_path) == [RECORD, other]
    assert len({records.identity(record) for record in (RECORD, other)}) == 2


def test_what_makes_an_evaluation_itself_is_known():
    how = {"split", "decoding", "temperature", "n", "samples", "max_new_tokens", "sampling_seed", "protocol"}
    assert {*how, "stage", "step", "seed", "suite", "asked_sha256", "model_sha256"} == set(records.IDENTITY)
