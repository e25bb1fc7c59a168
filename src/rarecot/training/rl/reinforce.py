"""REINFORCE: maximise E[(r(x, y) − b) · log π(y | x)] (Williams 1992; PAPER §5), on TRL's GRPO trainer.

It samples, rewards, records and steps as GRPO does; only the advantage differs. With one step a round the clipped ratio is 1, so
that the gradient of `dr_grpo` is the sum over responses of (r − b) · ∇ log π(y | x), over a constant.
"""

from typing import Any

import torch
from trl import ModelConfig

from rarecot.evaluation import records
from rarecot.training.request import Request
from rarecot.training.rl import grpo
from rarecot.training.rl.grpo import RecordedGRPOTrainer
from rarecot.training.run import Run
from rarecot.training.text import Text


def constants(request: Request, config: Any) -> dict[str, Any]:
    """Fields that every record of the stage carries."""
    named = grpo.constants(config)["loss_normalisation"]
    return {"loss_normalisation": f"{named}; baseline {request.arguments.baseline}"}


def train(run: Run, config: Any, options: ModelConfig, text: Text) -> None:
    """The whole stage."""
    grpo.run_stage(run, config, options, text, constants(run.request, config), ReinforceTrainer)


def advantages(rewards: torch.Tensor, group: int, baseline: str, running: float | None = None) -> torch.Tensor:
    """Rewards less their baseline, shape (B,). Responses that could not be scored (NaN) get 0.

    Args:
        rewards: of a round's responses, over all processes; those of one prompt stand together.
        group: responses a prompt.
        baseline: `none`, `group` (the mean of a prompt's responses) or `running`.
        running: mean reward of the rounds before, as the baseline `running` weighs them; None in the first round, which takes its
            own mean.
    """
    if baseline == "group":
        taken_off = rewards.view(-1, group).nanmean(dim=1).repeat_interleave(group)
    elif baseline == "running":
        taken_off = rewards.nanmean() if running is None else running
    else:
        taken_off = 0.0
    return torch.nan_to_num(rewards - taken_off, nan=0.0)


def running_mean(rewards: list[float], decay: float) -> float | None:
    """Exponential mean of the rounds' mean rewards, in their order; None if there was no round yet."""
    mean = None
    for reward in rewards:
        mean = reward if mean is None else decay * mean + (1 - decay) * reward
    return mean


class ReinforceTrainer(RecordedGRPOTrainer):
    """GRPO's trainer with REINFORCE's advantages."""

    @property
    def audited_scale(self) -> str:
        return "none" if self.recorder.run.request.arguments.baseline == "group" else "plain"

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        arguments = self.recorder.run.request.arguments
        running = running_mean(self._earlier(), arguments.baseline_decay) if arguments.baseline == "running" else None
        output = super()._generate_and_score_completions(inputs)
        rewards = (self.each * self.reward_weights.to(self.each.device)).nansum(dim=1)
        rewards[self.each.isnan().all(dim=1)] = torch.nan
        every = advantages(rewards, self.num_generations, arguments.baseline, running)
        local = len(output["advantages"])
        start = self.accelerator.process_index * local
        output["advantages"] = every[start : start + local]
        return output

    def _earlier(self) -> list[float]:
        """Mean rewards of the rounds before this one. The records have them, so that a resumed run goes on with the same mean."""
        rollouts = [
            r for r in records.read(self.recorder.run.dir) if (r["stage"], r["split"]) == ("reinforce", "rollouts")
        ]
        return [r["reward_mean"] for r in rollouts if r["step"] < self.state.global_step]
