"""Evaluate the checkpoints of a run, or one model.

    python eval/run.py --run runs/parity-headline [--suite eval/suites/parity.yaml]
    python eval/run.py --model runs/parity-headline/sft/checkpoint-700 --suite eval/suites/parity.yaml

A run's checkpoints that `records.jsonl` already knows under the same suite are skipped, so it can be stopped and
started again. One model's records are printed as JSON lines.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

from rarecot.checkpoints import misfits, resolve
from rarecot.errors import ConfigError, exit_with
from rarecot.evaluation.suite import Suite, read_suite
from rarecot.mixtures.spec import spec_of_manifest
from rarecot.quiet import quiet
from rarecot.sampling import BACKENDS, Samplers
from rarecot.sampling.vllm import support


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--run", type=Path, help="a run directory: all its complete checkpoints")
    target.add_argument("--model", type=Path, help="a checkpoint folder")
    parser.add_argument("--suite", type=Path, help="what to evaluate; a run's own problems by default")
    parser.add_argument("--backend", choices=BACKENDS, default="auto", help="auto: vLLM where it is here and pays")
    parser.add_argument("--batch_size", type=int, default=256, help="sequences decoded together")
    args = parser.parse_args()
    suite, spec = read_suite(args.suite) if args.suite else (Suite(), None)
    if args.model and (folder := resolve(args.model)) is None:
        raise ConfigError([f"{args.model} holds no model: no config.json and no complete checkpoint."])
    if args.model and spec is None:
        raise ConfigError(["--model needs a --suite whose `mixture` says which problems to ask."])
    if args.model and (problems := misfits(folder, spec.to_mapping(), spec.task)):
        raise ConfigError(problems)
    if args.run and spec and spec.task != spec_of_manifest(args.run).task:
        raise ConfigError([f"{args.suite} asks about {spec.task}, but {args.run} was trained on another task."])

    samplers = Samplers(args.backend, args.batch_size)
    support.prepare_environment()

    from rarecot.evaluation import over_training as over
    from rarecot.evaluation.harness import evaluate
    from rarecot.mixtures.build import build

    quiet()
    if args.run:
        for folder, made in over.evaluate_run(args.run, suite, samplers):
            print(folder, *(f"{r['decoding']} {r['accuracy']:.1%} long {r['long_share']:.1%}" for r in made), sep="  ")
        return
    suite = replace(suite, max_new_tokens=suite.max_new_tokens or spec.task.long_tokens, seed=max(suite.seed, 0))
    rows = over.rows_for(build(spec), suite)
    sampler, tokenizer = samplers.open(folder, spec.task.prompt_tokens + suite.max_new_tokens)
    for temperature in suite.temperatures:
        record, _ = evaluate(sampler, tokenizer, rows, suite, temperature)
        print(json.dumps(record))


if __name__ == "__main__":
    exit_with(main)
