"""Break the program on purpose, one line at a time, and see whether the tests notice.

    python tests/attacks/mutate.py [--only NAME …] [--jobs 1] [--seconds 180]

Each mutation of mutations.yaml is made in a copy of this tree and the tests that it names are run there, slow ones too. Prints a table and
ends with exit code 1 if one survives, if its text is no longer found exactly once, or if its tests do not pass before anything is broken.
"""

import argparse
import ast
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
LIST = Path(__file__).with_name("mutations.yaml")
COPIED = ("src", "tests", "recipes", "data_mixes", "eval", "slurm", "pyproject.toml", "README.md")
FAILED_TESTS = 1  # pytest's exit code; others say that it could not do what it was asked


@dataclass(frozen=True)
class Mutation:
    """One thing that must not go unnoticed.

    Args:
        name: of the mutation.
        file: relative to the root.
        source: text that occurs in it exactly once.
        replacement: what stands there instead.
        breaks: what would be wrong then.
        tests: paths or node ids of pytest, of which one at least must fail.
    """

    name: str
    file: str
    source: str
    replacement: str
    breaks: str
    tests: tuple[str, ...]

    def fault(self, root: Path) -> str | None:
        """Why it cannot be made in a tree: a sentence, or None."""
        text = (root / self.file).read_text()
        if (count := text.count(self.source)) != 1:
            return f"{self.name}: its text is {count} times in {self.file}, not once: {self.source!r}"
        try:
            ast.parse(self.broken(root))
        except SyntaxError as error:
            return f"{self.name}: {self.file} would be no Python any more: {error}"
        return f"{self.name}: it changes nothing" if self.source == self.replacement else None

    def broken(self, root: Path) -> str:
        """The file's text with the mutation."""
        return (root / self.file).read_text().replace(self.source, self.replacement)


def mutations() -> list[Mutation]:
    """Those of mutations.yaml."""
    rows = yaml.safe_load(LIST.read_text())
    return [Mutation(**{**row, "tests": tuple(row["tests"])}) for row in rows]


def copy_tree(to: Path) -> None:
    """What tests need of this tree."""
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, to / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, to / name)


def run_tests(tree: Path, tests: Sequence[str], seconds: float) -> tuple[int | None, str]:
    """pytest's exit code (None: it did not end in time) and what it wrote."""
    # Without bytecode: a cached file of the same second and size as the mutated one would be taken for it.
    env = {**os.environ, "PYTHONPATH": str(tree / "src"), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", "-m", "", *tests]
    process = subprocess.Popen(
        words, cwd=tree, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        said, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # with what the tests started
        return None, process.communicate()[0]
    return process.returncode, said


def try_one(mutation: Mutation, tree: Path, seconds: float) -> tuple[bool, str]:
    """Whether the tests notice, and which did (or what went wrong instead)."""
    path = tree / mutation.file
    before = path.read_text()
    path.write_text(mutation.broken(tree))
    try:
        code, said = run_tests(tree, mutation.tests, seconds)
    finally:
        path.write_text(before)
    if code is None:
        return True, f"hangs: not over after {seconds:g} s"
    if code == FAILED_TESTS:
        found = re.search(r"^(?:FAILED|ERROR) (\S+)", said, re.MULTILINE)
        return True, found[1] if found else "a test failed"
    return False, "survived" if code == 0 else f"pytest ended with {code}: {said.strip().splitlines()[-1]}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[], help="names of mutations; by default all")
    parser.add_argument("--jobs", type=int, default=1, help="copies in which tests run at the same time")
    parser.add_argument("--seconds", type=float, default=180, help="that the tests of a mutation may take")
    args = parser.parse_args()
    chosen = [m for m in mutations() if not args.only or m.name in args.only]
    if unknown := set(args.only) - {m.name for m in chosen}:
        print(f"there is no mutation {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    faults = [fault for m in chosen if (fault := m.fault(ROOT))]
    print(*faults, sep="\n", end="\n" if faults else "")
    chosen = [m for m in chosen if not m.fault(ROOT)]
    with tempfile.TemporaryDirectory(prefix="rarecot-mutations-") as folder:
        trees: queue.SimpleQueue[Path] = queue.SimpleQueue()
        for number in range(args.jobs):
            copy_tree(Path(folder) / str(number))
            trees.put(Path(folder) / str(number))
        survived = _all(chosen, trees, args)
    print(f"\n{len(chosen)} mutations, {len(chosen) - len(survived)} noticed, {len(survived)} survived", *survived)
    return 1 if survived or faults else 0


def _all(chosen: Sequence[Mutation], trees: "queue.SimpleQueue[Path]", args: argparse.Namespace) -> list[str]:
    """Try every mutation and print its line; returns the names of those that no test noticed."""
    tree = trees.get()
    code, said = run_tests(tree, sorted({test for m in chosen for test in m.tests}), 10 * args.seconds)
    trees.put(tree)
    if code != 0:
        print(said)
        return ["(all: the tests do not pass before anything is broken)"]

    def attempt(mutation: Mutation) -> str | None:
        tree, started = trees.get(), time.perf_counter()
        try:
            noticed, what = try_one(mutation, tree, args.seconds)
        finally:
            trees.put(tree)
        seconds = time.perf_counter() - started
        print(f"{'noticed' if noticed else 'SURVIVED':9} {seconds:5.1f} s  {mutation.name:34} {what}", flush=True)
        return None if noticed else mutation.name

    with ThreadPoolExecutor(args.jobs) as threads:
        return [name for name in threads.map(attempt, chosen) if name]


if __name__ == "__main__":
    sys.exit(main())
