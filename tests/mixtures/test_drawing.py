"""Problems as arrays are those that strings would be."""

import numpy as np
import pyarrow as pa
import pytest

from rarecot.mixtures import drawing
from rarecot.mixtures.build import build
from rarecot.mixtures.drawing import codes, distinct, first, strings, surely_different
from rarecot.mixtures.spec import TRAIN, MixtureSpec
from rarecot.tasks import Multiplication, Parity
from rarecot.tasks.parity import skip
from rarecot.tasks.vocabulary import texts

TASKS = [Parity(9), Parity(9, 2, 0.3), Multiplication(2), Multiplication(3, 2, 4, "plain", 0.2)]


def by_strings(spec, n, rng, taken):
    """What is drawn, told problem by problem."""
    kept, seen = [], set(taken)
    while len(kept) < n:
        missing, drawn = n - len(kept), spec.task.draw(n - len(kept) + 16, rng)
        rows = list(zip(*(column for column in vars(drawn).values() if column), strict=True))
        fresh = list({row[0]: row for row in reversed(rows) if row[0] not in seen}.values())[::-1]
        fresh = sorted(fresh, key=lambda row: drawn.problem_id.index(row[0]))[:missing]
        kept += fresh
        seen |= {row[0] for row in fresh}
    return kept


@pytest.mark.parametrize("task", TASKS, ids=lambda task: f"{type(task).__name__}-{task.chain_noise}")
def test_the_same_problems_in_the_same_order_as_by_strings(task):
    spec = MixtureSpec(task, n=300)
    taken = task.codes(60, np.random.default_rng(5)).problem_id
    found = distinct(spec, 300, spec.rng(TRAIN, 0), [taken]).problems()
    wanted = by_strings(spec, 300, spec.rng(TRAIN, 0), texts(taken))
    assert list(zip(*(column for column in vars(found).values() if column), strict=True)) == wanted


@pytest.fixture(params=["keys", "one key for all"])
def keys(request, monkeypatch):
    """Ids are told apart by their keys, and by themselves where two have the same."""
    if request.param != "keys":
        monkeypatch.setattr(drawing, "_keys", lambda ids: np.zeros(len(ids), np.uint64))


def test_first_of_those_that_come_again(keys):
    ids = np.array(
        [list(b"aaaaaaaaa"), list(b"aaaaaaaab"), list(b"aaaaaaaaa"), list(b"baaaaaaaa"), list(b"caaaaaaaa")], np.uint8
    )
    assert first(ids, []).tolist() == [0, 1, 3, 4]
    assert first(ids, [ids[4:], ids[3:4]]).tolist() == [0, 1]
    assert first(ids[:2], [ids[3:]]).tolist() == [0, 1]


def test_different_is_said_only_where_it_is_sure():
    def column(*values):
        return pa.chunked_array([values[:2], values[2:]])

    assert surely_different([column("ab", "ac", "ad"), column("xy", "xz", "yz")])
    assert not surely_different([column("ab", "ac", "ab")])
    assert not surely_different([column("ab", "ac", "ad"), column("xy", "xz", "ab")])
    assert not surely_different([column("a", "bc", "d")])  # of several widths: not to be told


def test_arrays_and_arrow_hold_the_same():
    drawn = Parity(5).codes(7, np.random.default_rng(0))
    column = strings(drawn.prompt)
    assert column.to_pylist() == texts(drawn.prompt) == drawn.problems().prompt
    assert codes(column[2:]).tolist() == drawn.prompt[2:].tolist()


@pytest.mark.parametrize("before", [1, 2, 8])
def test_skipping_leaves_the_stream_where_drawing_does(before):
    jumped, drawn = np.random.default_rng(3), np.random.default_rng(3)
    slow = np.random.Generator(np.random.MT19937(3))
    other = np.random.Generator(np.random.MT19937(3))
    for rng in (jumped, drawn, slow, other):
        rng.integers(0, 2, before, dtype=np.uint8)  # half a draw may be left over
    for rng in (jumped, slow):
        skip(rng, 12_345)
    for rng in (drawn, other):
        rng.random(12_345)
    for mine, theirs in ((jumped, drawn), (slow, other)):
        assert mine.integers(0, 2, 9, dtype=np.uint8).tolist() == theirs.integers(0, 2, 9, dtype=np.uint8).tolist()


@pytest.mark.parametrize(
    ("task", "sha256"),
    [
        (Parity(50), "ca0938d5eb01d92a"),
        (Parity(12, 2, 0.1), "e7c9a2327fab09d6"),
        (Multiplication(3), "1cdd17f5ac3911df"),
    ],
    ids=["parity", "noisy", "multiplication"],
)
def test_a_seed_gives_what_it_always_gave(task, sha256):
    """Runs draw their problems again: what these seeds gave before must come again."""
    assert build(MixtureSpec(task, n=900, n_rl=100, n_test=100)).manifest["sha256"][:16] == sha256
