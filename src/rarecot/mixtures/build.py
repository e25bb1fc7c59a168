"""Spec → data. Exact shares, nested in p_cot, disjoint splits, and a manifest that says what came out."""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, DatasetDict, IterableDataset, load_from_disk

from rarecot.errors import ConfigError
from rarecot.mixtures.cleaning import Dropped, clean
from rarecot.mixtures.spec import MANIFEST, MixtureSpec, spec_of_manifest, wherever
from rarecot.tasks import Blend, Corpus
from rarecot.types import Problems

DROPPED = "dropped.jsonl"
MIXTURE = "mixture"  # folder of a run: its corpus's problems, so that it needs the source no more

# One independent random stream a purpose, so that resizing one split leaves the others as they were.
TEST, RL, TRAIN, SHARE, SHOWN = 1, 2, 3, 4, 5


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
        kinds = np.array(column(rows, "kind"))
        lengths = np.array([len(text) for text in column(rows, "completion")])
        n_long = int((kinds == "long").sum())
        digest = hashlib.sha256(json.dumps(wherever(spec.to_mapping()), sort_keys=True).encode())
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
            "dropped": dict(Counter(entry.reason for entry in self.dropped)),
            **({"parts_realised": _parts(rows)} if isinstance(spec.task, Blend) else {}),
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

    Raises:
        ConfigError: a corpus that cannot be read, or has fewer problems than are asked for.
    """
    if isinstance(spec.task, Corpus):
        return _from_corpus(spec)
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
    mixture = Mixture(spec, splits["rl"], splits["test"], splits.get("train"), _read_dropped(folder))
    _check_disjoint(mixture)
    if mixture.manifest["sha256"] != json.loads((folder / MANIFEST).read_text())["sha256"]:
        raise ConfigError([f"the data in {folder} are not those its {MANIFEST} describes. Build the mixture again."])
    return mixture


def column(dataset: Dataset, name: str) -> list[str]:
    """A whole column at once; iterating over `dataset[name]` decodes row by row, some forty times slower."""
    return dataset.data.column(name).to_pylist()


def write_manifest(mixture: Mixture, folder: Path) -> None:
    """Write `manifest.json`, and `dropped.jsonl` where a corpus had problems that were left out, into an existing folder."""
    if mixture.dropped:
        lines = [json.dumps(asdict(entry), ensure_ascii=False) + "\n" for entry in mixture.dropped]
        (folder / DROPPED).write_text("".join(lines))
    (folder / MANIFEST).write_text(json.dumps(mixture.manifest, indent=2) + "\n")


def keep(mixture: Mixture, run_dir: Path) -> None:
    """Write into a run directory what its later stages and evaluations need: the manifest, and a corpus's problems."""
    kept = run_dir / MIXTURE / MANIFEST
    if isinstance(mixture.spec.task, Corpus):
        known = json.loads(kept.read_text())["sha256"] if kept.is_file() else None
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
    if mixture.manifest["sha256"] != json.loads((run_dir / MANIFEST).read_text())["sha256"]:
        raise ConfigError(
            [
                f"the problems that {run_dir} was trained and tested on cannot be drawn again (another version of numpy or "
                f"of this project); its versions.json says which made them."
            ]
        )
    return mixture


def _read_dropped(folder: Path) -> tuple[Dropped, ...]:
    path = folder / DROPPED
    if not path.is_file():
        return ()
    return tuple(Dropped(**json.loads(line)) for line in path.read_text().split("\n") if line)


def _from_corpus(spec: MixtureSpec) -> Mixture:
    """Clean the corpus, put its problems in one random order, and cut it: training from the front, RL from the end."""
    loaded = spec.task.load()
    train, test = loaded.train, loaded.test
    if not len(
        test
    ):  # a source without a test split: its first problems in a random order are taken, before anything is compared
        order = _even_order([""] * len(train), _rng(spec, TEST))
        test, train = train.take(order[: spec.n_test]), train.take(sorted(order[spec.n_test :]))
    train, test, dropped = clean(train, test, spec.task.style, spec.task.near_duplicates, spec.task.decontaminate)
    dropped = [*(Dropped(entry["reason"], entry["where"], entry["detail"]) for entry in loaded.dropped), *dropped]
    train, test = spec.task.mixed(train), spec.task.mixed(test)
    order = _even_order(_strata(train, spec.stratify), _rng(spec, TRAIN))
    sizes = _sizes(spec, len(order), len(test))
    spec = replace(spec, **sizes)
    problems = train.take(order[: spec.n])
    rl = (
        problems.take(_even_order([""] * spec.n, _rng(spec, RL))[: spec.n_rl])
        if spec.rl_split == "train"
        else train.take(order[len(order) - spec.n_rl :])
    )
    problems = replace(problems, long_shown=spec.task.shown(problems, _rng(spec, SHOWN)))
    rank = _even_order(_strata(problems, spec.stratify), _rng(spec, SHARE))
    long = np.zeros(spec.n, dtype=bool)
    long[rank[: spec.n_long]] = True
    test = test.take(list(range(spec.n_test)))
    fixed = Dataset.from_dict(_demonstrations(problems, long))
    mixture = Mixture(spec, _evaluation_rows(spec, rl), _evaluation_rows(spec, test), fixed, tuple(dropped))
    _check_disjoint(mixture)
    return mixture


def _sizes(spec: MixtureSpec, available: int, tests: int) -> dict[str, int]:
    """The splits' sizes with every 0 replaced.

    Raises:
        ConfigError: more asked for than there is.
    """
    problems = []
    n_test = spec.n_test or tests
    if n_test > tests or tests == 0:
        problems.append(
            f"n_test is {spec.n_test}, but the source has {tests} test problems. Lower n_test (0: all of them)."
        )
    held_out = spec.n_rl if spec.rl_split == "held_out" else 0
    n = spec.n or available - held_out
    if n < 1 or n + held_out > available:
        problems.append(
            f"n {spec.n} and n_rl {spec.n_rl} ask for more than the {available} training problems that the source has left. Lower "
            f"them, or set rl_split to train, so that RL uses the training problems."
        )
    n_rl = spec.n_rl if held_out else spec.n_rl or n
    if not held_out and n_rl > n:
        problems.append(f"n_rl is {n_rl}, but with rl_split train there are {n} problems. Lower n_rl (0: all of them).")
    if problems:
        raise ConfigError(problems)
    return {"n": n, "n_rl": n_rl, "n_test": n_test}


def _parts(rows: Dataset) -> dict[str, float]:
    """The share of each corpus among training demonstrations, from their ids."""
    counts = Counter(name.rpartition("-")[0] for name in column(rows, "problem_id"))
    return {name: count / len(rows) for name, count in sorted(counts.items())}


def _strata(problems: Problems, attribute: str) -> list[str]:
    """The value of an attribute for each problem, and with several datasets the dataset.

    Raises:
        ConfigError: problems without that attribute.
    """
    datasets = {values["dataset"] for values in problems.attributes}
    if attribute and (missing := sum(attribute not in values for values in problems.attributes)):
        known = sorted({key for values in problems.attributes for key in values})
        raise ConfigError(
            [
                f"stratify is '{attribute}', which {missing} of {len(problems)} problems do not have. They have: {', '.join(known)}."
            ]
        )
    parts = ("dataset", attribute) if len(datasets) > 1 else (attribute,)
    return ["\x1f".join(values[key] for key in parts if key) for values in problems.attributes]


def _even_order(strata: Sequence[str], rng: np.random.Generator) -> list[int]:
    """A random order of which every prefix holds each stratum in proportion, to within one: problem k of a stratum of m, in
    random order, comes at (k + u) / m with one random u a stratum."""
    shuffled = rng.permutation(len(strata))
    members: dict[str, list[int]] = {}
    for i in shuffled.tolist():
        members.setdefault(strata[i], []).append(i)
    place = np.empty(len(strata))
    for name in sorted(members):
        rows = members[name]
        place[rows] = (np.arange(len(rows)) + rng.random()) / len(rows)
    return np.lexsort((shuffled, place)).tolist()


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
    return _demonstrations(problems, long)


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
    ids = {name: column(split, "problem_id") for name, split in splits.items() if split is not None}
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


def _statistics(lengths: np.ndarray) -> dict[str, float]:
    return {
        "n": len(lengths),
        "min": int(lengths.min()),
        "median": float(np.median(lengths)),
        "p95": float(np.quantile(lengths, 0.95)),
        "max": int(lengths.max()),
    }
