"""vLLM in TRL's GRPO: where TRL's support stops, and the watch over what it syncs.

What TRL 1.16 lacks, and when each piece can go:
* `LLM(...)` gets no dtype and no eager switch (`watched`): when GRPOConfig has them.
* Weight sync on a CPU: vLLM has dropped what TRL would write to (`weights.repack`): when vLLM repacks after an update.
* Its colocated engine seeds torch's global stream with the rank, whatever the run's seed is (`watched`).
* Nothing looks whether the sync worked (`WatchedGeneration`).

Importing this module imports vLLM; it is imported only for runs that use it.
"""

import contextlib
import functools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import trl.generation.vllm_generation as generation
import trl.trainer.grpo_trainer as grpo_trainer
from accelerate.utils import broadcast_object_list, set_seed
from transformers.pytorch_utils import Conv1D
from trl.generation.vllm_generation import VLLMGeneration

from rarecot.sampling import Sampler, SamplingParams
from rarecot.sampling.vllm import probe, server, support, weights
from rarecot.sampling.vllm.sampler import VllmSampler, engine_options
from rarecot.training.rl.sync_check import TOKENS, SyncError, agreement, explain
from rarecot.training.rl.vllm_client import Client, lost_server
from rarecot.types import Completion

REHEARSAL = 1.5  # what the weights are scaled by; exact in every data type


@dataclass
class Watch:
    """What `WatchedGeneration` needs to know beyond TRL's config.

    Args:
        tokenizer: the model's.
        ends: ids that end a response.
        prompt_ids: a few of the run's prompts, to check the sync on.
        dtype: of the engine's weights and computation.
        eager: do not compile.
        every: weight syncs between checks, the first is checked too; 0: none.
        tolerance: see `Agreement.exceeds`.
        timeout: seconds that an answer of the server may take.
        log: the server's log.
        seed: of the run.
        step: tells the optimizer steps that were taken.
    """

    tokenizer: Any
    ends: list[int]
    prompt_ids: list[list[int]]
    dtype: str
    eager: bool
    every: int
    tolerance: float
    timeout: float
    log: Path | None
    seed: int

    step: Callable[[], int] = lambda: 0

    def due(self, sync: int) -> bool:
        """Whether the n-th sync is checked, counting from 1."""
        return self.every > 0 and (sync == 1 or sync % self.every == 0)


@contextlib.contextmanager
def watched(watch: Watch) -> Iterator[None]:
    """While a `GRPOTrainer` is made inside: it gets our generation class, engine options and client."""
    class_with_watch = functools.partial(WatchedGeneration, watch=watch)
    options = {"dtype": watch.dtype, **engine_options(watch.eager)}
    reach = {"ends": watch.ends, "timeout": watch.timeout, "log": watch.log}
    client = functools.partial(Client, seed=watch.seed, step=lambda: watch.step(), **reach)
    with (
        _instead(grpo_trainer, "VLLMGeneration", class_with_watch),
        _instead(generation, "LLM", functools.partial(generation.LLM, **options)),
        _instead(generation, "VLLMClient", client),
    ):
        yield
    set_seed(watch.seed, device_specific=True)  # the engine seeded torch's global stream with its rank


@contextlib.contextmanager
def _instead(module: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


class WatchedGeneration(VLLMGeneration):
    """TRL's vLLM generation that checks its own weight sync, and names a lost server."""

    def __init__(self, *args: Any, watch: Watch, **kwargs: Any):
        self.watch, self.syncs = watch, 0
        self.seconds = 0.0  # spent in syncs so far, checks included
        self.suspicious = False  # the next sync is checked, whatever its number
        self._scale = 1.0
        self.mode = kwargs["mode"]
        with self._reaching():
            super().__init__(*args, **kwargs)
        self.generation_kwargs = {**self.generation_kwargs, "stop_token_ids": sorted(watch.ends)}

    def sync_weights(self) -> None:
        """Give the engine the trained weights; first rehearse it, and now and then check what it did.

        Raises:
            SyncError: the engine does not compute with them.
        """
        started = time.perf_counter()
        self.syncs += 1
        if self.syncs == 1 and self.watch.every:
            self._rehearse()
        self._push()
        if self.suspicious or self.watch.due(self.syncs):
            self.suspicious = False
            self.check()
        self.seconds += time.perf_counter() - started

    def generate(self, prompts: list[list[int]], *args: Any, **kwargs: Any) -> tuple:
        with self._reaching():
            output = super().generate(prompts, *args, **kwargs)
        for sent, read in zip(prompts, output[0], strict=True):
            server.same_prompt(sent, read)
        return output

    def check(self) -> None:
        """Compare greedy responses and the weights behind them with the trainer's; on every rank.

        Raises:
            SyncError: they differ by more than rounding.
        """
        watch, model = self.watch, self.accelerator.unwrap_model(self.model)
        found = agreement(model, watch.prompt_ids, self._greedy())
        wrong, unknown = self.differing()
        if wrong or found.exceeds(watch.dtype, watch.tolerance):
            raise SyncError(explain(found, watch.dtype, watch.step(), wrong, unknown))

    def sample(self, prompt_ids: Sequence[Sequence[int]], params: SamplingParams) -> list[list[Completion]]:
        """Complete prompts with the weights of the last sync, see `Sampler.sample`."""
        with self._reaching(), self._awake():
            return self.sampler().sample(prompt_ids, params)

    def sampler(self) -> Sampler:
        """The engine as a `Sampler`, as it stands."""
        if self.mode == "server":
            own = server.Server(self.vllm_client.base_url, self.watch.timeout, self.watch.log)
            return server.ServerSampler(own, self.watch.tokenizer, self.watch.ends)
        return VllmSampler(self.llm, self.watch.tokenizer, self.watch.ends)

    def differing(self) -> tuple[list[str] | None, list[str]]:
        """Parameters that the engine computes with differently (None: cannot be said), and those that cannot be compared
        by name."""
        model = self.accelerator.unwrap_model(self.model)
        ours = probe.probe_trainer(
            self._iter_named_params(), _transposed(model), tied_head(model)
        )  # may be a collective
        if self.mode == "server":
            is_main = self.accelerator.is_main_process
            theirs = server.Server(self.vllm_client.base_url, self.watch.timeout).probe() if is_main else None
        else:
            theirs = probe.probe_engine(weights.engine_model(self.llm))
        if theirs is None:
            return None, []
        return probe.differing(theirs, ours, getattr(torch, self.watch.dtype)), probe.incomparable(theirs, ours)

    def _rehearse(self) -> None:
        """Send all weights scaled, and see whether each arrives: a step of training changes a weight by less than half
        precision can show, so a parameter that is never synced would pass as rounding for hundreds of steps."""
        self._scale = REHEARSAL
        self._push()
        wrong, _ = self.differing()
        self._scale = 1.0
        if wrong:
            raise SyncError(explain(None, self.watch.dtype, self.watch.step(), wrong, []))

    def _push(self) -> None:
        with self._reaching():
            if self.mode == "colocate" and support.is_cpu_build():
                weights.replace(self.llm, self._iter_named_params())
            else:
                super().sync_weights()

    def _iter_named_params(self) -> Iterator[tuple[str, torch.Tensor]]:
        for name, tensor in super()._iter_named_params():
            yield name, tensor if self._scale == 1.0 else tensor * self._scale

    def _greedy(self) -> list[Completion]:
        """The engine's greedy completions of the watched prompts; a server's, which rank 0 alone talks to, on all ranks."""
        params = SamplingParams(min(TOKENS, self.max_completion_length), logprobs=True)
        made: list[Any] = [None]
        if self.mode != "server" or self.accelerator.is_main_process:
            made = [[several[0] for several in self.sample(self.watch.prompt_ids, params)]]
        if self.mode == "server":
            broadcast_object_list(made, from_process=0)
        return made[0]

    def _reaching(self) -> contextlib.AbstractContextManager[None]:
        """While a server is asked: a broken connection is an `EngineLost`."""
        return lost_server(self.watch.log) if self.mode == "server" else contextlib.nullcontext()

    @contextlib.contextmanager
    def _awake(self) -> Iterator[None]:
        """An engine that sleeps between rollouts, with its weights synced and its cache there. It keeps the weights
        afterwards, as after a sync: rollouts come next, and drop them when they are done."""
        if not self.enable_sleep_mode or self.mode == "server":
            yield
            return
        if self._llm_weights_sleeping:
            self._push()
        self.llm.wake_up(tags=["kv_cache"])
        try:
            yield
        finally:
            self.llm.sleep(level=1)  # drops the cache and keeps a copy of the weights
            self.llm.wake_up(tags=["weights"])


class TrainerSampler:
    """The engine of a trainer as a `Sampler`, with the weights of the trainer's present step."""

    def __init__(self, trainer: Any):
        self.trainer, self.name = trainer, f"vllm {trainer.vllm_generation.watch.dtype}"
        # Weight sync is a collective, so it happens here, on every rank, and sampling on one.
        if trainer.state.global_step != trainer._last_loaded_step:
            trainer.vllm_generation.sync_weights()
            trainer._last_loaded_step = trainer.state.global_step

    def sample(self, prompt_ids: Sequence[Sequence[int]], params: SamplingParams) -> list[list[Completion]]:
        """See `Sampler.sample`."""
        return self.trainer.vllm_generation.sample(prompt_ids, params)


def tied_head(model: Any) -> str | None:
    """Name of the output head's parameter if it is the input embedding."""
    return "lm_head.weight" if model.config.tie_word_embeddings else None


def _transposed(model: Any) -> set[str]:
    """Names of the matrices that GPT-2's layers store as (in, out)."""
    return {f"{name}.weight" for name, module in model.named_modules() if isinstance(module, Conv1D)}
