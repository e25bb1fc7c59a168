"""Our evaluation against another harness's, example by example.

Two harnesses may differ in what the model wrote (prompt, stop, arithmetic) or in what they read in it. Each disagreement says which; where
both wrote the same, the text and both readings are there to see who is right.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from rarecot.documents import loads, why
from rarecot.errors import ConfigError
from rarecot.evaluation.generations import read
from rarecot.evaluation.protocols import protocol_named
from rarecot.parsing import parse
from rarecot.verify import verify_all

Reading = Literal["strict", "lenient"]


@dataclass(frozen=True)
class Judged:
    """One example as a harness sees it.

    Args:
        problem: its text.
        response: what the model wrote.
        right: whether the answer was found right.
        read: what was taken for the answer; None: not known.
    """

    problem: str
    response: str
    right: bool
    read: str | None


@dataclass(frozen=True)
class Disagreement:
    """An example on which two harnesses differ.

    Args:
        gold: the gold answer.
        ours: our example.
        theirs: theirs.
        same_text: whether the model wrote the same in both.
        ours_on_theirs: whether we find their response right.
    """

    gold: str
    ours: Judged
    theirs: Judged
    same_text: bool
    ours_on_theirs: bool


@dataclass(frozen=True)
class Agreement:
    """What came of holding two harnesses against each other.

    Args:
        examples: in both.
        same_text: in how many the model wrote the same.
        same_answer: of those whose text is the same and whose other reading is known, in how many both read the same answer.
        answers_known: how many those are.
        ours: found right by us.
        theirs: found right by them.
        ours_on_theirs: found right by us in what the model wrote for them.
        disagreements: each of them.
    """

    examples: int
    same_text: int
    same_answer: int
    answers_known: int
    ours: int
    theirs: int
    ours_on_theirs: int
    disagreements: tuple[Disagreement, ...]


def agreement(ours: Path, theirs: Path, reading: Reading, task: str = "gsm8k", protocol: str = "") -> Agreement:
    """Hold a file of our generations against another harness's details.

    Args:
        ours: Parquet that `eval/run.py --out` wrote.
        theirs: lighteval's details (Parquet), or samples of lm-evaluation-harness (JSONL).
        reading: which of our protocol's two.
        task: whose protocol it is.
        protocol: the YAML of a protocol of one's own; empty: by the name in our file.

    Raises:
        ConfigError: a file that is neither, more than one response a problem, or no problem in common.
    """
    mine, golds, style = _ours(ours, reading, task, protocol)
    others = _lighteval(theirs) if theirs.suffix == ".parquet" else _lm_eval(theirs, reading)
    by_problem = {_key(judged.problem): judged for judged in others}
    pairs = [
        (m, by_problem[_key(m.problem)], gold)
        for m, gold in zip(mine, golds, strict=True)
        if _key(m.problem) in by_problem
    ]
    if not pairs:
        raise ConfigError([f"{ours} and {theirs} have no problem in common. Evaluate both on the same problems."])
    verdicts = verify_all([gold for *_, gold in pairs], [t.response for _, t, _ in pairs], [style] * len(pairs))
    on_theirs = [verdict == "correct" for verdict in verdicts]
    same = [m.response.strip() == t.response.strip() for m, t, _ in pairs]
    known = [(m, t) for (m, t, _), equal in zip(pairs, same, strict=True) if equal and t.read is not None]
    return Agreement(
        examples=len(pairs),
        same_text=sum(same),
        same_answer=sum(_number(m.read) == _number(t.read) for m, t in known),
        answers_known=len(known),
        ours=sum(m.right for m, *_ in pairs),
        theirs=sum(t.right for _, t, _ in pairs),
        ours_on_theirs=sum(on_theirs),
        disagreements=tuple(
            Disagreement(gold, m, t, equal, found)
            for (m, t, gold), equal, found in zip(pairs, same, on_theirs, strict=True)
            if m.right != t.right
        ),
    )


def _ours(path: Path, reading: Reading, task: str, name: str) -> tuple[list[Judged], list[str], str]:
    kept = read(path)
    record, table = kept.record, kept.table
    if record.get("samples") != 1:
        raise ConfigError(
            [f"{path} must be generations of eval/run.py with one response a problem, such as its greedy ones."]
        )
    protocol = protocol_named(name or record["protocol"], task)
    if record.get("protocol_sha256") not in (None, protocol.sha256):
        raise ConfigError([f"{path} was made under a protocol {protocol.name} that has changed since. Evaluate again."])
    style = getattr(protocol, reading)
    if not style:
        raise ConfigError(
            [f"protocol {protocol.name} names no {reading} style of its own, so there is nothing to compare."]
        )
    column = "verdict" if reading == "strict" else "verdict_lenient"
    rows = table.select(["prompt", "text", "gold", column]).to_pylist()
    mine = [Judged(r["prompt"], r["text"], r[column] == "correct", parse(r["text"], style).answer) for r in rows]
    return mine, [r["gold"] for r in rows], style


def _lighteval(path: Path) -> list[Judged]:
    try:
        with pq.ParquetFile(path) as parquet:
            rows = parquet.read().to_pylist()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ConfigError([f"{path} is not a whole Parquet file ({why(error)}). Fetch it again."]) from error
    if not rows or not {"doc", "metric", "model_response"} <= set(rows[0]):
        raise ConfigError([f"{path} is no details file of lighteval: it lacks doc, metric or model_response."])
    found = []
    for number, row in enumerate(rows, 1):
        try:
            read = (row["doc"].get("specific") or {}).get("extracted_predictions") or [None]
            problem = row["doc"]["query"].removeprefix("Question: ").removesuffix("\nAnswer:")
            right = bool(next(iter(row["metric"].values())))
            found.append(Judged(problem, row["model_response"]["text"][0], right, read[0]))
        except (AttributeError, IndexError, KeyError, StopIteration, TypeError) as error:
            raise ConfigError([f"{path} row {number} is not as lighteval writes it. Evaluate there again."]) from error
    return found


def _lm_eval(path: Path, reading: Reading) -> list[Judged]:
    try:
        rows = [loads(line) for line in path.read_bytes().split(b"\n") if line.strip()]
    except (OSError, ValueError) as error:
        raise ConfigError([f"{path} is no samples file of lm-evaluation-harness ({error})."]) from error
    if not all(isinstance(row, dict) and isinstance(row.get("doc", {}), dict) for row in rows):
        raise ConfigError([f"{path} is no samples file of lm-evaluation-harness: a line of it is no such object."])
    filters = {row.get("filter") for row in rows}
    wanted = {"strict-match"} if reading == "strict" else filters - {"strict-match"}
    chosen = [row for row in rows if len(filters) == 1 or row.get("filter") in wanted]
    needed = {"doc", "resps", "filtered_resps", "exact_match"}
    if not chosen or not all(needed <= set(row) and {"question", "problem"} & set(row["doc"]) for row in chosen):
        raise ConfigError(
            [
                f"{path} is no samples file of lm-evaluation-harness for GSM8K or MATH: it lacks {', '.join(sorted(needed))}."
            ]
        )
    try:
        return [
            Judged(_text(row["doc"]), row["resps"][0][0], bool(row["exact_match"]), _read(row["filtered_resps"][0]))
            for row in chosen
        ]
    except (IndexError, KeyError, TypeError) as error:
        raise ConfigError([f"{path} holds a problem without a response. Evaluate there again."]) from error


def _read(found: str) -> str:
    """What lm-evaluation-harness read; it writes `[invalid]` where there was nothing to read."""
    return "" if found == "[invalid]" else found


def _text(doc: dict[str, Any]) -> str:
    return doc.get("question") or doc["problem"]


def _key(problem: str) -> str:
    return " ".join(problem.split())


def _number(answer: Any) -> str | None:
    """An answer as one writes it for comparing: without currency, separators and percent signs (lighteval's: a hundredth), a number without
    zeros at its end; None where there is none."""
    text = re.sub(r"[$,\s%]|\*\(1/100\)", "", str(answer)) if answer is not None else ""
    try:
        return f"{float(text):.10g}"
    except ValueError:
        return text or None


def in_words(found: Agreement, shown: int = 20, tail: int = 160) -> str:
    """For a terminal: the counts, then each disagreement with both readings.

    Args:
        found: what came out.
        shown: disagreements that are written out.
        tail: characters of a response's end.
    """
    lines = [
        f"{found.examples} examples; right by us {found.ours}, by them {found.theirs}, and what they generated, by us: {found.ours_on_theirs}",
        f"the model wrote the same in {found.same_text}; of these both read the same answer in {found.same_answer} of {found.answers_known}",
        f"{len(found.disagreements)} disagreements",
    ]
    for case in found.disagreements[:shown]:
        lines += _case(case, tail)
    return "\n".join(lines)


def _case(case: Disagreement, tail: int) -> Sequence[str]:
    def said(who: str, judged: Judged) -> str:
        verdict = "right" if judged.right else "wrong"
        return f"  {who} {verdict}, read {judged.read!r}: …{judged.response[-tail:]!r}"

    why = "the same text, read otherwise" if case.same_text else "other texts"
    head = f"- {case.ours.problem[:70]!r}, gold {case.gold!r}: {why}; their text is {'right' if case.ours_on_theirs else 'wrong'} by us"
    return [head, said("ours  ", case.ours), said("theirs", case.theirs)]
