"""What people look at: pages, cards and terminals show hostile names, texts and values, and obey none of them."""

import json
import os
import re
import shutil

import card_runs
import pytest
import yaml
from conftest import ROOT, run_command
from generation_pages import ATTACK, IMAGE, record, row, save
from made_runs import make_run

from rarecot.errors import printable
from rarecot.evaluation import card

ESCAPE = "\x1b]0;owned\x07\x1b[2J\u202egnp"
HOSTILE = (
    ATTACK,
    IMAGE,
    "[a](javascript:alert(1))",
    "{{ 7*7 }}{% raw %}",
    "=cmd|' /C calc'!A0",
    ESCAPE,
    "a\n---\nb: !!python/name:os.system",
)


def hostile_run(folder):
    """A run whose every text attacks."""
    make_run(folder, text=" ".join(HOSTILE))
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config = {stage: {"learning_rate": ATTACK, "loss_type": IMAGE, "task": ESCAPE} for stage in config}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "source": ATTACK, IMAGE: HOSTILE}))
    (folder / "versions.json").write_text(json.dumps({"sft": {"torch": ATTACK, "commit": IMAGE}}))
    for file in (folder / "completions").glob("*.parquet"):
        said = record(suite=ATTACK, protocol=IMAGE, model=ESCAPE, split=ATTACK)
        save(file, [row(i, text=text, prompt=text, problem_id=text) for i, text in enumerate(HOSTILE)], said)
    return folder


def hostile_sweep(folder):
    run = {"id": 0, "stage": ATTACK, "recipe": "sft", "run_dir": "run", "values": {IMAGE: ATTACK}, "after": None}
    hostile_run(folder / "run")
    about = {"name": ATTACK + ESCAPE, "shows": IMAGE, "paper": ATTACK, "cost": {IMAGE: ATTACK}}
    (folder / "sweep.json").write_text(
        json.dumps({**about, "figure": [], "runs": [run, {**run, "run_dir": IMAGE[5:9]}]})
    )
    return folder


MIXTURE = {"task": "gsm8k", "p_cot": 0.5, "near_duplicates": 0, "decontaminate": 0}


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The pages that a hostile run and a hostile sweep get from the real commands, and what the terminal was shown."""
    home = tmp_path_factory.mktemp("pages")
    name = "x'\"><img src=x onerror=alert(3)>\x1b[31m$\\bad{$"
    shown = ""
    for folder in (hostile_run(home / name), hostile_sweep(home / f"sweep {name}")):
        result = run_command("python", ROOT / "eval/report.py", folder)
        assert result.returncode == 0, result.stderr
        shown += result.stdout + result.stderr
    return sorted(home.rglob("*.html")), shown


@pytest.mark.slow
def test_every_page_has_a_policy_and_no_element_of_another(pages):
    files, _ = pages
    assert sorted(path.name for path in files) == ["generations.html", "report.html", "report.html"]
    for path in files:
        text = path.read_text()
        assert "default-src 'none'" in text.split("<style>")[0], path
        assert "<img src=x" not in text
        assert "<script>window" not in text
        assert "alert(3)>" not in text
        assert 'javascript:alert(1)"' not in text


@pytest.mark.slow
def test_a_terminal_is_shown_no_control_characters(pages):
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", pages[1]), pages[1]


@pytest.mark.slow
@pytest.mark.browser
def test_a_browser_runs_nothing_and_asks_for_nothing(pages):
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no chromium on the path: apt-get install chromium")
    with api.sync_playwright() as driver:
        args = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = driver.chromium.launch(executable_path=chromium, args=args)
        for path in pages[0]:
            page, asked, said = browser.new_page(), [], []
            page.on("request", lambda request, asked=asked: asked.append(request.url))
            page.on("dialog", lambda dialog, said=said: (said.append(dialog.message), dialog.dismiss()))
            page.goto(path.resolve().as_uri())
            page.wait_for_timeout(200)
            assert said == []
            assert [url for url in asked if not url.startswith("data:")] == [path.resolve().as_uri()]
            assert page.evaluate("window.__pwned") is None
            assert page.query_selector_all("[onerror], [onload], iframe, object, a[href^=javascript]") == []
            # The policy holds by itself, too: what did get in would not be run.
            page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.__pwned = 9\">')")
            page.wait_for_timeout(100)
            assert page.evaluate("window.__pwned") is None
        browser.close()


@pytest.mark.parametrize("text", HOSTILE)
def test_what_a_terminal_would_obey_is_named(text):
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", printable(text))
    assert printable("plain – ü 한국어 😀\n\t") == "plain – ü 한국어 😀\n\t"


@pytest.mark.slow
def test_examples_of_a_mixture_and_refusals_are_printable(tmp_path):
    for split, first in (("train", 0), ("test", 500)):
        numbers = range(first, first + 24)
        rows = [{"question": f"What is {i} + 1? {ESCAPE}", "answer": f"{i} {ESCAPE}\n#### {i}"} for i in numbers]
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    (tmp_path / "m.yaml").write_text(yaml.safe_dump({**MIXTURE, "n": 4, "n_rl": 2, "n_test": 2, "near_duplicates": 0}))
    words = ("python", ROOT / "data_mixes/build.py", tmp_path / "m.yaml", "--source", tmp_path)
    shown = run_command(*words, "--out", tmp_path / "mix", "--show", "2")
    assert "‹U+001B›" in shown.stdout, shown.stderr
    refused = run_command(*words, "--out", tmp_path / "o", f"--{ESCAPE}", "1")
    assert refused.returncode == 2
    assert "\x1b" not in shown.stdout + refused.stderr


def test_a_card_is_one_page_whatever_its_names_are(tmp_path):
    name = "](javascript:alert(1)) <script>\n---\nb: !!python/name:os.system\x1b[31m"
    folder = card_runs.make_run(tmp_path / name.replace("/", ""))
    text = card.card(folder.parents[1], folder, name=name)
    front, _, body = text.removeprefix("---\n").partition("\n---\n")
    assert set(yaml.safe_load(front)) <= {
        "model-index",
        "library_name",
        "pipeline_tag",
        "tags",
        "datasets",
        "base_model",
    }
    prose = re.sub(r"^```.*?^```", "", body, flags=re.MULTILINE | re.DOTALL)
    assert "](javascript" not in prose
    assert "<script" not in body
    assert "\x1b" not in body
    assert not re.search(r"^---$", body, re.MULTILINE)
