"""What is left out of a corpus before anything is trained on it, and why: every case is listed."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rarecot.tasks.corpus import plain_words
from rarecot.types import Problems
from rarecot.verify import ungradable

SHINGLE = 5  # words
COMMON = 200  # problems that share a shingle from which on it is a phrase of the corpus and finds no candidates


@dataclass(frozen=True)
class Dropped:
    """A problem that was left out.

    Args:
        reason: `ungradable_gold`, `duplicate`, `near_duplicate`, `in_test`, `test_overlap`, or what reading a source gave.
        problem_id: the problem; where it has none, its place.
        detail: what it was found to share, and with which problem.
    """

    reason: str
    problem_id: str
    detail: str = ""


def clean(
    train: Problems, test: Problems, near_duplicates: float, decontaminate: int
) -> tuple[Problems, Problems, list[Dropped]]:
    """The problems of both splits that can be used, and those that cannot.

    Args:
        train: training problems.
        test: test problems; every one counts for decontamination, used or not.
        near_duplicates: Jaccard overlap of word 5-grams from which a training problem repeats an earlier one; 0: keep all
            duplicates but those with equal ids.
        decontaminate: consecutive words shared with a test problem that make a training problem known; 0: do not look.
    """
    dropped: list[Dropped] = []

    def keep(problems: Problems, out: Iterable[tuple[int, Dropped]]) -> Problems:
        gone = dict(out)
        dropped.extend(gone.values())
        return problems.take([i for i in range(len(problems)) if i not in gone]) if gone else problems

    test = keep(test, _repeated(test))
    test = keep(test, _without_gold(test))
    train = keep(train, _repeated(train))
    known = set(test.problem_id)
    train = keep(
        train,
        ((i, Dropped("in_test", name, "the same prompt")) for i, name in enumerate(train.problem_id) if name in known),
    )
    train = keep(train, _without_gold(train))
    if 0 < near_duplicates < 1:
        train = keep(train, _near(train, near_duplicates))
    if decontaminate:
        train = keep(train, _overlapping(train, test, decontaminate))
    return train, test, dropped


def _repeated(problems: Problems) -> list[tuple[int, Dropped]]:
    seen: set[str] = set()
    found = []
    for i, name in enumerate(problems.problem_id):
        if name in seen:
            found.append((i, Dropped("duplicate", name, "the same prompt")))
        seen.add(name)
    return found


def _without_gold(problems: Problems) -> list[tuple[int, Dropped]]:
    return [
        (i, Dropped("ungradable_gold", problems.problem_id[i], problems.answer[i])) for i in ungradable(problems.answer)
    ]


def _near(problems: Problems, threshold: float) -> list[tuple[int, Dropped]]:
    """Later problems whose shingles overlap an earlier kept one's. Candidates share a shingle that is not a common phrase."""
    shingles = [set(_grams(_words(prompt), SHINGLE)) for prompt in problems.prompt]
    holders: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for i, mine in enumerate(shingles):
        for gram in mine:
            holders[gram].append(i)
    found: dict[int, Dropped] = {}
    for i, mine in enumerate(shingles):
        shared: dict[int, int] = defaultdict(int)
        for gram in mine:
            if 1 < len(holders[gram]) <= COMMON:
                for j in holders[gram]:
                    if j < i and j not in found:
                        shared[j] += 1
        for j in sorted(shared):
            if shared[j] < threshold * max(len(mine), len(shingles[j])) / 2:
                continue  # too few to reach the threshold, common phrases included or not
            overlap = len(mine & shingles[j]) / len(mine | shingles[j])
            if overlap >= threshold:
                found[i] = Dropped(
                    "near_duplicate", problems.problem_id[i], f"{overlap:.2f} of {problems.problem_id[j]}"
                )
                break
    return list(found.items())


def _overlapping(train: Problems, test: Problems, length: int) -> list[tuple[int, Dropped]]:
    owners = {
        gram: name
        for name, prompt in zip(test.problem_id, test.prompt, strict=True)
        for gram in _grams(_words(prompt), length)
    }
    found = []
    for i, prompt in enumerate(train.prompt):
        hit = next((gram for gram in _grams(_words(prompt), length) if gram in owners), None)
        if hit is not None:
            found.append((i, Dropped("test_overlap", train.problem_id[i], f"{owners[hit]}: {' '.join(hit)}")))
    return found


def _words(text: str) -> list[str]:
    """Words and numbers alone: signs and formula delimiters would make every list of variables look the same."""
    return [word for word in plain_words(text) if word[0].isalnum()]


def _grams(words: Sequence[str], length: int) -> list[tuple[str, ...]]:
    return list(zip(*(words[i:] for i in range(length)), strict=False))
