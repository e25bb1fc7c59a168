"""What RL would pay for a response. Light: it is checked before anything is loaded."""

import math
from dataclasses import dataclass

from rarecot.errors import nearest
from rarecot.rewards import CORRECTNESS, REWARDS
from rarecot.values import shown


@dataclass(frozen=True)
class Pay:
    """What RL would pay for a response.

    Args:
        reward_funcs: names in `rewards.REWARDS`.
        reward_weights: one each; empty: 1 each.
        false_positive_rate: of a noisy verifier.
        false_negative_rate: of a noisy verifier.
        keep_from: total reward from which STaR keeps a response.
        max_completion_length: RL's cap on a response, in tokens; 0: as long as was sampled.
    """

    reward_funcs: tuple[str, ...] = ("answer",)
    reward_weights: tuple[float, ...] = ()
    false_positive_rate: float = 0.0
    false_negative_rate: float = 0.0
    keep_from: float = 1.0
    max_completion_length: int = 0

    @property
    def weights(self) -> tuple[float, ...]:
        return self.reward_weights or (1.0,) * len(self.reward_funcs)

    def problems(self) -> list[str]:
        """What is wrong with it, a sentence each."""
        said = [
            f"reward_funcs: unknown reward {shown(name)}{nearest(name[:100], REWARDS)} Known: {', '.join(REWARDS)}."
            for name in self.reward_funcs
            if name not in REWARDS
        ]
        if self.reward_weights and len(self.reward_weights) != len(self.reward_funcs):
            said.append(
                f"reward_weights has {len(self.reward_weights)} entries for {len(self.reward_funcs)} rewards. Give one each."
            )
        numbers = {"keep_from": [self.keep_from], "reward_weights": self.reward_weights}
        said += [
            f"{key} is {value}: it must be a number."
            for key, values in numbers.items()
            for value in values
            if not math.isfinite(value)
        ]
        most = sum(weight for name, weight in zip(self.reward_funcs, self.weights, strict=False) if name in CORRECTNESS)
        if not said and self.keep_from > most + 1e-9:
            said.append(
                f"keep_from is {self.keep_from:g}, but a response earns {most:g} at most: nothing would be kept. Lower it."
            )
        for key in ("false_positive_rate", "false_negative_rate"):
            if not 0 <= getattr(self, key) <= 1:
                said.append(f"{key} is {getattr(self, key)}: it is a probability, between 0 and 1.")
        if self.max_completion_length < 0:
            said.append(f"max_completion_length is {self.max_completion_length}: it counts tokens; 0 is the suite's.")
        return said
