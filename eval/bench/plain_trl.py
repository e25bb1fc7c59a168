"""The headline as one would write it with TRL alone: `SFTTrainer`, then `GRPOTrainer`, both at their defaults. Rarecot gives the tokenizer.

    python eval/bench/plain_trl.py [--untouched] [--float32] [--d 50] [--steps 600] [--limit 600]

Model, data and the recipe's numbers (batch, steps, learning rates, samples a round) are those of recipes/parity/headline; all else is TRL's
default. With --untouched the learning rates, batches and epochs are TRL's defaults, too; with --float32 it does not compute in bfloat16, which a
processor may lack. The last line is a JSON object: seconds from the start of the process until greedy accuracy on 256 problems was 99 %, its
own looking included, or until it ended otherwise.
"""

import json
import time

STARTED = time.time()  # before torch and TRL are imported, as they are part of it

import numpy as np  # noqa: E402
import torch  # noqa: E402
from datasets import Dataset  # noqa: E402
from transformers import LlamaConfig, LlamaForCausalLM, TrainerCallback  # noqa: E402
from trl import GRPOConfig, GRPOTrainer, SFTConfig, SFTTrainer  # noqa: E402

from rarecot.command_line import Parser  # noqa: E402
from rarecot.errors import exit_with  # noqa: E402
from rarecot.rendering import as_transformers_tokenizer  # noqa: E402
from rarecot.tasks import Parity  # noqa: E402

LOOKS = (1, 2, 5)  # rounds after which greedy accuracy is looked at, as by our harness; then every fifth
HIGH_ENOUGH = 0.99
OUT = {"report_to": "none", "save_strategy": "no", "disable_tqdm": True, "use_cpu": not torch.cuda.is_available()}


def problems(rng: np.random.Generator, n: int, d: int) -> tuple[list[str], list[str]]:
    """Prompts, and their chains of prefix parities."""
    bits = rng.integers(0, 2, (n, d))
    chains = bits.cumsum(axis=1) % 2
    return ["".join(map(str, row)) + "=" for row in bits], ["".join(map(str, row)) for row in chains]


class Look(TrainerCallback):
    """Looks at greedy accuracy, and stops the trainer when it is high enough or the time is over."""

    def __init__(self, tokenizer, d: int, limit: float, rounds: bool):
        self.tokenizer, self.d, self.limit, self.rounds = tokenizer, d, limit, rounds
        self.prompts, chains = problems(np.random.default_rng(7), 256, d)
        self.answers = [chain[-1] for chain in chains]
        self.accuracy = 0.0

    def on_step_end(self, args, state, control, model=None, **_):
        if self.rounds and (state.global_step in LOOKS or state.global_step % 5 == 0):
            self.accuracy = self.look(model)
        if self.accuracy >= HIGH_ENOUGH or time.time() - STARTED > self.limit:
            control.should_training_stop = True

    def look(self, model) -> float:
        ids = self.tokenizer(self.prompts, return_tensors="pt").to(model.device)
        ids = {name: ids[name] for name in ("input_ids", "attention_mask")}
        model.eval()
        with torch.no_grad():
            written = model.generate(**ids, do_sample=False, max_new_tokens=self.d + 1)[:, ids["input_ids"].shape[1] :]
        model.train()
        texts = [text.split("<eos>")[0] for text in self.tokenizer.batch_decode(written)]
        return float(np.mean([text[-1:] == answer for text, answer in zip(texts, self.answers, strict=True)]))


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--untouched", action="store_true")
    parser.add_argument("--float32", action="store_true")
    parser.add_argument("--d", type=int, default=50, interval="[1, 1e6]")
    parser.add_argument("--steps", type=int, default=600, interval="[1, 1e6]")
    parser.add_argument("--rounds", type=int, default=30, interval="[1, 1e6]")
    parser.add_argument("--limit", type=float, default=1e9, interval="(0, inf)", help="seconds")
    args = parser.parse_args()
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    tokenizer = as_transformers_tokenizer(Parity().tokenizer())
    shape = {"hidden_size": 128, "intermediate_size": 512, "num_hidden_layers": 2, "num_attention_heads": 4}
    special = {"pad_token_id": tokenizer.pad_token_id, "bos_token_id": 1, "eos_token_id": tokenizer.eos_token_id}
    model = LlamaForCausalLM(
        LlamaConfig(**shape, **special, vocab_size=len(tokenizer), max_position_embeddings=2 * args.d + 3)
    )
    prompts, chains = problems(rng, args.steps * 64, args.d)
    is_long = rng.random(len(chains)) < 0.25
    completions = [chain if is_long[i] else chain[-1] for i, chain in enumerate(chains)]
    data = Dataset.from_dict({"prompt": prompts, "completion": completions})

    out = OUT | ({"bf16": False} if args.float32 else {})
    ntp = {"per_device_train_batch_size": 64, "max_steps": args.steps, "learning_rate": 2e-3, "warmup_steps": 50}
    look = Look(tokenizer, args.d, args.limit, rounds=False)
    config = SFTConfig("sft", **out, **({} if args.untouched else ntp))
    trainer = SFTTrainer(model, args=config, train_dataset=data, processing_class=tokenizer, callbacks=[look])
    trained, looked_at = trainer.train_dataset[0]["input_ids"], tokenizer(prompts[0])["input_ids"]
    if trained[: len(looked_at)] != looked_at:
        raise RuntimeError("TRL trains on other prompts than those that are looked at")
    trainer.train()
    after_ntp = time.time() - STARTED

    def reward(completions: list[str], answer: list[str], **_) -> list[float]:
        return [float(text[-1:] == right) for text, right in zip(completions, answer, strict=True)]

    prompts, chains = problems(rng, 64 * args.rounds, args.d)
    data = Dataset.from_dict({"prompt": prompts, "answer": [chain[-1] for chain in chains]})
    rl = {"per_device_train_batch_size": 256, "num_generations": 4, "max_steps": args.rounds, "learning_rate": 5e-5}
    rl |= {"lr_scheduler_type": "constant", "loss_type": "dr_grpo"}
    look = Look(tokenizer, args.d, args.limit, rounds=True)
    config = GRPOConfig("grpo", **out, max_completion_length=args.d + 1, **({} if args.untouched else rl))
    trainer = GRPOTrainer(model, reward, args=config, train_dataset=data, processing_class=tokenizer, callbacks=[look])
    trainer.train()
    took = time.time() - STARTED
    told = {"seconds": took, "ntp": after_ntp, "rounds": trainer.state.global_step, "greedy": look.accuracy}
    print(json.dumps({**told, "stopped": took > args.limit}))


if __name__ == "__main__":
    exit_with(main)
