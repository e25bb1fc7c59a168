"""What a person would write by hand in torch for the headline, made as fast as we can: the yardstick of `bench.py`.

Same model class, same data distribution, same number of tokens, same optimizer. Short and long rows are computed apart,
without padding, as ours are.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

PAD, BOS, EOS, ZERO, EQUALS = 0, 1, 2, 3, 5


def ntp_stepper(model: Any, d: int, batch: int, p_cot: float, learning_rate: float) -> Callable[[], None]:
    """A function that takes one NTP step on fresh data."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=0.0, fused=True)
    rng = np.random.default_rng(0)
    n_long = round(p_cot * batch)
    labelled = n_long * (d + 1) + (batch - n_long) * 2
    model.train()

    def step() -> None:
        prompt, chain = parity(rng, batch, d)
        end = torch.full((batch, 1), EOS)
        rows = (
            torch.cat([prompt[:n_long], chain[:n_long], end[:n_long]], 1),
            torch.cat([prompt[n_long:], chain[n_long:, -1:], end[n_long:]], 1),
        )
        loss = sum(nll(model, ids, d + 2) for ids in rows if len(ids)) / labelled
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def grpo_stepper(model: Any, d: int, prompts: int, group: int, learning_rate: float) -> Callable[[], None]:
    """A function that does one GRPO round: sample, reward, one step on whole-sequence policy gradients."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=0.0, fused=True)
    rng = np.random.default_rng(1)
    width = d + 2

    def step() -> None:
        prompt, chain = parity(rng, prompts, d)
        prompt, answer = prompt.repeat_interleave(group, 0), chain[:, -1].repeat_interleave(group)
        model.eval()
        with torch.no_grad():
            ids = model.generate(
                prompt,
                attention_mask=torch.ones_like(prompt),
                do_sample=True,
                top_k=0,
                max_new_tokens=d + 1,
                pad_token_id=PAD,
                eos_token_id=EOS,
            )
        model.train()
        response = ids[:, width:]
        ended = (response == EOS).any(1)
        last = torch.where(ended, (response == EOS).int().argmax(1), response.shape[1] - 1)  # (B,)
        before = response.gather(1, (last - 1).clamp(min=0)[:, None])[:, 0]
        reward = ((before == answer) & ended & (last > 0)).float().view(prompts, group)
        advantage = ((reward - reward.mean(1, keepdim=True)) / (reward.std(1, keepdim=True) + 1e-4)).view(-1)
        loss = 0.0
        for rows in ((last <= 1).nonzero()[:, 0], (last > 1).nonzero()[:, 0]):
            if len(rows):
                longest = int(last[rows].max()) + 1
                part = ids[rows, : width + longest]
                keep = torch.arange(longest) <= last[rows, None]  # (rows, longest)
                logits = model(input_ids=part, use_cache=False).logits[:, width - 1 : -1].float()
                logp = logits.log_softmax(-1).gather(-1, part[:, width:, None])[..., 0]  # (rows, longest)
                ratio = (logp - logp.detach()).exp()
                loss = loss - (ratio * advantage[rows, None] * keep).sum()
        (loss / (len(ids) * (d + 1))).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def parity(rng: np.random.Generator, n: int, d: int) -> tuple[torch.Tensor, torch.Tensor]:
    """n prompts, shape (n, d + 2), and their chains, shape (n, d), as token ids."""
    bits = torch.from_numpy(rng.integers(0, 2, (n, d)))
    ends = torch.full((n, 1), BOS), torch.full((n, 1), EQUALS)
    return torch.cat([ends[0], bits + ZERO, ends[1]], 1), bits.cumsum(1) % 2 + ZERO


def nll(model: Any, ids: torch.Tensor, prompt: int) -> torch.Tensor:
    """Summed negative log-likelihood of everything after the prompt."""
    logits = model(input_ids=ids, use_cache=False).logits[:, prompt - 1 : -1].float()
    return F.cross_entropy(logits.reshape(-1, logits.shape[-1]), ids[:, prompt:].reshape(-1), reduction="sum")
