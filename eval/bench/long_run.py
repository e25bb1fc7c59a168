"""A run directory of any length, made in seconds by the writers of real ones."""

import json
from pathlib import Path

import numpy as np
import yaml

from rarecot.evaluation import generations, records
from rarecot.evaluation.metrics import summarise
from rarecot.mixtures.build import build
from rarecot.mixtures.spec import MixtureSpec
from rarecot.tasks import Parity
from rarecot.types import Completion, Response

RESPONSES = 200  # of an evaluation, one a problem


def make_run(folder: Path, evaluations: int, characters: int = 50) -> None:
    """Half of its evaluations after next-token prediction, half after GRPO, with a record of rollouts for every second one of those; the
    share of long responses grows.

    Args:
        folder: of the run.
        evaluations: on the test split, greedy and sampled in turns; a multiple of 4.
        characters: of a long response.
    """
    folder.mkdir(parents=True)
    draw = np.random.default_rng(0)
    mixture = build(MixtureSpec(task=Parity(d=50), p_cot=0.25, n=64, n_rl=64, n_test=RESPONSES, seed=0))
    prompts = list(mixture.test["prompt"])
    (folder / "manifest.json").write_text(json.dumps(mixture.manifest))
    (folder / "config.yaml").write_text(yaml.safe_dump({"sft": {}, "grpo": {}}))
    steps = evaluations // 4
    for stage, asked in (("sft", ("greedy", "sampled")), ("grpo", ("greedy", "sampled", "rollouts"))):
        for step in range(steps):
            share = 0.25 if stage == "sft" else 0.25 + 0.5 * step / steps
            for which in asked:
                responses = respond(draw, share, characters)
                record = {
                    "stage": stage,
                    "step": step,
                    "sequences_seen": 64 * step,
                    "tokens_seen": 6400 * step,
                    "split": "rollouts" if which == "rollouts" else "test",
                    "seed": 0,
                    "decoding": "greedy" if which == "greedy" else "sampled",
                    "temperature": float(which != "greedy"),
                    "protocol": "native",
                    "samples": 1,
                    "max_new_tokens": 51,
                    "sampling_seed": step,
                    **({"round": step} if stage == "grpo" else {}),
                    **summarise(responses),
                }
                if which != "rollouts":
                    path = folder / records.COMPLETIONS / records.completions_name(record)
                    generations.save_responses(path, responses, prompts, record)
                records.append(folder, record)


def respond(draw: np.random.Generator, share: float, characters: int) -> list[Response]:
    """One response a problem: with a probability a long one of bits, else one bit."""
    made = []
    for number, is_long in enumerate(draw.random(RESPONSES) < share):
        bits = draw.integers(0, 2, characters if is_long else 1, dtype=np.uint8)
        text = (bits + ord("0")).tobytes().decode()
        completion = Completion([*(bits[:50] + 3).tolist(), 2], text, "stop")
        verdict = "correct" if is_long or bits[0] else "wrong"
        made.append(Response(f"p{number}", completion, "long" if is_long else "short", verdict, text[-1], "1"))
    return made
