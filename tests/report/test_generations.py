"""The page of generations as a file: what it holds, what it refuses, and that nothing in it can end its data."""

import base64
import hashlib
import json
import re
from html import unescape

import pyarrow.parquet as pq
import pytest
from conftest import ROOT, run_command
from generation_pages import ATTACK, HOSTILE, old, record, row, save

from rarecot.errors import ConfigError
from rarecot.evaluation import records
from rarecot.evaluation.generations import save_responses
from rarecot.report import generations
from rarecot.types import Completion, Response

OLD_NAME = "grpo-000030-test-sampled-t0.7-n1024x1-max51-seed30-native.parquet"


def page_of(files, tmp_path, **options):
    summary = generations.write(files, tmp_path / "out" / "page.html", "a title", **options)
    return summary, summary.path.read_text(encoding="utf-8")


def data_of(page):
    """The payload, as a browser cuts it out: from the element's start to the first that looks like an end."""
    payload = page.split('<script id="data" type="application/json">')[1]
    return json.loads(re.split("</script", payload, flags=re.IGNORECASE)[0])


def labels_of(page):
    return [evaluation["label"] for evaluation in data_of(page)["evaluations"]]


def test_hostile_texts_come_back_as_they_were(tmp_path):
    texts = list(HOSTILE)
    rows = [
        row(i, text=text, prompt=text, answer=text, gold=text, problem_id=f"{i}{text}") for i, text in enumerate(texts)
    ]
    _, page = page_of([save(tmp_path / "a.parquet", rows, record())], tmp_path)
    data = data_of(page)
    assert data["responses"]["text"] == texts
    assert data["responses"]["answer"] == texts
    assert [problem["prompt"] for problem in data["problems"]] == texts
    assert [problem["gold"] for problem in data["problems"]] == texts
    payload = page.split('type="application/json">')[1].split("</script>")[0]
    assert not set("<>&\u2028\u2029\0") & set(payload)
    assert page.lower().count("<script") == 2
    assert "ids" not in data["responses"]


def test_titles_and_labels_are_escaped(tmp_path):
    hostile = save(tmp_path / "a.parquet", [row(verdict="<b>", kind="<i>")], record(stage=ATTACK, step="\u202e\ud800"))
    summary = generations.write([hostile], tmp_path / "page.html", f"{ATTACK}\u202e")
    page = summary.path.read_text(encoding="utf-8")
    assert page.lower().count("<script") == 2
    assert "<b>" not in page.replace("<noscript><p><b>", "")
    assert "\u202e" not in page
    assert "‹U+202E›" in page


def test_policy_allows_this_script_and_no_other(tmp_path):
    _, page = page_of([save(tmp_path / "a.parquet", [row()], record())], tmp_path)
    script = page.split("<script>")[1].split("</script>")[0]
    policy = unescape(re.search(r'Content-Security-Policy" content="([^"]+)"', page)[1])
    assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in policy
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy.replace("style-src 'unsafe-inline'", "")
    assert "http" not in re.sub("http-equiv", "", page.lower())


def test_script_writes_text_and_never_markup():
    script = (ROOT / "src" / "rarecot" / "report" / "generations.js").read_text()
    for way in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "Function(",
        "fetch(",
        "srcdoc",
    ):
        assert way not in script


def test_the_first_problems_are_kept_whole(tmp_path):
    greedy = save(tmp_path / "greedy.parquet", [row(i) for i in range(10)], record())
    several = [row(i // 4, sample=i % 4) for i in range(40)]
    sampled = save(tmp_path / "sampled.parquet", several, record(decoding="sampled", samples=4))
    summary, page = page_of([greedy, sampled], tmp_path, limit=6)
    data = data_of(page)
    assert (summary.shown, summary.total, summary.evaluations) == (10, 50, 2)
    assert [(e["shown"], e["total"], e["samples"]) for e in data["evaluations"]] == [(6, 10, False), (4, 40, True)]
    assert data["responses"]["sample"] == [0] * 6 + [0, 1, 2, 3]
    assert data["responses"]["problem"] == [*range(6), 0, 0, 0, 0]  # a problem is told once
    assert "10 of 50 responses of 2 evaluations: of each the first problems, with all their samples." in page
    assert str(summary).endswith("10 of 50 responses, evaluations: 2, 0.0 MB")
    summary, page = page_of([sampled], tmp_path, limit=3)
    assert summary.shown == 3  # not even one problem fits
    assert "of each the first problems." in page
    assert page_of([sampled, greedy, sampled], tmp_path, limit=0)[0].shown == 50  # all, and no file twice


def test_a_page_keeps_to_its_budget(tmp_path):
    long = [save(tmp_path / f"{i}.parquet", [row(j, text="x" * 1000) for j in range(50)]) for i in range(4)]
    summary, _ = page_of(long, tmp_path, budget=1e5)
    assert summary.shown == 4 * 24  # 200 responses of 1 040 bytes come to 208 000: of 50 a file, 24
    assert 0.9e5 < summary.size - page_of(long, tmp_path, limit=1)[0].size < 1e5
    assert page_of(long, tmp_path, budget=3e5)[0].shown == 200
    assert page_of(long, tmp_path, limit=10, budget=1e5)[0].shown == 40  # they fit
    assert page_of(long, tmp_path, limit=0, budget=1)[0].shown == 4
    several = [row(i // 4, sample=i % 4, text="x" * 1000) for i in range(8)]
    sampled = save(tmp_path / "sampled.parquet", several, record(decoding="sampled", samples=4))
    assert "of each the first problems." in page_of([sampled], tmp_path, budget=3e3)[1]  # two samples of one
    assert "with all their samples" in page_of([sampled], tmp_path, budget=5e3)[1]  # one problem


def test_files_of_before(tmp_path):
    rows = [old(row(0)), old(row(0)), old(row(1))]
    named = save(tmp_path / "run" / "completions" / OLD_NAME, rows)
    unnamed = save(tmp_path / "run" / "completions" / "mine.parquet", rows)
    _, page = page_of([named, unnamed], tmp_path)
    data = data_of(page)
    assert labels_of(page) == ["GRPO step 30, temperature 0.7", "mine"]
    assert data["evaluations"][0]["how"] == "at most 51 tokens, sampling seed 30"
    assert data["responses"]["sample"][:3] == [0, 1, 0]
    assert data["problems"][0]["gold"] is None
    assert not data["evaluations"][0]["answer"]
    assert data["responses"]["answer"] == [None] * 6


def test_labels_say_what_differs(tmp_path):
    files = [
        save(tmp_path / "a" / "completions" / f"{i}.parquet", [row()], each)
        for i, each in enumerate(
            [
                record(),
                record(n=16),
                record(decoding="sampled"),
                record(protocol="meta-8shot", suite="gsm8k"),
                record(stage="sft", step=0),
                {**record(stage="model", step=0), "model": "some/model@abc"},
                {},
            ]
        )
    ]
    _, page = page_of(files, tmp_path)
    assert labels_of(page) == [
        "GRPO step 30, greedy, 8 responses",
        "GRPO step 30, greedy, 16 responses",
        "GRPO step 30, temperature 1",
        "GRPO step 30, greedy, gsm8k, meta-8shot",
        "NTP step 0, greedy",
        "some/model@abc, greedy",
        "6",
    ]
    other = save(tmp_path / "b" / "completions" / "0.parquet", [row()], record())
    _, page = page_of([files[0], other], tmp_path)
    assert labels_of(page) == ["a: GRPO step 30, greedy", "b: GRPO step 30, greedy"]
    same = save(tmp_path / "b" / "completions" / "1.parquet", [row()], record())
    _, page = page_of([other, same], tmp_path)
    assert labels_of(page) == [str(other), str(same)]


def test_what_evaluations_write_can_be_read(tmp_path):
    responses = [Response("p", Completion([3, 2], "1", "stop"), "short", "wrong", None, "0", "correct")]
    path = tmp_path / "run" / "completions" / records.completions_name(record())
    save_responses(path, responses, ["01="], record())
    _, page = page_of([path], tmp_path)
    data = data_of(page)
    assert labels_of(page) == ["GRPO step 30, greedy"]
    assert data["problems"] == [{"id": "p", "prompt": "01=", "gold": "0"}]
    found = {name: values[0] for name, values in data["responses"].items()}
    expected = {"text": "1", "verdict": "wrong", "verdict_lenient": "correct", "answer": None, "length": 1, "sample": 0}
    assert found == {**expected, "kind": "short", "evaluation": 0, "problem": 0}


def test_everything_wrong_is_said_at_once(tmp_path):
    whole = save(tmp_path / "whole.parquet", [row()], record())
    cut = tmp_path / "cut.parquet"
    cut.write_bytes(whole.read_bytes()[:-20])
    lacking = save(tmp_path / "lacking.parquet", [{"problem_id": "p", "text": "t", "prompt": "q", "length": "long"}])
    null = save(tmp_path / "null.parquet", [row(0), row(1, text=None)])
    strange = save(tmp_path / "strange.parquet", [row()])
    pq.write_table(pq.read_table(strange).replace_schema_metadata({b"rarecot": b"{"}), strange)
    with pytest.raises(ConfigError) as error:
        generations.write([whole, cut, lacking, null, strange, tmp_path / "none.parquet"], tmp_path, "t", limit=-1)
    said = error.value.problems
    assert [text.split(" ")[0] for text in said[2:]] == [
        str(tmp_path / name)
        for name in ("cut.parquet", *["lacking.parquet"] * 2, "null.parquet", "strange.parquet", "none.parquet")
    ]
    for text, part in zip(
        said,
        [
            "limit is -1",
            "is a folder",
            "not a whole Parquet file",
            "lacks the columns verdict, kind",
            "has string where whole numbers are expected, in the column length",
            "rows without text",
            "not JSON",
            "does not exist",
        ],
        strict=True,
    ):
        assert part in text
    assert all("evaluate again" in text for text in said[2:])


def test_no_file_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="no file of generations"):
        generations.write([], tmp_path / "page.html", "t")
    assert not (tmp_path / "page.html").exists()


def test_text_that_is_not_utf8_is_refused(tmp_path):
    path = save(tmp_path / "a.parquet", [row(text="needle")], record())
    table = pq.read_table(path)
    pq.write_table(table, path, compression="none", use_dictionary=False)
    path.write_bytes(path.read_bytes().replace(b"needle", b"need\xff\xfe"))
    with pytest.raises(ConfigError, match="not a whole Parquet"):
        generations.write([path], tmp_path / "page.html", "t")


def make_run(folder, steps=(10, 2), keep=lambda step: True):
    for step in steps:
        for split in ("test", "rollouts"):
            each = record(step=step, split=split)
            records.append(folder, each)
            if keep(step):
                save(folder / "completions" / records.completions_name(each), [row(i) for i in range(4)], each)
    save(folder / "completions" / "stranger.parquet", [row()])
    return folder


def test_a_run_shows_the_evaluations_that_its_records_know(tmp_path):
    (tmp_path / "run").mkdir()
    run = make_run(tmp_path / "run", steps=(10, 2, 5), keep=lambda step: step != 5)
    assert [path.name[:22] for path in generations.find(run)] == ["grpo-000010-test-greed", "grpo-000002-test-greed"]
    (tmp_path / "bare").mkdir()
    with pytest.raises(ConfigError, match="it has no records"):
        generations.find(tmp_path / "bare")
    (tmp_path / "lost").mkdir()
    with pytest.raises(ConfigError, match="none of its 2 records"):
        generations.find(make_run(tmp_path / "lost", keep=lambda step: False))


def test_command(tmp_path):
    (tmp_path / "run").mkdir()
    run = make_run(tmp_path / "run")
    done = run_command("python", "eval/browse.py", run, "--limit", "3")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{run / 'generations.html'}   6 of 8 responses, evaluations: 2, ")
    assert "generations of run" in (run / "generations.html").read_text()
    stranger = run / "completions" / "stranger.parquet"
    done = run_command("python", "eval/browse.py", run, stranger)
    assert done.returncode == 2
    assert "--out" in done.stderr
    done = run_command("python", "eval/browse.py", run, stranger, "--out", tmp_path / "new" / "page.html")
    assert done.stdout.startswith(f"{tmp_path / 'new' / 'page.html'}   9 of 9 responses, evaluations: 3, ")
