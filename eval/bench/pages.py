"""The report of a long run: seconds, growth, memory, and how its pages behave in a browser."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from rarecot.evaluation import records
from rarecot.evaluation.generations import save_responses
from rarecot.evaluation.metrics import summarise
from rarecot.mixtures.build import build
from rarecot.mixtures.spec import MixtureSpec
from rarecot.tasks import Parity
from rarecot.types import Completion, Response

RESPONSES = 200  # of an evaluation, one a problem


def make_run(folder: Path, evaluations: int, characters: int = 50) -> None:
    """A run by the writers of real ones: half of its evaluations after next-token prediction, half after GRPO, with a record of rollouts
    for every second one of those; the share of long responses grows.

    Args:
        folder: of the run.
        evaluations: on the test split, greedy and sampled in turns; a multiple of 4.
        characters: of a long response.
    """
    folder.mkdir(parents=True)
    draw = np.random.default_rng(0)
    spec = MixtureSpec(task=Parity(d=50), p_cot=0.25, n=64, n_rl=64, n_test=RESPONSES, seed=0)
    mixture = build(spec)
    prompts = list(mixture.test["prompt"])
    (folder / "manifest.json").write_text(json.dumps(mixture.manifest))
    (folder / "config.yaml").write_text(yaml.safe_dump({"sft": {}, "grpo": {}}))
    steps = evaluations // 4
    for stage in ("sft", "grpo"):
        for step in range(steps):
            share = 0.25 if stage == "sft" else 0.25 + 0.5 * step / steps
            for split, decoding in (("test", "greedy"), ("test", "sampled"), ("rollouts", "sampled")):
                if (stage, split) == ("sft", "rollouts"):
                    continue
                responses = responses_of(draw, share, characters)
                record = {
                    **{"stage": stage, "step": step, "sequences_seen": 64 * step, "tokens_seen": 6400 * step},
                    **{"split": split, "seed": 0, "decoding": decoding, "temperature": float(decoding == "sampled")},
                    **{"protocol": "native", "samples": 1, "max_new_tokens": 51, "sampling_seed": step},
                    **({"round": step} if stage == "grpo" else {}),
                    **summarise(responses),
                }
                if split == "test":
                    path = folder / records.COMPLETIONS / records.completions_name(record)
                    save_responses(path, responses, prompts, record)
                records.append(folder, record)


def responses_of(draw: np.random.Generator, share: float, characters: int) -> list[Response]:
    """One response a problem: long ones of bits with a probability, else one bit."""
    made = []
    for number, is_long in enumerate(draw.random(RESPONSES) < share):
        bits = draw.integers(0, 2, characters if is_long else 1)
        text = "".join(map(str, bits))
        verdict = "correct" if is_long or bits[0] else "wrong"
        completion = Completion([3 + int(bit) for bit in bits[:50]] + [2], text, "stop")
        made.append(Response(f"p{number}", completion, "long" if is_long else "short", verdict, text[-1], "1"))
    return made


def rows(args: Any) -> Iterator[Any]:
    yield from ()
