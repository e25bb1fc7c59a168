"""What the attacks on data are made of: texts, files, and what happens to them."""

import json
import random
import struct

import yaml
from hypothesis import strategies as st

from rarecot import extraction
from rarecot.parsing import STYLES, parse, unwrap_boxes, write
from rarecot.tasks.corpus import problem_id, steps_of
from rarecot.verify.compare import at_once

# Each of these took the square of its length, so that a response of a megabyte took hours.
SQUARES = {
    "blanks before an answer": ("the" + " " * 100_000 + "x the answer is 5 ", lambda text: parse(text, "last_number")),
    "thoughts that never close": ("<think>" * 20_000 + "5", extraction.stated_number),
    "answers without end": ("The answer is " * 20_000 + " \n", extraction.answer_is),
    "commas": ("," * 100_000 + "x", extraction.answer_is),
    "boxes to unwrap": ("\\boxed{1}" * 20_000, unwrap_boxes),
    "boxes in boxes": ("\\boxed{" * 20_000 + "1" + "}" * 20_000, unwrap_boxes),
    "dots": ("." * 100_000 + "x", lambda text: problem_id("x", text)),
    "sentences": ("A $b$. C d! " * 20_000, steps_of),
}


REPEATED = [
    *(
        "####",
        "####\n",
        "\\boxed{",
        "\\boxed{1}",
        "{",
        "}",
        "[",
        "(",
        "1",
        "1 ",
        "= 1",
        "1+",
        "answer: ",
        "answer:= ",
        ",",
        ".",
        " ",
        "\n",
        "**",
    ),
    *(
        "<think>",
        "</think>",
        "The answer is ",
        "the ",
        "so, ",
        "$",
        "\\",
        "-",
        "1 % ",
        "$1,",
        "final answer is ",
        "\\frac{",
        "\u200b",
        "５",
    ),
]


# gold, answers that are not it
NOT_THE_GOLD = {
    "2x": ["2**x", "x**2", "x ** 2", "2 ** x", "2^x", "x²", "x^2", "2x²"],
    "6x": ["3**2x", "6**x", "x**6"],
    "xy": ["x**y", "x ** y"],
    "23": ["2**3", "2 ** 3", "8", "2³"],
    r"2\sqrt{3}": [
        r"2**\sqrt{3}",
        r"－2\sqrt{3}",
        r"½\sqrt{3}",
        r"2\sqrt{3}²",
        r"∓2\sqrt{3}",
        r"2\sqrt{3}⁻¹",
        r"1２\sqrt{3}",
        r"2\sqrt{3}٣",
    ],
    "5": [
        "5 or 6",
        "5, 6",
        "{5,6}",
        r"\{1,2,5\}",
        "5;6",
        "5\u200b",
        "\u202e5",
        "5\u0338",
        "5\u0660",
        "٥0",
        "5 5",
        "5..6",
        "5e1",
        "0x5",
        "5_0",
        "5_000",
        "5i",
    ],
    "1": [r"\{1,2,3\}", "(1,2)", "[1,1]", "1e400", "1_000", "0x1", "1e-400", "1/1e400", "1\x00", "1\ud800"],
    "16": ["0x10", "10_16", "1_6", "1.6", "2**4**1x"],
    "(1,2)": ["[1,2]", "(1,2]", "{1,2}", "1<x<3", "(2,1)", "(1,2,3)"],
    r"\infty": ["1e400", "1e999", "inf", "nan", "9^{9^{9^9}}"],
    "0.5": ["0.5\\%", "5\\%", "1/2 or 1/3", "0.50000000000000001"],
    "1/3": ["0.3333333333333333333333333333", "33.3\\%"],
}


POWERS = [
    ("x^2", "x**2"),
    ("8", "2**3"),
    ("x^{10}", "x ** 10"),
    (r"2^{-x}", "2**(-x)"),
    ("73", "**73**"),
    ("5", "**5** apples"),
    ("5", "5** apples"),
]


numbers = st.integers(-(10**9), 10**9)
texts = st.text(st.characters(codec=None), max_size=200) | st.lists(
    st.sampled_from(
        [*REPEATED, "\\{", "\\}", "7", "x", "^", "\\text{", " or ", "\\pm ", "\\in ", "e", "/", "(", ")", "\ud800"]
    ),
    max_size=40,
).map("".join)


plain = st.text("0123456789abcxyz+-*/^()=.,% ", min_size=1, max_size=30).map(str.strip).filter(bool)

GOOD = '{"prompt":"1+1?","solution":"We add.","answer":"2"}\n'


def row(**changes) -> str:
    return json.dumps({**json.loads(GOOD), **changes}) + "\n"


DEEP = "[" * 100_000 + "]" * 100_000
# Contents of a corpus → file name, and what the refusal says besides
CORPORA = {
    "nested deep": (f'{{"prompt":{DEEP}}}', "c.jsonl", ":1", "nested too deep"),
    "a list that is nested deep": (DEEP, "c.json", "nested too deep"),
    "a number of 5000 digits": ('{"prompt":' + "1" * 5000 + "}", "c.jsonl", ":1", "4300 digits"),
    "entries that are no objects": (f"[{GOOD},3]", "c.json", "entry 2", "int"),
    "half a character": (GOOD + row(prompt="\ud800?"), "c.jsonl", ":2", "U+D800"),
    "half a character in a solution": (row(solution="x\udfff"), "c.jsonl", ":1", "U+DFFF"),
    "a zero": (row(prompt="a\0b"), "c.jsonl", ":1", "U+0000"),
    "a key twice": ('{"prompt":"a?","solution":"x.","answer":"2","answer":"3"}', "c.jsonl", ":1", "'answer' twice"),
    "a list for text": (row(answer=[1, 2]), "c.jsonl", ":1", "list", "'answer'"),
    "a chat for text": (row(prompt=[{"role": "user"}]), "c.jsonl", ":1", "list", "'prompt'"),
    "NaN": (row(answer=float("nan")), "c.jsonl", ":1", "nan"),
    "Infinity": (row(answer=float("inf")), "c.jsonl", ":1", "inf"),
    "null": (row(prompt=None), "c.jsonl", ":1", "empty prompt"),
    "rows that are no objects": ('1\n"a"\nnull\n', "c.jsonl", ":3", "NoneType"),
    "carriage returns alone": (GOOD.replace("\n", "\r") * 2, "c.jsonl", ":1", "not whole JSON"),
    "UTF-16": ((GOOD * 2).encode("utf-16"), "c.jsonl", "not UTF-8"),
    "UTF-16 without a mark": ((GOOD * 2).encode("utf-16-le"), "c.jsonl", ":1"),
    "Latin-1": (GOOD.replace("We", "Wé").encode("latin-1"), "c.jsonl", "not UTF-8"),
    "nothing": ("", "c.jsonl", "is empty"),
    "blank lines": ("\n\n \r\n", "c.jsonl", "is empty"),
    "a missing column": ('{"prompt":"a?","solution":"x."}', "c.jsonl", "no column 'answer'"),
    "garbage for Parquet": (random.Random(0).randbytes(1000), "c.parquet", "no whole Parquet"),
    "a broken footer": (b"PAR1" + bytes(100) + struct.pack("<I", 50) + b"PAR1", "c.parquet", "no whole Parquet"),
    "an empty Parquet file": (b"", "c.parquet", "no whole Parquet"),
}


HEADER = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()


def weights(header: bytes, claimed: int | None = None, data: bytes = bytes(8)) -> bytes:
    return (len(header) if claimed is None else claimed).to_bytes(8, "little") + header + data


DAMAGED = [
    b"",
    b"[]",
    b"null",
    b"\xff\xfe\0",
    DEEP.encode(),
    b"{",
    b'{"a"',
    b"3: 4",
    b"sft: 3",
    b"sft: {eval_temperature: x}",
    b"sft: [1, 2",
]


def damaged(data: bytes, suffix: str, rng: random.Random) -> bytes:
    """A file after an accident: cut, scratched, something put in or in its place, or one value exchanged."""
    odd = [None, "x", -1, [], {}, 1e308, True, [1, 2, 3], {"a": 1}, 10**30, float("nan"), "../../../x", "a" * 300]
    way = rng.randrange(6)
    if way == 0:
        return data[: rng.randrange(len(data) + 1)]
    if way == 1:
        at = rng.randrange(len(data))
        return data[:at] + rng.randbytes(rng.randint(1, 4)) + data[at + 3 :]
    if way == 2:
        return rng.choice(DAMAGED)
    if suffix == ".yaml":
        values = yaml.safe_load(data)
        values[rng.choice(list(values))] = rng.choice(odd)
        return yaml.safe_dump(values).encode()
    if suffix in (".json", ".jsonl"):
        lines = data.strip().split(b"\n") if suffix == ".jsonl" else [data]
        at = rng.randrange(len(lines))
        values = json.loads(lines[at])
        key = rng.choice(list(values))
        values[key] = rng.choice(odd)
        if rng.random() < 0.3:
            del values[key]
        lines[at] = json.dumps(values).encode()
        return b"\n".join(lines) + b"\n"
    return data[: len(data) // 2] + rng.randbytes(9) + data[len(data) // 2 :]


def read_as_anything(text):
    for style in STYLES:
        found = parse(text, style)
        assert not (found.well_formed and not found.answer)
    unwrap_boxes(text)
    right = [
        gold for gold in ("7", "-7", "3/11", "1234567", "x^2+1", "(3,4)", "[3,4]", r"\{1,2\}") if at_once(gold, text)
    ]
    assert len(right) <= 1


def one_number_is_no_other(gold, other):
    verdict = [
        at_once(str(gold), form)
        for form in (f"{other:,}", f"{other}.0", f"${other}", f"{other} apples", f"x = {other}", f"{other}/1")
    ]
    assert verdict == [gold == other] * 6
    for form in (
        f"{gold}1",
        f"1{abs(gold)}1",
        f"{gold} or {gold + 1}",
        f"{gold}, {gold + 1}",
        f"{gold}+1",
        f"({gold},{gold})",
        f"{gold}.5",
    ):
        assert not at_once(str(gold), form)


def what_is_written_is_read(steps, answer):
    for style in ("hashes", "boxed"):
        assert parse(write(steps, answer, style), style).answer == answer
