"""What a GPU is used for: tokens a second and MFU of NTP, and a GRPO round's seconds, beside plain TRL's defaults in the same run.

    python eval/bench/gpu.py --json gpu.json --table gpu.md           one GPU, no hub; the table is for the README
    python eval/bench/gpu.py --sizes 1b --steps 50 --rounds 10        one size, more turns
    python eval/bench/gpu.py --sizes tiny --steps 2 --rounds 1        whether it runs at all, on any machine

Models have random weights and data are random words: of both only the shape decides the speed. A quarter of the demonstrations, and of the
rollouts, is long. Each row is printed and written as soon as it is there, so a run that is cut off keeps what it has. What does not begin within
--minutes, or does not fit the memory, is named. Where vLLM is installed, the rounds are measured once more with it, last.
"""

import json
import time
from pathlib import Path
from typing import Any

from rarecot.command_line import Parser
from rarecot.errors import ConfigError, exit_with, unwritable
from rarecot.sampling.vllm import support
from rarecot.whole import write_text

SIZES = ("tiny", "135m", "1b")
STAGES = ("sft", "grpo")


def main() -> None:
    args = parsed()
    with_vllm = args.vllm == "true" or (args.vllm == "auto" and support.has_gpu() and not support.problems())
    if with_vllm:
        support.prepare_environment()  # before anything imports torch
    import torch

    devices = torch.cuda.device_count()
    if devices > 1 or (devices == 0 and set(args.sizes) != {"tiny"}):
        remedy = "Set CUDA_VISIBLE_DEVICES=0." if devices else "--sizes tiny shows on any machine whether it runs."
        raise ConfigError([f"torch sees {devices} CUDA devices, and one GPU is measured. {remedy}"])

    from on_gpu.measure import measured
    from on_gpu.peak import machine
    from on_gpu.table import table

    from rarecot.quiet import quiet
    from rarecot.training.run import versions

    quiet()
    found: dict[str, Any] = {"machine": {**machine(), "packages": versions()}, "rows": [], "left_out": []}
    print(json.dumps(found["machine"]), flush=True)
    started = time.perf_counter()
    for what in measured(args, with_vllm, found["machine"]["device"]):
        if isinstance(what, str):
            found["left_out"].append(what)
        else:
            found["rows"].append(what.as_json())
        print(f"{time.perf_counter() - started:4.0f} s  {what if isinstance(what, str) else what.line()}", flush=True)
        if args.json:
            write_text(args.json, json.dumps(found, indent=2) + "\n")
        if args.table:
            write_text(args.table, table(found))


def parsed() -> Any:
    """The options; `sizes` and `stages` as lists.

    Raises:
        ConfigError: everything that is wrong with them.
    """
    parser = Parser(__doc__)
    parser.add_argument("--sizes", default="135m,1b", help=f"comma-separated, of {', '.join(SIZES)}")
    parser.add_argument("--stages", default="sft,grpo", help="comma-separated, of sft, grpo")
    parser.add_argument("--steps", type=int, default=20, interval="[1, 1e6]", help="steps of next-token prediction")
    parser.add_argument("--rounds", type=int, default=3, interval="[1, 1e6]", help="rounds of GRPO")
    parser.add_argument("--minutes", type=float, default=7.0, interval="(0, 1e6]", help="after which no more is begun")
    parser.add_argument("--vllm", default="auto", choices=("auto", "true", "false"), help="rounds with vLLM, too")
    parser.add_argument("--json", type=Path, help="write the rows here, with the machine and the versions")
    parser.add_argument("--table", type=Path, help="write them here as a Markdown table")
    args = parser.parse_args(refuse=False)
    problems = list(parser.problems)
    for name, known in (("sizes", SIZES), ("stages", STAGES)):
        words = [word for word in getattr(args, name).split(",") if word]
        setattr(args, name, words)
        if not words or not set(words) <= set(known):
            problems.append(f"--{name} is {','.join(words)!r}. Name one or more of {', '.join(known)}.")
    if args.vllm == "true":
        problems += support.problems()
    for path in filter(None, (args.json, args.table)):
        problems += unwritable(path.parent)
    if problems:
        raise ConfigError(problems)
    return args


if __name__ == "__main__":
    exit_with(main)
