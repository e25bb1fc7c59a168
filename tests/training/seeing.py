"""A recipe that writes down what each process sees: `torchrun … seeing.py STAGE FOLDER --key value …`. Run by tests."""

import json
import os
import sys
from pathlib import Path

from rarecot.errors import exit_with
from rarecot.training import environment
from rarecot.training.request import parse

stage, folder = sys.argv[1], Path(sys.argv[2])
sys.argv[1:3] = []


def note(**values) -> None:
    with (folder / f"{stage}-{os.environ.get('RANK', '0')}.jsonl").open("a") as file:
        file.write(json.dumps(values) + "\n")


def main() -> None:
    request = parse(stage, __doc__)
    environment.prepare(request)

    import importlib

    from rarecot.training.exact_epochs import ExactSFTTrainer
    from rarecot.training.launch import launch
    from rarecot.training.rl.grpo import RecordedGRPOTrainer

    compute, generate = ExactSFTTrainer.compute_loss, RecordedGRPOTrainer._generate_and_score_completions

    def computed(self, model, inputs, *args, **kwargs):
        for ids, mask, labels in zip(inputs["input_ids"], inputs["attention_mask"], inputs["labels"], strict=True):
            note(step=self.state.global_step, ids=ids[mask.bool()].tolist(), blank=bool((labels == -100).all()))
        return compute(self, model, inputs, *args, **kwargs)

    def generated(self, inputs):
        output = generate(self, inputs)
        for response in self.recorder.responses:
            note(step=self.state.global_step, problem=response.problem_id, ids=response.completion.token_ids)
        return output

    ExactSFTTrainer.compute_loss, RecordedGRPOTrainer._generate_and_score_completions = computed, generated
    module = importlib.import_module("rarecot.training.sft" if stage == "sft" else f"rarecot.training.rl.{stage}")
    launch(request, module.train)


if __name__ == "__main__":
    exit_with(main)
