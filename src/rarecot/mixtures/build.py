"""Spec → data. Exact shares, nested in p_cot, disjoint splits, and a manifest that says what came out."""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
from datasets import Dataset, DatasetDict, IterableDataset, load_from_disk
from pyarrow import ArrowException

from rarecot.documents import loads, read_json, why
from rarecot.errors import ConfigError
from rarecot.mixtures.cleaning import Dropped, giving_away
from rarecot.mixtures.corpus import Cut, cut
from rarecot.mixtures.drawing import demonstrations, distinct, evaluation_rows, surely_different
from rarecot.mixtures.giveaway import given_away, has_gold_as_number
from rarecot.mixtures.spec import DAMAGED, MANIFEST, RL, SHARE, TEST, TRAIN, MixtureSpec, spec_of_manifest, wherever
from rarecot.tasks import Blend, Corpus
from rarecot.types import Problems
from rarecot.verify import ungradable
from rarecot.whole import write_text

DROPPED = "dropped.jsonl"
BATCH = 4096  # rows whose strings are in memory at a time
MIXTURE = "mixture"  # folder of a run: its corpus's problems, so that it needs the source no more


@dataclass(frozen=True)
class Mixture:
    """A built mixture.

    Args:
        spec: what was asked for; sizes of 0 ("all") replaced by what there was.
        rl: RL problems; columns prompt, answer, long, short, style, problem_id.
        test: test problems; the same columns.
        fixed: training demonstrations; columns prompt, completion, answer, kind, problem_id. None when online.
        dropped: what a corpus had and the mixture has not.
    """

    spec: MixtureSpec
    rl: Dataset
    test: Dataset
    fixed: Dataset | None
    dropped: tuple[Dropped, ...] = ()

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
        is_long = pc.equal(rows.data.column("kind"), "long").to_numpy()
        lengths = pc.utf8_length(rows.data.column("completion")).to_numpy()
        n_long = int(is_long.sum())
        digest = hashlib.sha256(json.dumps(wherever(spec.to_mapping()), sort_keys=True).encode())
        for split in (rows, self.rl, self.test):
            for name in split.column_names:
                for start in range(0, len(split), BATCH):
                    part = split.data.column(name).slice(start, BATCH).to_pylist()
                    digest.update(("\x1f" * (start > 0) + "\x1f".join(part)).encode())
        return {
            **spec.to_mapping(),
            "n_long": n_long,
            "n_short": len(rows) - n_long,
            "p_cot_realised": n_long / len(rows),
            "completion_characters": {
                kind: _statistics(lengths[chosen])
                for kind, chosen in (("short", ~is_long), ("long", is_long))
                if chosen.any()
            },
            "dropped": dict(Counter(entry.reason for entry in self.dropped)),
            **({"gold_in_prompt": self._gold_in_prompt()} if isinstance(spec.task, Corpus) else {}),
            **({"parts_realised": _parts(rows)} if isinstance(spec.task, Blend) else {}),
            "disjoint": True,
            "sha256": digest.hexdigest(),
        }

    def _gold_in_prompt(self) -> dict[str, int]:
        """Split → how many of its problems have their gold as a number in the question, as many a word problem does."""
        splits = {"train": self.fixed, "rl": self.rl, "test": self.test}
        return {
            name: sum(map(has_gold_as_number, column(split, "prompt"), column(split, "answer")))
            for name, split in splits.items()
            if split is not None
        }

    def save(self, folder: Path) -> None:
        """Write the splits (`datasets.load_from_disk` reads them) and the manifest; the folder is there whole or not at all."""
        splits = {"rl": self.rl, "test": self.test}
        if self.fixed is not None:
            splits = {"train": self.fixed, **splits}
        temporary = folder.with_name(f"{folder.name}.part")
        shutil.rmtree(temporary, ignore_errors=True)  # of a process that was killed
        DatasetDict(splits).save_to_disk(temporary)
        write_manifest(self, temporary)
        temporary.rename(folder)


def build(spec: MixtureSpec) -> Mixture:
    """Draw the problems of every split and decide which training demonstrations are long.

    The test problems are drawn first, then RL's, then training's, each from its own random stream and without the
    problems drawn before: the splits are disjoint and each is a set. Problem i has a random rank; the round(p_cot·n)
    lowest ranks are long. The ranks do not depend on p_cot, so raising it only turns short demonstrations into long.

    Raises:
        ConfigError: a corpus that cannot be read, or has fewer problems than are asked for.
    """
    if isinstance(spec.task, Corpus):
        return _of_corpus(cut(spec))
    test = distinct(spec, spec.n_test, spec.rng(TEST), [])
    rl = distinct(spec, spec.n_rl, spec.rng(RL), [test.problem_id])
    fixed = None
    if not spec.online:
        train = distinct(spec, spec.n, spec.rng(TRAIN, 0), [test.problem_id, rl.problem_id])
        fixed = demonstrations(train, _long(spec, 0))
    style = spec.task.style
    mixture = Mixture(spec, evaluation_rows(rl, style), evaluation_rows(test, style), fixed)
    _check_disjoint(mixture)
    return mixture


def as_published(spec: MixtureSpec) -> tuple[Mixture, Problems]:
    """The whole test split of a corpus in its own order, as other people measure on it, and its training split. The mixture has nothing
    to train on.

    Raises:
        ConfigError: it cannot be read, or holds golds that nothing can be compared with, or prompts that give their answer away.
    """
    loaded = spec.task.as_published()
    test = loaded.test
    if bad := ungradable(test.answer):
        shown = ", ".join(f"{test.problem_id[i]} ({test.answer[i][:40]!r})" for i in bad[:5])
        raise ConfigError(
            [
                f"{len(bad)} of {len(test)} gold answers of {spec.task.source} cannot be compared with anything: {shown}"
                f"{f' and {len(bad) - 5} more' if len(bad) > 5 else ''}. Mend them in the source, or take those problems out."
            ]
        )
    if found := giving_away(test):
        shown = "; ".join(f"{test.problem_id[i]} ({how})" for i, how in found[:5])
        raise ConfigError(
            [
                f"{len(found)} of {len(test)} problems of {spec.task.source} give their own answer away: {shown}"
                f"{f' and {len(found) - 5} more' if len(found) > 5 else ''}. Mend them in the source, or take those problems out."
            ]
        )
    rows = _evaluation_rows(spec, test)
    return Mixture(spec, rows.select([]), rows, None), loaded.train


def load(folder: Path) -> Mixture:
    """Read a mixture that `save` wrote.

    Raises:
        ConfigError: no manifest, the data are not those that the manifest describes, or prompts give their own answer away.
    """
    spec = spec_of_manifest(folder)
    try:
        splits = load_from_disk(folder)
        for (
            split
        ) in splits.values():  # Arrow believes its offsets: a scratched one would end the process without a word
            split.data.validate(full=True)
        mixture = Mixture(spec, splits["rl"], splits["test"], splits.get("train"), _read_dropped(folder))
        _check_disjoint(mixture)
        same = mixture.manifest["sha256"] == _sha256(folder)
    except (
        OSError,
        KeyError,
        ArrowException,
        UnicodeDecodeError,
    ) as error:  # Arrow files cut short, scratched, or not there
        raise ConfigError([f"the data in {folder} cannot be read ({why(error)}). {DAMAGED}"]) from error
    if not same:
        raise ConfigError([f"the data in {folder} are not those its {MANIFEST} describes. Build the mixture again."])
    if isinstance(spec.task, Corpus):
        _check_prompts(mixture, folder)
    return mixture


def column(dataset: Dataset, name: str) -> list[str]:
    """A whole column at once; iterating over `dataset[name]` decodes row by row, some forty times slower."""
    return dataset.data.column(name).to_pylist()


def write_manifest(mixture: Mixture, folder: Path) -> None:
    """Write `manifest.json`, and `dropped.jsonl` where a corpus had problems that were left out, into an existing folder."""
    if mixture.dropped:
        lines = [json.dumps(asdict(entry), ensure_ascii=False) + "\n" for entry in mixture.dropped]
        write_text(folder / DROPPED, "".join(lines))
    write_text(folder / MANIFEST, json.dumps(mixture.manifest, indent=2) + "\n")


def keep(mixture: Mixture, run_dir: Path) -> None:
    """Write into a run directory what its later stages and evaluations need: the manifest, and a corpus's problems."""
    kept = run_dir / MIXTURE / MANIFEST
    if isinstance(mixture.spec.task, Corpus):
        known = _sha256(kept.parent) if kept.is_file() else None
        if known != mixture.manifest["sha256"]:
            shutil.rmtree(kept.parent, ignore_errors=True)
            mixture.save(kept.parent)
    write_manifest(mixture, run_dir)


def of_run(run_dir: Path) -> Mixture:
    """The mixture of a run: kept with it, or drawn again.

    Raises:
        ConfigError: not a run, or the problems that are drawn are not those that the run had.
    """
    kept = run_dir / MIXTURE
    mixture = load(kept) if (kept / MANIFEST).is_file() else build(spec_of_manifest(run_dir))
    if mixture.manifest["sha256"] != _sha256(run_dir):
        raise ConfigError(
            [
                f"the problems that {run_dir} was trained and tested on cannot be drawn again (another version of numpy or "
                f"of this project); its versions.json says which made them."
            ]
        )
    return mixture


def _sha256(folder: Path) -> str | None:
    return read_json(folder / MANIFEST, DAMAGED).get("sha256")


def _read_dropped(folder: Path) -> tuple[Dropped, ...]:
    path = folder / DROPPED
    if not path.is_file():
        return ()
    found = []
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        try:
            found += [Dropped(**loads(line))] if line else []
        except (TypeError, ValueError) as error:
            raise ConfigError(
                [f"{path}:{number} says of no problem why it was left out ({why(error)}). {DAMAGED}"]
            ) from error
    return tuple(found)


def _of_corpus(made: Cut) -> Mixture:
    fixed = Dataset.from_dict(_demonstrations(made.train, made.long))
    rl, test = (_evaluation_rows(made.spec, split) for split in (made.rl, made.test))
    mixture = Mixture(made.spec, rl, test, fixed, made.dropped)
    _check_disjoint(mixture)
    return mixture


def _parts(rows: Dataset) -> dict[str, float]:
    """The share of each corpus among training demonstrations, from their ids."""
    counts = Counter(name.rpartition("-")[0] for name in column(rows, "problem_id"))
    return {name: count / len(rows) for name, count in sorted(counts.items())}


def _block(spec: MixtureSpec, index: int, held_out: frozenset[str]) -> dict[str, list[str]]:
    """The columns of one block of n online demonstrations: independent draws, as in the paper's D(p_cot), that leave out only
    what is held out."""
    problems = _fresh(spec, spec.rng(TRAIN, index), held_out)
    return _demonstrations(problems, _long(spec, index))


def _long(spec: MixtureSpec, index: int) -> np.ndarray:
    """Which demonstrations of a block are long, shape (n,)."""
    return spec.rng(SHARE, index).permutation(spec.n) < spec.n_long


def _demonstrations(problems: Problems, long: np.ndarray) -> dict[str, list[str]]:
    """The columns of a training set in which the problems at `long` are shown step by step."""
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
    """Hold the splits against each other by problem id; an online stream leaves out what is held out as it draws, and RL on
    the training problems shares them on purpose.

    Raises:
        ConfigError: two splits share problems, or one holds a problem twice.
    """
    splits = {"train": mixture.fixed, "rl": mixture.rl, "test": mixture.test}
    columns = {name: split.data.column("problem_id") for name, split in splits.items() if split is not None}
    if surely_different(list(columns.values())):
        return
    ids = {name: ids.to_pylist() for name, ids in columns.items()}
    names = list(ids)
    found = [f"the {name} split holds a problem twice." for name in names if len(set(ids[name])) < len(ids[name])]
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            if (a, b) == ("train", "rl") and mixture.spec.rl_split == "train":
                continue
            if common := set(ids[a]) & set(ids[b]):
                found.append(f"the {a} and {b} splits share {len(common)} problems, for example {min(common)}.")
    if found:
        raise ConfigError(found)


def _check_prompts(mixture: Mixture, folder: Path) -> None:
    """Look for prompts that give their own answer away in data that an earlier version or another program built.

    Raises:
        ConfigError: there are some.
    """
    found = []
    for name, split in (("rl", mixture.rl), ("test", mixture.test)):
        for row in split:
            if how := given_away(row["prompt"], row["answer"], row["long"].removesuffix(row["short"])):
                found.append(f"{row['problem_id']} of {name} ({how})")
    if found:
        raise ConfigError(
            [
                f"{len(found)} problems in {folder} give their own answer away, for example {found[0]}, so that copying would be rewarded. "
                f"Build the mixture again: it leaves such problems out."
            ]
        )


def _statistics(lengths: np.ndarray) -> dict[str, float]:
    return {
        "n": len(lengths),
        "min": int(lengths.min()),
        "median": float(np.median(lengths)),
        "p95": float(np.quantile(lengths, 0.95)),
        "max": int(lengths.max()),
    }
