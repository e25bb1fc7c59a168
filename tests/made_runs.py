"""Run directories made by hand, in a moment."""

import json

import yaml

from rarecot.evaluation import records
from rarecot.evaluation.generations import save_responses
from rarecot.evaluation.metrics import summarise
from rarecot.mixtures.build import build
from rarecot.mixtures.spec import MixtureSpec
from rarecot.report.data import read_run
from rarecot.tasks import Parity
from rarecot.types import Completion, Response


def make_run(folder, p_cot=0.25, seed=0, stages=("sft", "grpo"), text="01"):
    """A run whose n-th evaluation has n long responses out of eight."""
    folder.mkdir(parents=True)
    spec = MixtureSpec(task=Parity(d=6), p_cot=p_cot, n=16, n_rl=8, n_test=8, seed=seed)
    (folder / "manifest.json").write_text(json.dumps(build(spec).manifest))
    (folder / "config.yaml").write_text(yaml.safe_dump({stage: {} for stage in stages}))
    for stage in stages:
        for step in range(4):
            for split, decoding in (("test", "greedy"), ("test", "sampled"), ("rollouts", "sampled")):
                if split == "rollouts" and stage == "sft":
                    continue
                responses = [
                    Response(str(i), Completion([3] * n + [2], text, "stop"), kind, "correct" if i % 2 else "wrong")
                    for i, (n, kind) in enumerate([(6, "long")] * (step + 1) + [(1, "short")] * (7 - step))
                ]
                record = {
                    "stage": stage,
                    "step": step,
                    "sequences_seen": 100 * step,
                    "tokens_seen": 0,
                    "split": split,
                    "seed": seed,
                    "decoding": decoding,
                    "temperature": float(decoding == "sampled"),
                    "protocol": "native",
                    "samples": 1,
                    "max_new_tokens": 7,
                    "sampling_seed": step,
                    **summarise(responses),
                }
                records.append(folder, record)
                if split == "test":
                    path = folder / records.COMPLETIONS / records.completions_name(record)
                    save_responses(path, responses, ["010101="] * 8)
    return read_run(folder)
