"""Evaluate the checkpoints of a run, or one model.

    python eval/run.py --run runs/parity-headline [--suite eval/suites/parity.yaml]
    python eval/run.py --model runs/parity-headline/sft/checkpoint-700 --suite eval/suites/parity.yaml

A run's checkpoints that `records.jsonl` already knows under the same suite are skipped, so it can be stopped and
started again. One model's records are printed as JSON lines.
"""

import argparse
import json
from pathlib import Path

from rarecot.checkpoints import misfits, model_folder
from rarecot.errors import ConfigError, exit_with
from rarecot.evaluation.suite import Suite, read_suite
from rarecot.mixtures.spec import spec_of_manifest, with_source
from rarecot.quiet import quiet
from rarecot.sampling import BACKENDS, Samplers
from rarecot.sampling.vllm import support


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--run", type=Path, help="a run directory: all its complete checkpoints")
    target.add_argument("--model", help="a checkpoint folder, or a hub id")
    parser.add_argument("--suite", type=Path, help="what to evaluate; a run's own problems by default")
    parser.add_argument(
        "--source", help="--model: folder, file or hub id of the suite's corpus, instead of its mixture's"
    )
    parser.add_argument("--backend", choices=BACKENDS, default="auto", help="auto: vLLM where it is here and pays")
    parser.add_argument(
        "--out", type=Path, help="--model: folder to keep the generations in, one Parquet file a temperature"
    )
    parser.add_argument("--batch_size", type=int, default=256, help="sequences decoded together")
    args = parser.parse_args()
    suite, spec = read_suite(args.suite) if args.suite else (Suite(), None)
    folder = model_folder(args.model) if args.model else None
    if args.model and spec is None:
        raise ConfigError(["--model needs a --suite whose `mixture` says which problems to ask."])
    if args.source and spec:
        spec = with_source(spec, args.source)
    if args.model and (problems := misfits(folder, spec.to_mapping(), spec.task)):
        raise ConfigError(problems)
    if args.run and spec and spec.identity() != spec_of_manifest(args.run).identity():
        raise ConfigError([f"{args.suite} asks about {spec.task}, but {args.run} was trained on another task."])

    samplers = Samplers(args.backend, args.batch_size)
    support.prepare_environment()

    from rarecot.evaluation import over_training as over
    from rarecot.evaluation.harness import evaluate, save_responses
    from rarecot.mixtures.build import build

    quiet()
    if args.run:
        for folder, made in over.evaluate_run(args.run, suite, samplers):
            print(folder, *(f"{r['decoding']} {r['accuracy']:.1%} long {r['long_share']:.1%}" for r in made), sep="  ")
        return
    mixture = build(spec)
    suite, reader, prompt_tokens = over.read_as(folder, mixture, suite)
    suite, rows = over.problems_of(mixture, suite)
    sampler, _ = samplers.open(folder, prompt_tokens + suite.max_new_tokens)
    for temperature in suite.temperatures:
        record, responses = evaluate(sampler, reader, rows, suite, temperature)
        if args.out:
            args.out.mkdir(parents=True, exist_ok=True)
            save_responses(args.out / f"t{temperature:g}.parquet", responses, rows["prompt"])
        print(json.dumps(record))


if __name__ == "__main__":
    exit_with(main)
