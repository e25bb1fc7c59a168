"""A corpus cut into splits: cleaned, in one random order, training from the front and RL from the end."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rarecot.errors import ConfigError
from rarecot.mixtures.cleaning import Dropped, clean
from rarecot.mixtures.spec import RL, SHARE, SHOWN, TEST, TRAIN, MixtureSpec
from rarecot.types import Problems


@dataclass(frozen=True)
class Cut:
    """The splits of a corpus.

    Args:
        spec: what was asked for, with the sizes that came out.
        train: training problems, with what is shown of their solutions.
        long: for each of them whether it is shown step by step, shape (n,).
        rl: RL's problems.
        test: test problems.
        dropped: what was left out.
    """

    spec: MixtureSpec
    train: Problems
    long: np.ndarray
    rl: Problems
    test: Problems
    dropped: tuple[Dropped, ...]


def cut(spec: MixtureSpec) -> Cut:
    """Read, clean and cut the corpus of a mixture.

    Raises:
        ConfigError: it cannot be read, or has fewer problems than are asked for.
    """
    loaded = spec.task.load()
    train, test = loaded.train, loaded.test
    if not len(test):  # a source without a test split gives some of its problems, before anything is compared
        order = even_order([""] * len(train), spec.rng(TEST))
        test, train = train.take(order[: spec.n_test]), train.take(sorted(order[spec.n_test :]))
    train, test, dropped = clean(train, test, spec.task.style, spec.task.near_duplicates, spec.task.decontaminate)
    dropped = [*(Dropped(entry["reason"], entry["where"], entry["detail"]) for entry in loaded.dropped), *dropped]
    train, test = spec.task.mixed(train), spec.task.mixed(test)
    order = even_order(_strata(train, spec.stratify), spec.rng(TRAIN))
    sizes = _sizes(spec, len(order), len(test))
    spec = replace(spec, **sizes)
    problems = train.take(order[: spec.n])
    if spec.rl_split == "train":
        rl = problems.take(even_order([""] * spec.n, spec.rng(RL))[: spec.n_rl])
    else:
        rl = train.take(order[len(order) - spec.n_rl :])
    problems = replace(problems, long_shown=spec.task.shown(problems, spec.rng(SHOWN)))
    rank = even_order(_strata(problems, spec.stratify), spec.rng(SHARE))
    long = np.zeros(spec.n, dtype=bool)
    long[rank[: spec.n_long]] = True
    test = test.take(list(range(spec.n_test)))
    return Cut(spec, problems, long, rl, test, tuple(dropped))


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


def even_order(strata: Sequence[str], rng: np.random.Generator) -> list[int]:
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
