"""`records.jsonl`: one JSON object an evaluation, appended, never rewritten."""

import contextlib
import fcntl
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from rarecot.documents import loads
from rarecot.errors import ConfigError
from rarecot.stages import STAGES

Record = dict[str, Any]

FILE = "records.jsonl"
IN_PARQUET = b"rarecot"  # key of a Parquet file's metadata under which generations keep their record
COMPLETIONS = "completions"  # folder of a run: the generations behind each record

# What makes two evaluations the same one; everything else in a record is measured or follows from these.
IDENTITY = (
    *("stage", "step", "split", "seed", "decoding", "temperature", "n", "samples"),
    *("max_new_tokens", "sampling_seed", "protocol", "suite", "asked_sha256", "model_sha256"),
)
MODEL = "model"  # the stage of a model that is evaluated as it is

STAGE_NAMES = {name: stage.title for name, stage in STAGES.items()}

FIELDS: dict[str, str] = {
    "stage": "sft, grpo, star or reinforce: what was training the model; model: one that is evaluated as it is",
    "model": "stage model only: the checkpoint's path or hub id, with its revision",
    "step": "optimizer steps of this stage",
    "round": "RL only: rounds of rollouts that the policy has learned from, so 0 is the policy that RL starts from",
    "sequences_seen": "demonstrations (sft) or rollouts (RL) of this stage so far",
    "tokens_seen": "tokens of this stage so far, prompts included, padding not; test split only",
    "split": "test: held-out problems; rollouts: what RL sampled for training",
    "seed": "of the run",
    "decoding": "greedy or sampled",
    "temperature": "of sampling; 0 when greedy",
    "n": "responses",
    "samples": "responses a problem",
    "max_new_tokens": "cap on a response in tokens, end-of-sequence included",
    "sampler": "what sampled, and in which data type",
    "sampling_seed": "of the random stream that sampled; test split only",
    "accuracy": "share of responses whose final answer is right",
    "accuracy_ci": "95 % interval, clustered by prompt",
    "accuracy_lenient": "the same where the protocol's lenient reading finds the answer; absent if it has none",
    "accuracy_lenient_ci": "95 % interval, clustered by prompt",
    "pass_at": "several samples only: k → probability that one of k responses is right (unbiased); accuracy is avg@samples",
    "pass_at_ci": "95 % intervals over problems",
    "maj_at": "several samples only: k → probability that the most frequent answer of k responses is right, ties by lot",
    "maj_at_ci": "95 % intervals over problems",
    "tokens_generated": "of all responses, end-of-sequence counted",
    "correct_per_1000_tokens": "right responses per 1 000 tokens generated",
    "length_mean": "response tokens, end-of-sequence not counted",
    "length_median": "the same",
    "length_p95": "the same",
    "length_correct_mean": "the same, of the right responses",
    "length_wrong_mean": "the same, of the others",
    "length_long_mean": "the same, of the long responses; null if there are none",
    "length_short_mean": "the same, of the short responses; null if there are none",
    "long_share": "share of responses with anything before the answer",
    "long_share_ci": "95 % interval, clustered by prompt",
    "long_share_by_length": "share of responses nearer in length to the long demonstrations than to the short ones",
    "long_from_tokens": "the length from which that is so: fewest demonstrations of the mixture on the wrong side",
    "accuracy_long": "accuracy of the long responses; null if there are none",
    "accuracy_long_ci": "95 % interval, clustered by prompt",
    "accuracy_short": "accuracy of the short responses; null if there are none",
    "accuracy_short_ci": "95 % interval, clustered by prompt",
    "truncated_share": "share of responses that were cut off",
    "truncated_share_ci": "95 % interval, clustered by prompt",
    "truncated_long_share": "share of the long responses that were cut off; null if there are none",
    "truncated_short_share": "share of the short responses that were cut off; null if there are none",
    "no_answer_share": "share of finished responses without a readable answer",
    "timed_out_share": "share of finished responses whose answer took too long to compare with the gold; counted as wrong",
    "unparseable_gold_share": "share of finished responses whose gold could not be read; counted as wrong, and not rewarded or punished",
    "protocol": "how the prompt was made and the answer read",
    "protocol_sha256": "of all that the protocol says; absent: native",
    "suite": "whose problems were asked, where they are not the run's own",
    "asked_sha256": "of what was asked and how it is read: prompt ids, golds, protocol; absent where a run asks its own problems as in training",
    "model_sha256": "stage model only: of the weights (samples of each file)",
    "loss_normalisation": "RL only: how the loss weighs tokens and sequences",
    "dead_group_share": "rollouts only: share of prompts whose responses all got the same reward",
    "reward_mean": "rollouts only: mean total reward",
    "reward_long_mean": "rollouts only: mean total reward of the long responses; null if there are none",
    "reward_short_mean": "rollouts only: mean total reward of the short responses; null if there are none",
    "kept_share": "STaR's rollouts only: share of responses that were kept for training",
    "kept_long_share": "STaR's rollouts only: share of the kept responses that are long; null if none was kept",
    "selection_reward": "rollouts only: what the rewards of correctness push the odds of long by, every response taken as finished and weighed alike "
    "(policy gradients: difference of the modes' mean advantages; STaR: log-ratio of what is kept of them, nats)",
    "selection_length": "the same: what the rewards of length add",
    "selection_truncation": "the same: what responses that were cut off add",
    "selection_normalisation": "the same: what the loss's weights add",
    "selection_importance": "the same: what importance sampling adds",
    "log_odds_shift": "policy gradients' rollouts only: change of the log-odds of long since before RL (nats), by weighing responses "
    "that were sampled then by what the policy makes of them now; far less noisy than the shares of two batches",
    "log_odds_ess": "the same: effective share of the responses behind it, of the worse mode (1: all weigh alike)",
    "log_ratio_mean_long": "vLLM rollouts only: mean of log π_trainer − log π_sampler over the long responses' tokens",
    "log_ratio_max_long": "the same: largest absolute value",
    "is_cut_share_long": "the same: share of tokens whose importance ratio was cut at its bound",
    "log_ratio_mean_short": "the same three, of the short responses",
    "log_ratio_max_short": "the same",
    "is_cut_share_short": "the same",
    "seconds": "wall time of the evaluation; in the file of its generations alone (until November 2026 here): the same run twice makes the same records",
}


_ALWAYS = {"stage": str, "step": int, "split": str, "decoding": str}
_WHOLE = {"n", "samples", "max_new_tokens", "sampling_seed"}
_TEXTS = {
    "model",
    "sampler",
    "protocol",
    "protocol_sha256",
    "suite",
    "asked_sha256",
    "model_sha256",
    "loss_normalisation",
}
_BY_K = {"pass_at", "maj_at", "pass_at_ci", "maj_at_ci"}


def faults(record: Mapping[str, Any]) -> list[str]:
    """What a record cannot hold, each as the end of a sentence that starts with its place; empty for every record that was written
    here."""
    found = [f"has no {name}" for name in _ALWAYS if name not in record]
    for name in FIELDS.keys() & record.keys():
        value = record[name]
        if name in _ALWAYS:
            fits = _is(value, _ALWAYS[name])
        elif name in _WHOLE:
            fits = _is(value, int)
        elif name in _TEXTS:
            fits = value is None or isinstance(value, str)
        elif name in _BY_K:
            fits = isinstance(value, dict)
        elif name.endswith("_ci"):
            fits = value is None or (
                isinstance(value, list) and len(value) == 2 and all(_is(end, float) for end in value)
            )
        else:
            fits = value is None or _is(value, float)
        if not fits:
            found.append(f"has {name} {str(value)[:40]!r}, which is not {FIELDS[name].split(';')[0]}")
    return found


def lacking(record: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """Those of some fields that a record does not have, or that are undefined in it (null, NaN, infinite)."""
    values = {name: record.get(name) for name in names}
    return [name for name, value in values.items() if value is None or (_is(value, float) and not math.isfinite(value))]


def _is(value: Any, kind: type) -> bool:
    return isinstance(value, int | float if kind is float else kind) and not isinstance(value, bool)


def is_own(record: dict[str, Any]) -> bool:
    """Whether an evaluation asked a run's own problems as in training: what curves, forecasts and verdicts are made of. Those under other
    protocols or of other suites stand beside."""
    return record.get("protocol", "native") == "native" and not record.get("suite")


def identity(record: dict[str, Any]) -> tuple[Any, ...]:
    """What makes a record this evaluation and no other."""
    return tuple(record.get(key) for key in IDENTITY)


NAMED_BY = ("temperature", "n", "samples", "max_new_tokens", "sampling_seed", "protocol")


def completions_name(record: dict[str, Any]) -> str:
    """File name of an evaluation's generations, from what identifies its record.

    Raises:
        ConfigError: it would be no name of a file in the folder of generations.
    """
    suite = f"-{record['suite']}" if record.get("suite") else ""
    suite += "".join(f"-{record[key][:8]}" for key in ("asked_sha256", "model_sha256") if record.get(key))
    name = (
        f"{record['stage']}-{record['step']:06d}-{record['split']}-{record['decoding']}"
        f"-t{record['temperature']:g}-n{record['n']}x{record['samples']}-max{record['max_new_tokens']}"
        f"-seed{record['sampling_seed']}-{record['protocol']}{suite}.parquet"
    )
    if Path(name).name != name:
        raise ConfigError(
            [
                f"a record names its stage, protocol or suite so that its file would be {name!r}. Take the line out of {FILE}."
            ]
        )
    return name


def read(run_dir: Path) -> list[dict[str, Any]]:
    """The records of a run in the order they were made; of equal ones the first. They are the caller's, but the lists and mappings in them
    are shared with later calls. A last line that a kill cut short is
    left out: it was never finished, and its evaluation will be made again.

    Raises:
        ConfigError: another line is damaged.
    """
    path = run_dir / FILE
    if path.is_symlink() and not path.exists():
        raise ConfigError(
            [f"{path} leads to {path.readlink()}, where nothing is. Put the file back, or take the link away."]
        )
    if not path.is_file():
        return []
    data, place = path.read_bytes(), path.absolute()
    known = _READ.get(place, _Beginning())
    if not data.startswith(known.data):
        known = _Beginning()
    unique = dict(known.unique)
    lines = data[len(known.data) :].split(b"\n")
    for number, line in enumerate(lines, known.lines + 1):
        if not line.strip():
            continue
        if (record := _record(line)) is not None:
            if found := faults(record):
                raise ConfigError([f"{path}:{number} {fault}. {_REMEDY}" for fault in found])
            unique.setdefault(identity(record), record)
        elif number < known.lines + len(lines):
            raise ConfigError([f"{path}:{number} is no whole JSON object. {_REMEDY}"])
    if not lines[-1].strip():
        _READ.pop(place, None)
        _READ[place] = _Beginning(data[: len(data) - len(lines[-1])], known.lines + len(lines) - 1, unique)
        if len(_READ) > REMEMBERED:
            _READ.pop(next(iter(_READ)))
    return [dict(record) for record in unique.values()]


@dataclass(frozen=True)
class _Beginning:
    """What a file began with when it was last read, whole lines. A run reads its records thousands of times: what was appended since is all
    that is parsed again, and nothing is taken as read whose bytes have changed."""

    data: bytes = b""
    lines: int = 0
    unique: dict[tuple[Any, ...], Record] = field(default_factory=dict)


REMEMBERED = 8  # files: a process reads one run over and over, or each run of a sweep once
_READ: dict[Path, _Beginning] = {}


_REMEDY = "Take the line out: what it recorded will be measured again."


def _record(line: bytes) -> Record | None:
    """The record in a line; None: it is damaged, or was cut short."""
    try:
        record = loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def append(run_dir: Path, record: dict[str, Any]) -> None:
    """Add one record as one line, in a single write.

    Raises:
        ValueError: a field that `FIELDS` does not name: every number has a documented meaning.
    """
    if unknown := sorted(set(record) - set(FIELDS)):
        raise ValueError(f"records have no field {', '.join(unknown)}; name it in evaluation/records.py first")
    with (run_dir / FILE).open("a+b") as file:
        with contextlib.suppress(OSError):  # a file system without locks: as unprotected as a single writer needs
            fcntl.lockf(file, fcntl.LOCK_EX)
        _end_last_line(file)
        file.write(json.dumps(record).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def _end_last_line(file: BinaryIO) -> None:
    """What a kill left of a line goes, and a whole one without an end gets it; the lock is held, so nobody is writing it."""
    end = file.seek(0, os.SEEK_END)
    file.seek(max(0, end - 1))
    if file.read() in (b"", b"\n"):
        return
    file.seek(0)
    data = file.read()
    start = data.rfind(b"\n") + 1
    if _record(data[start:]) is None:
        file.truncate(start)
    else:
        file.write(b"\n")
