"""Next-token prediction on D(p_cot), on TRL's `SFTTrainer`.

Differs from plain TRL in three things: examples come ready as ids with labels on the response and its end (one
renderer for all stages); the loss is computed without the padding (`length_split`); the harness runs beside it.
"""

from typing import Any

from datasets import Dataset, IterableDataset
from transformers import set_seed
from trl import SFTTrainer

from rarecot.mixtures.build import Mixture
from rarecot.rendering import as_transformers_tokenizer, render_demonstrations
from rarecot.training.arguments import Request
from rarecot.training.checks import model_folder
from rarecot.training.models import from_scratch
from rarecot.training.session import load_tokenizer


def model_and_tokenizer(request: Request) -> tuple[Any, Any]:
    """A model from scratch with the task's tokenizer, or both from a checkpoint (the model then as a path)."""
    if request.arguments.model_name_or_path:
        folder = model_folder(request)
        return str(folder), load_tokenizer(folder)
    task = request.spec.task
    tokenizer = as_transformers_tokenizer(task.tokenizer())
    set_seed(request.seed)  # TRL seeds after it was handed a model, too late for its initialisation
    positions = request.arguments.max_positions or task.prompt_tokens + task.long_tokens
    return from_scratch(request.arguments, tokenizer, positions), tokenizer


def rendered(mixture: Mixture, tokenizer: Any) -> Dataset | IterableDataset:
    """The training demonstrations as `input_ids` and `labels`."""

    def render(batch: dict[str, list[str]]) -> dict[str, list[list[int]]]:
        return render_demonstrations(tokenizer, batch["prompt"], batch["completion"])

    train = mixture.train
    columns = ["prompt", "completion", "answer", "kind", "problem_id"]
    return train.map(render, batched=True, remove_columns=columns)


def make_trainer(config: Any, model: Any, tokenizer: Any, dataset: Dataset | IterableDataset) -> SFTTrainer:
    """TRL's trainer; `peft_config` comes with the Llama recipes."""
    return SFTTrainer(model=model, args=config, train_dataset=dataset, processing_class=tokenizer)
