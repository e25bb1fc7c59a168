"""Does the engine that samples rollouts compute with the weights that are being trained?

On a few prompts: greedy tokens and their log-probabilities from the engine, held against the trainer's own on the same
tokens; and the weights behind them by a probe (`sampling.vllm.probe`), because in half precision the rounding of a
response hides one wrong matrix. A weight sync that silently misses a parameter (a stale tied head, a packed copy) shows
here and nowhere else: importance sampling hides it in reward curves.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from rarecot.errors import RunError
from rarecot.types import Completion

PROMPTS = 4
TOKENS = 64  # of each greedy response

# Largest difference of a token's log-probability, and largest mean difference, that rounding explains. Measured on
# SmolLM2-135M against a float32 trainer, 32 prompts: 2.4e-5 and 2.9e-6; 0.17 (greedy choice off by 0.24) and 0.017; 0.025
# and 0.0022. Other kernels and longer responses differ more.
TOLERANCE = {"float32": (1e-3, 2e-4), "bfloat16": (0.5, 0.05), "float16": (0.1, 0.01)}


class SyncError(RunError):
    """The engine does not generate with the weights that are being trained."""


@dataclass(frozen=True)
class Agreement:
    """How far engine and trainer agree on the greedy responses of the engine.

    Args:
        tokens: compared.
        worst: largest absolute difference of a token's natural log-probability.
        mean: mean absolute difference.
        gap: how much less likely than its own choice, in nats, the trainer finds the engine's greedy tokens at most; 0
            when both choose the same.
    """

    tokens: int
    worst: float
    mean: float
    gap: float

    def exceeds(self, dtype: str, tolerance: float = 0.0) -> bool:
        """Whether the difference is more than rounding.

        Args:
            dtype: the engine's.
            tolerance: largest difference of a log-probability to accept; 0: what `TOLERANCE` says of the dtype.
        """
        worst, mean = (tolerance, tolerance) if tolerance else TOLERANCE[dtype]
        return not (self.worst <= worst and self.gap <= worst and self.mean <= mean)  # NaN exceeds


def agreement(model: Any, prompt_ids: Sequence[Sequence[int]], completions: Sequence[Completion]) -> Agreement:
    """Hold greedy completions with log-probabilities against the model's own.

    Args:
        model: transformers' causal language model, as it is being trained (its mode is restored).
        prompt_ids: B prompts.
        completions: the engine's greedy completion of each, with `logprobs`.
    """
    differences, gaps = [], []
    training = model.training
    model.eval()
    with torch.no_grad():
        for ids, completion in zip(prompt_ids, completions, strict=True):
            sequence = torch.tensor([[*ids, *completion.token_ids]], device=model.device)  # (1, P + T)
            logits = model(input_ids=sequence, use_cache=False).logits[0, len(ids) - 1 : -1].float()  # (T, V)
            scores = logits.log_softmax(-1)
            chosen = scores.gather(-1, sequence[0, len(ids) :, None])[:, 0]  # (T,)
            differences.append((chosen - torch.tensor(completion.logprobs, device=chosen.device)).abs())
            gaps.append(scores.amax(-1) - chosen)
    model.train(training)
    everything = torch.cat(differences)
    return Agreement(
        tokens=everything.numel(),
        worst=everything.max().item(),
        mean=everything.mean().item(),
        gap=torch.cat(gaps).max().item(),
    )


def explain(found: Agreement | None, dtype: str, step: int, wrong: list[str] | None, unknown: Sequence[str]) -> str:
    """What to tell the user when the check fails.

    Args:
        found: the disagreement; None in a rehearsal, where only the weights were compared.
        dtype: the engine's.
        step: optimizer steps taken.
        wrong: parameters that the engine computes with differently; None if they could not be compared.
        unknown: parameters that could not be compared by name.
    """
    if wrong:
        cause = f"these parameters did not arrive: {', '.join(wrong)}."
    elif wrong is None:
        cause = "which parameters did not arrive cannot be said (a server not started by recipes/serve.py, or a sharded model)."
    else:
        cause = (
            "every parameter that can be compared did arrive, so the engine computes something else with them: another "
            "configuration or data type, or an attention backend with other rounding."
        )
        if unknown:
            cause += f" Not compared: {', '.join(unknown[:8])}."
    evidence = ""
    if found is not None:
        worst, mean = TOLERANCE[dtype]
        evidence = (
            f"On {found.tokens} greedy tokens the log-probabilities differ by up to {found.worst:.3g} (mean {found.mean:.3g}, "
            f"greedy choice off by {found.gap:.3g}); {dtype} explains up to {worst:g} (mean {mean:g}). "
        )
    return (
        f"vLLM does not generate with the weights that are being trained (after step {step}): {cause} {evidence}Rewards would "
        f"still rise while the gradient is wrong, so the run stops. `python recipes/doctor.py` tests the sync alone."
    )
