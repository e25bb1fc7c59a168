"""What a person would write by hand in torch for the headline, made as fast as we can: the yardstick of `bench.py`.

Same model class, data distribution, number of tokens and optimizer. Short and long rows are computed apart, without padding, the last layer only
where a label asks for it; a prompt is computed once for all its responses, which leave the batch when they end. Nothing is logged, saved,
checked or measured but what the learning and the one figure need.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from rarecot.sampling import last_layer
from rarecot.sampling.cache import make_cache

PAD, BOS, EOS, ZERO, EQUALS = 0, 1, 2, 3, 5


def parity(rng: np.random.Generator, n: int, d: int) -> tuple[torch.Tensor, torch.Tensor]:
    """n prompts, shape (n, d + 2), and their chains, shape (n, d), as token ids."""
    bits = torch.from_numpy(rng.integers(0, 2, (n, d)))
    ends = torch.full((n, 1), BOS), torch.full((n, 1), EQUALS)
    return torch.cat([ends[0], bits + ZERO, ends[1]], 1), bits.cumsum(1) % 2 + ZERO


def ntp_stepper(model: Any, d: int, batch: int, p_cot: float, learning_rate: float) -> Callable[[float], None]:
    """A function that takes one NTP step on fresh data, at a share of the learning rate."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=0.0, fused=True)
    rng = np.random.default_rng(0)
    n_long = round(p_cot * batch)
    labelled = n_long * (d + 1) + (batch - n_long) * 2
    model.train()

    def step(share: float = 1.0) -> None:
        optimizer.param_groups[0]["lr"] = share * learning_rate
        prompt, chain = parity(rng, batch, d)
        end = torch.full((batch, 1), EOS)
        rows = (
            torch.cat([prompt[:n_long], chain[:n_long], end[:n_long]], 1),
            torch.cat([prompt[n_long:], chain[n_long:, -1:], end[n_long:]], 1),
        )
        loss = sum(nll(model, ids, d + 2) for ids in rows if len(ids)) / labelled
        _descend(model, optimizer, loss)

    return step


def grpo_stepper(model: Any, d: int, prompts: int, group: int, learning_rate: float) -> Callable[[], dict[str, float]]:
    """A function that does one GRPO round (sample, reward, one step on whole-sequence policy gradients) and says what each part took,
    in seconds."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=0.0, fused=True)
    rng = np.random.default_rng(1)
    width = d + 2

    def step() -> dict[str, float]:
        clock = [time.perf_counter()]
        prompt, chain = parity(rng, prompts, d)
        answer = chain[:, -1].repeat_interleave(group)
        ids = sample(model, prompt, group, d + 1)  # (B, P + T)
        clock.append(time.perf_counter())
        last, reward = judged(ids[:, width:], answer)
        grouped = reward.view(prompts, group)
        advantage = ((grouped - grouped.mean(1, keepdim=True)) / (grouped.std(1, keepdim=True) + 1e-4)).view(-1)
        clock.append(time.perf_counter())
        loss = 0.0
        for rows in ((last <= 1).nonzero()[:, 0], (last > 1).nonzero()[:, 0]):
            if len(rows):
                longest = int(last[rows].max()) + 1
                part = ids[rows, : width + longest]
                keep = torch.arange(longest) <= last[rows, None]  # (rows, longest)
                logits = response_logits(model, part, width)
                logp = logits.log_softmax(-1).gather(-1, part[:, width:, None])[..., 0]  # (rows, longest)
                loss = loss - ((logp - logp.detach()).exp() * advantage[rows, None] * keep).sum()
        _descend(model, optimizer, loss / (len(ids) * (d + 1)))
        clock.append(time.perf_counter())
        return dict(zip(("generate", "reward", "train"), np.diff(clock).tolist(), strict=True))

    return step


def _descend(model: Any, optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()


def judged(response: torch.Tensor, answer: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Where each of B responses, shape (B, T), ends, and whether it is right (1.0 or 0.0), shape (B,)."""
    ended = (response == EOS).any(1)
    last = torch.where(ended, (response == EOS).int().argmax(1), response.shape[1] - 1)
    before = response.gather(1, (last - 1).clamp(min=0)[:, None])[:, 0]
    return last, ((before == answer) & ended & (last > 0)).float()


@torch.inference_mode()
def sample(model: Any, prompt: torch.Tensor, group: int, tokens: int, greedy: bool = False) -> torch.Tensor:
    """Prompts (n, P) with their responses, shape (n · group, P + tokens), padded behind their ends."""
    cache = make_cache(model)
    with last_layer.only_from(model, prompt.shape[1] - 1):
        logits = model(prompt, past_key_values=cache, use_cache=True).logits[:, -1]
    alive = torch.arange(len(prompt) * group)
    cache.batch_select_indices(alive // group)
    logits = logits[alive // group]
    ids = torch.full((len(alive), prompt.shape[1] + tokens), PAD)
    ids[:, : prompt.shape[1]] = prompt.repeat_interleave(group, 0)
    for at in range(prompt.shape[1], ids.shape[1]):
        new = logits.argmax(-1) if greedy else logits.softmax(-1).multinomial(1)[:, 0]
        ids[alive, at] = new
        going = (new != EOS).nonzero()[:, 0]
        if not len(going) or at == ids.shape[1] - 1:
            break
        if len(going) < len(alive):
            alive, new = alive[going], new[going]
            cache.batch_select_indices(going)
        logits = model(new[:, None], past_key_values=cache, use_cache=True).logits[:, -1]
    return ids


def nll(model: Any, ids: torch.Tensor, prompt: int) -> torch.Tensor:
    """Summed negative log-likelihood of everything after the prompt."""
    logits = response_logits(model, ids, prompt)
    return F.cross_entropy(logits.reshape(-1, logits.shape[-1]), ids[:, prompt:].reshape(-1), reduction="sum")


def response_logits(model: Any, ids: torch.Tensor, prompt: int) -> torch.Tensor:
    """Logits of everything after the prompt, shape (B, T − prompt, V)."""
    with last_layer.only_from(model, prompt - 1):
        return model(input_ids=ids, use_cache=False).logits[:, :-1].float()
