"""Evaluate the checkpoints of a run, or one model.

    python eval/run.py --run runs/parity-headline [--suite eval/suites/parity.yaml]
    python eval/run.py --model runs/parity-headline/sft/checkpoint-700 --suite eval/suites/parity.yaml
    python eval/run.py --model MODEL --suite eval/suites/gsm8k.yaml --protocol meta-8shot --out evaluations/mine

A run's checkpoints that `records.jsonl` already knows under the same suite are skipped, so it can be stopped and started again; several
processes may share the work (start the command several times, or `torchrun --nproc_per_node 2 -- eval/run.py …`). One model's records are
printed as JSON lines, and kept with its generations in --out.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from rarecot import stopping
from rarecot.checkpoints import incomplete, model_folder
from rarecot.command_line import Parser
from rarecot.errors import ConfigError, Stopped, exit_with
from rarecot.evaluation import records
from rarecot.evaluation.checks import request_problems
from rarecot.evaluation.protocols.protocol import protocol_names
from rarecot.evaluation.suite import Suite, read_suite
from rarecot.hub import is_hub_id
from rarecot.mixtures.spec import with_source
from rarecot.quiet import quiet
from rarecot.sampling import BACKENDS, Samplers, one_gpu_each
from rarecot.sampling.vllm import support


def main() -> None:
    stopping.leave_at_once()  # what is not finished is no loss, and is made again
    parser = Parser(__doc__)
    parser.add_argument("--run", type=Path, help="a run directory: all its complete checkpoints")
    parser.add_argument("--model", help="a checkpoint folder, or a hub id")
    parser.add_argument("--suite", type=Path, help="what to evaluate; a run's own problems by default")
    names = ", ".join(protocol_names())
    parser.add_argument("--protocol", help=f"how to ask and read, instead of the suite's: {names}; or a YAML")
    parser.add_argument(
        "--n", type=int, interval="[0, inf)", help="problems, from the start, instead of the suite's; 0: all"
    )
    parser.add_argument("--source", help="folder, file or hub id of the suite's corpus, instead of its own")
    parser.add_argument("--backend", choices=BACKENDS, default="auto", help="auto: vLLM where it is here and pays")
    parser.add_argument("--out", type=Path, help="--model: folder for records.jsonl and the generations")
    parser.add_argument("--batch_size", type=int, default=256, interval="[1, 1e9]", help="sequences decoded together")
    args, problems = parser.parse_args(refuse=False), parser.problems
    if (args.run is None) == (args.model is None):
        raise ConfigError([*problems, "name what to evaluate: --run or --model, one of them."])
    suite, spec = read_suite(args.suite) if args.suite else (Suite(), None)
    suite = replace(suite, **{k: v for k, v in (("protocol", args.protocol), ("n", args.n)) if v is not None})
    if args.source and spec:
        spec = with_source(spec, args.source)
    folder = model_folder(args.model) if args.model and not problems else None
    problems += ["--source says where a suite's problems lie: name the --suite."] if args.source and not spec else []
    problems += request_problems(suite, spec, args.run, folder, args.out)
    if problems:
        raise ConfigError(problems)

    samplers = Samplers(args.backend, args.batch_size)
    one_gpu_each()
    support.prepare_environment()

    from rarecot.evaluation.questions import questions_of

    quiet()
    try:
        evaluate(args, questions_of(suite, spec, args.run), samplers, folder)
    except Stopped:
        known = records.read(args.run or args.out or Path())
        raise Stopped(f"{len(known)} evaluations are kept.") from None


def evaluate(args: argparse.Namespace, questions: Any, samplers: Samplers, folder: Path | None) -> None:
    """Make what is missing, and print it."""
    from rarecot.evaluation.over_training import evaluate_model, evaluate_run

    if args.run:
        for left_out in incomplete(args.run):
            print(f"{left_out} is left out: it was not saved to its end", file=sys.stderr)
        for folder, made in evaluate_run(args.run, questions, samplers):
            print(folder, *(in_a_line(record) for record in made), sep="  ", flush=True)
        return
    with tempfile.TemporaryDirectory(prefix="rarecot-evaluation-") as nowhere:
        name = args.model if is_hub_id(args.model) else str(folder)
        for record in evaluate_model(folder, name, questions, samplers, args.out or Path(nowhere)):
            print(json.dumps(record))


def in_a_line(record: dict) -> str:
    """The numbers of a record that one looks at first."""
    how = "greedy" if record["decoding"] == "greedy" else f"sampled at {record['temperature']:g}"
    return f"{how} {record['accuracy']:.1%} long {record['long_share']:.1%}"


if __name__ == "__main__":
    exit_with(main)
