"""GRPO with verified rewards, on TRL's `GRPOTrainer`.

Differs from plain TRL in five things: rewards are bound so that unfinished responses never score and every rollout is
recorded; rollouts without vLLM are sampled as evaluations are, where the weights are whole; the loss is computed without the
padding (`length_split`); with vLLM the weight sync is watched and the mismatch between sampler and trainer recorded; the
harness runs beside it.
"""

import contextlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object
from peft import PeftConfig
from transformers import set_seed
from trl import GRPOTrainer, ModelConfig

from rarecot.errors import ConfigError, printable
from rarecot.evaluation.callback import progress
from rarecot.forecast import audit
from rarecot.sampling import SamplingParams, eos_ids
from rarecot.sampling.hf import HfSampler
from rarecot.sampling.vllm import support
from rarecot.sampling.vllm.server import Server, misfits
from rarecot.training import session
from rarecot.training.models import base_name, pretrained
from rarecot.training.preemption import PromptOrder
from rarecot.training.request import Request
from rarecot.training.rl import memory_plan, mismatch
from rarecot.training.rl.anchor import Anchor, open_anchor
from rarecot.training.rl.losses import describe
from rarecot.training.rl.memory_plan import available_ram
from rarecot.training.rl.rollouts import RolloutRecorder, rewards_of
from rarecot.training.rl.sync_check import PROMPTS, TOLERANCE
from rarecot.training.run import Run
from rarecot.training.start import model_folder
from rarecot.training.text import Text


def train(run: Run, config: Any, options: ModelConfig, text: Text) -> None:
    """The whole stage."""
    run_stage(run, config, options, text, constants(config), RecordedGRPOTrainer)


def run_stage(
    run: Run,
    config: Any,
    options: ModelConfig,
    text: Text,
    constants: dict[str, Any],
    kind: "type[RecordedGRPOTrainer]",
) -> None:
    """The whole stage of an algorithm that trains as GRPO does; see `make_trainer`."""
    preflight(run, config, text)
    model, adapter = make_model(run.request, options)
    trainer = make_trainer(run, config, model, adapter, text, constants, kind)
    session.train(run, trainer, text, constants)


def make_model(request: Request, options: ModelConfig) -> tuple[Any, PeftConfig | None]:
    """The checkpoint that RL starts from, and the adapter that is still to be put on it."""
    set_seed(request.seed)  # before TRL does, for the weights of a new adapter
    folder = model_folder(request)
    return pretrained(folder, base_name(request, folder), options)


def constants(config: Any) -> dict[str, Any]:
    """Fields that every record of the stage carries."""
    return {"loss_normalisation": describe(config.loss_type, config.scale_rewards)}


class RecordedGRPOTrainer(GRPOTrainer):
    """TRL's trainer, which completes the record of each batch of rollouts with the mismatch of its sampler."""

    recorder: RolloutRecorder
    text: Text
    anchor: Anchor | None = None
    anchored: bool = False  # whether it was looked for

    def _get_train_sampler(self, dataset: Any = None) -> PromptOrder:
        order = super()._get_train_sampler(dataset)
        return PromptOrder(
            order.data_source,
            order.mini_repeat_count,
            order.batch_size,
            order.repeat_count,
            order.shuffle,
            order.seed,
        )

    def score(self, prompts: Sequence[Sequence[int]], responses: Sequence[Sequence[int]]) -> list[float]:
        """Log-probability of each response under the policy as it stands, at the sampling temperature. On every rank; each computes its
        part of the batches, and as many as the others, since a forward may be a collective."""
        device, pad = self.accelerator.device, self.processing_class.pad_token_id
        scores: dict[int, float] = {}
        order = sorted(range(len(responses)), key=lambda i: (len(responses[i]), len(prompts[i])))
        with _evaluating(self.model):
            together = self.args.per_device_train_batch_size  # memory is planned for that many, and to learn from them
            batches = [order[start : start + together] for start in range(0, len(order), together)]
            for rows in of_rank(batches, together, self.accelerator.num_processes, self.accelerator.process_index):
                before, after = max(len(prompts[i]) for i in rows), max(len(responses[i]) for i in rows)
                ids = torch.full((len(rows), before + after), pad, device=device)  # (B, P + T), prompts to the left
                mask = torch.zeros_like(ids)
                for row, i in enumerate(rows):
                    first, sequence = before - len(prompts[i]), [*prompts[i], *responses[i]]
                    ids[row, first : first + len(sequence)] = torch.tensor(sequence, device=device)
                    mask[row, first : first + len(sequence)] = 1
                logps = self._get_per_token_logps_and_entropies(self.model, ids, mask, after)[0]  # (B, T)
                for i, total in zip(rows, (logps * mask[:, before:]).double().sum(1).tolist(), strict=True):
                    scores[i] = total
        everywhere = dict(gather_object(list(scores.items())))
        return [everywhere[i] for i in range(len(responses))]

    def _weighed(self) -> dict[str, float]:
        """The long share of the policy that samples next, from the responses of before RL."""
        run = self.recorder.run
        if not self.anchored:
            self.anchored = True
            policy = session.sampler_for(run, self, self.processing_class)
            model = self.accelerator.unwrap_model(self.model)
            self.anchor = open_anchor(run, self.text, lambda: policy(model), self.score)
        return self.anchor.fields(self.score) if self.anchor else {}

    def _calculate_rewards(self, *args: Any) -> torch.Tensor:
        self.each = super()._calculate_rewards(*args)  # (B, rewards), over all processes
        return self.each

    def _selection(self, output: dict[str, torch.Tensor]) -> dict[str, float]:
        """The round's audit, on rank 0."""
        importance = None
        if (ratios := output.get("importance_sampling_ratio")) is not None:
            mask = output["completion_mask"]
            ratios = ratios.expand_as(mask)  # ratios of whole sequences have one column
            importance = self.accelerator.gather((ratios * mask).sum(1) / mask.sum(1).clamp(min=1)).cpu().numpy()
        if not self.accelerator.is_main_process or self.args.multi_objective_aggregation != "sum_then_normalize":
            return {}
        batch = self.recorder.batch(self.each.double().cpu().numpy(), importance)
        masked = self.args.mask_truncated_completions
        return audit.policy_gradient(
            batch, self.num_generations, self.audited_scale, self.loss_type, self.recorder.usual(), masked
        )

    @property
    def audited_scale(self) -> str:
        """How advantages come from rewards, as `audit.advantages` names it."""
        return self.scale_rewards

    def log(self, *args: Any, **kwargs: Any) -> None:
        for name in (
            "prompt",
            "completion",
        ):  # with `log_completions` TRL prints them, and a terminal would obey what is in them
            shown = [printable(text) for text in self._logs[name]]
            self._logs[name].clear()
            self._logs[name].extend(shown)
        super().log(*args, **kwargs)

    def _generate_single_turn(self, prompt_ids: list[list[int]], *args: Any, **kwargs: Any) -> Any:
        started, synced = time.perf_counter(), self.vllm_generation.seconds if self.use_vllm else 0.0
        output = self._sampled(prompt_ids) or super()._generate_single_turn(prompt_ids, *args, **kwargs)
        total = time.perf_counter() - started
        sync = self.vllm_generation.seconds - synced if self.use_vllm else 0.0
        # For trackers and trainer_state.json; records hold nothing that differs from one run of the same seed to the next.
        self._metrics["train"]["seconds/generate"].append(total - sync)
        if self.use_vllm:
            self._metrics["train"]["seconds/sync"].append(sync)
        return output

    def _sampled(self, prompt_ids: list[list[int]]) -> tuple[list[list[int]], None] | None:
        """Rollouts by the harness's sampler, which computes a prompt once for all of its responses and drops those that have ended; None
        where TRL has to see to it: vLLM, its own batching or cache, weights in parts."""
        others = (self.use_vllm, self.use_transformers_continuous_batching, self.args.cache_implementation)
        if any(others) or session.is_sharded(self.accelerator):
            return None
        model = self.accelerator.unwrap_model(self.model_wrapped)
        sampler = HfSampler(model, self.processing_class, batch_size=len(prompt_ids))
        completions = sampler.sample(prompt_ids, SamplingParams(self.max_completion_length, self.temperature))
        return [only.token_ids for (only,) in completions], None

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        weighed = self._weighed()  # before the rollouts: a sampler of theirs may be put to sleep after them
        output = super()._generate_and_score_completions(inputs)
        self.recorder.add(weighed)
        if "importance_sampling_ratio" in output:  # sampled by vLLM
            worst = self.recorder.mismatch(
                mismatch.token_ratios(
                    output["old_per_token_logps"],
                    output["sampling_per_token_logps"],
                    output["completion_mask"],
                    self.vllm_importance_sampling_clip_max,
                    self.vllm_importance_sampling_clip_min,
                )
            )
            allowed, _ = TOLERANCE[self.vllm_generation.watch.dtype]
            self.vllm_generation.suspicious = worst > allowed
        self.recorder.add(self._selection(output))
        self.recorder.write()
        return output


def of_rank(batches: list[list[int]], size: int, processes: int, index: int) -> list[list[int]]:
    """The batches of a process: all of a single one; of several every so many-th, as many and as large for each, by repeating the last
    batch and its last row."""
    if processes == 1:
        return batches
    mine = [batches[min(first + index, len(batches) - 1)] for first in range(0, len(batches), processes)]
    return [rows + rows[-1:] * (size - len(rows)) for rows in mine]


@contextlib.contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)


def make_trainer(
    run: Run,
    config: Any,
    model: Any,
    adapter: PeftConfig | None,
    text: Text,
    constants: dict[str, Any],
    kind: type[RecordedGRPOTrainer] = RecordedGRPOTrainer,
) -> GRPOTrainer:
    """The trainer over the mixture's RL prompts, and its vLLM engine where the config asks for one.

    Args:
        run: the open run.
        config: TRL's.
        model: the policy.
        adapter: to put on it.
        text: how it reads and writes.
        constants: fields of every record of the stage.
        kind: the trainer's class.
    """
    tokenizer = text.tokenizer
    eos = eos_ids(model.generation_config, tokenizer)
    recorder = RolloutRecorder(
        run, text.reader, eos, constants, config.num_generations, lambda state: progress(config, state)
    )
    prompts = run.mixture.rl.map(lambda row: {"prompt": text.template.texts(tokenizer, [row["prompt"]])[0]})
    with _watched_vllm(run, config, text, eos) if config.use_vllm else contextlib.nullcontext():
        trainer = kind(
            model=model,
            reward_funcs=rewards_of(run.request, tokenizer, eos, recorder),
            args=config,
            train_dataset=prompts,
            processing_class=tokenizer,
            peft_config=adapter,
        )
    trainer.recorder, trainer.text = recorder, text
    if config.use_vllm:
        trainer.vllm_generation.watch.step = lambda: trainer.state.global_step
    return trainer


def preflight(run: Run, config: Any, text: Text) -> None:
    """Before a model is loaded: print the plan of a round, and look whether a vLLM server fits the run (rank 0).

    Raises:
        ConfigError: the server is not there, or serves something else; all reasons at once.
    """
    if not run.is_main:
        return
    folder = model_folder(run.request)
    device = config.device
    gpu = torch.cuda.get_device_properties(device).total_memory if device.type == "cuda" else 0
    print(memory_plan.describe(memory_plan.plan(run.request, folder, gpu), gpu or available_ram()), flush=True)
    if config.use_vllm and config.vllm_mode == "server":
        url = config.vllm_server_base_url or f"http://{config.vllm_server_host}:{config.vllm_server_port}"
        server = Server(url, run.request.arguments.vllm_request_timeout, server_log(run))
        server.wait(config.vllm_server_timeout)
        problems = list(run.mixture.rl["prompt"][:PROMPTS])
        texts = text.template.texts(text.tokenizer, problems)
        prompts = dict(zip(texts, text.prompt_ids(problems), strict=True))
        if problems := misfits(server, folder, prompts, run.request.tokens_needed, vllm_dtype(run.request, config)):
            raise ConfigError(problems)
        if server.identity() is None:
            print(
                f"{url} was not started by recipes/serve.py: its weights are checked by what it writes alone",
                flush=True,
            )


def vllm_dtype(request: Request, config: Any) -> str:
    """The data type of vLLM's weights and computation: as asked for, or that of training."""
    automatic = "bfloat16" if config.bf16 else "float16" if config.fp16 else "float32"
    return automatic if request.arguments.vllm_dtype == "auto" else request.arguments.vllm_dtype


def server_log(run: Run) -> Path:
    """Where the log of the run's vLLM server is."""
    named = run.request.arguments.vllm_server_log
    return Path(named) if named else run.dir / "server.log"


def _watched_vllm(run: Run, config: Any, text: Text, eos: list[int]) -> Any:
    from rarecot.training.rl.vllm_rollouts import Watch, watched

    arguments = run.request.arguments
    watch = Watch(
        tokenizer=text.tokenizer,
        ends=eos,
        prompt_ids=text.prompt_ids(run.mixture.rl["prompt"][:PROMPTS]),
        dtype=vllm_dtype(run.request, config),
        eager=support.is_cpu_build()
        if arguments.vllm_enforce_eager == "auto"
        else arguments.vllm_enforce_eager == "true",
        every=arguments.sync_check_every,
        tolerance=arguments.sync_tolerance,
        timeout=arguments.vllm_request_timeout,
        log=server_log(run),
        seed=config.seed,
    )
    return watched(watch)
