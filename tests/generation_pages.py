"""Files of generations for the browser's tests, with what models might write."""

import json

import pyarrow as pa
import pyarrow.parquet as pq

ATTACK = "</script><script>window.__pwned = 1; alert(1)</script>"
IMAGE = "<img src=x onerror='window.__pwned = 2; alert(2)'>"

# text → what a reader of the page must see
HOSTILE = {
    ATTACK: ATTACK,
    IMAGE: IMAGE,
    "<!-- <script>": "<!-- <script>",
    "]]></SCRIPT ><svg/onload=window.__pwned=3>": "]]></SCRIPT ><svg/onload=window.__pwned=3>",
    "javascript:alert(1) &lt;b&gt; &amp; {{ 7 * 7 }} \\u003cb\\u003e": "javascript:alert(1) &lt;b&gt; &amp; {{ 7 * 7 }} \\u003cb\\u003e",
    "line\u2028and\u2029paragraph": "line‹U+2028›and‹U+2029›paragraph",
    "null\0byte\x7f": "null‹NUL›byte‹DEL›",
    "right to left: \u202e0 si rewsna\u202c": "right to left: ‹U+202E›0 si rewsna‹U+202C›",
    "\x1b[31mred\x1b[0m": "‹ESC›[31mred‹ESC›[0m",
    "a\u200bb\ufeffc" + "\u200b" * 100: "a‹U+200B›b‹U+FEFF›c‹U+200B› × 100 ",
    "tag\U000e0041\U000e0042 \x85": "tag‹U+E0041›‹U+E0042› ‹U+0085›",
    "windows\r\nlines\tand tabs 한국어 😀❤️": "windows‹CR›\nlines\tand tabs 한국어 😀❤️",
    "": "(empty)",
}


def record(stage="grpo", step=30, decoding="greedy", samples=1, **others):
    """A record as evaluations carry it."""
    temperature = float(decoding == "sampled")
    cap = {"max_new_tokens": 64, "sampling_seed": step, "seed": 0, "n": 8, "protocol": "native"}
    return {
        "stage": stage,
        "step": step,
        "split": "test",
        "decoding": decoding,
        "temperature": temperature,
        "samples": samples,
        **cap,
        **others,
    }


def row(i=0, **others):
    """A response of a new file."""
    given = {"problem_id": f"p{i}", "prompt": f"prompt {i}", "ids": [1, 2], "text": f"text {i}", "verdict": "correct"}
    since = {"sample": 0, "gold": "1", "answer": "1", "verdict_lenient": None}
    return {**given, "length": 1, "kind": "short", **since, **others}


def save(path, rows, record=None):
    """A file of generations; without a record and with rows of before, one as they were."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(rows)
    if record is not None:
        table = table.replace_schema_metadata({b"rarecot": json.dumps(record)})
    pq.write_table(table, path)
    return path


def old(row):
    """A row as it was before samples, golds and answers were kept."""
    return {name: row[name] for name in ("problem_id", "prompt", "ids", "text", "verdict", "length", "kind")}
