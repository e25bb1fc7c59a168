"""The page of generations in a real browser: its filters, and that no text of a model becomes anything but text.

Needs Debian's chromium (`apt-get install chromium`) and playwright's driver (`pip install playwright`, no download of browsers).
"""

import os
import re
import shutil

import pytest
from generation_pages import ATTACK, HOSTILE, IMAGE, old, record, row, save

from rarecot.report import generations

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# The elements that template and script make; whatever else there is was made by a text.
OURS = {
    "ARTICLE",
    "HEADER",
    "DL",
    "DT",
    "DD",
    "DIV",
    "SPAN",
    "BUTTON",
    "MARK",
    "P",
    "H1",
    "LABEL",
    "SELECT",
    "OPTION",
    "INPUT",
}
OURS |= {"DETAILS", "SUMMARY", "TABLE", "THEAD", "TBODY", "TR", "TH", "TD", "NAV", "MAIN", "NOSCRIPT", "SCRIPT"}


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no chromium on the path: apt-get install chromium")
    with api.sync_playwright() as driver:
        # Chromium has no sandbox of its own where root starts it.
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"] if os.geteuid() == 0 else [])
        yield browser
        browser.close()


class Visit:
    """A page in the browser, and everything that it did beside being shown."""

    def __init__(self, browser, path, fragment=""):
        self.page = browser.new_page(viewport={"width": 1000, "height": 900})
        self.page.set_default_timeout(5000)
        self.said, self.asked, self.dialogs = [], [], []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("dialog", self._close)
        self.address = path.resolve().as_uri()
        self.page.goto(self.address + fragment)

    def _close(self, dialog):
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def __getattr__(self, name):
        return getattr(self.page, name)

    @property
    def count(self):
        return self.inner_text("#count").replace("\xa0", " ")

    @property
    def rows(self):
        return [int(i) for i in self.eval_on_selector_all("article", "all => all.map(e => e.dataset.row)")]

    @property
    def hash(self):
        return self.evaluate("location.hash")

    def wait(self, condition):
        """Until an expression holds. Playwright's own waiting would need `eval` in the page, which the policy forbids."""
        for _ in range(100):
            if self.evaluate(condition):
                return
            self.page.wait_for_timeout(20)
        raise AssertionError(
            f"{condition} never held; the page says {self.count}, shows {self.rows}, address {self.hash}"
        )

    def problems(self):
        """What a text did beside being text, in words; empty: nothing."""
        self.page.wait_for_timeout(200)  # for what a text would start to happen
        made = set(self.eval_on_selector_all("body *", "all => all.map(e => e.tagName.toUpperCase())"))
        found = [f"it made a {tag}" for tag in sorted(made - OURS)]
        found += [f"it asked for {url}" for url in self.asked if url.split("#")[0] != self.address]
        found += [f"it opened a dialog: {message}" for message in self.dialogs]
        found += [f"the console says {text}" for text in self.said]
        scripts = len(self.query_selector_all("script"))
        found += [f"there are {scripts} scripts"] if scripts != 2 else []
        return found + (["a script of it ran"] if self.evaluate("window.__pwned") is not None else [])


@pytest.fixture
def visit(browser):
    opened = []

    def open_page(path, fragment=""):
        opened.append(Visit(browser, path, fragment))
        return opened[-1]

    yield open_page
    for each in opened:
        each.page.close()


def responses(right_long, samples=1):
    """120 responses: odd problems are answered long; lengths are 1, or 10 and more."""
    rows = []
    for i in range(120):
        problem = i // samples
        kind = "long" if problem % 2 else "short"
        verdict = "correct" if kind == "long" and right_long else ("truncated" if problem % 3 == 0 else "wrong")
        lenient = {"wrong": "correct" if problem % 5 == 0 else "wrong", "truncated": None}.get(verdict, verdict)
        length = 10 + problem if kind == "long" else 1
        given = {"kind": kind, "verdict": verdict, "verdict_lenient": lenient, "length": length, "sample": i % samples}
        rows.append(
            row(problem, text=f"Answer of {problem}: {kind}", answer=None if verdict == "truncated" else "7", **given)
        )
    return rows


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Three evaluations: 120 of NTP, 120 of GRPO, and 120 of 60 problems in an old file."""
    folder = tmp_path_factory.mktemp("run") / "completions"
    files = [
        save(folder / "a.parquet", responses(False), record(stage="sft", step=600)),
        save(folder / "b.parquet", responses(True), record()),
        save(
            folder / "grpo-000030-test-sampled-t1-n120x2-max64-seed30-native.parquet",
            [old(r) for r in responses(True, 2)],
        ),
    ]
    return generations.write(files, folder.parent / "page.html", "a run").path


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """Every hostile text in every place, and one that is long."""
    folder = tmp_path_factory.mktemp("hostile")
    texts = [*HOSTILE, ATTACK + IMAGE + "x" * 100_000]
    rows = [
        row(i, text=text, prompt=text, gold=text, answer=text, problem_id=f"{i} {text}", sample=i)
        for i, text in enumerate(texts)
    ]
    rows += [
        row(20 + i, kind=text, verdict=text, verdict_lenient=text)
        for i, text in enumerate((ATTACK, IMAGE, "__proto__"))
    ]
    path = save(folder / "a.parquet", rows, record(stage=IMAGE, step=ATTACK, suite=IMAGE))
    return generations.write([path], folder / "page.html", ATTACK + IMAGE).path


def test_first_view(visit, page):
    view = visit(page)
    assert view.count == "360 of 360 responses; 33 % right; median length 6"
    assert view.rows == list(range(50))
    assert view.inner_text("article >> nth=0").split("\n")[0].startswith("… truncated")
    text = view.inner_text("article >> nth=1")
    for part in (
        "✗ wrong",
        "long",
        "11 tokens",
        "NTP step 600, greedy",
        "p1",
        "prompt 1",
        "Answer of 1: long",
        "gold",
        "answer read",
    ):
        assert part in text
    assert view.evaluate("document.documentElement.scrollWidth") == 1000  # nothing hangs over
    assert view.problems() == []


def test_filters(visit, page):
    view = visit(page)
    assert view.locator("#evaluation option").all_inner_texts() == [
        "all",
        "NTP step 600, greedy",
        "GRPO step 30, greedy",
        "GRPO step 30, temperature 1",
    ]
    view.select_option("#evaluation", "GRPO step 30, greedy")
    assert view.count.startswith("120 of 360 responses; 50 % right")
    view.select_option("#kind", "long")
    assert view.count.startswith("60 of 360 responses; 100 % right; median length 70")
    view.select_option("#evaluation", "NTP step 600, greedy")
    view.select_option("#verdict", "truncated")
    assert view.count.startswith("20 of 360 responses; 0 % right")
    view.select_option("#verdict", "")
    view.check("#disagree")  # odd multiples of 5 that are not of 3
    assert view.rows == [5, 25, 35, 55, 65, 85, 95, 115]
    assert "✓ correct differs from the verdict" in view.inner_text("article >> nth=0")
    view.fill("#min", "45")
    view.wait("document.querySelectorAll('article').length === 6")
    view.fill("#max", "75")
    view.press("#max", "Enter")
    assert view.rows == [35, 55, 65]
    assert view.hash == "#evaluation=NTP+step+600%2C+greedy&kind=long&disagree=1&min=45&max=75"
    view.click("#reset")
    assert view.count.startswith("360 of 360")
    assert view.hash == ""
    assert view.input_value("#min") == ""
    view.fill("#min", "1000")
    view.press("#min", "Enter")
    assert view.count == "0 of 360 responses"
    assert view.inner_text("#responses") == "No response passes these filters."
    assert view.problems() == []


def test_search_finds_words_in_any_case_and_not_as_a_pattern(visit, page):
    view = visit(page)
    view.fill("#search", "ANSWER OF 11:")
    view.wait("document.querySelectorAll('article').length === 4")
    assert view.rows == [11, 131, 262, 263]
    assert view.inner_text("mark >> nth=0") == "Answer of 11:"
    view.fill("#search", "prompt 7")
    view.wait("document.querySelectorAll('article').length === 11 + 11 + 2")
    view.fill("#search", ".*[")
    view.wait("document.querySelectorAll('article').length === 0")
    assert view.problems() == []


def test_order(visit, page):
    view = visit(page)
    view.select_option("#sort", "longest")
    assert view.rows[:3] == [119, 239, 117]  # equal ones stay in order
    view.select_option("#sort", "shortest")
    assert view.rows[:3] == [0, 2, 4]


def test_a_problem_is_shown_in_all_evaluations(visit, page):
    view = visit(page, "#kind=long&verdict=wrong&search=answer&page=1")
    view.click("article >> nth=2 >> button.problem")
    assert view.count.startswith("4 of 360 responses; 75 % right")
    assert view.rows == [7, 127, 254, 255]
    assert view.hash == "#problem=p7"
    assert [("sample 1" in text) for text in view.locator("article").all_inner_texts()] == [False, False, False, True]
    view.go_back()
    view.wait("document.getElementById('kind').value === 'long'")
    assert view.input_value("#search") == "answer"
    view.fill("#problem", "p11")  # p11 is an id, so p110 is not meant
    view.press("#problem", "Enter")
    assert view.input_value("#kind") == "long"
    assert view.rows == [11]


def test_pages(visit, page):
    view = visit(page)
    following = view.locator("nav >> nth=0 >> text=Next")
    assert not view.locator("nav >> nth=0 >> text=Previous").is_enabled()
    following.click()
    assert (view.rows[0], len(view.rows), view.hash) == (50, 50, "#page=2")
    view.locator("nav >> nth=1 >> text=Last").click()
    assert view.rows == list(range(350, 360))
    assert "page 8 of 8" in view.inner_text("nav >> nth=0")
    assert not following.is_enabled()
    view.go_back()
    view.wait("document.querySelector('article').dataset.row === '50'")
    # A field that is left by a press on a button must not take the button away from under the pointer.
    view.fill("#search", "answer")
    view.wait("location.hash === '#search=answer'")
    following.click()
    assert view.hash == "#search=answer&page=2"
    view.select_option("#kind", "short")
    assert view.hash == "#kind=short&search=answer"  # another selection begins on its first page


def test_keyboard(visit, page):
    view = visit(page)
    view.focus("#evaluation")
    reached = []
    for _ in range(12):
        view.keyboard.press("Tab")
        reached.append(view.evaluate("document.activeElement.id || document.activeElement.tagName"))
    assert reached[:9] == ["kind", "verdict", "min", "max", "sort", "search", "problem", "disagree", "reset"]
    assert reached[9:] == ["SUMMARY", "BUTTON", "BUTTON"]
    view.focus("article button.problem")
    view.keyboard.press("Enter")
    assert view.hash == "#problem=p0"
    assert view.evaluate("document.activeElement.id") == "count"
    named = view.eval_on_selector_all("input, select", "all => all.map(e => e.labels[0]?.innerText.trim())")
    assert all(named)


def test_a_link_restores_the_view(visit, page):
    first = visit(page)
    first.select_option("#kind", "long")
    first.fill("#search", "ä & Answer=#")
    first.press("#search", "Enter")
    first.fill("#search", "Answer")
    first.press("#search", "Enter")
    first.select_option("#sort", "longest")
    first.locator("nav >> nth=0 >> text=Next").click()
    second = visit(page, first.hash)
    assert (second.rows, second.count) == (first.rows, first.count)
    assert (second.input_value("#search"), second.input_value("#sort")) == ("Answer", "longest")
    wild = visit(page, f"#kind=nonsense&page=999&min=abc&evaluation=none&disagree=x&x={IMAGE}")
    assert wild.rows == list(range(350, 360))
    assert wild.problems() == []


def test_table_by_evaluation(visit, page):
    view = visit(page, "#kind=long")
    view.click("summary")
    view.wait("document.querySelectorAll('#by-evaluation tr').length === 3")
    cells = [re.split(r"\s*\t\s*", line) for line in view.inner_text("#by-evaluation").replace("\xa0", " ").split("\n")]
    assert [line[0] for line in cells] == [
        "NTP step 600, greedy",
        "GRPO step 30, greedy",
        "GRPO step 30, temperature 1",
    ]
    assert [line[2:] for line in cells] == [
        ["120 of 120", "60", "0 %", "70"],
        ["120 of 120", "60", "100 %", "70"],
        ["120 of 120", "60", "100 %", "40"],
    ]
    view.click("#by-evaluation >> text=NTP")
    assert view.input_value("#evaluation") == "NTP step 600, greedy"


def test_hostile_texts_are_shown_as_text(visit, hostile):
    view = visit(hostile)
    for i, shown in enumerate(HOSTILE.values()):
        article = view.locator(f"article[data-row='{i}']")
        for place in article.locator("dd").all()[:4]:  # prompt, response, gold, answer
            assert place.text_content() == shown
        assert article.locator("button.problem").text_content() == (f"{i} {shown}" if shown != "(empty)" else f"{i} ")
    verdicts = view.locator("article header .verdict").all_text_contents()
    assert verdicts[-3:] == [f"· {text.replace('_', ' ')}" for text in (ATTACK, IMAGE, "__proto__")]
    text = view.locator("body").text_content()
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b\x1b]", text.split('{"evaluations"')[0])
    view.click("summary")
    view.wait("document.querySelectorAll('#by-evaluation tr').length === 1")
    view.fill("#search", "<img")
    view.press("#search", "Enter")
    assert view.locator("mark").count() > 0
    assert view.problems() == []


def test_a_long_text_is_cut_and_shown_whole(visit, hostile):
    view = visit(hostile)
    article = view.locator("article", has_text=f"show all {100_000 + len(ATTACK + IMAGE):,}".replace(",", "\xa0"))
    response = article.locator(".text.response")
    assert len(response.text_content()) < 1300
    more = article.get_by_role("button", name="characters of the response")
    assert more.get_attribute("aria-expanded") == "false"
    more.click()
    assert response.text_content() == ATTACK + IMAGE + "x" * 100_000
    article.get_by_role("button", name="show less of the response").click()
    assert len(response.text_content()) < 1300
    assert view.problems() == []


def test_a_long_text_is_cut_where_the_search_hits(visit, tmp_path):
    lines = "\n".join(["line"] * 100)
    rows = [
        row(0, text="😀" * 5000 + " needle " + "😀" * 5000),
        row(1, text=lines),
        row(2, text=lines + "\nneedle\n" + lines),
    ]
    view = visit(generations.write([save(tmp_path / "a.parquet", rows)], tmp_path / "page.html", "t").path)
    assert view.locator(".response >> nth=1").text_content().count("line") == 20
    view.fill("#search", "NEEDLE")
    view.press("#search", "Enter")
    assert view.locator(".response mark").all_inner_texts() == ["needle", "needle"]
    shown = view.locator(".response >> nth=0").text_content()
    assert shown.startswith(" […] 😀")
    assert shown.endswith("😀 […] ")
    assert set(shown) == set(" […]😀needle")


# What the test above must be able to see. Each takes one of the page's defences away.


def without_policy(page):
    return re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)


def without_escapes(page):
    return page.replace("\\u003c", "<").replace("\\u003e", ">")


def with_markup(page):
    """The script as a careless hand would have written it: pieces of text as markup."""
    appending = "element.append(...children.filter((child) => child !== null));"
    assert appending in page
    careless = "for (const child of children) if (child) child.nodeType ? element.append(child) : element.insertAdjacentHTML('beforeend', child);"
    filling = "block.append(...marked(text, pattern));"
    assert filling in page
    return page.replace(appending, careless).replace(filling, "block.innerHTML = text;")


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        (lambda page: without_policy(without_escapes(page)), ["a script of it ran", "it opened a dialog: 1"]),
        (
            lambda page: without_policy(with_markup(page)),
            ["a script of it ran", "it opened a dialog: 2", "it made a IMG"],
        ),
        (without_escapes, ["the console says "]),  # the policy stops what the escapes let through
        (
            lambda page: without_policy(page).replace("</body>", "<img src='x.png'></body>"),
            ["it made a IMG", "it asked for file"],
        ),
    ],
    ids=["no escapes", "markup", "no escapes, policy", "an image"],
)
def test_the_checks_see_an_attack(visit, hostile, tmp_path, change, seen):
    path = tmp_path / "page.html"
    page = hostile.read_text(encoding="utf-8")
    path.write_text(change(page), encoding="utf-8")
    assert path.read_text(encoding="utf-8") != page
    view = visit(path)
    found = view.problems()
    for words in seen:
        assert any(text.startswith(words) for text in found), found
    if change is without_escapes:
        assert "a script of it ran" not in found
        assert view.dialogs == []


def test_the_page_without_the_policy_is_harmless_too(visit, hostile, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(without_policy(hostile.read_text(encoding="utf-8")), encoding="utf-8")
    assert visit(path).problems() == []


def test_20_000_responses_are_filtered_at_once(visit, tmp_path):
    words = "so the eggs that are left are worth 18 dollars and " * 12  # 600 characters
    kinds = ("short", "long")
    files = [
        save(
            tmp_path / f"{step}.parquet",
            [row(i, text=f"{words}{i}-{step}", length=i % 300, kind=kinds[i % 2]) for i in range(200)],
            record(step=step),
        )
        for step in range(100)
    ]
    summary = generations.write(files, tmp_path / "page.html", "large")
    assert summary.shown == 20_000
    view = visit(summary.path)
    timed = """([id, value]) => {
        const element = document.getElementById(id), started = performance.now();
        element.value = value;
        element.dispatchEvent(new Event("change"));
        document.body.getBoundingClientRect();  // layout too
        return performance.now() - started;
    }"""
    loaded = view.evaluate("performance.timing.loadEventEnd - performance.timing.navigationStart")
    took = {
        (name, value): view.evaluate(timed, [name, value])
        for name, value in (
            ("kind", "long"),
            ("search", "DOLLARS and 1"),
            ("search", "9-7"),
            ("sort", "longest"),
            ("kind", ""),
        )
    }
    print(f"{summary}; loaded in {loaded} ms; {', '.join(f'{k}: {v:.0f} ms' for k, v in took.items())}")
    assert view.count.split(";")[0] == "220 of 20 000 responses"  # 20 problems end in 9, 11 steps begin with 7
    assert view.locator("article").count() == 50
    assert max(took.values()) < 1000
    assert view.problems() == []


def test_no_text_runs_in_a_report(visit, tmp_path):
    """The report shows generations, too: the first few, in its own table."""
    from made_runs import make_run

    from rarecot.report import figures, html

    run = make_run(tmp_path / "a", text=f"{ATTACK}{IMAGE}")
    page = tmp_path / "report.html"
    html.write([run], figures.save_all([run], tmp_path / "figures"), page, "generations.html")
    opened = visit(page)
    opened.page.wait_for_timeout(300)
    assert ATTACK in opened.inner_text("body")
    assert opened.evaluate("window.__pwned") is None
    assert (opened.dialogs, opened.said) == ([], [])
    assert {url.split("#")[0] for url in opened.asked if not url.startswith("data:")} == {opened.address}
    assert opened.evaluate("document.querySelectorAll('script').length") == 0
    assert opened.get_attribute("a", "href") == "generations.html"
