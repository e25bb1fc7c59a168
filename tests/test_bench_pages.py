"""The bench's rows on start-up and on the report of a long run: that they measure what they say, never how fast it is."""

import sys
from types import SimpleNamespace

import pytest
from conftest import ROOT

from rarecot.evaluation import records
from rarecot.report import generations
from rarecot.report.data import read_run

SMALL = SimpleNamespace(repeats=1, small=True)


@pytest.fixture(scope="module", autouse=True)
def bench():
    sys.path.insert(0, str(ROOT / "eval" / "bench"))
    yield
    sys.path.remove(str(ROOT / "eval" / "bench"))


def test_a_made_run_is_one_that_a_report_reads(tmp_path):
    from long_run import RESPONSES, make_run

    make_run(tmp_path / "run", 8, characters=70)
    run = read_run(tmp_path / "run")
    assert [len(run.series(stage, how)) for stage in ("sft", "grpo") for how in ("greedy", "sampled")] == [2] * 4
    assert len(run.series("grpo", "sampled", "rollouts")) == 2
    files = generations.kept([run.dir])
    assert len(files) == 8
    summary = generations.write(files, tmp_path / "page.html", "t")
    assert (summary.shown, summary.total) == (8 * RESPONSES, 8 * RESPONSES)
    assert {len(text) for text in generations.read(files[0]).table["text"].to_pylist()} == {1, 70}


def test_reading_again_is_held_against_parsing(tmp_path):
    from long_run import make_run
    from pages import reading

    make_run(tmp_path / "run", 4)
    row = reading(tmp_path / "run", 2)
    assert row.repeats == 2
    assert row.note.startswith(f"{len((tmp_path / 'run' / records.FILE).read_text().splitlines())} records")


def test_a_command_that_fails_is_no_measurement():
    import pages
    import startup

    with pytest.raises(RuntimeError, match="left with 3"):
        startup.python("-c", "raise SystemExit(3)")
    with pytest.raises(RuntimeError, match="left with 3"):
        pages.measured("-c", "raise SystemExit(3)")
    spent, peak = pages.measured("-c", "x = bytearray(300 * 2**20)")
    assert spent > 0
    assert 300 < peak < 500  # MiB


def test_the_slowest_command_is_the_row():
    from startup import slowest

    wait = ("-c", "import time; time.sleep(0.15)")
    row = slowest("startup_none", {"quick": ("-c", "pass"), "slow": wait}, 0, 1)
    assert row.note.startswith("slow, the slowest of 2")
    assert row.ours > 0.15
    assert row.details["seconds"]["quick"] < row.details["seconds"]["slow"]


@pytest.mark.slow
def test_start_up_rows():
    import startup

    rows = {row.name: row for row in startup.rows(SMALL)}
    assert list(rows) == ["startup_help", "startup_refusal", "startup_sft", "startup_grpo"]
    for stage in ("sft", "grpo"):
        assert rows[f"startup_{stage}"].ours > rows["startup_help"].ours, "a first step imports torch, help does not"


@pytest.mark.slow
def test_every_refusal_that_is_timed_is_one():
    """Another exit code than 2 raises."""
    import startup

    assert len(startup.REFUSED) > 10
    for words in startup.REFUSED.values():
        startup.python(*words, code=2)
    with pytest.raises(RuntimeError, match="left with 2"):
        startup.python(*words)


@pytest.mark.slow
def test_report_rows():
    import pages

    rows = {row.name: row for row in pages.rows(SMALL)}
    assert list(rows)[:4] == ["report_seconds", "report_growth", "report_records", "report_page"]
    assert rows["report_seconds"].details["peak"][0] > 50
    assert 5 < rows["report_page"].ours < 8  # MB: 40 × 200 responses, 3 / 8 of them of 2 300 characters


@pytest.mark.slow
@pytest.mark.browser
def test_a_page_is_visited(tmp_path):
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
    import browsing
    from long_run import make_run

    make_run(tmp_path / "run", 4)
    generations.write(generations.kept([tmp_path / "run"]), tmp_path / "page.html", "t")
    rows = list(browsing.rows(tmp_path / "page.html", 1.0, 2))
    if not rows:
        pytest.skip("there is no chromium on the path: apt-get install chromium")
    opened, reaction = rows
    assert (opened.repeats, reaction.repeats) == (2, 2)
    assert set(reaction.details["seconds"]) == set(browsing.ASKED)
