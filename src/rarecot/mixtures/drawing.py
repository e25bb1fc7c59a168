"""Different problems of a generated task, and their columns as Arrow: arrays from one end to the other, no string a problem."""

import hashlib
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

from rarecot.mixtures.spec import MixtureSpec
from rarecot.tasks.drawn import Drawn
from rarecot.tasks.vocabulary import texts

SPARE = 16  # drawn beyond what is missing, as a few may be drawn twice
MOST_BYTES = 2**31 - 1  # of an Arrow array of strings


def distinct(spec: MixtureSpec, n: int, rng: np.random.Generator, taken: list[np.ndarray]) -> Drawn:
    """n problems, all different, and none whose id is in `taken` (codes, each of shape (m, width))."""
    drawn = spec.task.codes(n + SPARE, rng)
    rows = first(drawn.problem_id, taken)[:n]
    kept = drawn.take(slice(n) if len(rows) == n == rows[-1] + 1 else rows)
    if len(kept) == n:
        return kept
    seen = {text for ids in (*taken, kept.problem_id) for text in texts(ids)}
    while len(kept) < n:
        missing = n - len(kept)
        drawn, rows = spec.task.codes(missing + SPARE, rng), []
        for i, problem_id in enumerate(texts(drawn.problem_id)):
            if problem_id not in seen and len(rows) < missing:
                seen.add(problem_id)
                rows.append(i)
        kept = kept + drawn.take(np.array(rows, int)) if rows else kept
    return kept


def first(ids: np.ndarray, taken: list[np.ndarray]) -> np.ndarray:
    """Positions of the ids, shape (n, width), that no earlier one equals and none in `taken`.

    Ids whose keys differ are different; only those whose key comes again are compared as strings.
    """
    keys = np.concatenate([_keys(group) for group in (*taken, ids)])
    again = _again(keys)
    if not len(again):
        return np.arange(len(ids))
    doubtful, start, seen = np.isin(keys, again), 0, set()
    for group in taken:
        seen |= set(texts(np.ascontiguousarray(group[doubtful[start : start + len(group)]])))
        start += len(group)
    fresh = ~doubtful[start:]
    rows = np.flatnonzero(doubtful[start:])
    for i, text in zip(rows, texts(ids[rows]), strict=True):
        fresh[i] = text not in seen
        seen.add(text)
    return np.flatnonzero(fresh)


def surely_different(columns: list[pa.ChunkedArray]) -> bool:
    """Whether no string of these columns stands in them twice; False also where that cannot be told from arrays: ids of several widths."""
    groups = [codes(chunk) for column in columns for chunk in column.chunks if len(chunk)]
    if not groups or any(group is None for group in groups) or len({group.shape[1] for group in groups}) > 1:
        return False
    return not len(_again(np.concatenate([_keys(group) for group in groups])))


def _again(keys: np.ndarray) -> np.ndarray:
    """The keys that come more than once."""
    ordered = np.sort(keys)
    return ordered[1:][ordered[1:] == ordered[:-1]]


def _keys(ids: np.ndarray) -> np.ndarray:
    """A number for each id, shape (n,), dtype uint64: the same for equal ones."""
    keys, width = np.zeros(len(ids), np.uint64), ids.shape[1]
    for start in range(0, width, 8):
        word = np.zeros((len(ids), 8), np.uint8)
        word[:, : min(8, width - start)] = ids[:, start : start + 8]
        keys ^= word.view(np.uint64)[:, 0]
        keys *= np.uint64(0x9E3779B97F4A7C15)
        keys ^= keys >> np.uint64(32)
    return keys


def demonstrations(drawn: Drawn, long: np.ndarray) -> Dataset:
    """The training set in which the problems at `long`, shape (n,), are shown step by step."""

    def columns(rows: slice) -> dict[str, pa.Array]:
        part, is_long = drawn.take(rows), pa.array(long[rows])
        return {
            "prompt": strings(part.prompt),
            "completion": pc.if_else(is_long, strings(part.long_shown), strings(part.short)),
            "answer": strings(part.answer),
            "kind": pc.if_else(is_long, "long", "short"),
            "problem_id": strings(part.problem_id),
        }

    return _dataset(drawn, columns)


def evaluation_rows(drawn: Drawn, style: str) -> Dataset:
    """The problems with both demonstrations, to sample from or to test on."""

    def columns(rows: slice) -> dict[str, pa.Array]:
        part = drawn.take(rows)
        return {
            "prompt": strings(part.prompt),
            "answer": strings(part.answer),
            "long": strings(part.long),
            "short": strings(part.short),
            "style": pa.repeat(style, len(part)),
            "problem_id": strings(part.problem_id),
        }

    return _dataset(drawn, columns)


def strings(codes: np.ndarray) -> pa.StringArray:
    """ASCII codes, shape (n, k), as n strings; the codes are not copied."""
    n, width = codes.shape
    offsets = np.arange(n + 1, dtype=np.int32) * np.int32(width)
    return pa.StringArray.from_buffers(n, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(codes)))


def codes(column: pa.StringArray) -> np.ndarray | None:
    """The inverse of `strings`, as a view; None where the strings have several widths."""
    _, offsets, data = column.buffers()
    starts = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1]
    width = int(starts[1] - starts[0])
    if column.null_count or width == 0 or (np.diff(starts) != width).any():
        return None
    return np.frombuffer(data, np.uint8)[starts[0] : starts[-1]].reshape(len(column), width)


def _dataset(drawn: Drawn, columns: Callable[[slice], dict[str, pa.Array]]) -> Dataset:
    most = MOST_BYTES // max(column.shape[1] for column in vars(drawn).values())
    parts = [pa.table(columns(slice(start, start + most))) for start in range(0, len(drawn), most)]
    table = pa.concat_tables(parts)
    return Dataset(table, fingerprint=_fingerprint(table))


def _fingerprint(table: pa.Table) -> str:
    """Of what a table says. `datasets` would pickle it for that, in more memory than all the rest takes."""
    digest = hashlib.sha256(str(table.schema).encode())
    for column in table.columns:
        for chunk in column.chunks:
            for buffer in chunk.buffers():
                digest.update(buffer or b"")
    return digest.hexdigest()[:16]
