"""What can train a model: next-token prediction, and the kinds of RL after it. One line here, a file in `training/`, a recipe."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Stage:
    """One way of training.

    Args:
        title: how people call it.
        config: the class of TRL whose options it takes.
        defaults: of those options, where the library's would surprise here; a YAML or the command line overrides them.
        is_rl: samples responses and learns from their rewards.
    """

    title: str
    config: str
    defaults: Mapping[str, Any] = field(default_factory=dict)
    is_rl: bool = True


# A round is one batch of rollouts; its loss is written down at each one.
_ON_POLICY = {
    "vllm_importance_sampling_mode": "token_truncate",  # TRL's sequence masks remove long responses first
    "logging_steps": 1,
}

STAGES: dict[str, Stage] = {
    "sft": Stage("NTP", "SFTConfig", is_rl=False),
    "grpo": Stage("GRPO", "GRPOConfig", _ON_POLICY),
    # REINFORCE weighs whole responses, by what `baseline` leaves of their reward and nothing else.
    "reinforce": Stage(
        "REINFORCE", "GRPOConfig", {**_ON_POLICY, "loss_type": "dr_grpo", "scale_rewards": "none", "beta": 0.0}
    ),
    "star": Stage("STaR", "SFTConfig", {"max_length": None, "num_train_epochs": 2.0}),
}

RL_STAGES = tuple(name for name, stage in STAGES.items() if stage.is_rl)
