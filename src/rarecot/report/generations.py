"""The generation browser: one page, opened from disk, to filter and read what models wrote.

What models write is hostile until shown otherwise. It travels as JSON in a block that is not executed, in which no
character can end the block; the page's script puts it into text nodes only; and the page's policy lets no other script run.
"""

import base64
import bisect
import hashlib
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files as package_files
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jinja2 import Environment, PackageLoader, select_autoescape
from markupsafe import Markup

from rarecot.errors import ConfigError
from rarecot.evaluation import records
from rarecot.evaluation.generations import NEEDED, read
from rarecot.evaluation.records import COMPLETIONS, STAGE_NAMES, Record

# What tells evaluations apart that have the same label otherwise, and how it is said.
_APART = {
    "suite": "suite {}",
    "split": "{} split",
    "temperature": "temperature {}",
    "n": "{} responses",
    "samples": "{} samples a problem",
    "max_new_tokens": "at most {} tokens",
    "protocol": "protocol {}",
    "seed": "seed {}",
    "sampling_seed": "sampling seed {}",
}
_USUAL = {"suite": None, "split": "test", "protocol": "native", "samples": 1}  # goes without saying
FLUENT = 15e6  # bytes of a page that opens within a second on two slow cores, and is filtered without a pause
BESIDE = 40  # bytes that a response takes in a page beside its text, about
_ESCAPES = {character: f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


@dataclass(frozen=True)
class Summary:
    """What a page holds.

    Args:
        path: the page.
        evaluations: Parquet files it was made from.
        shown: responses in it.
        total: responses in the files.
        size: of the page, bytes.
    """

    path: Path
    evaluations: int
    shown: int
    total: int
    size: int

    def __str__(self) -> str:
        return (
            f"{self.path}   {spaced(self.shown)} of {spaced(self.total)} responses, "
            f"evaluations: {self.evaluations}, {self.size / 1e6:.1f} MB"
        )


@dataclass(frozen=True)
class _Evaluation:
    """One Parquet file: what is shown of it (column → values; a column the file lacks is missing), and of how many."""

    file: Path
    record: Record
    total: int
    columns: dict[str, list[Any]]
    is_cut: bool  # of its last problem only some samples are shown

    @property
    def run(self) -> Path:
        folder = self.file.resolve().parent
        return folder.parent if folder.name == COMPLETIONS else folder

    @property
    def shown(self) -> int:
        return len(self.columns["text"])


def write(files: Sequence[Path], path: Path, title: str, limit: int = 200, budget: float = math.inf) -> Summary:
    """Write the page.

    A text is kept whole, once a response; a prompt once a problem. So the page is about as large as these texts are: 100
    evaluations × 200 responses take 3 MB at 100 characters each, 47 MB at 2 300 (some 500 tokens of English), 300 MB at
    15 000. Chromium opened these in 0.3, 0.8 and 4 seconds, the last with 1 GB of memory: beyond that, choose fewer files or
    a lower limit.

    Args:
        files: generations as `evaluation.generations.save_responses` keeps them, one file an evaluation, in the order of the page.
        path: of the page; its folder is made.
        title: what the page is about.
        limit: responses of each file at most: its first problems, each with all its samples, so that checkpoints are
            compared on the same problems (one problem with more samples than that is cut); 0: all.
        budget: about how many bytes the page should have at most; where the responses come to more, the limit is as much lower. One of each
            file stays.

    Raises:
        ConfigError: no file; a file that is missing, not whole, or lacks a column; a limit below 0; all at once.
    """
    problems = [] if limit >= 0 else [f"limit is {limit}: give a number of responses a file, or 0 for all of them."]
    if not files:
        problems.append(
            "there is no file of generations to show: name Parquet files, or run directories that have some."
        )
    if path.is_dir():
        problems.append(f"{path} is a folder, and the page is one file: give its name, such as {path / 'page.html'}.")
    chosen: dict[Path, tuple[Mapping[str, Any], int, pa.Table, bool]] = {}
    for file in {file.resolve(): file for file in files}.values():  # one that is named twice is shown once
        try:
            found = read(file)
            first = _first(found.table, limit)
            whole = first.take(np.arange(len(first)))  # a slice would hold all
            chosen[file] = found.record, len(found.table), whole, _is_cut(found.table, len(first))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    limit = _affordable([table for _, _, table, _ in chosen.values()], limit, budget)
    evaluations = []
    for file, (record, total, table, is_cut) in chosen.items():
        first = _first(table, limit)
        is_cut = _is_cut(table, len(first)) or (is_cut and len(first) == len(table))
        evaluations.append(_Evaluation(file, record, total, first.to_pydict(), is_cut))
    del chosen
    page = _render(evaluations, title)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")
    shown, total = sum(e.shown for e in evaluations), sum(e.total for e in evaluations)
    return Summary(path, len(evaluations), shown, total, path.stat().st_size)


def find(run_dir: Path) -> list[Path]:
    """The generations kept in a run directory, of evaluations on the test split, in the order of its records.

    Raises:
        ConfigError: it has none.
    """
    names, found = _named(run_dir), kept([run_dir])
    if not found:
        why = f"none of its {len(names)} records has its file in {COMPLETIONS}/" if names else "it has no records"
        raise ConfigError(
            [f"{run_dir} has no generations to show: {why}. Evaluate it first: eval/run.py --run {run_dir}."]
        )
    return found


def kept(run_dirs: Sequence[Path]) -> list[Path]:
    """The same of several, as far as there are any."""
    found = [run_dir / COMPLETIONS / name for run_dir in run_dirs for name in _named(run_dir)]
    return [path for path in found if path.is_file()]


def _named(run_dir: Path) -> list[str]:
    tested = [r for r in records.read(run_dir) if r["split"] == "test" and not records.lacking(r, records.NAMED_BY)]
    return list(dict.fromkeys(map(records.completions_name, tested)))


def spaced(number: int) -> str:
    """`4 096`."""
    return f"{number:,}".replace(",", " ")


def _affordable(tables: Sequence[pa.Table], limit: int, budget: float) -> int:
    """The largest limit, of one at least, at which the first responses of several tables come to a budget of bytes, their escapes and
    prompts not counted; the one given where they do anyway."""
    longest = max(map(len, tables), default=0)
    if math.isinf(budget) or not longest:
        return limit
    ids = [table["problem_id"].to_pylist() for table in tables]
    sizes = [np.cumsum(pc.binary_length(table["text"]).to_numpy() + BESIDE) for table in tables]

    def size(limit: int) -> int:
        rows = [_first_problems(names, limit) for names in ids]
        return sum(int(upto[n - 1]) for upto, n in zip(sizes, rows, strict=True) if n)

    if size(limit) <= budget:
        return limit
    fitting = bisect.bisect_right(range(1, longest + 1), budget, key=size)
    return max(1, fitting)


def _first(table: pa.Table, limit: int) -> pa.Table:
    """The responses of a file that are shown."""
    return table.slice(0, _first_problems(table["problem_id"].to_pylist(), limit))


def _is_cut(table: pa.Table, n: int) -> bool:
    """Whether the problem of the n-th response has more behind it."""
    return 0 < n < len(table) and table["problem_id"][n - 1] == table["problem_id"][n]


def _first_problems(ids: Sequence[str], limit: int) -> int:
    """How many responses to keep: all of the first problems that fit; of a single one that does not, as many as fit."""
    if limit == 0 or len(ids) <= limit:
        return len(ids)
    kept = 0
    for _, group in groupby(ids):
        size = sum(1 for _ in group)
        if kept + size > limit:
            break
        kept += size
    return kept or limit


def _labels(evaluations: Sequence[_Evaluation]) -> list[str]:
    """A name for each evaluation that no other one on the page has."""
    several = len({e.run for e in evaluations}) > 1
    labels = [f"{e.run.name}: {_words(e)}" if several else _words(e) for e in evaluations]
    for label in _several(labels):
        same = [i for i, name in enumerate(labels) if name == label]
        varied = [k for k in _APART if len({str(evaluations[i].record.get(k)) for i in same}) > 1]
        for i in same:
            record = evaluations[i].record
            labels[i] = ", ".join([label, *(_APART[k].format(record[k]) for k in varied if record.get(k) is not None)])
    twice = _several(labels)
    labels = [f"{e.file}" if label in twice else label for e, label in zip(evaluations, labels, strict=True)]
    return [_printable(label) for label in labels]


def _several(labels: Sequence[str]) -> set[str]:
    """Those that stand there more than once."""
    return {label for label, count in Counter(labels).items() if count > 1}


def _words(evaluation: _Evaluation) -> str:
    """`GRPO step 30, greedy`; the file's name where no record says so."""
    record = evaluation.record
    if not {"stage", "step", "decoding"} <= set(record):
        return evaluation.file.stem
    what = record.get("model") or f"{STAGE_NAMES.get(str(record['stage']), record['stage'])} step {record['step']}"
    temperature = record.get("temperature")
    sampled = record["decoding"] == "sampled" and isinstance(temperature, int | float)
    unusual = [record[name] for name, usual in _USUAL.items() if name != "samples" and record.get(name, usual) != usual]
    return ", ".join(map(str, [what, f"temperature {temperature:g}" if sampled else record["decoding"], *unusual]))


def _how(record: Record) -> str:
    """What the label leaves out of how an evaluation was made."""
    said = [k for k in _APART if k not in ("n", "temperature") and record.get(k) not in (None, _USUAL.get(k))]
    return _printable(", ".join(_APART[k].format(record[k]) for k in said))


def _printable(text: str) -> str:
    """Labels come from names of files and from metadata: no character of them may turn the line around."""
    return "".join(c if c.isprintable() else f"‹U+{ord(c):04X}›" for c in text)


def _payload(evaluations: Sequence[_Evaluation], labels: Sequence[str]) -> dict[str, Any]:
    """What the page's script reads: evaluations, problems, and the responses by column."""
    problems: dict[tuple[Any, ...], int] = {}
    responses: dict[str, list[Any]] = {
        name: [] for name in ("evaluation", "problem", *NEEDED[2:], "sample", "answer", "verdict_lenient")
    }
    for number, evaluation in enumerate(evaluations):
        columns, count = evaluation.columns, evaluation.shown
        ids = columns["problem_id"]
        keys = zip(ids, columns["prompt"], columns.get("gold", [None] * count), strict=True)
        responses["problem"] += [problems.setdefault(key, len(problems)) for key in keys]
        responses["evaluation"] += [number] * count
        for name in (*NEEDED[2:], "answer", "verdict_lenient"):
            responses[name] += columns.get(name, [None] * count)
        responses["sample"] += columns.get("sample") or [i for _, group in groupby(ids) for i, _ in enumerate(group)]
    return {
        "evaluations": [
            {
                "label": label,
                "how": _how(e.record),
                "shown": e.shown,
                "total": e.total,
                "samples": e.shown > len(set(e.columns["problem_id"])),
                "answer": "answer" in e.columns,
            }
            for e, label in zip(evaluations, labels, strict=True)
        ],
        "problems": [{"id": name, "prompt": prompt, "gold": gold} for name, prompt, gold in problems],
        "responses": responses,
    }


def _render(evaluations: Sequence[_Evaluation], title: str) -> str:
    environment = Environment(loader=PackageLoader("rarecot.report", ""), autoescape=select_autoescape(default=True))
    script = (package_files("rarecot.report") / "generations.js").read_text(encoding="utf-8")
    assert "</script" not in script.lower(), "the script would end itself"
    labels = _labels(evaluations)
    payload = _payload(evaluations, labels)
    found = payload["responses"]
    return environment.get_template("generations.html.jinja").render(
        title=_printable(title),
        policy=f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'",
        script=Markup(script),
        payload=Markup(_json(payload)),
        labels=labels,
        shown=spaced(len(found["text"])),
        total=spaced(sum(e.total for e in evaluations)),
        cut=any(e.shown < e.total for e in evaluations),
        all_samples=not any(e.is_cut for e in evaluations),
        kinds=sorted(set(found["kind"])),
        verdicts=sorted(set(found["verdict"])),
        lenient=any(verdict is not None for verdict in found["verdict_lenient"]),
    )


def _json(value: Any) -> str:
    """JSON that can stand in a script element: nothing in it ends the element, or opens a comment in it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for character, escape in _ESCAPES.items():
        text = text.replace(character, escape)
    return text
