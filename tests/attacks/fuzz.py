"""A coverage-guided fuzzer of what reads text and files that others wrote: parsers, the verifier, corpora, records, checkpoints.

    python tests/attacks/fuzz.py --seconds 600                           every target, the time shared out
    python tests/attacks/fuzz.py --seconds 120 --target verify --out DIR
    python tests/attacks/fuzz.py --target verify --again FILE            once more what was found

Needs atheris (libFuzzer). A finding is an exception that is not documented, a call that takes longer than `PATIENCE`, or a promise that does
not hold (an answer that is right for two different golds, a record that an append lost). Its input is kept; then the exit code is 1.
"""

import argparse
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests"), str(ROOT / "tests" / "verify")]

PATIENCE = 2.0  # seconds of processor time for one input of at most `LONGEST` bytes
LONGEST = 1024
# What answers and files are made of; the fuzzer puts them together.
PIECES = [
    *re.split(
        r"\s",
        r"""\boxed{ \fbox{ \boxed #### } { \{ \} ( ) [ ] , ; : . .. - + * ** ^ _ = < > ! | % $ & # ' " / \ \\ \frac{ \sqrt{ \pi \pm \cup \infty \text{
\le \in \overline{ \circ \begin{pmatrix} \end{pmatrix} \left \right \cdot \times \to \ne x y i e 0 1 7 10 12 100 0.5 1/2 1e400 1e9 0x10 1_000 NaN inf or and
not answer The final is Answer: cm % degrees million <think> </think> null true [[[ {{{ "step": "stage": "prompt": "answer": "solution": -1 99999999999 \u0000
\ud800 task: parity seed: n: p_cot: extends: &a *a - --- 9^{9^{9 ５ ٥ ² ½ − – × ∞ √ ° é ⁻""",
    ),
    *["\n", " ", "\r\n", "\u200b", "\u202e", "\u0338", "\ufeff"],
]
# No answer is two of these.
GOLDS = [
    "7",
    "12",
    "-7",
    "3/11",
    "1234567",
    r"2\sqrt{3}",
    r"\frac{\pi}{5}",
    "x^2+1",
    "3x",
    "(3,4)",
    "[3,4]",
    r"\{1,2,3\}",
    r"\text{Monday}",
    r"(-\infty,2]",
    "5,9",
]


@dataclass(frozen=True)
class Target:
    """What is attacked.

    Args:
        seeds: inputs to start from.
        check: tries one input in a folder of its own, and raises where a promise is broken.
    """

    seeds: Callable[[], list[bytes]]
    check: Callable[[bytes, Path], None]


def text_of(data: bytes) -> str:
    """Bytes as text: pieces by their number after a zero, else UTF-8 as far as it is."""
    if data[:1] == b"\0":
        return "".join(PIECES[byte % len(PIECES)] for byte in data[1:])
    return data.decode("utf-8", "replace")


def text_seeds() -> list[bytes]:
    """The labelled answers, and what is hostile, of the verifier's own tests."""
    from cases import cases
    from hostile import hostile

    texts = [response for _, response, _, _ in random.Random(0).sample(cases(), 300)] + hostile(200)
    return [text.encode("utf-8", "replace")[:LONGEST] for text in texts]


def answer_seeds() -> list[bytes]:
    from rarecot.parsing import parse

    found = [parse(seed.decode("utf-8", "replace"), "any").answer for seed in text_seeds()]
    return [answer.encode("utf-8", "replace") for answer in found if answer] + [gold.encode() for gold in GOLDS]


def parsing(data: bytes, folder: Path) -> None:
    from rarecot.parsing import STYLES, parse, unwrap_boxes, write

    text = text_of(data)
    for name in STYLES:
        found = parse(text, name)
        assert not (found.well_formed and not found.answer), f"{name}: well formed without an answer"
    unwrap_boxes(text)
    head, _, answer = text.rpartition("\n")
    answer = " ".join(answer.split())
    if answer and not re.search(r"[#\\{}\x1c-\x1f\x85\u2028\u2029]", answer):
        for name in ("hashes", "boxed"):
            assert parse(write(head, answer, name), name).answer == answer, (
                f"{name}: another answer is read than was written"
            )


def extraction(data: bytes, folder: Path) -> None:
    from rarecot import extraction as ways

    text = text_of(data)
    for find in (ways.hashes_number, ways.last_number, ways.final_answer, ways.stated_number, ways.answer_is):
        found = find(text)
        assert found is None or (0 <= found.start <= found.end <= len(text) and found.answer in text), find.__name__
    assert len(ways._without_thoughts(text)) == len(text)


def verify(data: bytes, folder: Path) -> None:
    """What notation alone decides."""
    from rarecot.verify import normal_form
    from rarecot.verify.compare import at_once, readable_at_once

    answer = text_of(data)
    right = [gold for gold in GOLDS if at_once(gold, answer)]
    assert len(right) <= 1, f"{answer!r} is right for {right}"
    if right and re.fullmatch(r"[0-9.,/$ ]*[0-9]", answer):
        assert not at_once(right[0], answer + "1"), f"{answer!r} stays right with a digit behind it"
    if right:
        for tail in (" or 8", ", 8", " + 1", r" \text{ and } 8"):
            assert not at_once(right[0], answer + tail), f"{answer!r} stays right with {tail!r} behind it"
    normal_form(answer)
    readable_at_once(answer)


def algebra(data: bytes, folder: Path) -> None:
    """The same with math-verify, in its own process."""
    answer = text_of(data[:400])
    pool = _pool()
    decided = dict(zip(GOLDS, pool.compare([(gold, answer) for gold in GOLDS]), strict=True))
    right = [gold for gold, verdict in decided.items() if verdict == "correct"]
    assert len(right) <= 1, f"{answer!r} is right for {right}"
    assert "unparseable_gold" not in decided.values(), f"{answer!r} makes a gold unreadable"


def _pool() -> "object":
    from rarecot.verify.pool import Pool

    if not _pools:
        _pools.append(Pool(workers=1, seconds=1.0, cache=0))
    return _pools[0]


_pools: list = []


def corpus_seeds() -> list[bytes]:
    lines = (ROOT / "tests" / "data" / "gsm8k" / "train.jsonl").read_bytes().splitlines(keepends=True)[:6]
    own = b'{"question": "1+1?", "answer": "We add.\\n#### 2", "level": 3}\n'
    return [
        b"".join(lines[:2]),
        *lines,
        own,
        b"\xef\xbb\xbf" + own,
        b"[" + own.strip() + b"," + own.strip() + b"]",
        b"[" * 2000,
        b"\n\n",
    ]


def corpus(data: bytes, folder: Path) -> None:
    from rarecot.errors import ConfigError
    from rarecot.tasks import Gsm8k

    raw = text_of(data).encode("utf-8", "replace") if data[:1] == b"\0" else data
    for suffix in ("jsonl", "json"):
        path = folder / f"train.{suffix}"
        path.write_bytes(raw)
        for skip in (False, True):
            try:
                loaded = Gsm8k(source=str(path), skip_bad_rows=skip).load()
            except ConfigError:
                continue
            assert all(map(str.strip, (*loaded.train.prompt, *loaded.train.answer))), "an empty problem was taken"
            "".join(loaded.train.long).encode()


def record_seeds() -> list[bytes]:
    import json

    one = {
        "stage": "sft",
        "step": 10,
        "split": "test",
        "seed": 0,
        "decoding": "greedy",
        "temperature": 0.0,
        "n": 4,
        "samples": 1,
        "protocol": "native",
    }
    lines = [
        json.dumps({**one, "step": step, "accuracy_ci": [0, 1], "pass_at": {"1": 0.5}}).encode() + b"\n"
        for step in (1, 2)
    ]
    return [*lines, b"".join(lines), lines[0] + lines[1][:-20], b"\n", lines[0][:-1]]


def records(data: bytes, folder: Path) -> None:
    from rarecot.errors import ConfigError
    from rarecot.evaluation import records as kept

    raw = text_of(data).encode("utf-8", "replace") if data[:1] == b"\0" else data
    (folder / kept.FILE).write_bytes(raw)
    new = {"stage": "grpo", "step": 3, "split": "test", "decoding": "greedy", "temperature": 0.0, "n": 8}
    try:
        before = kept.read(folder)
    except ConfigError:
        return
    kept.append(folder, new)
    after = kept.read(folder)
    assert str(after) == str(before if new in before else [*before, new]), "an append lost a record"
    for record in before:
        if not kept.lacking(record, kept.NAMED_BY):
            kept.completions_name(record)


def checkpoint_seeds() -> list[bytes]:
    import json

    header = json.dumps(
        {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, "__metadata__": {"format": "pt"}}
    ).encode()
    whole = len(header).to_bytes(8, "little") + header + bytes(8)
    return [
        whole,
        whole[:-1],
        (2**62).to_bytes(8, "little") + header,
        header,
        b'{"weight_map": {"w": "a.safetensors"}}',
        b'{"hidden_size": 8, "max_steps": 3, "global_step": 1}',
    ]


def checkpoints(data: bytes, folder: Path) -> None:
    from rarecot import checkpoints as saved
    from rarecot.errors import ConfigError
    from rarecot.rendering import fingerprint_of_folder

    raw = text_of(data).encode("utf-8", "replace") if data[:1] == b"\0" else data
    for name in (
        "model.safetensors",
        "model.safetensors.index.json",
        "config.json",
        "trainer_state.json",
        saved.STAMP,
        "tokenizer.json",
        saved.ADAPTER,
    ):
        (folder / name).write_bytes(raw)
    assert all(text.endswith(".") for text in saved.damage(folder))
    calls = (
        saved.read_stamp,
        saved.steps_left,
        saved.shape,
        saved.positions_of,
        saved.parameter_shapes,
        saved.base_of,
        fingerprint_of_folder,
    )
    for call in calls:
        try:
            call(folder)
        except ConfigError:
            continue


def generation_seeds() -> list[bytes]:
    from rarecot.evaluation.generations import save_responses
    from rarecot.types import Completion, Response

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.parquet"
        made = [Response(str(i), Completion([3, 2], "01", "stop"), "long", "correct", "1", "1") for i in range(2)]
        save_responses(path, made, ["1 + 1?", "2?"], {"stage": "sft", "samples": 1})
        return [path.read_bytes()]


def generations(data: bytes, folder: Path) -> None:
    from rarecot.errors import ConfigError
    from rarecot.evaluation.compare import read_answers
    from rarecot.evaluation.generations import read
    from rarecot.tasks.sources import read as read_source

    path = folder / "train.parquet"
    path.write_bytes(data)
    for call in (read, read_answers, lambda file: read_source(str(file))):
        try:
            call(path)
        except ConfigError:
            continue


def spec_seeds() -> list[bytes]:
    files = [*sorted((ROOT / "data_mixes").rglob("*.yaml"))[:12], *sorted((ROOT / "eval" / "suites").glob("*.yaml"))]
    return [path.read_bytes()[:LONGEST] for path in files]


def spec(data: bytes, folder: Path) -> None:
    from rarecot.errors import ConfigError
    from rarecot.evaluation.suite import read_suite
    from rarecot.mixtures.spec import MixtureSpec, read_mapping, spec_of_manifest

    raw = text_of(data).encode("utf-8", "replace") if data[:1] == b"\0" else data
    path = folder / "manifest.json"
    path.write_bytes(raw)
    for call in (
        lambda: MixtureSpec.from_mapping(read_mapping(path)),
        lambda: read_suite(path),
        lambda: spec_of_manifest(folder),
    ):
        try:
            call()
        except ConfigError:
            continue


TARGETS = {
    "parsing": Target(text_seeds, parsing),
    "extraction": Target(text_seeds, extraction),
    "verify": Target(answer_seeds, verify),
    "algebra": Target(answer_seeds, algebra),
    "corpus": Target(corpus_seeds, corpus),
    "records": Target(record_seeds, records),
    "checkpoints": Target(checkpoint_seeds, checkpoints),
    "generations": Target(generation_seeds, generations),
    "spec": Target(spec_seeds, spec),
}


def attack(name: str) -> None:
    """Run libFuzzer on one target, with the arguments that it finds in `sys.argv`. Does not return."""
    import atheris

    with atheris.instrument_imports(include=["rarecot"]):
        import rarecot.checkpoints
        import rarecot.evaluation.compare
        import rarecot.evaluation.suite
        import rarecot.mixtures.spec
        import rarecot.verify  # noqa: F401
    folder = Path(tempfile.mkdtemp(prefix="rarecot-fuzz-"))

    def once(data: bytes) -> None:
        started = time.process_time()
        TARGETS[name].check(data, folder)
        spent = time.process_time() - started
        assert spent < PATIENCE, f"it took {spent:.1f} seconds of processor time"

    atheris.Setup(sys.argv, once)
    atheris.Fuzz()


def run(name: str, seconds: int, out: Path) -> bool:
    """Attack one target for a time, and say what came out; whether anything was found."""
    corpus_dir = out / name / "corpus"
    corpus_dir.mkdir(parents=True, exist_ok=True)
    for i, seed in enumerate(TARGETS[name].seeds()):
        (corpus_dir / f"seed-{i:04d}").write_bytes(seed)
    words = out / name / "pieces.dict"
    words.write_text("".join('"' + "".join(f"\\x{byte:02x}" for byte in piece.encode()) + '"\n' for piece in PIECES))
    command = [
        *(
            sys.executable,
            "-P",
            __file__,
            "--child",
            name,
            str(corpus_dir),
            f"-max_total_time={seconds}",
            f"-max_len={LONGEST}",
            "-timeout=60",
        ),
        *("-rss_limit_mb=6000", "-print_final_stats=1", "-seed=1", f"-dict={words}", f"-artifact_prefix={out / name}/"),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace", timeout=seconds + 300)
    (out / name / "log").write_text(done.stdout + done.stderr)
    executed = re.findall(r"stat::number_of_executed_units:\s*(\d+)", done.stderr)
    covered = re.findall(r"cov: (\d+)", done.stderr)
    found = sorted(path for path in (out / name).iterdir() if path.name.startswith(("crash-", "timeout-", "oom-")))
    print(
        f"{name:12} {executed[-1] if executed else '?':>9} executions, {covered[-1] if covered else '?':>5} edges, {len(found)} findings",
        flush=True,
    )
    for path in found:
        said = re.findall(r"^(?:\w+\.)*\w*(?:Error|Exception|Exit)\b.*", done.stdout + done.stderr, re.MULTILINE)
        print(f"    {said[0] if said else 'see the log'}\n    kept: {path}   log: {out / name / 'log'}", flush=True)
    if done.returncode and not found:
        print(f"    the fuzzer itself ended with {done.returncode}: see {out / name / 'log'}", flush=True)
    return bool(found) or done.returncode != 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=600, help="of all targets together")
    parser.add_argument("--target", nargs="+", choices=TARGETS, default=list(TARGETS))
    parser.add_argument("--out", type=Path, help="keeps corpora, logs and findings (default: a new temporary folder)")
    parser.add_argument("--again", type=Path, help="an input that was kept: tried once, without the fuzzer")
    args = parser.parse_args()
    if args.again:
        for name in args.target:
            TARGETS[name].check(args.again.read_bytes(), Path(tempfile.mkdtemp()))
        return
    out = args.out or Path(tempfile.mkdtemp(prefix="rarecot-fuzz-"))
    found = [run(name, max(1, args.seconds // len(args.target)), out.resolve()) for name in args.target]
    print(f"inputs and logs: {out}")
    sys.exit(any(found))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child = sys.argv[2]
        sys.argv = [sys.argv[0], *sys.argv[3:]]
        attack(child)
    else:
        main()
