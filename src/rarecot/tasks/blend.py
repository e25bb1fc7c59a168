"""Several corpora in one mixture, each with its share."""

import dataclasses
import functools
import typing
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from rarecot.errors import ConfigError, nearest
from rarecot.tasks.base import Loaded
from rarecot.tasks.corpus import TextCorpus
from rarecot.tasks.gsm8k import Gsm8k
from rarecot.tasks.hendrycks import Math
from rarecot.tasks.own import Jsonl
from rarecot.types import Problems

CORPORA: dict[str, type[TextCorpus]] = {corpus.name: corpus for corpus in (Gsm8k, Math, Jsonl)}


@dataclass(frozen=True)
class Blend:
    """A share of every part, exact to one problem in any split; p_cot is exact in each part too.

    Args:
        parts: for each corpus its `task`, its `share` of the mixture, and the options of that task.
        style: how an answer is marked, in all parts alike.
        near_duplicates: as for one corpus, over all parts together.
        decontaminate: as for one corpus, against the test problems of all parts.
    """

    parts: list[dict[str, Any]] = field(default_factory=list)
    style: str = "boxed"
    near_duplicates: float = 0.9
    decontaminate: int = 13

    name: ClassVar[str] = "blend"

    def problems_with_options(self) -> list[str]:
        if len(self.parts) < 2 or not all(isinstance(part, dict) for part in self.parts):
            return ["parts must list two or more corpora, each like {task: gsm8k, share: 0.5, source: …}."]
        problems = []
        for i, part in enumerate(self.parts, 1):
            name = str(part.get("task"))
            if name not in CORPORA:
                problems.append(f"part {i}: unknown task '{name}'{nearest(name, CORPORA)} Known: {', '.join(CORPORA)}.")
                continue
            known = [f.name for f in dataclasses.fields(CORPORA[name]) if f.name not in _SHARED]
            problems += [f"part {i}: {text}" for text in _wrong_types(part, CORPORA[name])]
            unknown = [key for key in part if key not in ("task", "share", *known)]
            problems += [f"part {i}: '{key}' is no option of {name}{nearest(key, known)}" for key in unknown]
            share = part.get("share")
            if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < 1:
                problems.append(
                    f"part {i}: share is {share!r}: it is this part's share of the mixture, between 0 and 1."
                )
            elif not unknown and not _wrong_types(part, CORPORA[name]):
                problems += [f"part {i}: {problem}" for problem in self._corpus(part).problems_with_options()]
        if not problems and abs(sum(part["share"] for part in self.parts) - 1) > 1e-9:
            problems.append(
                f"the shares add up to {sum(part['share'] for part in self.parts):g}. Make them add up to 1."
            )
        if not problems and len({(part["task"], part.get("source")) for part in self.parts}) < len(self.parts):
            problems.append("two parts are the same corpus from the same source. Name each once.")
        return problems

    def identity(self) -> dict[str, Any]:
        return {"style": self.style}

    def load(self) -> Loaded:
        loaded, faults = [], []
        for part, label in zip(self.parts, self._labels(), strict=True):
            try:
                loaded.append(_labelled(self._corpus(part).load(), label))
            except ConfigError as error:
                faults += error.problems
        if faults:
            raise ConfigError(faults)
        together = [
            functools.reduce(lambda a, b: a + b, (getattr(part, split) for part in loaded))
            for split in ("train", "test")
        ]
        return Loaded(*together, [entry for part in loaded for entry in part.dropped])

    def mixed(self, problems: Problems) -> Problems:
        names = [attributes["dataset"] for attributes in problems.attributes]
        rows = [[i for i, name in enumerate(names) if name == label] for label in self._labels()]
        present = [(r, part["share"]) for r, part in zip(rows, self.parts, strict=True) if r]
        return problems.take(_even(*zip(*present, strict=True))) if present else problems

    def shown(self, problems: Problems, rng: np.random.Generator) -> list[str]:
        shown = list(problems.long)
        names = [attributes["dataset"] for attributes in problems.attributes]
        for part, label in zip(self.parts, self._labels(), strict=True):
            rows = [i for i, name in enumerate(names) if name == label]
            for i, text in zip(rows, self._corpus(part).shown(problems.take(rows), rng), strict=True):
                shown[i] = text
        return shown

    def _labels(self) -> list[str]:
        tasks = [part["task"] for part in self.parts]
        return [task if tasks.count(task) == 1 else f"{task}-{i}" for i, task in enumerate(tasks, 1)]

    def _corpus(self, part: dict[str, Any]) -> TextCorpus:
        options = {key: value for key, value in part.items() if key not in ("task", "share")}
        return CORPORA[part["task"]](**options, style=self.style)


_SHARED = {"style", "near_duplicates", "decontaminate"}  # options of the blend, not of a part


def _wrong_types(part: dict[str, Any], corpus: type[TextCorpus]) -> list[str]:
    kinds = typing.get_type_hints(corpus)
    wrong = [
        (key, value, kinds[key].__name__)
        for key, value in part.items()
        if key in kinds
        and key != "share"
        and not (type(value) is kinds[key] or (kinds[key] is float and type(value) is int))
    ]
    return [
        f"{key} is {value!r}: it must be a {kind} (a number like 1e-1 needs its point: 1.0e-1)."
        for key, value, kind in wrong
    ]


def _labelled(loaded: Loaded, label: str) -> Loaded:
    train, test = (
        dataclasses.replace(split, attributes=[{**values, "dataset": label} for values in split.attributes])
        for split in (loaded.train, loaded.test)
    )
    return Loaded(train, test, loaded.dropped)


def _even(rows: Sequence[list[int]], shares: Sequence[float]) -> list[int]:
    """The rows of several parts mixed evenly, so that every prefix has the shares, up to where the first part runs out."""
    total = min(len(part) / share for part, share in zip(rows, shares, strict=True))
    places = [
        ((k + 0.5) / share, i)
        for part, share in zip(rows, shares, strict=True)
        for k, i in enumerate(part[: int(total * share + 1e-9)])
    ]
    return [i for _, i in sorted(places)]
