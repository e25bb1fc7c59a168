"""Rows of a corpus from where they lie: a folder, a JSONL or Parquet file, or a dataset on the hub."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from rarecot.documents import loads, why
from rarecot.errors import ConfigError, nearest
from rarecot.hub import is_hub_id

SUFFIXES = (".jsonl", ".json", ".parquet")
SHOWN = 5  # problems of one kind that are listed one by one
LARGEST_LIST = 1 << 28  # bytes; a JSON list is read whole
LONGEST_LINE = 1 << 26  # characters; a line is read whole, and no problem is as long


@dataclass(frozen=True)
class Row:
    """One row of a source.

    Args:
        values: column → value.
        where: file and line (or the like), for messages.
    """

    values: Mapping[str, Any]
    where: str


def read(source: str, revision: str | None = None, needs: tuple[str, ...] = ("train",)) -> dict[str, list[Row]]:
    """The rows of each split, `train` and where there is one `test`.

    Args:
        source: a folder with files `train.*` and `test.*`, one file (all of it is `train`), or a hub id.
        revision: of the dataset on the hub.
        needs: splits of which one must be there.

    Raises:
        ConfigError: nothing there, or a file that cannot be read: file and line of each fault.
    """
    path = _place(source)
    if path is not None and path.is_file():
        return {"train": list(_file(path))}
    if path is not None and path.is_dir():
        files = {split: _split_files(path, split) for split in ("train", "test")}
        if not any(files[split] for split in needs):
            names = sorted(p.name for p in path.iterdir())[:8]
            wanted = " and no ".join(f"{split}.jsonl, {split}.json or {split}*.parquet" for split in needs)
            raise ConfigError(
                [
                    f"source {source} holds no {wanted} (there: {', '.join(names) or 'nothing'}). Name the folder that does, or one file."
                ]
            )
        rows, faults = {}, []
        for split, found in files.items():
            try:
                rows[split] = [row for file in found for row in _file(file)]
            except ConfigError as error:
                faults += error.problems
        if faults:
            raise ConfigError(faults)
        return {split: rows[split] for split, found in files.items() if found}
    if is_hub_id(source.partition(":")[0]):
        found = _hub(source, revision)
        if not any(split in found for split in needs):
            raise ConfigError(
                [f"source {source} has no split {' or '.join(needs)}. Name another dataset, or a folder or file."]
            )
        return found
    raise ConfigError([missing_source(source)])


def sources_of(task: Any) -> list[str]:
    """Where the corpora of a task lie; empty for a generated task."""
    named = [task, *getattr(task, "parts", [])]
    found = [part.get("source") if isinstance(part, dict) else getattr(part, "source", None) for part in named]
    return [source for source in found if isinstance(source, str) and source]


def missing_source(source: str) -> str | None:
    """The sentence for a source that is neither a path that exists nor a hub id; None where it may be there."""
    if _place(source) is not None or is_hub_id(source.partition(":")[0]):
        return None
    return (
        f"there is no source {source}: neither a folder, nor a file, nor a hub id like openai/gsm8k. Give one with --source, "
        f"relative to where you are."
    )


def _place(source: str) -> Path | None:
    """The file or folder that a source names; None: there is none."""
    try:
        path = Path(source).expanduser()
        return path if path.exists() else None
    except (OSError, RuntimeError, ValueError):  # a name that is too long, ~ of nobody, halves of characters
        return None


def require(rows: list[Row], columns: Mapping[str, tuple[str, ...]], source: str) -> dict[str, str]:
    """Which column of the rows plays which role.

    Args:
        rows: of one split, at least one.
        columns: role → names it may have, the usual one first. An empty name means that the role may be missing.

    Raises:
        ConfigError: a role that no column plays.
    """
    present = list(rows[0].values)
    chosen, problems = {}, []
    for role, names in columns.items():
        name = next((n for n in names if n in present), None)
        if name is not None:
            chosen[role] = name
        elif "" not in names:
            problems.append(
                f"{source} has no column '{names[0]}' ({rows[0].where} has {', '.join(present) or 'none'}"
                f"){nearest(names[0], present).replace('; did', '. Did')}"
            )
    if problems:
        raise ConfigError(problems)
    return chosen


def _split_files(folder: Path, split: str) -> list[Path]:
    """`train.jsonl` (or .json, .parquet), else the hub's shards `train-00000-of-00002.parquet`."""
    for place in (folder, folder / "main", folder / "data"):
        files = sorted(p for p in place.iterdir() if p.suffix in SUFFIXES) if place.is_dir() else []
        whole = [p for p in files if p.stem == split]
        shards = [p for p in files if re.fullmatch(rf"{split}-[0-9]+-of-[0-9]+", p.stem)]
        if whole or shards:
            return whole[:1] or shards
    return []


def _file(path: Path) -> Iterator[Row]:
    if path.suffix == ".parquet":
        yield from _parquet(path)
        return
    if path.suffix not in SUFFIXES:
        raise ConfigError([f"{path} is neither JSONL nor Parquet. Known: {', '.join(SUFFIXES)}."])
    if not path.is_file():
        raise ConfigError([f"{path} is no file that can be read, but a folder or device. Put a file in its place."])
    try:
        yield from _list(path) if path.suffix == ".json" and _starts_a_list(path) else _rows(path)
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path} is not UTF-8 text: {error}. Save it as UTF-8."]) from error
    except OSError as error:
        raise ConfigError([f"{path} cannot be read ({error.strerror}). Change that, or name another file."]) from error


def _parquet(path: Path) -> Iterator[Row]:
    import pyarrow
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as parquet:
            names = parquet.schema_arrow.names
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise ConfigError([f"{path} has several columns {', '.join(twice)}. Write it again with one of each."])
            rows = parquet.read().to_pylist()
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:  # also text that is not UTF-8
        if isinstance(error, ConfigError):
            raise
        fault = str(error).split("\n")[0].rstrip(". ")
        raise ConfigError([f"{path} is no whole Parquet file ({fault}). Fetch or write it again."]) from error
    for i, values in enumerate(rows, 1):
        yield Row(values, f"{path.name} row {i}")


def _list(path: Path) -> Iterator[Row]:
    if (size := path.stat().st_size) > LARGEST_LIST:
        raise ConfigError(
            [
                f"{path} is a JSON list of {size >> 20} MiB, which would have to be read whole, at some ten times its size. Write it as JSONL, "
                f"one object a line, or as Parquet."
            ]
        )
    try:
        entries = loads(path.read_text(encoding="utf-8-sig"), unique=True)
    except UnicodeDecodeError:
        raise
    except ValueError as error:
        raise ConfigError([f"{path} is no whole JSON list ({error}). Fetch or write it again."]) from error
    faults = [
        f"{path} entry {i}: a row must be an object with columns, but is {type(values).__name__}."
        for i, values in enumerate(entries, 1)
        if not isinstance(values, dict)
    ]
    if faults:
        raise ConfigError(_some(faults, "Mend or remove these entries."))
    for i, values in enumerate(entries, 1):
        yield Row(values, f"{path.name} entry {i}")


def _rows(path: Path) -> Iterator[Row]:
    faults = []
    with path.open(encoding="utf-8-sig", newline="\n", errors="strict") as file:
        for number, line in enumerate(_lines(file, path), 1):
            if not line.strip():
                continue
            try:
                values = loads(line, unique=True)
            except ValueError as error:
                faults.append(f"{path}:{number}: not whole JSON ({why(error)}): {line[:200].strip()[:60]!r}")
                continue
            if not isinstance(values, dict):
                faults.append(f"{path}:{number}: a row must be an object with columns, but is {type(values).__name__}.")
                continue
            yield Row(values, f"{path.name}:{number}")
    if faults:
        raise ConfigError(_some(faults, "Mend or remove these lines; each line is one JSON object."))


def _starts_a_list(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(64).decode(errors="replace").lstrip("\ufeff \r\n\t").startswith("[")


def _lines(file: TextIO, path: Path) -> Iterator[str]:
    number = 0
    while line := file.readline(LONGEST_LINE):
        number += 1
        if len(line) == LONGEST_LINE and not line.endswith("\n"):
            raise ConfigError(
                [
                    f"{path}:{number} is longer than {LONGEST_LINE >> 20} million characters, which is no problem to learn from. Put each "
                    f"row on a line of its own (they end with a line feed), or take this one out."
                ]
            )
        yield line


def _some(faults: list[str], remedy: str) -> list[str]:
    rest = [f"… and {len(faults) - SHOWN} more of them."] if len(faults) > SHOWN else []
    return [*faults[:SHOWN], *rest, remedy] if len(faults) > 1 else [f"{faults[0]} {remedy}"]


def _hub(source: str, revision: str | None) -> dict[str, list[Row]]:
    import datasets

    name, _, configuration = source.partition(":")
    datasets.disable_progress_bars()
    try:
        found = datasets.load_dataset(name, configuration or None, revision=revision)
    except (OSError, ValueError) as error:  # offline, no such dataset, gated; a configuration that it does not have
        raise ConfigError(
            [
                f"source {source} cannot be had from the hub ({type(error).__name__}: {' '.join(str(error).split())[:200]}). Download it "
                f"elsewhere and give its folder: --source PATH, with train.jsonl (or train*.parquet) and test.jsonl in it."
            ]
        ) from error
    return {
        split: [Row(values, f"{source} {split} row {i}") for i, values in enumerate(found[split], 1)]
        for split in ("train", "test")
        if split in found
    }
