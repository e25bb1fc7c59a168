"""A GRPO round of the headline, 64 prompts × 4, and its parts, each beside the hand-written loop's: their floor."""

import copy
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hand_loop
import numpy as np
import turns
from row import Row, compared, seconds, take_turns
from transformers import set_seed

from rarecot.evaluation.harness import Harness
from rarecot.quiet import quiet
from rarecot.sampling.hf import HfSampler
from rarecot.sampling.vllm import support
from rarecot.training import environment, session, sft
from rarecot.training.rl import grpo
from rarecot.training.run import open_run
from rarecot.training.text import text_of
from rarecot.training.trl_config import trl_config

NTP_STEPS = 200  # of the model that RL starts from: it writes short and long responses by then
SYNCS = 6


class Timed(grpo.RecordedGRPOTrainer):
    """Says what the parts of each round took, in seconds."""

    def __init__(self, *args: Any, **kwargs: Any):
        self.parts: dict[str, list[float]] = defaultdict(list)
        super().__init__(*args, **kwargs)

    def _part(self, name: str, work: Any, *args: Any, **kwargs: Any) -> Any:
        made = []
        self.parts[name].append(seconds(lambda: made.append(work(*args, **kwargs))))
        return made[0]

    def _generate_single_turn(self, *args: Any, **kwargs: Any) -> Any:
        return self._part("generate", super()._generate_single_turn, *args, **kwargs)

    def _calculate_rewards(self, *args: Any) -> Any:
        return self._part("reward", super()._calculate_rewards, *args)

    def _weighed(self) -> Any:
        return self._part("weigh", super()._weighed)


def rows(args: Any) -> Iterator[Row]:
    """The round, its parts, an evaluation, and a weight sync where vLLM is installed."""
    quiet()
    with tempfile.TemporaryDirectory() as folder:
        start = made_start(folder, 5 if args.small else NTP_STEPS)
        rounds = turns.WARM_UP + (args.repeats or (3 if args.small else 12))
        request = turns.request("grpo", folder, rounds, "--model_name_or_path", str(start))
        environment.prepare(request)
        config, options = trl_config(request)
        run = open_run(request, config.to_dict())
        policy, adapter = grpo.make_model(request, options)
        text, constants = text_of(run, config), grpo.constants(config)
        d, prompts = request.spec.task.d, config.per_device_train_batch_size // config.num_generations
        by_hand = copy.deepcopy(policy)
        other = hand_loop.grpo_stepper(by_hand, d, prompts, config.num_generations, config.learning_rate)
        trainer = grpo.make_trainer(run, config, policy, adapter, text, constants, Timed)
        took = turns.train(trainer, other)
        ours, others = took.pair
        yield compared(
            "round_grpo", ours, others, "s", "a hand-written loop, which weighs and records nothing", "≤ 1.5"
        )

        parts = {name: np.array(values[turns.WARM_UP :]) for name, values in trainer.parts.items()}
        parts["train"] = np.array(ours) - sum(parts.values())
        for name in ("generate", "reward", "train"):
            floor = [said[name] for said in took.said[turns.WARM_UP :]]
            what = "by hand" + (" (on ids; ours reads texts, and records them)" if name == "reward" else "")
            yield compared(f"round_{name}", parts[name], floor, "s", what)
        yield compared(
            "round_weigh", parts["weigh"], ours, "s", "the round (what the watch over a run costs)", "≤ 0.15"
        )

        harness, _ = session.harnesses(run, text, constants)
        mine, hand = evaluations(harness, lambda: HfSampler(policy, text.tokenizer), d, args.repeats or 5)
        yield compared("round_evaluation", mine, hand, "s", f"by hand ({harness.suite.n} problems, greedy and sampled)")
        if not support.problems():
            yield of_sync(Path(folder), start, policy)


def evaluations(
    harness: Harness, sampler: Callable[[], HfSampler], d: int, repeats: int
) -> tuple[list[float], list[float]]:
    """Seconds of the harness, with its records and generations, and of sampling by hand, in turns. Each turn has a sampler of its own, as each
    evaluation of a run has, since a sampler remembers the prompts it has seen."""
    model = sampler().model
    steps = iter(range(1000, 10**6))
    asked, chain = hand_loop.parity(np.random.default_rng(7), harness.suite.n, d)

    def ours() -> None:
        harness.measure(sampler(), {"step": next(steps), "sequences_seen": 0, "tokens_seen": 0})

    def by_hand() -> None:
        for greedy in (True, False):
            written = hand_loop.sample(model, asked, 1, d + 1, greedy)
            hand_loop.judged(written[:, d + 2 :], chain[:, -1])

    return take_turns(ours, by_hand, repeats)


def of_sync(folder: Path, start: Path, policy: Any) -> Row:
    """Weight syncs of the real recipe with rollouts by vLLM, against copying as many bytes."""
    recipe, run = turns.ROOT / "recipes", folder / "vllm"
    command = [sys.executable, str(recipe / "grpo.py"), "--config", str(recipe / "parity" / "headline" / "grpo.yaml")]
    command += ["--run_dir", str(run), "--model_name_or_path", str(start), "--max_steps", str(SYNCS)]
    command += [
        "--use_vllm",
        "true",
        "--logging_steps",
        "1",
        "--eval_n",
        "2",
        "--eval_n_last",
        "2",
        "--disable_tqdm",
        "true",
    ]
    done = subprocess.run(command, cwd=turns.ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    state = json.loads((run / "grpo" / f"checkpoint-{SYNCS}" / "trainer_state.json").read_text())
    syncs = [line["seconds/sync"] for line in state["log_history"] if "seconds/sync" in line][1:]
    copies = [seconds(lambda: [p.clone() for p in policy.parameters()]) for _ in syncs]
    return compared("round_sync", syncs, copies, "s", "copying the parameters (vLLM in the same process)")


def made_start(folder: str, steps: int) -> Path:
    """A model after some steps of next-token prediction by hand, as a checkpoint."""
    request = turns.request("sft", folder, steps)
    config, options = trl_config(request)
    run = open_run(request, config.to_dict())
    text = text_of(run, config)
    set_seed(request.seed)
    model, _ = sft.make_model(request, options, text)
    step = hand_loop.ntp_stepper(model, request.spec.task.d, 64, request.spec.p_cot, config.learning_rate)
    for _ in range(steps):
        step()
    start = Path(folder) / "start"
    model.save_pretrained(start)
    text.tokenizer.save_pretrained(start)
    return start
