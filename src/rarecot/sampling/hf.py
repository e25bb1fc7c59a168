"""Sampling with transformers' `generate`, without paying for responses that have ended."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from accelerate.utils import gather_object
from transformers import GenerationConfig

from rarecot.sampling import last_layer
from rarecot.sampling.base import SamplingParams, completion_from_ids, eos_ids, stop_string
from rarecot.sampling.cache import can_be_cut, make_cache
from rarecot.types import Completion

# What a model's own generation_config.json may set, and what would make the samples no longer the policy's.
NEUTRAL = {"repetition_penalty": 1.0, "no_repeat_ngram_size": 0}
NEUTRAL_SAMPLING = {"top_k": 0, "top_p": 1.0, "typical_p": 1.0, "epsilon_cutoff": 0.0, "eta_cutoff": 0.0}
FIRST_CHUNK = 4  # tokens; short answers end within it, then only the unfinished rows go on
STOP_CHUNK = 32  # tokens between two looks for a stop string
KEPT_BYTES = 2**28  # of prompts' keys and values that are kept for another decoding of the same prompts


class HfSampler:
    """A transformers causal language model as a `Sampler`, for as long as its weights stay what they are: prompts that come again, to be decoded in
    another way, are not computed again.

    Args:
        model: the model, on its device; its training mode is restored after every call.
        tokenizer: with distinct pad and eos.
        batch_size: sequences decoded together.
        sharded: the weights lie in parts on several processes (FSDP, ZeRO-3): each forward is a collective, so all processes must call
            `sample`, and they make as many forwards each, those with nothing left on a row that counts for nothing.
    """

    def __init__(self, model: Any, tokenizer: Any, batch_size: int = 256, sharded: bool = False):
        self.model, self.tokenizer, self.batch_size, self.sharded = model, tokenizer, batch_size, sharded
        self._filled: dict[tuple[tuple[int, ...], ...], list[tuple[torch.Tensor, torch.Tensor]]] = {}
        self.name = f"transformers {str(model.dtype).removeprefix('torch.')}"

    def sample(self, prompt_ids: Sequence[Sequence[int]], params: SamplingParams) -> list[list[Completion]]:
        """See `Sampler.sample`. Prompts of similar length share a batch; the result is in the order given."""
        rows = [i for i in range(len(prompt_ids)) for _ in range(params.n)]
        order = sorted(range(len(rows)), key=lambda j: len(prompt_ids[rows[j]]))
        completions: list[Completion | None] = [None] * len(rows)
        batches = -(-len(order) // self.batch_size)
        if self.sharded:
            batches = max(gather_object([batches]))
        with _inference(self.model, self.sharded), _random_stream(params.seed, self.model.device):
            for start in range(0, batches * self.batch_size, self.batch_size):
                batch = order[start : start + self.batch_size]
                for j, completion in zip(batch, self._batch([prompt_ids[rows[j]] for j in batch], params), strict=True):
                    completions[j] = completion
        return [completions[i * params.n : (i + 1) * params.n] for i in range(len(prompt_ids))]

    def _batch(self, prompts: list[Sequence[int]], params: SamplingParams) -> list[Completion]:
        """Decode in chunks that double, and drop finished rows (and their cache) in between: what is sampled is the
        same, but a batch of mostly short responses costs little more than its few long ones."""
        device, pad = self.model.device, self.tokenizer.pad_token_id
        width = max(map(len, prompts), default=0)
        ids = torch.tensor([[pad] * (width - len(p)) + list(p) for p in prompts], device=device)  # (B, P), left-padded
        mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts], device=device)
        alive = torch.arange(len(prompts), device=device)  # rows that have not ended
        generated: list[list[int]] = [[] for _ in prompts]
        logprobs: list[list[float]] = [[] for _ in prompts]
        top: list[list[dict[int, float]]] = [[] for _ in prompts]
        cache, done, chunk = self._prefilled(prompts, ids, mask), 0, FIRST_CHUNK
        while done < params.max_new_tokens and self._goes_on(len(alive)):
            chunk = min(chunk, params.max_new_tokens - done)
            if not len(alive):
                self._keep_company(params, chunk)
                done, chunk = done + chunk, self._next(chunk, params)
                continue
            output = self.model.generate(
                input_ids=ids,
                attention_mask=mask,
                past_key_values=cache,
                generation_config=self._generation_config(params, chunk),
                **self._synced,
            )
            new = output.sequences[:, ids.shape[1] :]  # (alive, ≤ chunk)
            scores = _logprobs(output.logits, params) if params.logprobs else None  # (alive, ≤ chunk, V)
            ended = torch.isin(new, torch.tensor(self.ends, device=device))  # (alive, ≤ chunk)
            for k, row in enumerate(alive.tolist()):
                stop = int(ended[k].int().argmax()) + 1 if ended[k].any() else new.shape[1]
                generated[row] += new[k, :stop].tolist()
                if scores is not None:
                    mine = scores[k, :stop]  # (stop, V)
                    logprobs[row] += mine.gather(-1, new[k, :stop, None]).squeeze(-1).tolist()
                    top[row] += _likeliest(mine, params.top)
            stopped = [stop_string(self.tokenizer, generated[row], params.stop) is not None for row in alive.tolist()]
            over = ended.any(dim=1) | torch.tensor(stopped, device=device)
            going = (~over).nonzero().squeeze(1)
            done, alive = done + chunk, alive[going]
            ids = output.sequences[going]
            mask = torch.cat([mask[going], mask.new_ones(len(going), new.shape[1])], dim=1)
            cache = output.past_key_values
            if len(going) and len(going) < len(new):
                cache.batch_select_indices(going)
            chunk = self._next(chunk, params)
        return [
            completion_from_ids(
                self.tokenizer,
                tokens,
                self.ends,
                scores if params.logprobs else None,
                best if params.top else None,
                params.stop,
            )
            for tokens, scores, best in zip(generated, logprobs, top, strict=True)
        ]

    def _prefilled(self, prompts: Sequence[Sequence[int]], ids: torch.Tensor, mask: torch.Tensor) -> Any:
        """The cache to start from, for B prompts, which are `ids` of shape (B, P): with all but their last token, each distinct prompt
        computed once; or empty, where that cannot be done or spares nothing. None: the model brings one of its own."""
        if self.sharded or not self.model._supports_default_dynamic_cache():
            return None
        cache = make_cache(self.model)
        places: dict[tuple[int, ...], int] = {}
        row = [places.setdefault(tuple(prompt), len(places)) for prompt in prompts]
        repeated, known = len(places) < len(prompts), last_layer.is_known(self.model)
        if ids.shape[1] < 2 or not can_be_cut(cache) or not (repeated or known):
            return cache
        first = [row.index(place) for place in range(len(places))]
        if known:
            self._fill(tuple(places), ids[first, :-1], mask[first, :-1], cache)
        else:
            greedy = self._generation_config(SamplingParams(1, temperature=0.0), 1)  # draws nothing
            self.model.generate(
                input_ids=ids[first], attention_mask=mask[first], past_key_values=cache, generation_config=greedy
            )
            cache.crop(-1)
        if repeated:
            cache.batch_select_indices(torch.tensor(row, device=ids.device))
        return cache

    def _fill(self, prompts: tuple[tuple[int, ...], ...], ids: torch.Tensor, mask: torch.Tensor, cache: Any) -> None:
        """Enter all but the last token of different prompts, or what was kept of them, into an empty cache."""
        if prompts in self._filled:
            for index, (keys, values) in enumerate(self._filled[prompts]):
                cache.update(keys, values, index)
            return
        last_layer.fill(self._bare, ids, mask, cache)
        # What is decoded is written behind them, or elsewhere.
        made = [(layer.keys, layer.values) for layer in cache.layers]
        if sum(t.nbytes for kept in (*self._filled.values(), made) for pair in kept for t in pair) <= KEPT_BYTES:
            self._filled[prompts] = made

    @property
    def _bare(self) -> Any:
        """The model without an adapter around it, whose layers hold the adapter's."""
        return self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model

    @staticmethod
    def _next(chunk: int, params: SamplingParams) -> int:
        """Tokens of the chunk after one of so many."""
        return min(chunk * 2, STOP_CHUNK) if params.stop else chunk * 2

    def _goes_on(self, alive: int) -> bool:
        """Whether a chunk follows: rows of this process are left, or of any if the model is sharded."""
        return any(gather_object([alive])) if self.sharded else alive > 0

    def _keep_company(self, params: SamplingParams, chunk: int) -> None:
        """Take part in the other processes' forwards of a chunk."""
        ids = torch.tensor([[self.tokenizer.eos_token_id]], device=self.model.device)
        how = {"attention_mask": torch.ones_like(ids), "generation_config": self._generation_config(params, chunk)}
        self.model.generate(input_ids=ids, **how, **self._synced)

    @property
    def _synced(self) -> dict[str, bool]:
        return {"synced_gpus": True} if self.sharded else {}

    @property
    def ends(self) -> list[int]:
        """Ids that end a response."""
        return eos_ids(self.model.generation_config, self.tokenizer)

    def _generation_config(self, params: SamplingParams, max_new_tokens: int) -> GenerationConfig:
        how = {"do_sample": True, "temperature": params.temperature, **NEUTRAL_SAMPLING}
        return GenerationConfig(
            max_new_tokens=max_new_tokens,
            pad_token_id=self.tokenizer.pad_token_id,
            bos_token_id=self.tokenizer.bos_token_id,
            eos_token_id=self.ends or None,
            return_dict_in_generate=True,
            output_logits=params.logprobs,
            use_cache=True,
            **NEUTRAL,
            disable_compile=True,
            **(how if params.temperature > 0 else {"do_sample": False}),
        )


def _logprobs(logits: Sequence[torch.Tensor], params: SamplingParams) -> torch.Tensor:
    """Log-probabilities of all tokens, shape (B, T, V), at the sampling temperature (1 when greedy)."""
    return (torch.stack(list(logits), dim=1).float() / (params.temperature or 1.0)).log_softmax(-1)


def _likeliest(scores: torch.Tensor, count: int) -> list[dict[int, float]]:
    """For each of the T positions of scores (T, V), the `count` best ids."""
    if not count:
        return []
    values, ids = scores.topk(min(count, scores.shape[-1]), dim=-1)
    return [dict(zip(*pair, strict=True)) for pair in zip(ids.tolist(), values.tolist(), strict=True)]


@contextlib.contextmanager
def _inference(model: Any, sharded: bool) -> Iterator[None]:
    training = model.training
    model.eval()
    try:
        # What gathers sharded weights keeps its buffers for training, where inference tensors are refused.
        with torch.no_grad() if sharded else torch.inference_mode():
            yield
    finally:
        model.train(training)


@contextlib.contextmanager
def _random_stream(seed: int | None, device: torch.device) -> Iterator[None]:
    """A stream of our own: measuring more or less often must not change what training draws."""
    if seed is None:
        yield
        return
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield
