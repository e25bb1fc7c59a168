"""STaR (PAPER §5; Zelikman et al. 2022, arXiv 2203.14465): sample, keep what is rewarded, next-token prediction on it, again.

A round is a training of its own, from the last round's model: its learning-rate schedule starts and ends within it, so that the
model is calibrated on what was kept, as Theorem 2 assumes. In the stage's folder, `round-N/` holds what round N sampled and, while
it trains, its checkpoints; the last of them becomes `checkpoint-STEP`, by which the round is over.
"""

import copy
import gc
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from accelerate import PartialState
from accelerate.utils import gather_object
from datasets import Dataset
from transformers import set_seed
from trl import ModelConfig

from rarecot import checkpoints, whole
from rarecot.errors import RunError
from rarecot.evaluation import card, records
from rarecot.evaluation.callback import measure_together, tokens_seen
from rarecot.evaluation.harness import Harness
from rarecot.forecast import audit
from rarecot.rendering import IGNORED_LABEL
from rarecot.sampling import Sampler, Samplers, SamplingParams
from rarecot.sampling.shared import from_main, shared
from rarecot.training import session, sft
from rarecot.training.models import base_name, pretrained
from rarecot.training.preemption import leave_if_asked
from rarecot.training.rl.losses import KEPT_RESPONSES
from rarecot.training.rl.rollouts import RolloutRecorder, rewards_of
from rarecot.training.run import Run
from rarecot.training.start import model_folder
from rarecot.training.text import Text
from rarecot.training.tracking import StageTrackers

CONSTANTS = {"loss_normalisation": KEPT_RESPONSES}
PROMPTS, ROLLOUTS = 11, 12  # random streams: which prompts a round gets, and what it samples
SAMPLES = "samples.parquet"
# Of no use once a round is over; the later ones are FSDP's and DeepSpeed's.
RESUMES_TRAINING = (
    "optimizer*",
    "scheduler*",
    "rng_state*",
    "scaler*",
    "pytorch_model_fsdp*",
    "global_step*",
    "latest",
    "zero_to_*",
)


@dataclass(frozen=True)
class Standing:
    """Where the stage stands after a whole number of rounds.

    Args:
        round: how many are over.
        step: optimizer steps of all of them.
        tokens: that they trained on.
        folder: the model.
    """

    round: int
    step: int
    tokens: int
    folder: Path

    def progress(self, prompts_per_round: int, step: int = 0, tokens: int = 0) -> dict[str, int]:
        """For records and stamps, `step` and `tokens` further on."""
        return {
            "step": self.step + step,
            "round": self.round,
            "sequences_seen": self.round * prompts_per_round,
            "tokens_seen": self.tokens + tokens,
        }


def train(run: Run, config: Any, options: ModelConfig, text: Text) -> None:
    """All rounds that are left, each evaluated at its end.

    Args:
        run: the open run.
        config: TRL's SFTConfig of a round.
        options: data type, attention, LoRA.
        text: how the stage reads and writes.

    Raises:
        RunError: a round kept nothing.
        Stopped: it was asked to stop; what is done is saved.
    """
    with StageTrackers(config, run.is_main) as trackers:
        run.listeners.append(trackers.send)
        _rounds(run, config, options, text, trackers)


def _rounds(run: Run, config: Any, options: ModelConfig, text: Text, trackers: StageTrackers) -> None:
    arguments = run.request.arguments
    samplers = Samplers("vllm" if arguments.use_vllm else "transformers", arguments.eval_batch_size)
    during, last = session.harnesses(run, text, CONSTANTS)
    at = standing(run)
    while True:
        sampler, _ = samplers.open(
            at.folder, text.lengths.prompt + max(text.max_new_tokens, arguments.max_completion_length)
        )
        is_over = at.round == arguments.rounds
        if is_over or at.round % arguments.eval_every == 0:
            harness, now = last if is_over else during, at.progress(arguments.prompts_per_round)
            _evaluate(harness, shared(sampler), now, run.is_main)
            if (
                run.is_main and at.round
            ):  # measured after its end, when its card was already written; before the first it is not ours
                card.write(run.dir, at.folder)
        if not is_over:
            leave_if_asked(f"STaR has {at.round} of {arguments.rounds} rounds behind it.")
        if is_over:
            if run.is_main:
                checkpoints.stamp(at.folder, {**checkpoints.read_stamp(at.folder), "is_last": True})
            break
        kept = sampled(run, text, sampler, at)
        leave_if_asked(f"Round {at.round + 1} of {arguments.rounds} of STaR is sampled.")
        if config.device.type == "cuda":  # an engine would hold the memory that training needs
            samplers.close()
        del sampler
        at = learn(run, config, options, text, at, kept, trackers)
    samplers.close()


def standing(run: Run) -> Standing:
    """After the newest round that is over; before the first, at the checkpoint that RL starts from."""
    folder = checkpoints.newest(run.stage_dir)
    if folder is None:
        return Standing(0, 0, 0, model_folder(run.request))
    progress = checkpoints.read_stamp(folder)["progress"]
    return Standing(progress["round"], progress["step"], progress["tokens_seen"], folder)


def prompts_of(run: Run, number: int) -> Dataset:
    """The RL problems of round `number` (from 0): the next ones of a random order of all, and a new order when they are used
    up, so that prompts are fresh as long as there are any."""
    rl, size = run.mixture.rl, run.request.arguments.prompts_per_round
    first = number * size
    rows: list[int] = []
    for order in range(first // len(rl), (first + size - 1) // len(rl) + 1):
        rng = np.random.default_rng([run.request.seed, PROMPTS, order])
        start = order * len(rl)
        permuted = rng.permutation(len(rl))
        rows += permuted[max(first - start, 0) : min(first + size - start, len(rl))].tolist()
    return rl.select(rows)


def sampled(run: Run, text: Text, sampler: Sampler, at: Standing) -> Dataset:
    """What the next round keeps, with columns problem_id, prompt, ids: sampled now, or found from before an interruption.

    Raises:
        RunError: nothing earned the reward.
    """
    path = _round_dir(run, at) / SAMPLES
    if not from_main(path.is_file()):  # rank 0 decides and reads: a shared file system may show others what was
        _sample(run, text, sampler, at, path)
    table = from_main(pq.read_table(path) if run.is_main else None)
    kept = table.filter(table["kept"])
    if len(kept) == 0:
        raise RunError(_nothing_kept(run, at, table))
    return Dataset.from_dict({name: kept[name].to_pylist() for name in ("problem_id", "prompt", "ids")})


def _sample(run: Run, text: Text, sampler: Sampler, at: Standing, path: Path) -> None:
    """Sample, reward and record a round's rollouts; each process takes its part of the prompts."""
    request, arguments, process = run.request, run.request.arguments, PartialState()
    rows = prompts_of(run, at.round).shard(process.num_processes, process.process_index, contiguous=True)
    stream = np.random.SeedSequence([request.seed, ROLLOUTS, at.round, process.process_index]).generate_state(1)
    params = SamplingParams(arguments.max_completion_length, arguments.temperature, 1, int(stream[0]))
    completions = [several[0] for several in sampler.sample(text.prompt_ids(list(rows["prompt"])), params)]
    progress = at.progress(arguments.prompts_per_round)
    recorder = RolloutRecorder(run, text.reader, sampler.ends, CONSTANTS, 1, lambda _: progress)
    columns = {name: list(rows[name]) for name in rows.column_names}
    paid = [
        reward(
            prompts=columns["prompt"],
            completions=[completion.text for completion in completions],
            completion_ids=[completion.token_ids for completion in completions],
            **{name: values for name, values in columns.items() if name != "prompt"},
        )
        for reward in rewards_of(request, text.tokenizer, sampler.ends, recorder)
    ]
    each = np.array(gather_object(list(zip(*paid, strict=True))), dtype=float)  # (B, rewards), over all processes
    mine = [
        {
            "problem_id": response.problem_id,
            "prompt": prompt,
            "ids": response.completion.token_ids,
            "text": response.completion.text,
            "kind": response.kind,
            "verdict": response.verdict,
            "reward": reward,
            "kept": reward >= arguments.keep_from - 1e-9,
        }
        for prompt, response, reward in zip(columns["prompt"], recorder.responses, recorder.rewards, strict=True)
    ]
    everything = gather_object(mine)
    if not run.is_main:
        return
    kept = [row["kind"] == "long" for row in everything if row["kept"]]
    recorder.add(audit.star(recorder.batch(each), arguments.keep_from, recorder.usual(paid=False)))
    recorder.add(
        {"kept_share": len(kept) / len(everything), "kept_long_share": sum(kept) / len(kept) if kept else None}
    )
    recorder.write()
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole.replacing(path) as temporary:
        pq.write_table(pa.Table.from_pylist(everything), temporary)


def learn(
    run: Run, config: Any, options: ModelConfig, text: Text, at: Standing, kept: Dataset, trackers: StageTrackers
) -> Standing:
    """Next-token prediction on what a round kept; returns where the stage then stands."""
    folder = _round_dir(run, at)
    trained = checkpoints.newest(folder)
    if from_main(trained is None or checkpoints.steps_left(trained) > 0):
        _train(run, config, options, text, at, kept, trackers)
        PartialState().wait_for_everyone()
    if run.is_main:
        _end(run, text, at, checkpoints.newest(folder))
    PartialState().wait_for_everyone()
    return standing(run)


def _train(
    run: Run, config: Any, options: ModelConfig, text: Text, at: Standing, kept: Dataset, trackers: StageTrackers
) -> None:
    request, folder = run.request, _round_dir(run, at)
    seed = request.seed + at.round  # another order in each round
    set_seed(seed)
    model, adapter = pretrained(at.folder, base_name(request, at.folder), options)
    here = copy.copy(config)
    here.output_dir, here.seed, here.data_seed = str(folder), seed, seed
    here.report_to = []  # the stage's trackers outlive a round
    trainer = sft.make_trainer(here, model, adapter, text, _rendered(kept, text))
    per_round = request.arguments.prompts_per_round
    stamp = session.StampCallback(
        *(run, CONSTANTS, text),
        lambda args, state: at.progress(per_round, state.global_step, tokens_seen(args, state, len(kept))),
    )
    title = f"STaR {at.round + 1}/{request.arguments.rounds}"
    trackers.offset = at.step
    session.fit(run, trainer, [stamp, trackers], title, checkpoints.resumable(folder), latest={})
    del trainer, model
    gc.collect()


def _rendered(kept: Dataset, text: Text) -> Dataset:
    """The kept responses token for token as they were sampled, the prompt ignored by the loss."""
    prompts = text.prompt_ids(list(kept["prompt"]))
    return Dataset.from_dict(
        {
            "input_ids": [prompt + ids for prompt, ids in zip(prompts, kept["ids"], strict=True)],
            "labels": [[IGNORED_LABEL] * len(prompt) + ids for prompt, ids in zip(prompts, kept["ids"], strict=True)],
        }
    )


def _end(run: Run, text: Text, at: Standing, last: Path) -> None:
    """A round is over: its last checkpoint becomes one of the stage, those on the way go. May be interrupted anywhere: what is
    there until the last checkpoint is moved says that it is to be done again."""
    arguments = run.request.arguments
    progress = {**checkpoints.read_stamp(last)["progress"], "round": at.round + 1}
    progress["sequences_seen"] = progress["round"] * arguments.prompts_per_round
    place = run.stage_dir / f"checkpoint-{progress['step']}"
    run.stamp(last, progress, CONSTANTS, {**text.stamp(), "is_last": False}, place)  # after the last evaluation it is
    for folder in last.parent.glob("checkpoint-*"):
        if folder != last:
            shutil.rmtree(folder)
    for pattern in RESUMES_TRAINING:
        for file in last.glob(pattern):
            shutil.rmtree(file) if file.is_dir() else file.unlink()
    last.rename(place)
    card.write(run.dir, place)


def _evaluate(harness: Harness, sampler: Sampler, progress: dict[str, int], is_main: bool) -> None:
    for record in measure_together(harness, sampler, progress, is_main):
        print(
            f"round {progress['round']}  {record['decoding']:7}  accuracy {record['accuracy']:.1%}  "
            f"long {record['long_share']:.1%}  median length {record['length_median']:g}",
            flush=True,
        )


def _round_dir(run: Run, at: Standing) -> Path:
    return run.stage_dir / f"round-{at.round + 1:03d}"


def _nothing_kept(run: Run, at: Standing, table: pa.Table) -> str:
    arguments, n = run.request.arguments, len(table)
    known = [r for r in records.read(run.dir) if (r["stage"], r["split"], r["step"]) == ("star", "rollouts", at.step)]
    rates = known[-1]
    means = ", ".join(
        f"{kind} responses {rates[f'accuracy_{kind}']:.1%}"
        for kind in ("long", "short")
        if rates[f"accuracy_{kind}"] is not None
    )
    return (
        f"round {at.round + 1} of STaR kept none of {n} responses: none had a total reward of keep_from = {arguments.keep_from:g} or more "
        f"({' + '.join(arguments.reward_funcs)}; mean {rates['reward_mean']:.3g}). Success rate {rates['accuracy']:.1%} ({means}), long share "
        f"{rates['long_share']:.1%}, cut off {rates['truncated_share']:.1%}. There is nothing to learn from, so no checkpoint was written. "
        f"Raise prompts_per_round, lower the temperature (now {arguments.temperature:g}), use reward answer instead of chain, or train "
        f"longer by next-token prediction first."
    )
