"""Next-token prediction on D(p_cot), on TRL's `SFTTrainer`.

Differs from plain TRL in three things: examples come ready as ids with labels on the response and its end (one
renderer for all stages); the loss is computed without the padding (`length_split`); the harness runs beside it.
"""

from typing import Any

from datasets import Dataset, IterableDataset
from peft import PeftConfig
from transformers import set_seed
from trl import ModelConfig

from rarecot.mixtures.build import Mixture
from rarecot.rendering import render_demonstrations
from rarecot.tasks import Generated
from rarecot.training import session
from rarecot.training.exact_epochs import ExactSFTTrainer
from rarecot.training.models import base_name, from_scratch, pretrained
from rarecot.training.request import Request
from rarecot.training.run import Run
from rarecot.training.start import model_folder
from rarecot.training.text import Text


def train(run: Run, config: Any, options: ModelConfig, text: Text) -> None:
    """The whole stage."""
    model, adapter = make_model(run.request, options, text)
    trainer = make_trainer(config, model, adapter, text, rendered(run.mixture, text))
    session.train(run, trainer, text, constants={})


def make_model(request: Request, options: ModelConfig, text: Text) -> tuple[Any, PeftConfig | None]:
    """A model from scratch in the task's vocabulary, or one from a checkpoint, with the adapter to put on it."""
    set_seed(request.seed)  # TRL seeds after it was handed a model, too late for what is initialised here
    if folder := model_folder(request):
        return pretrained(folder, base_name(request, folder), options)
    positions = request.arguments.max_positions or text.lengths.prompt + max(text.lengths.long, text.max_new_tokens)
    if not isinstance(request.spec.task, Generated):
        positions = max(positions, 1024)  # what is shown may be longer than what was measured
    return from_scratch(request.arguments, text.tokenizer, positions), None


def rendered(mixture: Mixture, text: Text) -> Dataset | IterableDataset:
    """The training demonstrations as `input_ids` and `labels`."""

    def render(batch: dict[str, list[str]]) -> dict[str, list[list[int]]]:
        return render_demonstrations(text.tokenizer, batch["prompt"], batch["completion"], text.template)

    train = mixture.train
    columns = ["prompt", "completion", "answer", "kind", "problem_id"]
    return train.map(render, batched=True, remove_columns=columns)


def make_trainer(
    config: Any, model: Any, adapter: PeftConfig | None, text: Text, dataset: Dataset | IterableDataset
) -> ExactSFTTrainer:
    """TRL's trainer, exact on several processes."""
    return ExactSFTTrainer(
        model=model, args=config, train_dataset=dataset, processing_class=text.tokenizer, peft_config=adapter
    )
