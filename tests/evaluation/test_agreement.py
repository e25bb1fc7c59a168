import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rarecot.errors import ConfigError
from rarecot.evaluation.agreement import agreement, in_words
from rarecot.evaluation.generations import save_responses
from rarecot.evaluation.harness import respond_all
from rarecot.evaluation.protocols import protocol_named
from rarecot.types import Completion

PROBLEMS = ["A?", "B?", "C?", "D?"]
GOLDS = ["7", "8", "9", "10"]
TEXTS = ["so\n#### 7", "The answer is 8", "#### 1", "we say 10"]


@pytest.fixture
def ours(tmp_path):
    protocol = protocol_named("lighteval-5shot", "gsm8k")
    completions = [Completion([3, 2], text, "stop") for text in TEXTS]
    responses = respond_all(PROBLEMS, completions, GOLDS, ["hashes"] * 4, protocol)
    assert [r.verdict for r in responses] == ["correct", "no_answer", "wrong", "no_answer"]
    assert [r.lenient for r in responses] == ["correct", "correct", "wrong", "correct"]
    path = tmp_path / "ours.parquet"
    save_responses(path, responses, PROBLEMS, {"protocol": "lighteval-5shot", "samples": 1})
    return path


def lighteval(tmp_path, texts, rights, reads):
    rows = [
        {
            "doc": {"query": f"Question: {problem}\nAnswer:", "specific": {"extracted_predictions": [read]}},
            "metric": {"extractive_match": float(right)},
            "model_response": {"text": [text]},
        }
        for problem, text, right, read in zip(PROBLEMS, texts, rights, reads, strict=True)
    ]
    path = tmp_path / "details.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def test_equal_readings_agree(ours, tmp_path):
    found = agreement(ours, lighteval(tmp_path, TEXTS, [1, 1, 0, 1], ["7", "8.00", "1", "10"]), "lenient")
    assert (found.examples, found.same_text, found.same_answer, found.answers_known) == (4, 4, 4, 4)
    assert (found.ours, found.theirs, found.ours_on_theirs, found.disagreements) == (3, 3, 3, ())


def test_each_disagreement_says_whether_text_or_reading_differs(ours, tmp_path):
    texts = [TEXTS[0], TEXTS[1], "#### 9", TEXTS[3]]
    found = agreement(ours, lighteval(tmp_path, texts, [1, 0, 1, 1], ["7", "1", "9", "10"]), "lenient")
    read_otherwise, other_text = found.disagreements
    assert (read_otherwise.same_text, read_otherwise.ours.right, read_otherwise.theirs.read) == (True, True, "1")
    assert (other_text.same_text, other_text.theirs.right, other_text.ours_on_theirs) == (False, True, True)
    assert found.same_answer == 2
    text = in_words(found)
    assert "2 disagreements" in text
    assert "the same text, read otherwise" in text
    assert "other texts; their text is right by us" in text


def test_samples_of_lm_evaluation_harness(ours, tmp_path):
    path = tmp_path / "samples.jsonl"
    with path.open("w") as file:
        for problem, text, right in zip(PROBLEMS, TEXTS, [1, 1, 0, 1], strict=True):
            for name, found in (("strict-match", 0), ("flexible-extract", right)):
                read = "[invalid]" if name == "strict-match" else text[-2:]
                row = {"doc": {"question": problem}, "resps": [[text]], "filtered_resps": [read], "filter": name}
                file.write(json.dumps({**row, "exact_match": float(found)}) + "\n")
    found = agreement(ours, path, "lenient")
    assert (found.examples, found.theirs, found.disagreements) == (4, 3, ())
    strict = agreement(ours, path, "strict")
    assert (strict.theirs, strict.same_answer, strict.answers_known) == (0, 2, 4), (
        "nothing read is the same as nothing read"
    )


def test_what_is_no_such_file_is_refused(ours, tmp_path):
    other = tmp_path / "other.parquet"
    pq.write_table(pa.table({"x": [1]}), other)
    with pytest.raises(ConfigError, match="no details file"):
        agreement(ours, other, "strict")
    with pytest.raises(ConfigError, match="lacks the columns problem_id"):
        agreement(other, ours, "strict")
    several = tmp_path / "several.parquet"
    save_responses(
        several, respond_all(["a"], [Completion([2], "", "stop")], ["7"], ["hashes"]), ["A?"], {"samples": 2}
    )
    with pytest.raises(ConfigError, match="one response a problem"):
        agreement(several, ours, "strict")
    half = tmp_path / "samples.jsonl"
    half.write_text('{"doc": ')
    with pytest.raises(ConfigError, match="no samples file"):
        agreement(ours, half, "strict")
    foreign = lighteval(tmp_path, TEXTS, [1, 1, 1, 1], ["1"] * 4)
    table = pq.read_table(foreign).to_pylist()
    for row in table:
        row["doc"]["query"] = "Question: another\nAnswer:"
    pq.write_table(pa.Table.from_pylist(table), foreign)
    with pytest.raises(ConfigError, match="no problem in common"):
        agreement(ours, foreign, "strict")
