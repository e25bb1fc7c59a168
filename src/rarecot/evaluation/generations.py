"""Files of generations: what a model wrote in one evaluation, how it was judged, and the record of that evaluation."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rarecot import whole
from rarecot.documents import loads
from rarecot.errors import ConfigError
from rarecot.evaluation.records import IN_PARQUET, Record
from rarecot.types import Response

NEEDED = ("problem_id", "prompt", "text", "verdict", "length", "kind")
SINCE_THEN = ("sample", "gold", "answer", "verdict_lenient")  # files of before have none of these
_NUMBERS = ("sample", "length")

# The name that `records.completions_name` gives, read backwards.
_NAME = re.compile(
    r"(?P<stage>\w+)-(?P<step>[0-9]{6,})-(?P<split>\w+)-(?P<decoding>greedy|sampled)-t(?P<temperature>[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?)"
    r"-n(?P<n>[0-9]+)x(?P<samples>[0-9]+)-max(?P<max_new_tokens>[0-9]+)-seed(?P<sampling_seed>-?[0-9]+)-(?P<protocol>.+)"
)


@dataclass(frozen=True)
class Kept:
    """A file of generations.

    Args:
        record: of the evaluation, as the file carries it; else what its name says, else nothing.
        table: `NEEDED`, and of `SINCE_THEN` what there is.
    """

    record: Record
    table: pa.Table


def save_responses(
    path: Path, responses: Sequence[Response], prompts: Sequence[str], record: Mapping[str, Any] | None = None
) -> None:
    """Keep the generations of an evaluation as Parquet, whole or not at all: problem_id, prompt, ids, text, verdict, length, kind, sample,
    gold, answer, verdict_lenient, finish.

    Args:
        path: the file.
        responses: in the order of the prompts, as many a prompt as were sampled.
        prompts: the problems, without what a template or a protocol puts around them.
        record: of the evaluation; kept with the table, so that the file says by itself what it is.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = len(responses) // len(prompts)
    table = pa.table(
        {
            "problem_id": [r.problem_id for r in responses],
            "prompt": [prompt for prompt in prompts for _ in range(samples)],
            "ids": pa.array([r.completion.token_ids for r in responses], pa.list_(pa.int64())),
            "text": [r.completion.text for r in responses],
            "verdict": [r.verdict for r in responses],
            "length": [r.completion.length for r in responses],
            "kind": [r.kind for r in responses],
            "sample": [i % samples for i in range(len(responses))],
            "gold": [r.gold for r in responses],
            "answer": pa.array([r.answer for r in responses], pa.string()),
            "verdict_lenient": pa.array([r.lenient for r in responses], pa.string()),
            "finish": [r.completion.finish_reason for r in responses],
        }
    )
    if record is not None:
        table = table.replace_schema_metadata({IN_PARQUET: json.dumps(record)})
    with whole.replacing(path) as temporary:
        pq.write_table(table, temporary)


def read(file: Path) -> Kept:
    """Read what `save_responses` wrote, now or before it kept all that it keeps now.

    Raises:
        ConfigError: it cannot be read, lacks a column, or has one of another type.
    """
    remedy = "Name a file that eval/run.py or a recipe wrote into completions/, or evaluate again."
    try:
        with pq.ParquetFile(file) as parquet:
            schema = parquet.schema_arrow
            if problems := _schema_problems(schema):
                raise ConfigError([f"{file} {text}. {remedy}" for text in problems])
            table = parquet.read(columns=[name for name in (*NEEDED, *SINCE_THEN) if name in schema.names])
            table.validate(full=True)  # text that is not UTF-8 is found here, and not while it is shown
    except (pa.ArrowException, OSError) as error:
        why = f"is not a whole Parquet file ({str(error).split(chr(10))[0].rstrip('.')})"
        if isinstance(error, FileNotFoundError):
            why = "does not exist"
        raise ConfigError([f"{file} {why}. {remedy}"]) from error
    empty = [name for name in NEEDED if table[name].null_count]
    if empty:
        raise ConfigError([f"{file} has rows without {' and without '.join(empty)}. {remedy}"])
    return Kept(_record(file, schema), table)


def _schema_problems(schema: pa.Schema) -> list[str]:
    missing = [name for name in NEEDED if name not in schema.names]
    found = [f"lacks the columns {', '.join(missing)}"] if missing else []
    for name in (*NEEDED, *SINCE_THEN):
        if name in schema.names:
            kind = schema.field(name).type
            if name in _NUMBERS and not pa.types.is_integer(kind):
                found.append(f"has {kind} where whole numbers are expected, in the column {name}")
            elif name not in _NUMBERS and not any(
                fits(kind) for fits in (pa.types.is_string, pa.types.is_large_string, pa.types.is_null)
            ):
                found.append(f"has {kind} where text is expected, in the column {name}")
    try:
        if not isinstance(_metadata(schema), dict | None):
            found.append("has metadata 'rarecot' that are no JSON object")
    except ValueError:
        found.append("has metadata 'rarecot' that are not JSON")
    return found


def _metadata(schema: pa.Schema) -> Any:
    """The record that the file carries; None: it was written before files did."""
    text = (schema.metadata or {}).get(IN_PARQUET)
    return None if text is None else loads(text)


def _record(file: Path, schema: pa.Schema) -> Record:
    """The record of an evaluation: as the file carries it, else what its name says, else nothing."""
    if (carried := _metadata(schema)) is not None:
        return carried
    match = _NAME.fullmatch(file.stem)
    if match is None:
        return {}
    numbers = {name: int(match[name]) for name in ("step", "n", "samples", "max_new_tokens", "sampling_seed")}
    return {**match.groupdict(), **numbers, "temperature": float(match["temperature"])}
