"""Where a GRPO round's seconds go: the recipe's settings beside plain TRL's defaults, on the same problems and as many rollouts."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from on_gpu.models import P_COT
from on_gpu.sizes import Size, asked
from on_gpu.turns import Turn, train_in_turns
from row import Row, compared
from trl import GRPOConfig, GRPOTrainer

from rarecot.sampling.vllm.sampler import close
from rarecot.training import environment
from rarecot.training.length_split import split_by_length
from rarecot.training.rl import grpo
from rarecot.training.run import open_run
from rarecot.training.text import text_of
from rarecot.training.trl_config import trl_config

# Rounds that are not counted: the first one also samples the responses that are weighed again in every other.
WARM_UP = 1


class Plain(GRPOTrainer):
    """TRL's, which logs how long its rollouts take, as ours does."""

    def _generate_single_turn(self, *args: Any, **kwargs: Any) -> Any:
        started = time.perf_counter()
        output = super()._generate_single_turn(*args, **kwargs)
        self._metrics["train"]["seconds/generate"].append(time.perf_counter() - started)
        return output


def reward(completions: list[str], answer: list[str], **_: Any) -> list[float]:
    """1 where what follows the last mark is the answer: as cheap as a reward can be. Nothing that a random model writes is right."""
    return [float(text.rpartition("####")[2].strip() == gold) for text, gold in zip(completions, answer, strict=True)]


def rows(name: str, size: Size, made: tuple[Path, Path], rounds: int, with_vllm: bool) -> Iterator[Row]:
    """Four rows: a round, its rollouts and its learning in seconds; and tokens a second.

    Args:
        name: of the size.
        size: what is trained.
        made: its checkpoint and its mixture.
        rounds: turns that count.
        with_vllm: our rollouts come from vLLM in the same process; TRL's by its default, transformers.
    """
    checkpoint, mixture = made
    more = ("--use_vllm", str(with_vllm).lower(), "--logging_steps", "1", "--allow_truncation", "true")
    folder = checkpoint.with_name("run-vllm" if with_vllm else "run-grpo")
    wanted = asked("grpo", size, checkpoint, mixture, WARM_UP + rounds, *more, run_dir=folder)
    if with_vllm:
        environment.prepare(wanted)
    config, options = trl_config(wanted)
    run = open_run(wanted, config.to_dict())
    text = text_of(run, config)
    model, adapter = grpo.make_model(wanted, options)
    ours = grpo.make_trainer(run, config, model, adapter, text, grpo.constants(config))
    split_by_length(ours.model)
    plain = plain_trainer(checkpoint, config, text, run.mixture.rl)
    turns = train_in_turns([ours, plain])
    parts = [measured(turn, trainer) for turn, trainer in zip(turns, (ours, plain), strict=True)]
    title = f"grpo_{name}{'_vllm' if with_vllm else ''}"
    rollouts, cap = config.generation_batch_size, config.max_completion_length
    shown = f"{rollouts} rollouts of {parts[0]['length'].mean():.0f} tokens on average, {cap} at most"
    if with_vllm:
        shown += f"; {np.median(parts[0]['sync']):.2g} s of it to hand vLLM the weights"
        close(ours.vllm_generation.llm)  # its memory is wanted
    at_once = [trainer.args.per_device_train_batch_size for trainer in (ours, plain)]
    details = {
        "rollouts": rollouts,
        "cap": cap,
        "at_once": at_once,
        "sides": [{key: float(np.median(values)) for key, values in part.items()} for part in parts],
        "working_gib": [max(turn.working) / 2**30 for turn in turns],
    }
    notes = {
        "round": shown,
        "generate": "by vLLM" if with_vllm else "by transformers",
        "train": f"the rest: rewards, the step; {at_once[0]} responses at once, TRL {at_once[1]}",
    }
    for part, note in notes.items():
        more_of = details if part == "round" else {}
        yield compared(
            f"{title}_{part}", *(side[part] for side in parts), "s", "TRL's defaults", "≤ 1", note, **more_of
        )
    rates = [rollouts * side["length"] / side["round"] for side in parts]
    note = f"of rollouts, a GPU, in whole rounds; a response is short with probability {1 - P_COT}"
    yield compared(f"{title}_tokens", *rates, "tokens/s", "TRL's defaults", "≥ 1", note)


def measured(turn: Turn, trainer: Any) -> dict[str, Any]:
    """Of each round that counts: seconds of it all, of its rollouts, of the weight sync, of the rest; mean tokens of a response."""
    log = [entry for entry in trainer.state.log_history if "seconds/generate" in entry][WARM_UP:]
    found = {"round": np.array(turn.seconds[WARM_UP : WARM_UP + len(log)])}
    found["generate"] = np.array([entry["seconds/generate"] for entry in log])
    found["sync"] = np.array([entry.get("seconds/sync", 0.0) for entry in log])
    found["train"] = found["round"] - found["generate"] - found["sync"]
    found["length"] = np.array([entry["completions/mean_length"] for entry in log])
    found["cut"] = np.array([entry["completions/clipped_ratio"] for entry in log])
    return found


def plain_trainer(checkpoint: Path, config: Any, text: Any, problems: Any) -> GRPOTrainer:
    """TRL's with its defaults, but for the rollouts of a round (their number, the groups, the cap), the number of rounds and the seed,
    which are ours: its own 8 rollouts of 512 tokens would be another experiment."""
    same = ("max_steps", "num_generations", "max_completion_length", "temperature", "seed", "use_cpu", "bf16")
    shared = {name: getattr(config, name) for name in same}
    quiet = {"report_to": "none", "save_strategy": "no", "disable_tqdm": True, "logging_steps": 1}
    shared |= {"output_dir": str(checkpoint.with_name("plain")), **quiet}
    accumulated = config.generation_batch_size // GRPOConfig(**shared).per_device_train_batch_size  # its 8 at once
    args = GRPOConfig(gradient_accumulation_steps=accumulated, **shared)
    prompts = problems.map(lambda row: {"prompt": text.template.texts(text.tokenizer, [row["prompt"]])[0]})
    return Plain(
        model=str(checkpoint), reward_funcs=reward, args=args, train_dataset=prompts, processing_class=text.tokenizer
    )
