"""What is left out of a corpus before anything is trained on it, and why: every case is listed."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rarecot.errors import ConfigError
from rarecot.mixtures.giveaway import given_away, too_many
from rarecot.tasks.corpus import plain_words
from rarecot.types import Problems
from rarecot.verify import ungradable, verify_all

SHINGLE = 5  # words
Gram = tuple[str, ...]


@dataclass(frozen=True)
class Dropped:
    """A problem that was left out.

    Args:
        reason: `ungradable_gold`, `answer_in_prompt`, `duplicate`, `near_duplicate`, `in_test`, `test_overlap`, or what reading a source
            gave.
        problem_id: the problem; where it has none, its place.
        detail: what it was found to share, and with which problem.
    """

    reason: str
    problem_id: str
    detail: str = ""


def clean(
    train: Problems, test: Problems, style: str, near_duplicates: float, decontaminate: int
) -> tuple[Problems, Problems, list[Dropped]]:
    """The problems of both splits that can be used, and those that cannot.

    Args:
        train: training problems.
        test: test problems; every one counts for decontamination, used or not.
        style: of their demonstrations.
        near_duplicates: Jaccard overlap of 5-grams (words and signs) from which a training problem repeats a test problem or an earlier
            training problem; 0 or 1: only exact repetitions are left out.
        decontaminate: consecutive words shared with a test problem that make a training problem known; 0: do not look.

    Raises:
        ConfigError: too many prompts give their own answer away.
    """
    dropped: list[Dropped] = []

    def keep(problems: Problems, out: Iterable[tuple[int, Dropped]]) -> Problems:
        gone = dict(out)
        dropped.extend(gone.values())
        return problems.take([i for i in range(len(problems)) if i not in gone]) if gone else problems

    everything = test
    test = keep(test, _repeated(test))
    test = keep(test, _without_gold(test, style))
    test = keep(test, _given_away(test))
    train = keep(train, _repeated(train))
    known = set(everything.problem_id)
    train = keep(
        train,
        [(i, Dropped("in_test", name, "the same prompt")) for i, name in enumerate(train.problem_id) if name in known],
    )
    train = keep(train, _without_gold(train, style))
    train = keep(train, _given_away(train))
    if 0 < near_duplicates < 1:
        train = keep(train, _near(train, everything, near_duplicates))
    if decontaminate:
        train = keep(train, _overlapping(train, everything, decontaminate))
    return train, test, dropped


def _repeated(problems: Problems) -> list[tuple[int, Dropped]]:
    seen: set[str] = set()
    found = []
    for i, name in enumerate(problems.problem_id):
        if name in seen:
            found.append((i, Dropped("duplicate", name, "the same prompt")))
        seen.add(name)
    return found


def _without_gold(problems: Problems, style: str) -> list[tuple[int, Dropped]]:
    """Golds that nothing can be compared with, or whose own demonstrations are not judged right."""
    styles = [style] * len(problems)
    unfit = set(ungradable(problems.answer))
    for texts in (problems.long, problems.short):
        verdicts = verify_all(problems.answer, texts, styles)
        unfit |= {i for i, verdict in enumerate(verdicts) if verdict in ("wrong", "no_answer", "unparseable_gold")}
    return [(i, Dropped("ungradable_gold", problems.problem_id[i], problems.answer[i])) for i in sorted(unfit)]


def _given_away(problems: Problems) -> list[tuple[int, Dropped]]:
    """Prompts that give their own answer away."""
    return [(i, Dropped("answer_in_prompt", problems.problem_id[i], how)) for i, how in giving_away(problems)]


def giving_away(problems: Problems) -> list[tuple[int, str]]:
    """Positions of the problems whose prompt gives their own answer away, and how.

    Raises:
        ConfigError: so many do that a wrong column must be behind it.
    """
    # All that a long demonstration has before the answer, which ends it as it ends the short one.
    chains = [long.removesuffix(short) for long, short in zip(problems.long, problems.short, strict=True)]
    told = zip(problems.prompt, problems.answer, chains, strict=True)
    found = [(i, how) for i, one in enumerate(told) if (how := given_away(*one)) is not None]
    if too_many(len(found), len(problems)):
        first, how = found[0]
        raise ConfigError(
            [
                f"{len(found)} of {len(problems)} problems give their own answer away, for example {problems.problem_id[first]} ({how}), so "
                f"that copying would be rewarded. Name the column that holds the question alone (prompt_column), or take the answers out of it."
            ]
        )
    return found


def _near(problems: Problems, test: Problems, threshold: float) -> list[tuple[int, Dropped]]:
    """Training problems that repeat a test problem, or an earlier training problem that is kept.

    Prefix filtering (Chaudhuri et al. 2006): two sets of Jaccard ≥ t share one of the n − ⌈t·n⌉ + 1 rarest members of each,
    so only those are indexed, and nothing is missed.
    """
    names = [*test.problem_id, *problems.problem_id]
    sets = [frozenset(_shingles(prompt)) for prompt in (*test.prompt, *problems.prompt)]
    frequency = Counter(gram for grams in sets for gram in grams)
    index: dict[Gram, list[int]] = defaultdict(list)
    found = []
    for i, grams in enumerate(sets):
        rarest = sorted(grams, key=lambda gram: (frequency[gram], gram))[
            : len(grams) - math.ceil(threshold * len(grams)) + 1
        ]
        candidates = sorted({j for gram in rarest for j in index[gram]})
        overlaps = ((len(grams & sets[j]) / len(grams | sets[j]), j) for j in candidates)
        match = next(((overlap, j) for overlap, j in overlaps if overlap >= threshold), None)
        is_training = i >= len(test)
        if match and is_training:
            detail = f"{match[0]:.2f} of {names[match[1]]}{' (test)' if match[1] < len(test) else ''}"
            found.append((i - len(test), Dropped("near_duplicate", names[i], detail)))
            continue
        for gram in rarest:
            index[gram].append(i)
    return found


def _overlapping(train: Problems, test: Problems, length: int) -> list[tuple[int, Dropped]]:
    owners = {
        gram: name
        for name, prompt in zip(test.problem_id, test.prompt, strict=True)
        for gram in _grams(plain_words(prompt), length)
    }
    found = []
    for i, prompt in enumerate(train.prompt):
        hit = next((gram for gram in _grams(plain_words(prompt), length) if gram in owners), None)
        if hit is not None:
            found.append((i, Dropped("test_overlap", train.problem_id[i], f"{owners[hit]}: {' '.join(hit)}")))
    return found


def _shingles(prompt: str) -> list[Gram]:
    words = plain_words(prompt, signs=True)
    return _grams(words, min(SHINGLE, len(words))) or [(prompt,)]


def _grams(words: Sequence[str], length: int) -> list[Gram]:
    return list(zip(*(words[i:] for i in range(length)), strict=False)) if length else []
