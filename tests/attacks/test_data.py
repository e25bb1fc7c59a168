"""Attacks on what reads text and files that others wrote: each is refused in a sentence, or read in time and without false credit."""

import json
import os
import random
import resource
import shutil
import struct
import subprocess
import sys
import time
import traceback
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from attacks.strategies import (
    CORPORA,
    DAMAGED,
    DEEP,
    GOOD,
    HEADER,
    NOT_THE_GOLD,
    POWERS,
    REPEATED,
    SQUARES,
    damaged,
    numbers,
    one_number_is_no_other,
    plain,
    read_as_anything,
    row,
    texts,
    weights,
    what_is_written_is_read,
)
from conftest import ROOT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_runs import make_run

from rarecot import checkpoints, model_files
from rarecot.documents import loads, read_json, read_yaml
from rarecot.errors import ConfigError
from rarecot.evaluation import generations, records
from rarecot.evaluation.agreement import _lighteval, _lm_eval
from rarecot.evaluation.compare import read_answers
from rarecot.hub import is_hub_id
from rarecot.mixtures.build import build, load
from rarecot.mixtures.spec import MixtureSpec, read_mapping
from rarecot.parsing import STYLES, parse, unwrap_boxes
from rarecot.report import generations as page
from rarecot.report.data import read_run
from rarecot.report.sweep.data import read_sweep
from rarecot.rewards import REWARDS
from rarecot.tasks import Jsonl
from rarecot.tasks.corpus import plain_words, problem_id, steps_of
from rarecot.verify import verify_all

FEW = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
MANY = settings(FEW, max_examples=4000)


def refusal(call) -> str:
    with pytest.raises(ConfigError) as refused:
        call()
    return " ".join(refused.value.problems)


def seconds(call) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


@pytest.mark.parametrize("name", SQUARES)
def test_a_text_costs_no_more_than_its_length(name):
    text, call = SQUARES[name]
    assert seconds(lambda: call(text)) < 1.5


@pytest.mark.slow
@pytest.mark.parametrize("piece", REPEATED)
def test_ten_megabytes_of_one_thing(piece):
    """Every style and the corpus's own readers; a harness's patterns over ten megabytes may take their seconds."""
    text = "x " + piece * (10**6 // len(piece)) + " the answer is 5"
    for style in STYLES:
        assert seconds(lambda style=style: parse(text, style)) < 3, style
    assert (
        seconds(lambda: (problem_id("x", text), plain_words(text, signs=True), steps_of(text), unwrap_boxes(text))) < 10
    )
    whole = "x " + piece * (10**7 // len(piece)) + "\n#### 5"
    assert seconds(lambda: (parse(whole, "hashes"), parse(whole, "boxed"), parse(whole, "any"))) < 20


@pytest.mark.parametrize(
    ("style", "frame"),
    [
        ("boxed", "\\boxed{@}"),
        pytest.param("hashes", "So.\n#### @", marks=pytest.mark.slow),
        pytest.param("any", "The answer is @", marks=pytest.mark.slow),
    ],
)
def test_what_is_not_the_gold_never_scores(style, frame):
    pairs = [(gold, answer) for gold, answers in NOT_THE_GOLD.items() for answer in answers]
    found = verify_all(
        [gold for gold, _ in pairs], [frame.replace("@", answer) for _, answer in pairs], [style] * len(pairs)
    )
    assert [pair for pair, verdict in zip(pairs, found, strict=True) if verdict == "correct"] == []


def test_stars_are_powers_between_operands_and_bold_type_around_them():
    found = verify_all(
        [gold for gold, _ in POWERS], [f"#### {answer}" for _, answer in POWERS], ["hashes"] * len(POWERS)
    )
    assert [pair for pair, verdict in zip(POWERS, found, strict=True) if verdict != "correct"] == []


test_any_text_is_read = FEW(given(texts)(read_as_anything))
test_a_number_is_no_other = FEW(given(numbers, numbers)(one_number_is_no_other))
test_what_is_written_is_read = FEW(given(texts, plain)(what_is_written_is_read))
test_any_text_is_read_at_length = pytest.mark.slow(MANY(given(texts)(read_as_anything)))
test_a_number_is_no_other_at_length = pytest.mark.slow(MANY(given(numbers, numbers)(one_number_is_no_other)))
test_what_is_written_is_read_at_length = pytest.mark.slow(MANY(given(texts, plain)(what_is_written_is_read)))


@FEW
@given(texts, numbers)
def test_rewards_pay_for_the_gold_alone(text, gold):
    batch = {"completions": [text], "answer": [str(gold)], "style": ["hashes"]}
    paid = {name: REWARDS[name](**batch)[0] for name in ("answer", "format")}
    if str(abs(gold)) not in "".join(c for c in text if c.isdigit()):
        assert set(paid.values()) <= {0.0, None}


@pytest.mark.parametrize("name", CORPORA)
def test_corpora_that_cannot_be_read(tmp_path, name):
    content, file, *expected = CORPORA[name]
    (tmp_path / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    text = refusal(Jsonl(source=str(tmp_path / file)).load)
    assert all(word in text for word in (file, *expected)), text


def test_corpora_that_can(tmp_path):
    path = tmp_path / "c.jsonl"
    for content in (
        GOOD.strip(),
        "\ufeff" + GOOD,
        GOOD.replace("\n", "\r\n"),
        "\n\n" + GOOD + "\n \n",
        row(answer=2),
        row(prompt="\U0010fffd 𝟙é\u2028?"),
    ):
        path.write_text(content, encoding="utf-8", newline="")
        assert Jsonl(source=str(path)).load().train.answer == ["2"]


BAD_UTF8 = pa.Array.from_buffers(
    pa.string(), 1, [None, pa.py_buffer(struct.pack("<ii", 0, 2)), pa.py_buffer(b"\xff\xfe")]
)


@pytest.mark.parametrize(
    ("columns", "names", "expected"),
    [
        ([["a"], ["b"], ["c"], ["d"]], ["prompt", "prompt", "solution", "answer"], "several columns prompt"),
        ([[b"a\xff"], ["b"], ["c"]], ["prompt", "solution", "answer"], "bytes"),
        ([BAD_UTF8, ["b"], ["c"]], ["prompt", "solution", "answer"], "utf-8"),
        ([["a"], ["b"]], ["prompt", "solution"], "no column 'answer'"),
        ([["a"], ["b"], [[1, 2]]], ["prompt", "solution", "answer"], "list"),
    ],
)
def test_parquet_of_another_schema(tmp_path, columns, names, expected):
    path = tmp_path / "c.parquet"
    pq.write_table(pa.table([pa.array(column) for column in columns], names=names), path)
    assert expected in refusal(Jsonl(source=str(path)).load)


def test_parquet_that_was_cut_short_or_scratched(tmp_path):
    path = tmp_path / "c.parquet"
    pq.write_table(
        pa.table({name: [f"{name} {i}" for i in range(50)] for name in ("prompt", "solution", "answer")}), path
    )
    whole, rng, refused = path.read_bytes(), random.Random(0), 0
    for _ in range(150):
        data = bytearray(whole[: rng.randrange(len(whole))] if rng.random() < 0.3 else whole)
        for _ in range(rng.randint(1, 6) if data else 0):
            data[rng.randrange(len(data))] = rng.randrange(256)
        path.write_bytes(data)
        try:
            Jsonl(source=str(path)).load()
        except ConfigError:
            refused += 1
    assert refused > 50


def test_places_that_are_no_files(tmp_path):
    (tmp_path / "folder" / "train.jsonl").mkdir(parents=True)
    (tmp_path / "loop").mkdir()
    (tmp_path / "loop" / "train.jsonl").symlink_to(tmp_path / "loop" / "train.jsonl")
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "pipe" / "train.jsonl")
    for name in ("folder", "loop", "pipe"):
        assert "train.jsonl" in refusal(Jsonl(source=str(tmp_path / name)).load)
    for source in (
        str(tmp_path / "loop" / "train.jsonl"),
        "a" * 5000,
        "~nobody-at-all/x",
        "a\0b",
        "\ud800",
        "/".join("ab" * 3000),
    ):
        assert "there is no source" in refusal(Jsonl(source=source).load)
    assert not is_hub_id("~nobody-at-all/x")
    assert not is_hub_id("a" * 300 + "/b")


def test_a_file_whose_reading_fails(tmp_path):
    (tmp_path / "c.jsonl").symlink_to("/proc/self/mem")  # opens, and gives an error at its first byte
    assert "cannot be read (Input/output error)" in refusal(Jsonl(source=str(tmp_path / "c.jsonl")).load)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "start"), [("c.jsonl", b""), ("c.json", b"[")])
def test_a_line_of_a_gigabyte_is_refused_with_bounded_memory(tmp_path, name, start):
    path = tmp_path / name
    with path.open("wb") as file:
        file.write(start)
        file.truncate(1 << 30)
    code = "import sys; from rarecot.tasks import Jsonl; Jsonl(source=sys.argv[1]).load()"
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, path], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{name}: {time.monotonic() - begun:.1f} s, peak {peak:.0f} MiB")
    assert "ConfigError" in done.stderr
    assert name in done.stderr
    assert peak < 1500


RECORD = {"stage": "sft", "step": 1, "split": "test", "decoding": "greedy", "temperature": 0.0, "n": 4}


@pytest.mark.parametrize(
    "line",
    [
        *("[1]", "3", "null", '"a"', "{", DEEP, '{"step":' + "1" * 5000 + "}", "{}", "\0", "NaN"),
        *(
            json.dumps({**RECORD, **change})
            for change in (
                {"stage": []},
                {"step": "1"},
                {"step": True},
                {"step": None},
                {"split": {}},
                {"accuracy": "half"},
            )
        ),
        *(
            json.dumps({**RECORD, **change})
            for change in ({"accuracy_ci": [1]}, {"pass_at": 3}, {"n": "4"}, {"protocol": 5}, {"seed": [1]}, {"n": 4.5})
        ),
    ],
    ids=range(22),
)
def test_a_damaged_record_is_named_and_the_last_of_a_kill_left_out(tmp_path, line):
    path = tmp_path / records.FILE
    path.write_text(json.dumps(RECORD) + "\n" + line + "\n" + json.dumps({**RECORD, "step": 2}) + "\n")
    assert f"{records.FILE}:2" in refusal(lambda: records.read(tmp_path))


def any_bytes_lose_no_record(folder, data):
    (folder / records.FILE).write_bytes(data)
    try:
        before = records.read(folder)
    except ConfigError:
        return
    records.append(folder, RECORD)
    assert records.read(folder) == [*before, RECORD]


@FEW
@given(st.binary(max_size=60), st.integers(0, 200))
def test_an_append_loses_no_record(tmp_path, data, cut):
    whole = (json.dumps({**RECORD, "step": 7}) + "\n").encode() * 2
    any_bytes_lose_no_record(tmp_path, whole[: len(whole) - cut] + data)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (weights(HEADER, 2**63), "ends too early"),
        (weights(HEADER, 2**40), "ends too early"),
        (weights(HEADER, data=bytes(7)), "ends too early"),
        (b"", "ends too early"),
        (b"\1", "ends too early"),
        (weights(b"not JSON"), "no header"),
        (weights(b"[]"), "no header"),
        (weights(DEEP.encode()), "no header"),
        (weights(b'{"w": 3}'), "no header"),
        (weights(b'{"w": {"shape": [2]}}'), "no header"),
        (weights(HEADER.replace(b"[0, 8]", b"[0, -8]")), "no header"),
        (weights(HEADER.replace(b"[0, 8]", b"[8, 0]")), "no header"),
        (weights(HEADER.replace(b"[0, 8]", b'["0", "8"]')), "no header"),
        (weights(HEADER.replace(b"[2]", b"[-2]")), "no header"),
        (weights(HEADER.replace(b"[2]", b"[1e400]")), "no header"),
    ],
)
def test_weights_that_lie(tmp_path, content, expected):
    (tmp_path / "model.safetensors").write_bytes(content)
    assert [expected in text for text in model_files.damage(tmp_path)] == [True]
    assert expected in refusal(lambda: model_files.parameter_shapes(tmp_path))


def test_a_header_of_gigabytes_is_not_read(tmp_path):
    path = tmp_path / "model.safetensors"
    with path.open("wb") as file:
        file.write((3 << 30).to_bytes(8, "little"))
        file.truncate(4 << 30)  # sparse
    assert seconds(lambda: model_files.damage(tmp_path)) < 0.5
    assert "claims a header of 3221225472 bytes" in model_files.damage(tmp_path)[0]


def test_whole_weights_are_read(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(weights(HEADER))
    assert model_files.damage(tmp_path) == []
    assert model_files.parameter_shapes(tmp_path) == {"w": [2]}


@pytest.mark.parametrize(
    "content", ["", "[]", "{", DEEP, '{"hidden_size": "x", "max_position_embeddings": -1}', "null", "\ud800"]
)
def test_damaged_files_of_a_checkpoint_are_named(tmp_path, content):
    calls = {
        checkpoints.STAMP: checkpoints.read_stamp,
        "config.json": model_files.positions_of,
        "trainer_state.json": checkpoints.steps_left,
        checkpoints.ADAPTER: checkpoints.base_of,
        "model.safetensors.index.json": lambda folder: (
            model_files.damage(folder) and (_ for _ in ()).throw(ConfigError(model_files.damage(folder)))
        ),
    }
    for name, call in calls.items():
        (tmp_path / name).write_bytes(content.encode("utf-8", "surrogatepass"))
        if not (name == checkpoints.STAMP and content.startswith('{"')):
            assert name in refusal(lambda call=call: call(tmp_path))
    if content.startswith('{"'):
        assert "hidden_size" in refusal(lambda: model_files.shape(tmp_path))


def test_json_and_yaml_are_read_whole_or_refused(tmp_path):
    for text in (DEEP, "1" * 5000, '{"a": 1, "a": 2}', "{", ""):
        with pytest.raises(ValueError):  # noqa: PT011 - whatever it says
            loads(text, unique=True)
    for name, content in {
        "latin": b"a: \xe9",
        "deep": b"[" * 1000,
        "list": b"- a",
        "number": b"3: 4",
        "date": b"a: 2020-99-99",
        "tag": b"!!python/object:os.x {}",
    }.items():
        (tmp_path / name).write_bytes(content)
        assert name in refusal(lambda name=name: read_yaml(tmp_path / name))
    assert "nowhere" in refusal(lambda: read_json(tmp_path / "nowhere", "Restore it."))


@pytest.mark.parametrize(
    "text", ["task: parity\nseed: -1", "extends: 3", "extends: [a]", "3: 4", "task: [parity]", "n: .inf"]
)
def test_specs_that_make_no_sense(tmp_path, text):
    (tmp_path / "spec.yaml").write_text(text)
    refusal(lambda: MixtureSpec.from_mapping(read_mapping(tmp_path / "spec.yaml")))


def test_a_scratched_mixture_is_refused(tmp_path):
    build(MixtureSpec.from_mapping({"task": "parity", "d": 8, "n": 8, "n_rl": 4, "n_test": 4})).save(tmp_path / "whole")
    rng = random.Random(0)
    for case in range(40):
        folder = shutil.copytree(tmp_path / "whole", tmp_path / str(case))
        victim = rng.choice(sorted(folder.rglob("*.arrow")))
        victim.write_bytes(damaged(victim.read_bytes(), ".arrow", rng))
        assert folder.name in refusal(lambda folder=folder: load(folder))


def test_names_and_counts_of_generations_that_lie(tmp_path):
    made = pa.table(
        {
            "problem_id": ["a", "b"],
            "prompt": ["a", "b"],
            "text": ["1", "1"],
            "verdict": ["wrong"] * 2,
            "length": [1, 1],
            "kind": ["long"] * 2,
        }
    )
    path = tmp_path / "sft-000001-test-greedy-te-n1x1-max1-seed1-native.parquet"
    pq.write_table(made, path)
    assert generations.read(path).record == {}
    for samples in (0, -1, 3, "2", 1.5):
        pq.write_table(made.replace_schema_metadata({records.IN_PARQUET: json.dumps({"samples": samples})}), path)
        if samples:
            assert "which is not" in refusal(lambda: read_answers(path))
    pq.write_table(made.replace_schema_metadata({records.IN_PARQUET: DEEP}), path)
    assert "not JSON" in refusal(lambda: generations.read(path))


def test_another_harness_s_files(tmp_path):
    path = tmp_path / "samples.jsonl"
    sample = {
        "doc": {"question": "one\u2028two?"},
        "resps": [["5"]],
        "filtered_resps": ["5"],
        "exact_match": 1.0,
        "filter": "flexible",
    }
    path.write_text(json.dumps(sample, ensure_ascii=False) + "\n")
    assert [judged.problem for judged in _lm_eval(path, "lenient")] == ["one\u2028two?"]
    for damage in ({"doc": 3}, {"resps": []}, {"resps": None}, {"filtered_resps": []}):
        path.write_text(json.dumps({**sample, **damage}) + "\n")
        assert "samples.jsonl" in refusal(lambda: _lm_eval(path, "lenient"))
    path.write_text("3\n" + DEEP)
    assert "samples.jsonl" in refusal(lambda: _lm_eval(path, "lenient"))
    path = tmp_path / "details.parquet"
    for table in (
        b"PAR1",
        {"doc": [3], "metric": [3], "model_response": [3]},
        {"doc": [{"query": "a"}], "metric": [None], "model_response": [{"text": []}]},
    ):
        path.write_bytes(table) if isinstance(table, bytes) else pq.write_table(pa.table(table), path)
        assert "details.parquet" in refusal(lambda: _lighteval(path))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    make_run(folder)
    return folder


@pytest.mark.parametrize("name", ["manifest.json", "config.yaml", "versions.json", records.FILE])
def test_a_damaged_file_of_a_run_is_named(tmp_path, run, name):
    for file in ("manifest.json", "config.yaml", records.FILE):
        (tmp_path / file).write_bytes((run / file).read_bytes())
    for content in DAMAGED:
        (tmp_path / name).write_bytes(content + b"\n" + (b"{}\n" if name == records.FILE else b""))
        if name != "versions.json" or content.startswith((b"[", b"{", b"null")):  # YAML is no harm to it
            assert name in refusal(lambda: read_run(tmp_path))


def test_a_run_whose_config_is_damaged_is_not_gone_on_with(tmp_path):
    from rarecot.training.run import _read

    for content in (b"", b"[1]", b"sft: 3", b"sft: {", b"\x00", b"\xff\xfe"):
        (tmp_path / "config.yaml").write_bytes(content)
        assert "config.yaml" in refusal(lambda: _read(tmp_path / "config.yaml"))


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"runs": 3}', '{"name": "a", "figure": [], "runs": [{}]}', DEEP])
def test_a_damaged_sweep_is_named(tmp_path, content):
    (tmp_path / "sweep.json").write_text(content)
    assert "sweep.json" in refusal(lambda: read_sweep(tmp_path))


@pytest.mark.slow
def test_reports_and_pages_over_damaged_runs_are_made_or_refused(tmp_path, run):
    from rarecot.report import figures, html

    rng, faults, refused = random.Random(0), [], 0
    for case in range(120):
        folder = tmp_path / str(case)
        for path in run.rglob("*"):
            if path.is_file():
                (folder / path.relative_to(run)).parent.mkdir(parents=True, exist_ok=True)
                (folder / path.relative_to(run)).write_bytes(path.read_bytes())
        victims = sorted(path for path in folder.rglob("*") if path.is_file())
        victim = rng.choice([*victims, *[path for path in victims if path.suffix != ".parquet"] * 5])
        victim.write_bytes(damaged(victim.read_bytes(), victim.suffix, rng))
        for call in (
            lambda f=folder: page.write(page.find(f), f / "page.html", "t"),
            lambda f=folder, drawn=case % 4 == 0: _report(f, figures if drawn else None, html),
        ):
            try:
                call()
            except ConfigError:
                refused += 1
            except Exception:  # any other is a finding, and all are wanted at once
                faults.append((victim.name, traceback.format_exc()[-600:]))
    assert faults == []
    assert refused > 40


def _report(folder: Path, figures, html) -> None:
    data = read_run(folder)
    pictures = figures.save_all([data], folder / "figures") if figures else None
    if pictures:
        html.write([data], pictures, folder / "report.html", "")
    html.text_table([data])
