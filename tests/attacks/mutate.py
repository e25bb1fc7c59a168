"""Break the program on purpose, one line at a time, and see whether the tests notice.

    python tests/attacks/mutate.py [--only NAME …] [--jobs 1] [--seconds 180]

Each mutation of mutations.yaml is made in a copy of this tree and the tests that it names are run there, slow ones too, in a process forked
from this one, which has imported what is heavy. Prints a table and ends with exit code 1 if one survives, if its text is no longer found
exactly once, or if its tests do not pass before anything is broken.
"""

import argparse
import ast
import contextlib
import gc
import importlib
import os
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
LIST = Path(__file__).with_name("mutations.yaml")
COPIED = ("src", "tests", "recipes", "data_mixes", "eval", "slurm", "pyproject.toml", "README.md")
HEAVY = (
    "datasets",
    "peft",
    "pyarrow.parquet",
    "trl.trainer.grpo_trainer",
    "trl.trainer.sft_trainer",
    "transformers.models.llama",
)
BEFORE_IMPORTS = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
SAID = "said.txt"  # in a copy: what its tests wrote
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


class Trial:
    """pytest at work in a tree, in a process of its own.

    Args:
        tree: a copy of this one.
        tests: paths or node ids.
        seconds: until it counts as hanging.
    """

    def __init__(self, tree: Path, tests: Sequence[str], seconds: float):
        self.tree, self.started, self.seconds = tree, time.perf_counter(), seconds
        self.pid = os.fork()
        if self.pid == 0:
            _child(tree, tests)

    def over(self) -> tuple[int | None, str] | None:
        """pytest's exit code (None: it was killed after its time) and what it wrote; None while it is at work."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid == 0 and time.perf_counter() - self.started < self.seconds:
            return None
        self.kill()
        if pid == 0:
            os.waitpid(self.pid, 0)
        said = (self.tree / SAID).read_text(errors="replace") if (self.tree / SAID).is_file() else ""
        return (os.waitstatus_to_exitcode(status) if pid else None), said

    def kill(self) -> None:
        """End it, and what its tests started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)


def _child(tree: Path, tests: Sequence[str]) -> None:
    """Run tests and end, without what the parent would do at its end."""
    code = -1
    try:
        os.setsid()
        output = os.open(tree / SAID, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.chdir(tree)
        os.environ |= {"PYTHONPATH": str(tree / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
        sys.path.insert(0, str(tree / "src"))
        import pytest

        how = ["-x", "-p", "no:cacheprovider", "-m", "", f"--basetemp={tree / 'temporary'}"]
        how += ["-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning"]  # plugins among what is heavy
        code = pytest.main([*how, *tests])
    except BaseException:  # whatever it is: the parent reads it there
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code & 0xFF)


def verdict(code: int | None, said: str) -> tuple[bool, str]:
    """Whether the tests noticed, and which did (or what went wrong instead)."""
    if code is None:
        return True, "hangs"
    if code == FAILED_TESTS:
        found = re.search(r"^(?:FAILED|ERROR) ([^\s\[]+)", said, re.MULTILINE)
        return True, found[1] if found else "a test failed"
    lines = said.strip().splitlines() or [""]
    return False, "no test noticed" if code == 0 else f"pytest ended with {code}: {lines[-1]}"


def prepare(jobs: int, folder: Path) -> list[Path]:
    """Import what is heavy, and make the copies. Whatever is ours is imported in each process anew."""
    sys.dont_write_bytecode = True  # a cached file of the same second and size as the mutated one would be taken for it
    os.environ |= BEFORE_IMPORTS
    with warnings.catch_warnings(action="ignore"):
        for name in HEAVY:
            importlib.import_module(name)
    gc.freeze()  # so that no process looks through what it was forked with, and copies it
    assert not any(name.startswith("rarecot") for name in sys.modules), "the copies are to be tested, not this tree"
    trees = [folder / str(number) for number in range(jobs)]
    for tree in trees:
        tree.mkdir()
        copy_tree(tree)
    return trees


def survivors(chosen: Sequence[Mutation], trees: Sequence[Path], seconds: float) -> list[str]:
    """Try every mutation and print its line; returns the names of those that no test noticed."""
    waiting, free, survived = list(chosen), list(trees), []
    running: list[tuple[Mutation, str, Trial]] = []
    try:
        while waiting or running:
            while waiting and free:
                mutation, tree = waiting.pop(0), free.pop()
                before = (tree / mutation.file).read_text()
                (tree / mutation.file).write_text(mutation.broken(tree))
                running.append((mutation, before, Trial(tree, mutation.tests, seconds)))
            time.sleep(0.05)
            for entry in list(running):
                mutation, before, trial = entry
                if (end := trial.over()) is None:
                    continue
                running.remove(entry)
                (trial.tree / mutation.file).write_text(before)
                free.append(trial.tree)
                noticed, what = verdict(*end)
                took = time.perf_counter() - trial.started
                print(f"{'noticed' if noticed else 'SURVIVED':9} {took:5.1f} s  {mutation.name:34} {what}", flush=True)
                survived += [] if noticed else [mutation.name]
    finally:
        for _, _, trial in running:
            trial.kill()
    return survived


def unbroken(chosen: Sequence[Mutation], tree: Path, seconds: float) -> str:
    """What the tests say before anything is broken; empty where they pass."""
    trial = Trial(tree, sorted({test for m in chosen for test in m.tests}), seconds)
    while (end := trial.over()) is None:
        time.sleep(0.05)
    return "" if end[0] == 0 else f"{end[1]}\nThese tests do not pass before anything is broken."


def main() -> int:
    """The whole command; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[], help="names of mutations; by default all")
    parser.add_argument("--jobs", type=int, default=1, help="copies in which tests run at the same time")
    parser.add_argument("--seconds", type=float, default=180, help="that the tests of a mutation may take")
    args = parser.parse_args()
    chosen = [m for m in mutations() if not args.only or m.name in args.only]
    if unknown := set(args.only) - {m.name for m in chosen}:
        print(f"there is no mutation {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    if faults := [fault for m in chosen if (fault := m.fault(ROOT))]:
        print(*faults, sep="\n")
        return 1
    with tempfile.TemporaryDirectory(prefix="rarecot-mutations-") as folder:
        trees = prepare(args.jobs, Path(folder))
        if said := unbroken(chosen, trees[0], 10 * args.seconds):
            print(said)
            return 1
        survived = survivors(chosen, trees, args.seconds)
    print(f"\n{len(chosen)} mutations: {len(chosen) - len(survived)} noticed, {len(survived)} survived", *survived)
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
