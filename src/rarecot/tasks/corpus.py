"""What corpora in words share: options, reading rows into problems, and the variants of a worked solution that are shown."""

import abc
import hashlib
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from rarecot.errors import ConfigError, nearest
from rarecot.parsing import MARKED, last_box, unwrap_boxes, write
from rarecot.tasks.base import Loaded
from rarecot.tasks.sources import SHOWN, Row, read, require
from rarecot.types import Problems

CHAINS = ("worked", "shuffled")


@dataclass(frozen=True)
class Columns:
    """Names that the columns of a source may have, the usual one first; an empty name: the column may be missing."""

    prompt: tuple[str, ...]
    solution: tuple[str, ...]
    answer: tuple[str, ...]
    attributes: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class TextCorpus(abc.ABC):
    """Problems in words with a worked solution and a gold answer. Long = the solution, then the answer; short = the answer.

    Args:
        source: a folder with `train.*` and `test.*` (JSONL or Parquet), one file, or a hub id (`name` or `name:configuration`).
        revision: of the dataset on the hub; empty: its newest.
        style: how an answer is marked: `hashes` (`#### 72`) or `boxed` (`\\boxed{72}`).
        chain: `worked`: the solution as it is. `shuffled`: that of another problem of nearly the same length, a control that is
            as long and says nothing (the answer stays right).
        chain_noise: probability that a number in a shown solution is replaced by another, each on its own; the answer never is.
        keep_steps: share of the solution's steps (lines, or sentences) that are shown, evenly spaced, the last always.
        near_duplicates: training problems whose word 5-grams overlap by this much (Jaccard) with an earlier one are left out; 0
            or 1: only exact repetitions (letter case, spacing and punctuation aside), which always are.
        decontaminate: training problems that share this many consecutive words with a test problem are left out; 0: none.
        skip_bad_rows: leave out rows that cannot be used, and list them, instead of refusing.
    """

    source: str = ""
    revision: str = ""
    style: str = "hashes"
    chain: str = "worked"
    chain_noise: float = 0.0
    keep_steps: float = 1.0
    near_duplicates: float = 0.9
    decontaminate: int = 13
    skip_bad_rows: bool = False

    name: ClassVar[str]

    def problems_with_options(self) -> list[str]:
        problems = []
        for key, value, known in (("style", self.style, MARKED), ("chain", self.chain, CHAINS)):
            if value not in known:
                problems.append(f"{key} is '{value}'{nearest(value, known)} It must be one of {', '.join(known)}.")
        if not self.source:
            problems.append(
                f"a {self.name} mixture has no source. Set `source:` (or --source) to a folder, a file or a hub id."
            )
        for key in ("chain_noise", "near_duplicates"):
            if not 0 <= getattr(self, key) <= 1:
                problems.append(f"{key} is {getattr(self, key)}: it lies between 0 and 1.")
        if not 0 < self.keep_steps <= 1:
            problems.append(
                f"keep_steps is {self.keep_steps}: it is the share of steps that are shown, above 0 and at most 1."
            )
        if self.decontaminate < 0:
            problems.append(f"decontaminate is {self.decontaminate}: it counts words, so it must be 0 (off) or more.")
        return problems

    def identity(self) -> dict[str, Any]:
        return {"style": self.style}

    @abc.abstractmethod
    def columns(self) -> Columns:
        """The columns of the source."""

    @abc.abstractmethod
    def solution_and_answer(self, solution: str, answer: str | None) -> tuple[str, str]:
        """The worked solution without its answer mark, and the gold answer (empty: there is none)."""

    def load(self) -> Loaded:
        splits, dropped = self._splits(read(self.source, self.revision or None))
        return Loaded(splits["train"], splits.get("test", _EMPTY), dropped)

    def as_published(self) -> Loaded:
        """The splits as the source has them, nothing cleaned, for numbers that are compared with other people's. A source of one
        split is all test.

        Raises:
            ConfigError: as `load`.
        """
        splits, dropped = self._splits(read(self.source, self.revision or None, needs=("test", "train")))
        if "test" in splits:
            return Loaded(splits.get("train", _EMPTY), splits["test"], dropped)
        return Loaded(_EMPTY, splits["train"], dropped)

    def _splits(self, read_rows: Mapping[str, Sequence[Row]]) -> tuple[dict[str, Problems], list[dict[str, str]]]:
        """Split → its problems, and what was left out."""
        splits, dropped, faults = {}, [], []
        for split, rows in read_rows.items():
            if not rows:
                faults.append(f"the {split} split of {self.source} is empty.")
                continue
            problems, bad = self._problems(rows)
            splits[split] = problems
            if self.skip_bad_rows:
                dropped += [{"reason": "bad_row", "where": row.where, "detail": fault} for row, fault in bad]
            else:
                faults += _listed(bad)
        if faults:
            raise ConfigError(faults)
        return splits, dropped

    def _problems(self, rows: Sequence[Row]) -> tuple[Problems, list[tuple[Row, str]]]:
        wanted = self.columns()
        roles = {"prompt": wanted.prompt, "solution": wanted.solution, "answer": wanted.answer, **wanted.attributes}
        named = require(list(rows), roles, self.source)
        good, bad = [], []
        for row in rows:
            if fault := _no_text(row, named.values()):
                bad.append((row, fault))
                continue
            text = {role: _text(row.values.get(name)) for role, name in named.items()}
            solution, answer = self.solution_and_answer(text["solution"], text.get("answer"))
            answer = " ".join(answer.split())
            if fault := _fault(text["prompt"], solution, answer):
                bad.append((row, fault))
            else:
                good.append(
                    (text["prompt"].strip(), solution, answer, {k: text[k] for k in wanted.attributes if k in named})
                )
        prompts, solutions, answers, attributes = (
            (list(column) for column in zip(*good, strict=True)) if good else ([],) * 4
        )
        long = [write(solution, answer, self.style) for solution, answer in zip(solutions, answers, strict=True)]
        return Problems(
            problem_id=[problem_id(self.name, prompt) for prompt in prompts],
            prompt=prompts,
            answer=answers,
            long=long,
            short=[write("", answer, self.style) for answer in answers],
            long_shown=long,
            attributes=[{"dataset": self.name, **values} for values in attributes],
        ), bad

    def mixed(self, problems: Problems) -> Problems:
        return problems

    def shown(self, problems: Problems, rng: np.random.Generator) -> list[str]:
        chains = [
            long[: len(long) - len(short)].rstrip() for long, short in zip(problems.long, problems.short, strict=True)
        ]
        if self.chain == "shuffled":
            chains = shuffled(chains, rng)
        if self.keep_steps < 1:
            chains = [partial(chain, self.keep_steps) for chain in chains]
        if self.chain_noise > 0:
            chains = [corrupted(chain, self.chain_noise, rng) for chain in chains]
        return [write(chain, answer, self.style) for chain, answer in zip(chains, problems.answer, strict=True)]


_EMPTY = Problems([], [], [], [], [], [])


def problem_id(name: str, prompt: str) -> str:
    """From what the prompt says: the same problem has the same id whatever its letter case, spacing and sentence marks."""
    folded = unicodedata.normalize("NFC", prompt).casefold().replace("’", "'")
    said = " ".join(re.sub(r"(?<![.,;:?])[.,;:?]++(?=\s|$)", "", folded).split())
    return f"{name}-{hashlib.sha256(said.encode()).hexdigest()[:16]}"


def plain_words(text: str, signs: bool = False) -> list[str]:
    """The words and numbers of a text in lower case; with `signs`, brackets and operators too, but no sentence marks."""
    folded = unicodedata.normalize("NFC", text).casefold().replace("’", "'")
    return re.findall(r"[^\W_]+(?:[.,'][^\W_]+)*" + (r"|[^\w\s.,;:?]|_" if signs else ""), folded)


def steps_of(chain: str) -> list[str]:
    """A solution's steps: its lines, or its sentences where it is one line. Formulas are not cut."""
    lines = [line for line in chain.splitlines() if line.strip()]
    if len(lines) > 1:
        return lines
    pieces, start, dollars, counted = [], 0, 0, 0
    for match in re.finditer(r"(?<=[.!?])\s+(?=[A-Z$\\])", chain):
        dollars += chain.count("$", counted, match.start())
        counted = match.start()
        if dollars % 2 == 0:
            pieces.append(chain[start : match.start()])
            start = match.end()
    return [*pieces, chain[start:]]


def partial(chain: str, share: float) -> str:
    """round(share · steps) of the steps, at least one, evenly spaced up to the last (PAPER §2, partial chains)."""
    steps = steps_of(chain)
    kept = max(1, round(share * len(steps)))
    picked = sorted({round((i + 1) * len(steps) / kept) - 1 for i in range(kept)})
    return ("\n" if "\n" in chain.strip() else " ").join(steps[i] for i in picked)


def corrupted(chain: str, rate: float, rng: np.random.Generator) -> str:
    """Each number replaced with probability `rate` by another of as many digits."""

    def other(match: re.Match[str]) -> str:
        if rng.random() >= rate:
            return match[0]
        digits = list(match[0])
        at = int(rng.integers(len(digits)))
        digits[at] = str((int(digits[at]) + int(rng.integers(1, 10))) % 10)
        return "".join(digits)

    return re.sub(r"[0-9]+", other, chain)


def shuffled(chains: Sequence[str], rng: np.random.Generator) -> list[str]:
    """Each problem gets the solution of its neighbour in length, ties in random order: as long, and about something else."""
    ties = rng.permutation(len(chains))
    order = sorted(range(len(chains)), key=lambda i: (len(chains[i]), ties[i]))
    result = list(chains)
    for pair in range(0, len(order) - 1, 2):
        a, b = order[pair], order[pair + 1]
        result[a], result[b] = chains[b], chains[a]
    if len(order) % 2 and len(order) > 1:  # the odd one out
        result[order[-1]] = chains[order[-2]]
    return result


def gold_of_box(solution: str) -> tuple[str, str]:
    """A solution that marks its answer by a box → the solution without boxes, and what the last one held."""
    found = last_box(solution)
    return unwrap_boxes(solution), found.answer if found else ""


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _no_text(row: Row, names: Iterable[str]) -> str | None:
    """Why a column cannot be taken for text. Numbers can; a list would be trained on as Python writes it."""
    for name in names:
        value = row.values.get(name)
        if isinstance(value, list | dict | bytes):
            return f"holds a {type(value).__name__} in '{name}', where text is needed"
        if isinstance(value, float) and not math.isfinite(value):
            return f"holds {value} in '{name}', where text or a number is needed"
        if isinstance(value, str) and (found := re.search("[\0\ud800-\udfff]", value)):
            return f"holds half a character or a zero (U+{ord(found[0]):04X}) in '{name}', which no tokenizer reads"
    return None


def _fault(prompt: str, solution: str, answer: str) -> str | None:
    if not prompt.strip():
        return "has an empty prompt"
    if not answer.strip():
        return "has no answer"
    return "has an empty solution" if not solution.strip() else None


def _listed(bad: Iterable[tuple[Row, str]]) -> list[str]:
    """A sentence a kind of fault, with the first rows that have it."""
    bad = list(bad)
    sentences = []
    for fault, count in Counter(fault for _, fault in bad).items():
        where = [row.where for row, this in bad if this == fault]
        more = f" and {count - SHOWN} more" if count > SHOWN else ""
        sentences.append(f"{', '.join(where[:SHOWN])}{more}: {fault}. Mend the rows, or set skip_bad_rows to true.")
    return sentences
