"""Where each second goes: one table of ratios, ours against something else beside it in the same process.

    python eval/bench.py --json bench.json
    python eval/bench.py --rows ntp,round                       of headline, ntp, round, samplers, verification, mixtures, startup, harness, report
    python eval/bench.py --rows verification,mixtures --gsm8k PATH_OR_HUB_ID --math PATH_OR_HUB_ID

The two take turns, so that a machine whose speed drifts slows both; nothing else should run beside it. A ratio is the median over the turns,
with the range of the middle 80 % of them. What was tried, and what came of it: eval/bench/LOG.md. On a GPU: eval/bench/gpu.py.
"""

import importlib
import json
import os
import sys
from pathlib import Path

from rarecot.command_line import Parser
from rarecot.errors import ConfigError, exit_with
from rarecot.sampling.vllm import support
from rarecot.tasks import Gsm8k, Math
from rarecot.whole import write_text

# group → the module in eval/bench/ that measures it
ROWS = {
    "headline": "headline",  # from nothing to greedy ≥ 99 %, against plain TRL and a hand-written program
    "ntp": "ntp",  # next-token prediction, against a hand-written loop and the machine's peak
    "round": "rounds",  # a GRPO round and its parts, against a hand-written loop and their floors
    "samplers": "samplers",  # rollouts by transformers and by vLLM
    "verification": "verification",  # against math-verify one by one
    "mixtures": "building",  # a million of parity, all of GSM8K
    "startup": "startup",  # until help, a refusal, a first step
    "harness": "share",  # what measuring costs a training run
    "report": "pages",  # of a long run
}


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--rows", default="", help="comma-separated; empty: all")
    parser.add_argument("--json", type=Path, help="also write the rows here, with the machine and the versions")
    parser.add_argument("--repeats", type=int, default=0, interval="[0, 1e6]", help="turns of each row; 0: its own")
    parser.add_argument(
        "--small", action="store_true", help="tiny sizes: whether every row can be measured, in minutes"
    )
    parser.add_argument("--gsm8k", default=Gsm8k.source, help="folder or hub id")
    parser.add_argument("--math", default=Math.source, help="folder or hub id")
    args = parser.parse_args()
    wanted = [name for name in args.rows.split(",") if name] or list(ROWS)
    if unknown := sorted(set(wanted) - set(ROWS)):
        raise ConfigError([f"--rows: there is no row {', '.join(unknown)}. Known: {', '.join(ROWS)}."])
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # what is held against these rows runs on the processor
    if "samplers" in wanted and not support.problems():
        support.prepare_environment()  # before anything imports torch

    sys.path.insert(0, str(Path(__file__).with_name("bench")))
    from rarecot.training.run import versions

    rows, machine = [], versions()
    for name in wanted:
        for row in importlib.import_module(ROWS[name]).rows(args):
            print(row.line(), flush=True)
            rows.append(row.as_json())
            if args.json:
                write_text(args.json, json.dumps({"machine": machine, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    exit_with(main)
