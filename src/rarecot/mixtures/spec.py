"""What a mixture is: the options, where they may lie, and what is wrong with them."""

import dataclasses
import typing
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rarecot.documents import read_json, read_yaml
from rarecot.errors import ConfigError, nearest
from rarecot.tasks import TASKS, Corpus, Task
from rarecot.tasks.corpus import TextCorpus
from rarecot.values import coerce, path_problem, shown, within

MANIFEST = "manifest.json"
DAMAGED = "Restore it, or build or train again."  # what to do about one
# One independent random stream a purpose, so that resizing one split leaves the others as they were.
TEST, RL, TRAIN, SHARE, SHOWN = 1, 2, 3, 4, 5

MOST = 10**9  # problems of a split
SEEDS = "[0, 4294967295]"  # what NumPy's generators take
RL_SPLITS = ("held_out", "train")
SHARE_TOLERANCE = 0.02  # largest relative gap between p_cot and what a block of an online mixture can hold


@dataclass(frozen=True)
class MixtureSpec:
    """D(p_cot) of a task (PAPER §1), and the problems held out for RL and for testing.

    Args:
        task: the task with its options.
        p_cot: share of training demonstrations that are long, in [0, 1].
        n: training demonstrations (fixed set), or demonstrations a block (online); 0: all that a corpus has left.
        online: fresh demonstrations for ever instead of a fixed set. The share is exact in every block of n.
        n_rl: problems whose prompts RL samples from; 0: all of the training problems (rl_split: train).
        rl_split: `held_out`: RL's problems are not trained on; `train`: they are the training problems.
        n_test: problems that are only ever evaluated; 0: all of a corpus's test split. They are its first ones.
        stratify: an attribute of a corpus (`level`, `subject`, `dataset`) in each of whose values p_cot holds, and whose
            proportions every subset keeps; empty: none.
        seed: of problems, noise and of which demonstrations are long.
    """

    task: Task
    p_cot: float = 0.25
    n: int = 1000
    online: bool = False
    n_rl: int = 1024
    rl_split: str = "held_out"
    n_test: int = 512
    stratify: str = ""
    seed: int = 0

    @property
    def n_long(self) -> int:
        """Long demonstrations among the n (of each block, when online): exactly round(p_cot · n)."""
        return round(self.p_cot * self.n)

    def rng(self, *stream: int) -> np.random.Generator:
        """The random stream of a purpose (`TEST`, …), and of a block of it."""
        return np.random.default_rng([self.seed, *stream])

    def to_mapping(self) -> dict[str, Any]:
        """The flat mapping that a YAML would hold; `from_mapping` inverts it."""
        own = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "task"}
        name = next(name for name, cls in TASKS.items() if isinstance(self.task, cls))
        return {"task": name, **dataclasses.asdict(self.task), **own}

    def identity(self) -> dict[str, Any]:
        """What a checkpoint trained on this mixture and one that goes on from it must share."""
        own = self.task.identity()
        return own if isinstance(self.task, Corpus) else {"task": self.to_mapping()["task"], **own}

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], where: str = "the mixture") -> "MixtureSpec":
        """Build a spec from a flat mapping: `task`, the task's options, and the fields above.

        Raises:
            ConfigError: everything that is wrong, at once: an unknown task or key, a wrong type, a value out of
                range, splits that are empty or larger than the task has problems.
        """
        spec, problems = cls.examine(values, where)
        if problems or spec is None:
            raise ConfigError(problems)
        return spec

    @classmethod
    def examine(cls, values: Mapping[str, Any], where: str) -> tuple["MixtureSpec | None", list[str]]:
        """The spec and what is wrong with it; None where not even the task can be made of it. For a caller that has
        more to check and wants to report everything together."""
        if "task" not in values:
            return None, [f"{where} names no task. Add `task:` with one of: {', '.join(TASKS)}."]
        name = str(values["task"])
        if name not in TASKS:
            return None, [f"{where}: unknown task {shown(name)}{nearest(name[:100], TASKS)} Known: {', '.join(TASKS)}."]
        task_class = TASKS[name]
        own, options = _types(cls), _types(task_class)
        problems, clean = [], {}
        for key, value in values.items():
            if key == "task":
                continue
            kind = own.get(key) or options.get(key)
            if kind is None:
                known = [*own, *options]
                problems.append(f"{where}: '{key}' is no option of a {name} mixture{nearest(key, known)}")
                continue
            try:
                read = coerce(value, kind)
                if isinstance(read, str) and len(read) > 1000:
                    raise ValueError(f"is {shown(read)}: no name or path is as long. Shorten it.")
                clean[key] = read
            except ValueError as error:
                problems.append(f"{where}: {key} {error}")
        task = task_class(**{k: v for k, v in clean.items() if k in options})
        spec = cls(task=task, **{k: v for k, v in clean.items() if k in own})
        problems += [f"{where}: {problem}" for problem in spec.problems()]
        return (None if task.problems_with_options() else spec), problems

    def problems(self) -> list[str]:
        """What is wrong with the values, a sentence each."""
        found = self.task.problems_with_options()
        if not 0 <= self.p_cot <= 1:
            found.append(
                f"p_cot is {self.p_cot}: it is the share of demonstrations that are long, so it lies between 0 and 1."
            )
        if self.seed < 0:
            found.append(f"seed is {self.seed}: random streams start from 0 or more.")
        if self.rl_split not in RL_SPLITS:
            known = ", ".join(RL_SPLITS)
            found.append(f"rl_split is '{self.rl_split}'{nearest(self.rl_split, RL_SPLITS)} It must be one of {known}.")
        from_corpus = isinstance(self.task, Corpus)
        may_be_all = {"n": from_corpus, "n_test": from_corpus, "n_rl": from_corpus and self.rl_split == "train"}
        for key, what in (("n", "training"), ("n_rl", "RL"), ("n_test", "test")):
            value = getattr(self, key)
            if value > MOST:
                found.append(
                    f"{key} is {value}: more than {MOST:,} problems fit into no machine's memory. Lower {key}."
                )
            if value < 0 or (value == 0 and not may_be_all[key]):
                found.append(f"{key} is {value}: the {what} split would be empty. Set {key} to 1 or more.")
        if problem := within(self.seed, SEEDS):
            found.append(f"seed {problem}")
        if from_corpus and self.online:
            found.append("online is true, but a corpus has only the problems that it has. Leave it out.")
        if self.stratify and not from_corpus:
            found.append(f"stratify is '{self.stratify}', but generated problems have no attributes. Leave it out.")
        if self.rl_split == "train" and not from_corpus:
            found.append("rl_split is train, but a generated task has fresh problems for RL. Leave it out.")
        if found or from_corpus:  # what a corpus has is known when it is read
            return found
        held_out = self.n_rl + self.n_test
        needed = held_out + (1 if self.online else self.n)
        space = self.task.space
        if space is not None and needed > space:
            found.append(
                f"the splits need {needed} distinct problems (n {self.n}{' a block' if self.online else ''}, "
                f"n_rl {self.n_rl}, n_test {self.n_test}) but the task has only {space}, so training, RL and test "
                f"would overlap. Lower the sizes or make the task larger (parity: raise d; multiplication: digits)."
            )
        realised = self.n_long / self.n
        if self.online and abs(realised - self.p_cot) > SHARE_TOLERANCE * self.p_cot:
            found.append(
                f"a block of n = {self.n} online demonstrations can hold p_cot = {self.p_cot} only as {self.n_long} "
                f"of {self.n} = {realised:.4f}. Raise n (for example to {_block_for(self.p_cot)})."
            )
        return found


def wherever(options: Any) -> Any:
    """Options without where a corpus lies: the same problems from elsewhere are the same mixture."""
    if isinstance(options, list):
        return [wherever(part) for part in options]
    if isinstance(options, dict):
        return {key: wherever(value) for key, value in options.items() if key not in ("source", "revision")}
    return options


def mixture_keys() -> dict[str, type]:
    """Every key that some mixture knows → its type: the fields of `MixtureSpec` and of all tasks."""
    keys: dict[str, type] = {"task": str, **_types(MixtureSpec)}
    for task in TASKS.values():
        keys.update(_types(task))
    return keys


def read_mapping(path: Path) -> dict[str, Any]:
    """A YAML file that holds a mapping; `extends: other.yaml` (relative to it) gives what it does not say itself.

    Raises:
        ConfigError: no such file, not YAML, not a mapping, or files that extend each other.
    """
    values: dict[str, Any] = {}
    seen: list[Path] = []
    following: Path | None = path
    while following is not None:
        if problem := path_problem(str(following)):
            raise ConfigError([f"the YAML's path {problem}"])
        if following.resolve() in seen:
            raise ConfigError([f"{path} extends itself, through {following}. Take one `extends` out."])
        seen.append(following.resolve())
        own = _read_yaml(following)
        base = own.pop("extends", None)
        values = {**own, **values}
        if base is not None and not (isinstance(base, str) and base):
            raise ConfigError(
                [f"{following}: extends is {base!r}: it must be the path of a YAML, relative to this one."]
            )
        following = following.parent / base if base else None
    return values


def asked(path: Path | None, rest: list[str], problems: list[str]) -> MixtureSpec:
    """The mixture that a command asks for.

    Args:
        path: its YAML, or the folder of a built one; None: `problems` say that there is none.
        rest: further words, `--key value`, that override the YAML.
        problems: what is wrong with the command otherwise.

    Raises:
        ConfigError: `problems`, and everything that is wrong with the mixture.
    """
    spec = None
    try:
        if path is not None and path.is_dir():
            spec = spec_of_manifest(path)
            if rest:
                problems = [
                    *problems,
                    f"{path} is built, so {' '.join(rest)} comes too late. Give its YAML, or leave it out.",
                ]
        elif path is not None:
            spec = MixtureSpec.from_mapping({**read_mapping(path), **pairs(rest)}, where=str(path))
    except ConfigError as error:
        problems = [*problems, *error.problems]
    if problems or spec is None:
        raise ConfigError(problems)
    return spec


def pairs(rest: list[str]) -> dict[str, str]:
    """`--key value` and `--key=value` words of a command line → mapping.

    Raises:
        ConfigError: they are no pairs.
    """
    words = [part for word in rest for part in (word.split("=", 1) if word.startswith("--") else [word])]
    if len(words) % 2 or not all(word.startswith("--") for word in words[::2]):
        raise ConfigError([f"cannot read {' '.join(rest)}: after the spec, give pairs like `--p_cot 0.1`."])
    if twice := sorted({key for key in words[::2] if words[::2].count(key) > 1}):
        raise ConfigError([f"{key} is given twice. Leave one of them out." for key in twice])
    return {key.removeprefix("--"): value for key, value in zip(words[::2], words[1::2], strict=True)}


def _read_yaml(path: Path) -> dict[str, Any]:
    if path.is_dir():
        raise ConfigError([f"{path} is a folder, where a YAML is needed. Give the path of an existing YAML."])
    if not path.exists():
        raise ConfigError([f"there is no file {path}. Give the path of an existing YAML, relative to where you are."])
    return read_yaml(path)


def spec_of_manifest(folder: Path) -> MixtureSpec:
    """The spec of the mixture or run in `folder`, from its manifest.

    Raises:
        ConfigError: there is no manifest, or it describes no valid mixture.
    """
    path = folder / MANIFEST
    if not path.is_file():
        what = (
            f"holds no {MANIFEST}: it is neither a built mixture nor a run directory"
            if folder.exists()
            else "does not exist"
        )
        raise ConfigError([f"{folder} {what}. Name one that recipes or data_mixes/build.py wrote."])
    manifest = read_json(path, DAMAGED)
    keys = {"task", *_types(MixtureSpec), *_types(TASKS.get(str(manifest.get("task")), MixtureSpec))}
    return MixtureSpec.from_mapping({key: manifest[key] for key in keys & set(manifest)}, where=str(path))


def with_source(spec: MixtureSpec, source: str) -> MixtureSpec:
    """The mixture with its corpus read from elsewhere.

    Raises:
        ConfigError: its problems are generated, not read.
    """
    if not isinstance(spec.task, TextCorpus):
        raise ConfigError(
            [f"--source names where a corpus lies, but {spec.to_mapping()['task']} is made up. Leave it out."]
        )
    return replace(spec, task=replace(spec.task, source=source))


def locate(name: str, config_path: Path) -> Path:
    """A path from a YAML: relative to where the command runs, else to the folders above the YAML."""
    path = Path(name)
    if path_problem(name):  # whoever reads it says so
        return path
    candidates = [path, *(parent / path for parent in config_path.resolve().parents)]
    return next((p for p in candidates if p.exists()), path)


def _types(cls: type) -> dict[str, type]:
    hints = typing.get_type_hints(cls)
    return {f.name: hints[f.name] for f in dataclasses.fields(cls) if f.name != "task"}


def _block_for(p_cot: float) -> int:
    return next(n for n in (64, 100, 128, 256, 500, 1000, 10_000, 100_000, 1_000_000) if _holds(p_cot, n))


def _holds(p_cot: float, n: int) -> bool:
    return abs(round(p_cot * n) / n - p_cot) <= SHARE_TOLERANCE * p_cot or n == 1_000_000
