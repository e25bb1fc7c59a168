"""TRL's client of a vLLM server, where TRL's own stops.

What TRL 1.16 lacks, and when this can go: it waits for ever for an answer and retries a dead server for a minute; a
server's rollouts depend on what it did before; weights travel by NCCL only. When VLLMClient has time-outs and seeds and takes
vLLM's pluggable transfer.
"""

import contextlib
import functools
import os
import socket
import urllib.parse
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from requests.adapters import HTTPAdapter
from trl.generation.vllm_client import VLLMClient
from urllib3.util.retry import Retry
from vllm.utils.network_utils import get_ip

from rarecot.sampling.vllm import server, support
from rarecot.sampling.vllm.sampler import row_seed
from rarecot.sampling.vllm.transfer import open_group, send


class Client(VLLMClient):
    """TRL's client with bounded waits, no proxy, seeds, and weight transfer over gloo where there is no GPU.

    Args:
        seed: of the run.
        step: tells the optimizer steps that were taken.
        ends: ids that end a response.
        timeout: seconds that an answer of the server may take.
        log: the server's log.
    """

    def __init__(
        self,
        *args: Any,
        seed: int,
        step: Callable[[], int],
        ends: Collection[int],
        timeout: float,
        log: Path | None,
        **kwargs: Any,
    ):
        self.seed, self.step, self.ends, self.timeout, self.log = seed, step, ends, timeout, log
        self._gloo, self._calls = None, Counter()
        super().__init__(*args, **kwargs)
        self.session.trust_env = False
        # A request that was sent is not sent again: its time-out is the bound, and a weight update must not run twice.
        retry = Retry(connect=2, read=0, status=0, other=0, backoff_factor=1, allowed_methods=["POST", "GET"])
        adapter = HTTPAdapter(max_retries=retry)
        for scheme in ("http://", "https://"):
            self.session.mount(scheme, adapter)
        self.session.request = functools.partial(self.session.request, timeout=timeout)

    def check_server(self, total_timeout: float = 0.0, retry_interval: float = 2.0) -> None:
        self.session.trust_env = False
        server.Server(self.base_url, log=self.log).wait(total_timeout)

    def _get(self, url: str, **kwargs: Any) -> Any:
        return _content(self.session.get(url, **kwargs))

    def _post(self, url: str, **kwargs: Any) -> Any:
        return _content(self.session.post(url, **kwargs))

    def generate(self, prompts: list[list[int]], n: int = 1, **how: Any) -> dict[str, list]:
        """TRL's `generate`, one request a prompt, each with a seed of its own: rollouts follow the run's seed, not the
        server's past. (One seed for a whole request would give every prompt the same random numbers.)"""
        assert how.get("features") is None, "text rollouts only"
        step = self.step()
        call, self._calls[step] = self._calls[step], self._calls[step] + 1  # several batches may be sampled at one step
        own = server.Server(self.base_url, self.timeout, self.log)
        names = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty", "max_tokens")
        options = {name: how[name] for name in names if name in how}
        options |= {"n": n, "logprobs": 0, "stop_token_ids": sorted(self.ends)}

        def one(item: tuple[int, list[int]]) -> list[dict[str, Any]]:
            return own.complete(item[1], **options, seed=row_seed(self.seed, step, call, item[0]))

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
        # Where the server finds the trainer. Left alone, vLLM asks for the way to the internet, which nodes of a cluster may not have.
        os.environ.setdefault("VLLM_HOST_IP", address_towards(self.base_url))
        if torch.device(device).type == "cuda":
            super().init_communicator(device)
            return
        world_size = self.get_world_size() + 1  # its workers, and the trainer as rank 0
        info = {"master_address": get_ip(), "master_port": self.group_port}
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


def address_towards(url: str) -> str:
    """This machine's address on the network by which it reaches a server; IPv4 where there is one, as vLLM's groups need it."""
    where = urllib.parse.urlsplit(url)
    found = socket.getaddrinfo(where.hostname, where.port or 80, type=socket.SOCK_DGRAM)
    family, kind, *_, address = min(found, key=lambda each: each[0] != socket.AF_INET)
    with socket.socket(family, kind) as probe:
        probe.connect(address)  # nothing is sent
        return probe.getsockname()[0]


def _content(response: Any) -> Any:
    if response.status_code != 200:
        path = urllib.parse.urlsplit(response.url).path
        raise server.EngineLost(f"{path} was answered with {response.status_code}: {response.text[:500]}")
    return response.json()


@contextlib.contextmanager
def lost_server(log: Path | None) -> Iterator[None]:
    """Turn a broken connection into `EngineLost`, with the end of the server's log."""
    try:
        yield
    except (OSError, server.EngineLost) as error:
        raise server.EngineLost(
            f"the vLLM server stopped answering ({str(error)[-300:]}). The end of its log:\n{support.log_tail(log)}"
        ) from error
