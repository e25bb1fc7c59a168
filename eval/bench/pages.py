"""The report of a long run: seconds and memory, how they grow, and how its page of generations behaves in a browser."""

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import browsing
import peaks
from long_run import make_run
from row import Row, compared, seconds

from rarecot.evaluation import records
from rarecot.report.generations import FLUENT

ROOT = Path(__file__).parents[2]
PATIENCE = 1.0  # seconds until a page is there, or has done what was asked of it
# The generations read once, and as many bytes written as our pages have.
FLOOR = """
import sys, pyarrow.parquet as pq
from pathlib import Path
folder, size, out = sys.argv[1:]
for path in Path(folder).iterdir():
    pq.read_table(path, columns=["problem_id", "prompt", "text", "verdict", "length", "kind", "sample", "gold", "answer"])
Path(out).write_bytes(b"x" * int(size))
"""


def rows(args: Any) -> Iterator[Row]:
    """A run of 1 000 evaluations with 200 000 generations: its report, beside a floor and beside that of half of it."""
    evaluations = 40 if args.small else 1000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole, half, words = folder / "whole", folder / "half", folder / "words"
        make_run(whole, evaluations)
        make_run(half, evaluations // 2)
        yield from in_turns(whole, half, args.repeats or (1 if args.small else 5))
        yield reading(whole, args.repeats or 20)
        make_run(words, evaluations, characters=2300)  # some 500 tokens of English
        report(words)
        size = (words / "generations.html").stat().st_size / 1e6
        note = (
            f"of long responses of 2 300 characters; {(whole / 'generations.html').stat().st_size / 1e6:.1f} MB of 50"
        )
        yield compared("report_page", [size], [FLUENT / 1e6], "MB", "what opens at once", "≤ 1.05", note)
        yield from browsing.rows(words / "generations.html", PATIENCE, args.repeats or 3)


def in_turns(whole: Path, half: Path, repeats: int) -> Iterator[Row]:
    """The report's seconds against the floor's, and against those of half as long a run."""
    took, floor, halved, memory = [], [], [], []
    for turn in range(1 + repeats):
        spent, peak = report(whole)
        size = sum((whole / page).stat().st_size for page in ("report.html", "generations.html"))
        words = ("-c", FLOOR, str(whole / records.COMPLETIONS), str(size), str(whole / "floor"))
        if turn:  # the first one is not counted
            took, memory = [*took, spent], [*memory, peak]
            floor, halved = [*floor, measured(*words)[0]], [*halved, report(half)[0]]
    note = f"peak memory {max(memory):,.0f} MB; figures and imports are most of the rest"
    yield compared(
        "report_seconds", took, floor, "s", "reading the files, writing the bytes", "≤ 10", note, peak=memory
    )
    yield compared("report_growth", took, halved, "s", "a run half as long", "≤ 2.2")


def reading(run: Path, repeats: int) -> Row:
    """Records that a process has read before, as it does after each evaluation, against parsing them."""
    lines = (run / records.FILE).read_bytes().splitlines()
    records.read(run)
    again = [1000 * seconds(lambda: records.read(run)) for _ in range(repeats)]
    parsed = [1000 * seconds(lambda: [json.loads(line) for line in lines]) for _ in range(repeats)]
    return compared("report_records", again, parsed, "ms", "parsing them", "≤ 0.5", f"{len(lines)} records, read again")


def report(run: Path) -> tuple[float, float]:
    """Seconds and peak memory in MB of the command."""
    return measured("eval/report.py", str(run))


def measured(*words: str) -> tuple[float, float]:
    """The same of any command of this interpreter."""
    return peaks.of_command(*words, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT / "src")})
