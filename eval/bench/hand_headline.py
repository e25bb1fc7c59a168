"""The headline by hand: next-token prediction, then GRPO, with `hand_loop.py`.

    python eval/bench/hand_headline.py [--d 50] [--steps 600]

The last line is a JSON object: seconds from the start of the process until greedy accuracy on 256 problems was 99 %, its looking included.
"""

import json
import time

STARTED = time.time()  # before torch is imported, as it is part of it

import numpy as np  # noqa: E402
import torch  # noqa: E402
from hand_loop import grpo_stepper, judged, ntp_stepper, parity, sample  # noqa: E402
from transformers import LlamaConfig, LlamaForCausalLM  # noqa: E402

from rarecot.command_line import Parser  # noqa: E402
from rarecot.errors import exit_with  # noqa: E402

LOOKS = (1, 2, 5)  # rounds after which greedy accuracy is looked at, as by our harness; then every fifth


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--d", type=int, default=50, interval="[1, 1e6]")
    parser.add_argument("--steps", type=int, default=600, interval="[1, 1e6]")
    parser.add_argument("--rounds", type=int, default=30, interval="[1, 1e6]")
    args = parser.parse_args()
    torch.manual_seed(0)
    shape = {"hidden_size": 128, "intermediate_size": 512, "num_hidden_layers": 2, "num_attention_heads": 4}
    model = LlamaForCausalLM(LlamaConfig(**shape, vocab_size=6, max_position_embeddings=2 * args.d + 3))
    step = ntp_stepper(model, args.d, batch=64, p_cot=0.25, learning_rate=2e-3)
    for n in range(args.steps):
        step(min((n + 1) / 50, (args.steps - n) / max(1, args.steps - 50)))
    after_ntp = time.time() - STARTED
    learn, accuracy = grpo_stepper(model, args.d, prompts=64, group=4, learning_rate=5e-5), 0.0
    for n in range(1, args.rounds + 1):
        learn()
        if n in LOOKS or n % 5 == 0:
            prompt, chain = parity(np.random.default_rng(7), 256, args.d)
            written = sample(model, prompt, 1, args.d + 1, greedy=True)[:, prompt.shape[1] :]
            accuracy = judged(written, chain[:, -1])[1].mean().item()
            if accuracy >= 0.99:
                break
    print(json.dumps({"seconds": time.time() - STARTED, "ntp": after_ntp, "rounds": n, "greedy": accuracy}))


if __name__ == "__main__":
    exit_with(main)
