"""vLLM in TRL's GRPO: where TRL's support stops, and the watch over what it syncs.

What TRL 1.16 lacks, and when each piece can go:
* `LLM(...)` gets no dtype and no eager switch (`watched`): when GRPOConfig has them.
* Weight sync on a CPU: colocated, vLLM has dropped what TRL would write to (`weights.repack`); to a server, TRL knows NCCL
  only (`Client`): when vLLM repacks after an update, and TRL takes vLLM's pluggable transfer.
* It waits for ever for an answer, and retries a dead server for a minute; a server's rollouts depend on what it did before
  (`Client`): when VLLMClient has time-outs and seeds.
* Its colocated engine seeds torch's global stream with the rank, whatever the run's seed is (`watched`).
* Nothing looks whether the sync worked (`WatchedGeneration`).

Importing this module imports vLLM; it is imported only for runs that use it.
"""

import contextlib
import functools
import time
import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import trl.generation.vllm_generation as generation
import trl.trainer.grpo_trainer as grpo_trainer
from accelerate.utils import broadcast_object_list, set_seed
from requests.adapters import HTTPAdapter
from transformers.pytorch_utils import Conv1D
from trl.generation.vllm_client import VLLMClient
from trl.generation.vllm_generation import VLLMGeneration
from urllib3.util.retry import Retry
from vllm.utils.network_utils import get_ip

from rarecot.sampling import Sampler, SamplingParams
from rarecot.sampling.vllm import probe, server, support, weights
from rarecot.sampling.vllm.sampler import VllmSampler, engine_options, row_seed
from rarecot.sampling.vllm.transfer import open_group, send
from rarecot.training.sync_check import TOKENS, SyncError, agreement, explain
from rarecot.types import Completion

REHEARSAL = 1.5  # what the weights are scaled by; exact in every data type
LOOPBACK = ("127.0.0.1", "localhost", "0.0.0.0", "::1")


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
    with (
        _instead(grpo_trainer, "VLLMGeneration", class_with_watch),
        _instead(generation, "LLM", functools.partial(generation.LLM, **options)),
        _instead(generation, "VLLMClient", functools.partial(Client, watch=watch)),
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
        return _lost_server(self.watch) if self.mode == "server" else contextlib.nullcontext()

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


class Client(VLLMClient):
    """TRL's client with bounded waits, no proxy, and weight transfer over gloo where there is no GPU."""

    def __init__(self, *args: Any, watch: Watch, **kwargs: Any):
        self.watch, self._gloo, self._calls = watch, None, Counter()
        super().__init__(*args, **kwargs)
        self.session.trust_env = False
        # A request that was sent is not sent again: its time-out is the bound, and a weight update must not run twice.
        retry = Retry(connect=2, read=0, status=0, other=0, backoff_factor=1, allowed_methods=["POST", "GET"])
        adapter = HTTPAdapter(max_retries=retry)
        for scheme in ("http://", "https://"):
            self.session.mount(scheme, adapter)
        self.session.request = functools.partial(self.session.request, timeout=watch.timeout)

    def check_server(self, total_timeout: float = 0.0, retry_interval: float = 2.0) -> None:
        self.session.trust_env = False
        server.Server(self.base_url, log=self.watch.log).wait(total_timeout)

    def _get(self, url: str, **kwargs: Any) -> Any:
        return _content(self.session.get(url, **kwargs))

    def _post(self, url: str, **kwargs: Any) -> Any:
        return _content(self.session.post(url, **kwargs))

    def generate(self, prompts: list[list[int]], n: int = 1, **how: Any) -> dict[str, list]:
        """TRL's `generate`, one request a prompt, each with a seed of its own: rollouts follow the run's seed, not the
        server's past. (One seed for a whole request would give every prompt the same random numbers.)"""
        assert how.get("features") is None, "text rollouts only"
        step = self.watch.step()
        call, self._calls[step] = self._calls[step], self._calls[step] + 1  # several batches may be sampled at one step
        own = server.Server(self.base_url, self.watch.timeout, self.watch.log)
        names = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty", "max_tokens")
        options = {name: how[name] for name in names if name in how}
        options |= {"n": n, "logprobs": 0, "stop_token_ids": self.watch.ends}

        def one(item: tuple[int, list[int]]) -> list[dict[str, Any]]:
            return own.complete(item[1], **options, seed=row_seed(self.watch.seed, step, call, item[0]))

        with ThreadPoolExecutor(server.CONNECTIONS) as pool:
            answers = list(pool.map(one, enumerate(prompts)))
        choices = [choice for several in answers for choice in several]
        return {
            "prompt_ids": [several[0]["prompt_token_ids"] for several in answers],
            "completion_ids": [choice["token_ids"] for choice in choices],
            "logprobs": [[[value] for value in choice["logprobs"]["token_logprobs"]] for choice in choices],
            "logprob_token_ids": [[[token] for token in choice["token_ids"]] for choice in choices],
        }

    def init_communicator(self, device: Any = 0) -> None:
        if torch.device(device).type == "cuda":
            super().init_communicator(device)
            return
        world_size = self.get_world_size() + 1  # its workers, and the trainer as rank 0
        info = {"master_address": "127.0.0.1" if self.host in LOOPBACK else get_ip(), "master_port": self.group_port}
        info |= {"rank_offset": 1, "world_size": world_size}
        self._gloo = self._meanwhile(
            "init_weight_transfer_engine",
            {"init_info": info},
            lambda: open_group(info["master_address"], self.group_port, 0, world_size),
        )

    def update_named_params(self, metadata: Any, named_params: Any) -> None:
        if self._gloo is None:
            super().update_named_params(metadata, named_params)
            return
        names, dtypes, shapes = (list(column) for column in zip(*metadata, strict=True))
        update = {"names": names, "dtype_names": dtypes, "shapes": shapes}
        self._start_weight_update()
        self._meanwhile("update_weights", {"update_info": update}, lambda: send(self._gloo, named_params))
        self._finish_weight_update()

    def _meanwhile(self, path: str, body: dict[str, Any], ours: Callable[[], Any]) -> Any:
        """The server's request and our side of the same collective, at once."""
        with ThreadPoolExecutor(1) as pool:
            theirs = pool.submit(self._post, f"{self.base_url}/{path}", json=body)
            result = ours()
            theirs.result()
        return result


def _content(response: Any) -> Any:
    if response.status_code != 200:
        path = urllib.parse.urlsplit(response.url).path
        raise server.EngineLost(f"{path} was answered with {response.status_code}: {response.text[:500]}")
    return response.json()


@contextlib.contextmanager
def _lost_server(watch: Watch) -> Iterator[None]:
    """Turn a broken connection into `EngineLost`, with the end of the server's log."""
    try:
        yield
    except (OSError, server.EngineLost) as error:
        raise server.EngineLost(
            f"the vLLM server stopped answering ({str(error)[-300:]}). The end of its log:\n{support.log_tail(watch.log)}"
        ) from error


class TrainerSampler:
    """The engine of a trainer as a `Sampler`, with the weights of the trainer's present step."""

    def __init__(self, trainer: Any):
        self.trainer, self.name = trainer, trainer.vllm_generation.sampler().name
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
