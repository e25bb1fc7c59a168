"""A page of generations in headless Chromium: until it is there, and until it has done what was asked of it."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from row import Row, compared

# What a reader does; each is timed until the frame after the next is drawn.
ASKED = {
    "a filter": "choose('verdict', 'correct')",
    "a search": "choose('search', '0110')",
    "another search": "choose('search', '01101')",
    "an order": "choose('sort', 'longest')",
    "no filter": "document.getElementById('reset').click()",
    "the table": "document.getElementById('table').open = true",
    "a filter with the table": "choose('verdict', 'wrong')",
    "the next page": "document.querySelectorAll('.pager button')[2].click()",
    "scrolling": "window.scrollBy(0, 900)",
}
TIMED = """
async () => {
  const choose = (name, value) => {
    const element = document.getElementById(name);
    element.value = value;
    element.dispatchEvent(new Event("change"));
  };
  const started = performance.now();
  %s;
  await new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn)));
  return (performance.now() - started) / 1000;
}
"""


def rows(page: Path, patience: float, repeats: int) -> Iterator[Row]:
    """Until the load event, and the slowest reaction, against a limit in seconds; nothing where there is no browser.

    Args:
        page: generations.html.
        patience: seconds.
        repeats: visits.
    """
    chromium = shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        chromium = None
    if chromium is None:
        print("report_open, report_react: not measured. Needs chromium, and pip install playwright.", flush=True)
        return
    with sync_playwright() as driver:
        alone = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = driver.chromium.launch(executable_path=chromium, args=alone)
        visits = [visit(browser, page) for _ in range(repeats)]
        browser.close()
    yield compared("report_open", [opened for opened, _ in visits], [patience], "s", "the limit", "≤ 1")
    medians = {what: sorted(took[what] for _, took in visits)[repeats // 2] for what in ASKED}
    last = max(medians, key=medians.get)
    slowest = [took[last] for _, took in visits]
    note = f"{last}, the slowest of {len(ASKED)}"
    yield compared("report_react", slowest, [patience], "s", "the limit", "≤ 1", note, seconds=medians)


def visit(browser: Any, page: Path) -> tuple[float, dict[str, float]]:
    """Seconds until the load event, and of each reaction."""
    tab = browser.new_page(viewport={"width": 1000, "height": 900})
    tab.set_default_timeout(60_000)
    tab.goto(page.resolve().as_uri())
    opened = tab.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd") / 1000
    took = {what: tab.evaluate(TIMED % work) for what, work in ASKED.items()}
    tab.close()
    return opened, took
