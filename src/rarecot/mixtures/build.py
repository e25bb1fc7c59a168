"""Spec → data. Exact shares, nested in p_cot, disjoint splits, and a manifest that says what came out."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, DatasetDict, IterableDataset, load_from_disk

from rarecot.errors import ConfigError
from rarecot.mixtures.spec import MANIFEST, MixtureSpec, spec_of_manifest
from rarecot.types import Problems

# One independent random stream a purpose, so that resizing one split leaves the others as they were.
TEST, RL, TRAIN, SHARE = 1, 2, 3, 4


@dataclass(frozen=True)
class Mixture:
    """A built mixture.

    Args:
        spec: what was asked for.
        rl: RL problems; columns prompt, answer, long, short, style, problem_id.
        test: test problems; the same columns.
        fixed: training demonstrations; columns prompt, completion, answer, kind, problem_id. None when online.
    """

    spec: MixtureSpec
    rl: Dataset
    test: Dataset
    fixed: Dataset | None

    @property
    def train(self) -> Dataset | IterableDataset:
        """The training demonstrations: the fixed set, or an endless stream that is the same at every iteration."""
        if self.fixed is not None:
            return self.fixed
        return IterableDataset.from_generator(_stream, gen_kwargs={"spec": self.spec, "held_out": self._held_out})

    @cached_property
    def _held_out(self) -> frozenset[str]:
        return frozenset(column(self.rl, "problem_id")) | frozenset(column(self.test, "problem_id"))

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """What was built: counts, realised share, lengths in characters, hash. An online mixture is described by its
        first block, which every run of the same spec starts with."""
        spec = self.spec
        rows = self.fixed if self.fixed is not None else Dataset.from_dict(_block(spec, 0, self._held_out))
        kinds = np.array(column(rows, "kind"))
        lengths = np.array([len(text) for text in column(rows, "completion")])
        n_long = int((kinds == "long").sum())
        digest = hashlib.sha256(json.dumps(spec.to_mapping(), sort_keys=True).encode())
        for split in (rows, self.rl, self.test):
            for name in split.column_names:
                digest.update("\x1f".join(column(split, name)).encode())
        return {
            **spec.to_mapping(),
            "n_long": n_long,
            "n_short": len(rows) - n_long,
            "p_cot_realised": n_long / len(rows),
            "completion_characters": {
                kind: _statistics(lengths[kinds == kind]) for kind in ("short", "long") if (kinds == kind).any()
            },
            "dropped": {},
            "disjoint": True,
            "sha256": digest.hexdigest(),
        }

    def save(self, folder: Path) -> None:
        """Write the splits (`datasets.load_from_disk` reads them) and the manifest."""
        splits = {"rl": self.rl, "test": self.test}
        if self.fixed is not None:
            splits = {"train": self.fixed, **splits}
        DatasetDict(splits).save_to_disk(folder)
        write_manifest(self, folder)


def build(spec: MixtureSpec) -> Mixture:
    """Draw the problems of every split and decide which training demonstrations are long.

    The test problems are drawn first, then RL's, then training's, each from its own random stream and without the
    problems drawn before: the splits are disjoint and each is a set. Problem i has a random rank; the round(p_cot·n)
    lowest ranks are long. The ranks do not depend on p_cot, so raising it only turns short demonstrations into long.
    """
    test = _distinct(spec, spec.n_test, _rng(spec, TEST), set())
    rl = _distinct(spec, spec.n_rl, _rng(spec, RL), set(test.problem_id))
    held_out = frozenset(test.problem_id) | frozenset(rl.problem_id)
    fixed = None if spec.online else Dataset.from_dict(_block(spec, 0, held_out))
    mixture = Mixture(spec, _evaluation_rows(spec, rl), _evaluation_rows(spec, test), fixed)
    _check_disjoint(mixture)
    return mixture


def load(folder: Path) -> Mixture:
    """Read a mixture that `save` wrote.

    Raises:
        ConfigError: no manifest, or the data are not those that the manifest describes.
    """
    spec = spec_of_manifest(folder)
    splits = load_from_disk(folder)
    mixture = Mixture(spec, splits["rl"], splits["test"], splits.get("train"))
    _check_disjoint(mixture)
    if mixture.manifest["sha256"] != json.loads((folder / MANIFEST).read_text())["sha256"]:
        raise ConfigError([f"the data in {folder} are not those its {MANIFEST} describes. Build the mixture again."])
    return mixture


def column(dataset: Dataset, name: str) -> list[str]:
    """A whole column at once; iterating over `dataset[name]` decodes row by row, some forty times slower."""
    return dataset.data.column(name).to_pylist()


def write_manifest(mixture: Mixture, folder: Path) -> None:
    """Write `manifest.json` into an existing folder."""
    (folder / MANIFEST).write_text(json.dumps(mixture.manifest, indent=2) + "\n")


def _rng(spec: MixtureSpec, *stream: int) -> np.random.Generator:
    return np.random.default_rng([spec.seed, *stream])


def _distinct(spec: MixtureSpec, n: int, rng: np.random.Generator, taken: set[str]) -> Problems:
    """n problems, all different and none of them in `taken`."""
    seen, kept = set(taken), None
    while kept is None or len(kept) < n:
        missing = n - (len(kept) if kept else 0)
        batch = spec.task.draw(missing + 16, rng)
        rows = []
        for i, problem_id in enumerate(batch.problem_id):
            if problem_id not in seen and len(rows) < missing:
                seen.add(problem_id)
                rows.append(i)
        fresh = batch.take(rows)
        kept = fresh if kept is None else kept + fresh
    return kept


def _block(spec: MixtureSpec, index: int, held_out: frozenset[str]) -> dict[str, list[str]]:
    """The columns of one block of n training demonstrations. A fixed set is a single block without repeated problems;
    online blocks are independent draws, as in the paper's D(p_cot), and leave out only what is held out."""
    rng = _rng(spec, TRAIN, index)
    problems = _fresh(spec, rng, held_out) if spec.online else _distinct(spec, spec.n, rng, set(held_out))
    rank = _rng(spec, SHARE, index).permutation(spec.n)
    long = rank < spec.n_long
    return {
        "prompt": problems.prompt,
        "completion": [
            shown if is_long else short
            for shown, short, is_long in zip(problems.long_shown, problems.short, long, strict=True)
        ],
        "answer": problems.answer,
        "kind": ["long" if is_long else "short" for is_long in long],
        "problem_id": problems.problem_id,
    }


def _fresh(spec: MixtureSpec, rng: np.random.Generator, held_out: frozenset[str]) -> Problems:
    kept = None
    while kept is None or len(kept) < spec.n:
        batch = spec.task.draw(spec.n, rng)
        allowed = [i for i, problem_id in enumerate(batch.problem_id) if problem_id not in held_out]
        batch = batch if len(allowed) == len(batch) else batch.take(allowed)
        kept = batch if kept is None else kept + batch
    return kept if len(kept) == spec.n else kept.take(list(range(spec.n)))


def _stream(spec: MixtureSpec, held_out: frozenset[str]) -> Iterator[dict[str, str]]:
    index = 0
    while True:
        columns = _block(spec, index, held_out)
        for row in zip(*columns.values(), strict=True):
            yield dict(zip(columns, row, strict=True))
        index += 1


def _evaluation_rows(spec: MixtureSpec, problems: Problems) -> Dataset:
    return Dataset.from_dict(
        {
            "prompt": problems.prompt,
            "answer": problems.answer,
            "long": problems.long,
            "short": problems.short,
            "style": [spec.task.style] * len(problems),
            "problem_id": problems.problem_id,
        }
    )


def _check_disjoint(mixture: Mixture) -> None:
    """Hold the splits against each other by problem id; an online stream leaves out what is held out as it draws.

    Raises:
        ConfigError: two splits share problems, or one holds a problem twice.
    """
    splits = {"train": mixture.fixed, "rl": mixture.rl, "test": mixture.test}
    ids = {name: column(split, "problem_id") for name, split in splits.items() if split is not None}
    names = list(ids)
    found = [f"the {name} split holds a problem twice." for name in names if len(set(ids[name])) < len(ids[name])]
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            if common := set(ids[a]) & set(ids[b]):
                found.append(f"the {a} and {b} splits share {len(common)} problems, for example {min(common)}.")
    if found:
        raise ConfigError(found)


def _statistics(lengths: np.ndarray) -> dict[str, float]:
    return {
        "n": len(lengths),
        "min": int(lengths.min()),
        "median": float(np.median(lengths)),
        "p95": float(np.quantile(lengths, 0.95)),
        "max": int(lengths.max()),
    }
