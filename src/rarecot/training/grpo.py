"""GRPO with verified rewards, on TRL's `GRPOTrainer`.

Differs from plain TRL in three things: rewards are bound so that unfinished responses never score and every rollout is
recorded; the loss is computed without the padding (`length_split`); the harness runs beside it.
"""

from typing import Any

from transformers import AutoModelForCausalLM
from trl import GRPOTrainer

from rarecot.mixtures.build import Mixture
from rarecot.rewards import REWARDS, bind
from rarecot.sampling import eos_ids
from rarecot.training.arguments import Request
from rarecot.training.checks import model_folder
from rarecot.training.losses import describe
from rarecot.training.rollouts import RolloutRecorder
from rarecot.training.run import Run
from rarecot.training.session import load_tokenizer


def model_and_tokenizer(request: Request) -> tuple[Any, Any]:
    """The checkpoint that RL starts from, in float32 master weights, and its tokenizer."""
    folder = model_folder(request)
    return AutoModelForCausalLM.from_pretrained(folder, dtype="float32"), load_tokenizer(folder)


def constants(config: Any) -> dict[str, Any]:
    """Fields that every record of the stage carries."""
    return {"loss_normalisation": describe(config.loss_type, config.scale_rewards)}


def make_trainer(run: Run, config: Any, model: Any, tokenizer: Any, mixture: Mixture) -> GRPOTrainer:
    """TRL's trainer over the mixture's RL prompts."""
    eos = eos_ids(model, tokenizer)
    rewards = [REWARDS[name] for name in run.request.arguments.reward_funcs]
    recorder = RolloutRecorder(run, config, tokenizer, eos, constants(config))
    return GRPOTrainer(
        model=model,
        reward_funcs=bind(rewards, eos, tokenizer.all_special_ids, config.reward_weights, observer=recorder),
        args=config,
        train_dataset=mixture.rl,
        processing_class=tokenizer,
    )
