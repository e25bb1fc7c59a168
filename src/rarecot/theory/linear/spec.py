"""The options of an experiment on the linear model, and what can be wrong with them."""

import dataclasses
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rarecot.errors import nearest
from rarecot.values import coerce, path_problem, within

# experiment → the keys that may hold several values there
SEVERAL = {
    "calibration": {"d", "p"},
    "star": {"p"},
    "rate": {"samples"},
    "near": {"p", "samples"},
    "starving": {"d", "lambda_chain"},
}
Ints, Floats = tuple[int, ...], tuple[float, ...]


@dataclass(frozen=True)
class LinearSpec:
    """One experiment on the linear model.

    Args:
        experiment: calibration, star, rate, near or starving (`experiments.py` says what each measures).
        d: bits, ≥ 2.
        p: share of long demonstrations, in (0, 1).
        samples: demonstrations of pre-training; where several, points of one run.
        lambda_heads: λ of position 1 and of the stop decision, > 0.
        lambda_chain: λ of positions 2..d, > 0.
        rounds: rounds of STaR.
        round_samples: responses sampled in a round of STaR.
        seeds: how many seeds, `seed`, `seed` + 1, …
        seed: the first seed, ≥ 0.
        inputs: fresh inputs that errors and greedy accuracy are measured on.
        out: folder for results.json and the figure.
    """

    experiment: str = "calibration"
    d: Ints = (20,)
    p: Floats = (0.25,)
    samples: Ints = (200_000,)
    lambda_heads: Floats = (0.01,)
    lambda_chain: Floats = (1e-5,)
    rounds: int = 6
    round_samples: int = 200_000
    seeds: int = 3
    seed: int = 0
    inputs: int = 10_000
    out: str = "runs/linear"

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> tuple["LinearSpec", list[str]]:
        """The spec, and everything wrong with `values` (of a YAML or a command line), a sentence each.

        A key that cannot be read keeps its default; a spec with problems is not to be run.
        """
        kinds, clean, problems = typing.get_type_hints(cls), {}, []
        for key, value in values.items():
            if key not in kinds:
                known = ", ".join(kinds)
                hint = nearest(key, kinds)
                hint = f". Known: {known}." if hint == "." else hint
                problems.append(f"'{key}' is no option of an experiment on the linear model{hint}")
                continue
            try:
                clean[key] = _read(value, kinds[key])
            except ValueError as error:
                problems.append(f"{key} {error}")
        spec = cls(**clean)
        return spec, problems + spec.problems()

    def problems(self) -> list[str]:
        """What is wrong with the values, a sentence each."""
        if self.experiment not in SEVERAL:
            known = ", ".join(SEVERAL)
            return [f"experiment is '{self.experiment}'{nearest(self.experiment, SEVERAL)} It must be one of {known}."]
        found = []
        for key, bad, rule in (
            ("d", lambda d: d < 2, "a parity that can be told step by step has 2 bits or more"),
            ("p", lambda p: not 0 < p < 1, "it is the probability of a long demonstration, strictly between 0 and 1"),
            ("samples", lambda n: n < 1, "SGD needs 1 sample or more"),
            ("lambda_heads", lambda lam: not lam > 0, "the step 1/(λ t) needs a λ above 0"),
            ("lambda_chain", lambda lam: not lam > 0, "the step 1/(λ t) needs a λ above 0"),
        ):
            values = getattr(self, key)
            found += [f"{key} is {value}: {rule}." for value in values if bad(value)]
            if len(set(values)) < len(values):
                found.append(f"{key} names a value twice: {list(values)}. Leave one out.")
            if len(values) > 1 and key not in SEVERAL[self.experiment]:
                found.append(f"{key} has {len(values)} values, but the experiment '{self.experiment}' takes one.")
        for key, least in (("rounds", 1), ("round_samples", 1), ("seeds", 1), ("seed", 0), ("inputs", 1)):
            if problem := within(getattr(self, key), f"[{least}, 1e9]" if key != "seed" else "[0, 4000000000]"):
                found.append(f"{key} {problem}")
        for key, most in (("d", 10_000), ("samples", 10**12)):
            found += [
                f"{key} is {value}: more than {most} takes longer than anyone waits. Lower it."
                for value in getattr(self, key)
                if value > most
            ]
        if problem := path_problem(self.out):
            found.append(f"out {problem}")
        if self.experiment == "rate":
            if min(self.d) == 2:
                found.append("d is 2: the exact optimum that the rate is measured to is known from d = 3 on.")
            if len(self.samples) < 3:
                found.append(f"samples is {list(self.samples)}: a slope is fitted over 3 values or more.")
            if self.seeds < 2:
                found.append(f"seeds is {self.seeds}: the slope's interval is over 2 seeds or more.")
        return found


def _read(value: Any, kind: Any) -> Any:
    """`value` as a `kind`: one value, or for a tuple a list or words between commas.

    Raises:
        ValueError: with the end of a sentence that starts with the key.
    """
    if typing.get_origin(kind) is tuple:
        parts = (
            value.strip("[] ").split(",") if isinstance(value, str) else value if isinstance(value, list) else [value]
        )
        if not parts:
            raise ValueError("is empty: give a value or more.")
        return tuple(_read(part, typing.get_args(kind)[0]) for part in parts)
    return coerce(value, kind)


def options(spec: LinearSpec) -> dict[str, Any]:
    """The spec as plain values, for a file."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in dataclasses.asdict(spec).items()}
