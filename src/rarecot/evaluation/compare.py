"""Is one checkpoint better than another? The same problems, answered by both."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rarecot.checkpoints import read_stamp, resolve, step_of
from rarecot.errors import ConfigError
from rarecot.evaluation import records
from rarecot.evaluation.generations import read
from rarecot.evaluation.metrics import student_t, wilson

RESAMPLES = 10_000  # of the signs
SIGNIFICANT = 0.05  # two-sided
# Of an evaluation: what must be the same on both sides for their difference to be one of the models.
SAME = ("protocol", "protocol_sha256", "suite", "split", "decoding", "temperature", "max_new_tokens")


@dataclass(frozen=True)
class Answers:
    """N problems and S responses to each.

    Args:
        name: for people.
        record: of the evaluation; empty where the file does not say.
        prompts: N.
        correct: shape (N, S).
        length: tokens, shape (N, S).
        long: shape (N, S).
    """

    name: str
    record: Mapping[str, Any]
    prompts: tuple[str, ...]
    correct: np.ndarray
    length: np.ndarray
    long: np.ndarray


@dataclass(frozen=True)
class Difference:
    """B less A, over the same problems.

    Args:
        what: that differs.
        a: of A.
        b: of B.
        value: b - a.
        interval: 95 %.
    """

    what: str
    a: float
    b: float
    value: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class Comparison:
    """What two checkpoints make of the same problems.

    Args:
        differences: of accuracy, response length, long share.
        p: of the accuracies being equal, two-sided.
        test: how p was computed.
        only_a: problems that A alone gets right (one response each), or more often than B.
        only_b: that B alone gets right, or more often.
        problems: N.
    """

    differences: tuple[Difference, ...]
    p: float
    test: str
    only_a: int
    only_b: int
    problems: int

    @property
    def verdict(self) -> str:
        """`better`, `worse`, or that it cannot be told: the interval of the difference of accuracy and p must both say so."""
        low, high = self.differences[0].interval
        if self.p >= SIGNIFICANT or low <= 0 <= high:
            return "not told apart"
        return "better" if low > 0 else "worse"


def mcnemar(only_a: int, only_b: int) -> float:
    """Two-sided p of the exact test of McNemar (1947): given that they disagree, either is right with probability 1/2."""
    n, k = only_a + only_b, min(only_a, only_b)
    tail = sum(math.comb(n, i) for i in range(k + 1)) / 2**n
    return min(1.0, 2 * tail)


def paired_interval(a: Sequence[bool], b: Sequence[bool]) -> tuple[float, float]:
    """95 % interval of the difference of two paired proportions, mean(b) - mean(a): Newcombe 1998 (Statistics in Medicine 17:2635), method 10.

    Never of width 0, and right for few disagreements, where a bootstrap is not.
    """
    x, y, n = np.asarray(a, dtype=bool), np.asarray(b, dtype=bool), len(a)
    both, only_b, only_a = int((x & y).sum()), int((~x & y).sum()), int((x & ~y).sum())
    neither = n - both - only_a - only_b
    (low_b, high_b), (low_a, high_a) = wilson(both + only_b, n), wilson(both + only_a, n)
    share_b, share_a = (both + only_b) / n, (both + only_a) / n
    correlation = _phi(both, only_b, only_a, neither)
    down, up = (
        _spread(share_b - low_b, high_a - share_a, correlation),
        _spread(high_b - share_b, share_a - low_a, correlation),
    )
    return share_b - share_a - down, share_b - share_a + up


def _spread(one: float, other: float, correlation: float) -> float:
    return math.sqrt(max(0.0, one**2 - 2 * correlation * one * other + other**2))


def _phi(both: int, only_b: int, only_a: int, neither: int) -> float:
    """The correlation of the two outcomes, with Newcombe's correction towards 0 where it is positive."""
    product = (both + only_b) * (only_a + neither) * (both + only_a) * (only_b + neither)
    if product == 0:
        return 0.0
    cross = both * neither - only_a * only_b
    n = both + only_b + only_a + neither
    cross = max(cross - n / 2, 0) if cross > 0 else cross
    return cross / math.sqrt(product)


def mean_interval(differences: np.ndarray, shares: bool) -> tuple[float, float]:
    """95 % interval of a mean of paired differences: Student's.

    Args:
        differences: one a problem, shape (N,).
        shares: they are differences of shares. Then the interval is at least as wide as for N single answers that never disagree: what never
            differed here may differ elsewhere.
    """
    n, mean = len(differences), float(differences.mean())
    half = student_t(n - 1) * float(differences.std(ddof=1)) / math.sqrt(n) if n > 1 else math.inf
    if shares:
        half = max(half, paired_interval([True] * n, [True] * n)[1])
        return max(-1.0, mean - half), min(1.0, mean + half)
    return mean - half, mean + half


def sign_flip(differences: np.ndarray, seed: int = 0) -> float:
    """Two-sided p of the permutation test of a paired mean: the sign of each problem's difference is a coin flip under equality.

    Args:
        differences: one a problem, shape (N,).
        seed: of the flips.
    """
    seen, rng, n = abs(differences.sum()), np.random.default_rng(seed), len(differences)
    blocks = [
        rng.choice([-1.0, 1.0], size=(100, n)) @ differences for _ in range(RESAMPLES // 100)
    ]  # all at once fill the memory
    sums = np.concatenate(blocks)
    return float((1 + (np.abs(sums) >= seen - 1e-12).sum()) / (1 + RESAMPLES))


def compare(a: Answers, b: Answers) -> Comparison:
    """Hold two checkpoints against each other, problem by problem.

    Raises:
        ConfigError: they did not answer the same problems in the same way.
    """
    if problems := differ(a, b):
        raise ConfigError(problems)
    order = {key: i for i, key in enumerate(_numbered(b.prompts))}
    rows = [order[key] for key in _numbered(a.prompts)]
    gain = _each(b.correct[rows]) - _each(a.correct)
    if a.correct.shape[1] == b.correct.shape[1] == 1:
        test, p = "exact McNemar", mcnemar(int((gain < 0).sum()), int((gain > 0).sum()))
    else:
        test, p = "paired permutation", sign_flip(gain)
    sides = (
        ("accuracy", a.correct, b.correct),
        ("response length", a.length, b.length),
        ("long share", a.long, b.long),
    )
    differences = tuple(_difference(what, x, y[rows]) for what, x, y in sides)
    return Comparison(differences, p, test, int((gain < 0).sum()), int((gain > 0).sum()), len(rows))


def _numbered(prompts: Sequence[str]) -> list[tuple[str, int]]:
    """Prompts with how often each came before: a test split may hold a problem twice."""
    seen: Counter[str] = Counter()
    numbered = []
    for prompt in prompts:
        numbered.append((prompt, seen[prompt]))
        seen[prompt] += 1
    return numbered


def _each(values: np.ndarray) -> np.ndarray:
    """The mean of each problem's responses, shape (N,)."""
    return values.mean(axis=1)


def _difference(what: str, x: np.ndarray, y: np.ndarray) -> Difference:
    """Of the means of paired values, shapes (N, S) and (N, T)."""
    change = _each(y) - _each(x)
    if x.dtype == bool and x.shape[1] == y.shape[1] == 1:
        interval = paired_interval(x[:, 0], y[:, 0])
    else:
        interval = mean_interval(change, shares=x.dtype == bool)
    return Difference(what, float(x.mean()), float(y.mean()), float(change.mean()), interval)


def differ(a: Answers, b: Answers) -> list[str]:
    """Why two files of generations cannot be compared, a sentence each."""
    problems = [
        f"{a.name} was made with {key} {a.record.get(key)}, {b.name} with {b.record.get(key)}: their difference would not be one of the "
        f"models. Evaluate both under one suite."
        for key in SAME
        if a.record and b.record and a.record.get(key) != b.record.get(key)
    ]
    if a.correct.shape[1] != b.correct.shape[1]:
        problems.append(
            f"{a.name} has {a.correct.shape[1]} responses a problem, {b.name} {b.correct.shape[1]}: no test holds for that. Sample as many from both."
        )
    for one, other in ((a, b), (b, a)):
        if missing := set(_numbered(one.prompts)) - set(_numbered(other.prompts)):
            problems.append(
                f"{len(missing)} of {len(one.prompts)} problems of {one.name} were not asked in {other.name}, for example "
                f"{min(missing)[0][:60]!r}. Evaluate both under one suite."
            )
    return problems


def read_answers(
    path: Path, decoding: str = "greedy", protocol: str = "native", suite: str = "", temperature: float | None = None
) -> Answers:
    """What one checkpoint answered.

    Args:
        path: a file of generations; or a checkpoint (or stage) of a run, or the --out folder of `eval/run.py`: then its evaluation with the most
            responses.
        decoding: of the evaluation, where a folder has several.
        protocol: the same.
        suite: the same; empty: the run's own problems, or the only suite of an --out folder.
        temperature: the same; None: the only one that there is.

    Raises:
        ConfigError: no such evaluation, or no whole file of generations.
    """
    if path.is_dir():
        path = _of_folder(path, decoding, protocol, suite, temperature)
    kept = read(path)
    record, prompts = kept.record, kept.table["prompt"].to_pylist()
    if not prompts:
        raise ConfigError([f"{path} holds no responses. Evaluate again."])
    samples = record.get("samples") or next(
        (i for i, prompt in enumerate(prompts) if prompt != prompts[0]), len(prompts)
    )
    if not isinstance(samples, int) or samples < 1 or len(prompts) % samples:
        raise ConfigError([f"{path} holds {len(prompts)} responses, which is not {samples} a problem. Evaluate again."])
    shape = (len(prompts) // samples, samples)
    return Answers(
        f"{path.parent.parent.name}/{path.stem}",
        record,
        tuple(prompts[::samples]),
        (np.array(kept.table["verdict"].to_pylist()) == "correct").reshape(shape),
        np.array(kept.table["length"].to_pylist(), dtype=float).reshape(shape),
        (np.array(kept.table["kind"].to_pylist()) == "long").reshape(shape),
    )


def _of_folder(folder: Path, decoding: str, protocol: str, suite: str, temperature: float | None) -> Path:
    if (folder / records.FILE).is_file():
        run_dir, stage, step = folder, records.MODEL, 0
    else:
        checkpoint = resolve(folder)
        if checkpoint is None or read_stamp(checkpoint) is None:
            raise ConfigError(
                [
                    f"{folder} is neither a file of generations, nor a complete checkpoint of a run, nor an --out folder of eval/run.py."
                ]
            )
        run_dir, stage, step = checkpoint.parents[1], checkpoint.parent.name, step_of(checkpoint)
    here = [r for r in records.read(run_dir) if (r["stage"], r["step"], r["split"]) == (stage, step, "test")]
    here = [
        r for r in here if not records.lacking(r, records.NAMED_BY)
    ]  # without these, no file of theirs can be found
    wanted = {
        "decoding": decoding,
        "protocol": protocol,
        **({"suite": suite} if suite or stage != records.MODEL else {}),
    }
    found = [r for r in here if all((r.get(key) or "") == value for key, value in wanted.items())]
    found = [r for r in found if temperature in (None, r["temperature"])]
    if not found:
        known = sorted({_said(r) for r in here})
        raise ConfigError(
            [
                f"{folder} has no {decoding} evaluation under {protocol}{f' of suite {suite}' if suite else ''}"
                f"{f' at temperature {temperature:g}' if temperature is not None else ''} (it has: {', '.join(known) or 'none'}). Make it with "
                f"eval/run.py, or name another with --decoding, --protocol, --suite, --temperature."
            ]
        )
    apart = ("temperature", "suite", "max_new_tokens", "samples", "sampling_seed", "asked_sha256", "model_sha256")
    varied = [name for name in apart if len({r.get(name) for r in found}) > 1]
    if varied:
        names = sorted(records.completions_name(r) for r in found)
        raise ConfigError(
            [
                f"{folder} has {len(found)} such evaluations, which differ in {', '.join(varied)}. Name one, by --temperature, --suite, or its file "
                f"in {run_dir / records.COMPLETIONS}: {', '.join(names)}."
            ]
        )
    return run_dir / records.COMPLETIONS / records.completions_name(max(found, key=lambda r: r["n"]))


def _said(record: Mapping[str, Any]) -> str:
    """An evaluation as one would name it."""
    how = "greedy" if record["decoding"] == "greedy" else f"sampled at {record['temperature']:g}"
    return f"{how} under {record['protocol']}{' of ' + record['suite'] if record.get('suite') else ''}"
