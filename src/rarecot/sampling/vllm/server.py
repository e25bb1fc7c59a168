"""A vLLM server as a `Sampler`, and what must be true of it before a run may use it."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rarecot.errors import ConfigError, RunError
from rarecot.rendering import fingerprint_of_folder
from rarecot.sampling.base import SamplingParams, completion_from_ids
from rarecot.sampling.vllm.plugin import GLOO
from rarecot.sampling.vllm.sampler import row_seed, same_prompt
from rarecot.sampling.vllm.support import is_cpu_build, log_tail
from rarecot.types import Completion

CONNECTIONS = 64  # prompts that wait for an answer at the same time
# Of a model's config: what does not say which model it is.
NOT_THE_MODEL = {"dtype", "torch_dtype", "transformers_version", "_name_or_path", "use_cache", "architectures"}
RETRY_EVERY = 1.0  # seconds, while a server starts
# No proxy: a server for rollouts stands on this machine or on the cluster's own network.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class EngineLost(RunError):
    """A server stopped answering in the middle of a run."""


class Server:
    """The HTTP interface of a vLLM server, as far as rarecot uses it.

    Args:
        url: `http://host:port`.
        timeout: seconds that one answer may take.
        log: the server's log, whose end is shown when it fails.
    """

    def __init__(self, url: str, timeout: float = 600, log: Path | None = None):
        self.url, self.timeout, self.log = url.rstrip("/"), timeout, log

    def wait(self, seconds: float) -> None:
        """Return when the server is healthy.

        Raises:
            ConfigError: it is not within `seconds`; shows the end of its log.
        """
        started = time.monotonic()
        while True:
            try:
                self._call("/health", timeout=min(10.0, max(1.0, seconds)))
                return
            except EngineLost as error:
                if time.monotonic() - started >= seconds:
                    raise ConfigError(
                        [
                            f"there is no vLLM server at {self.url} after {seconds:g} s ({error}). Start one with `python "
                            f"recipes/serve.py --model CHECKPOINT`, or wait longer with --vllm_server_timeout. The end of "
                            f"its log:\n{log_tail(self.log)}"
                        ]
                    ) from error
            time.sleep(min(RETRY_EVERY, seconds))

    def model(self) -> dict[str, Any]:
        """The served model: `id`, `max_model_len`."""
        return self._json("/v1/models")["data"][0]

    def config(self) -> dict[str, Any]:
        """vLLM's configuration; empty if the server does not tell (it was started without its development endpoints)."""
        try:
            return self._json("/server_info?config_format=json")["vllm_config"]
        except EngineLost:
            return {}

    def tokenize(self, text: str) -> list[int]:
        """The served tokenizer's ids of a text, special tokens included."""
        return self._json("/tokenize", {"prompt": text, "add_special_tokens": True})["tokens"]

    def complete(self, ids: Sequence[int], **how: Any) -> list[dict[str, Any]]:
        """Completions of one prompt: `token_ids`, `logprobs`."""
        body = {"model": self._model, "prompt": list(ids), "return_token_ids": True, **how}
        return self._json("/v1/completions", body)["choices"]

    @property
    def dtype(self) -> str:
        """The data type that the server computes in."""
        return self.config().get("model_config", {}).get("dtype", "").removeprefix("torch.") or "of unknown type"

    def identity(self) -> dict[str, Any] | None:
        """The served model's `config` and the fingerprint of its `tokenizer`; None if recipes/serve.py did not start it."""
        try:
            return self._json("/collective_rpc", {"method": "rarecot_identity"})["results"][0]
        except EngineLost:
            return None

    def probe(self) -> dict[str, list[float]] | None:
        """The weight probe (`probe.probe_engine`) of the served model; None if the server was not started by
        recipes/serve.py or is sharded."""
        try:
            results = self._json("/collective_rpc", {"method": "rarecot_probe"})["results"]
        except EngineLost:
            return None
        return results[0] if len(results) == 1 else None

    @property
    def _model(self) -> str:
        if not hasattr(self, "_name"):
            self._name = self.model()["id"]
        return self._name

    def _json(self, path: str, body: dict[str, Any] | None = None) -> Any:
        return json.loads(self._call(path, body))

    def _call(self, path: str, body: dict[str, Any] | None = None, timeout: float | None = None) -> bytes:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        try:
            with _OPENER.open(request, timeout=timeout or self.timeout) as response:
                return response.read()
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors="replace")[:500]
            raise EngineLost(f"the vLLM server answered {path} with {error.code}: {text}") from error
        except OSError as error:  # refused, reset, timed out; URLError is one of them
            raise EngineLost(f"{getattr(error, 'reason', error)}") from error


class ServerSampler:
    """A vLLM server as a `Sampler`.

    Args:
        server: the server.
        tokenizer: the model's, to decode with.
        ends: ids that end a response.
    """

    def __init__(self, server: Server, tokenizer: Any, ends: Collection[int]):
        self.server, self.tokenizer, self.ends = server, tokenizer, ends
        self.name = f"vllm {server.dtype}"

    def sample(self, prompt_ids: Sequence[Sequence[int]], params: SamplingParams) -> list[list[Completion]]:
        """See `Sampler.sample`. Raises `EngineLost` when the server fails; ValueError for `top`, which is not asked of servers."""
        if params.top:
            raise ValueError("the likeliest tokens are not asked of a vLLM server; open the checkpoint here")
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            return list(pool.map(lambda item: self._one(*item, params), enumerate(prompt_ids)))

    def _one(self, row: int, ids: Sequence[int], params: SamplingParams) -> list[Completion]:
        choices = self.server.complete(
            ids,
            n=params.n,
            temperature=params.temperature,
            max_tokens=params.max_new_tokens,
            stop_token_ids=sorted(self.ends),
            logprobs=0 if params.logprobs else None,
            top_p=1.0,
            top_k=0,
            min_p=0.0,
            repetition_penalty=1.0,
            **({} if params.seed is None else {"seed": row_seed(params.seed, row)}),
        )
        same_prompt(ids, choices[0].get("prompt_token_ids"))
        return [
            completion_from_ids(
                self.tokenizer,
                list(choice["token_ids"]),
                self.ends,
                list(choice["logprobs"]["token_logprobs"]) if params.logprobs else None,
            )
            for choice in choices
        ]


def misfits(server: Server, folder: Path, prompts: Mapping[str, Sequence[int]], tokens: int, dtype: str) -> list[str]:
    """Why a healthy server cannot give a run's rollouts, a sentence each. Its weights do not matter: they are replaced.

    Args:
        server: the server.
        folder: the checkpoint that the run starts from.
        prompts: some of the run's prompts, and their ids as the trainer reads them.
        tokens: what a prompt and a response need together.
        dtype: the data type that its rollouts should be computed in.
    """
    model, config = server.model(), server.config()
    where = f"the vLLM server at {server.url} (model {model['id']})"
    if config.get("weight_transfer_config") is None:
        return [f"{where} cannot receive weights. Start it with recipes/serve.py."]
    result = []
    if model["max_model_len"] < tokens:
        result.append(
            f"{where} takes {model['max_model_len']} tokens, but a prompt and a response need {tokens}. Start it with "
            f"--max_model_len {tokens} or more."
        )
    mode = config["model_config"]["logprobs_mode"]
    if mode != "processed_logprobs":
        result.append(f"{where} reports {mode}, not those of the sampled distribution. Start it with recipes/serve.py.")
    if server.dtype != dtype:
        result.append(f"{where} computes in {server.dtype}, the run expects {dtype}. Start it with --dtype {dtype}.")
    backend, ours = config["weight_transfer_config"]["backend"], GLOO if is_cpu_build() else "nccl"
    if backend != ours:
        result.append(
            f"{where} takes weights by {backend}, the trainer sends them by {ours}. Start it with recipes/serve.py."
        )
    return result + _another_model(server, where, folder, prompts)


def _another_model(server: Server, where: str, folder: Path, prompts: Mapping[str, Sequence[int]]) -> list[str]:
    """By the fingerprint of the tokenizer and the config where the server tells them, by the prompts' ids in any case."""
    remedy = "Serve the checkpoint that the run starts from."
    for text, ids in prompts.items():
        if (read := server.tokenize(text)) != list(ids):
            return [
                f"{where} has another tokenizer: it reads {text[:40]!r} as {read[:12]}, the trainer as {list(ids)[:12]}. {remedy}"
            ]
    identity = server.identity()
    if identity is None:
        return []
    result = []
    if identity["tokenizer"] != fingerprint_of_folder(folder):
        result.append(f"{where} has another tokenizer, by its fingerprint. {remedy}")
    mine, theirs = json.loads((folder / "config.json").read_text()), identity["config"]
    different = sorted(key for key in mine.keys() & theirs.keys() - NOT_THE_MODEL if mine[key] != theirs[key])
    if different:
        shown = ", ".join(f"{key} {theirs[key]} instead of {mine[key]}" for key in different[:4])
        result.append(f"{where} serves another model: {shown}. {remedy}")
    return result
