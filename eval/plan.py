"""What RL will do with a checkpoint, before it costs anything: a table and a figure.

    python eval/plan.py --model runs/parity-headline/sft
    python eval/plan.py --model MODEL --suite eval/suites/gsm8k.yaml --source PATH_OR_HUB_ID --n 200 --samples 8

Samples the problems of the checkpoint's own run (or of a suite), measures how often it answers long, how often long and short answers
are right, and where greedy decoding would change sides, and predicts from that.
"""

import json
from dataclasses import replace
from pathlib import Path

from rarecot.checkpoints import misfits, model_folder, read_stamp
from rarecot.command_line import Parser
from rarecot.errors import ConfigError, exit_with
from rarecot.evaluation.suite import Suite, read_suite
from rarecot.forecast.pay import Pay
from rarecot.mixtures.spec import MANIFEST, spec_of_manifest, with_source
from rarecot.quiet import quiet
from rarecot.rewards import REWARDS
from rarecot.sampling import BACKENDS, Samplers
from rarecot.sampling.vllm import support
from rarecot.theory.predict import GUESS_RATES

COUNT = "[1, 1e9]"


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--model", required=True, help="a checkpoint folder, or a hub id")
    parser.add_argument("--suite", type=Path, help="whose problems to ask; by default those of the checkpoint's run")
    parser.add_argument("--source", help="folder, file or hub id of the corpus, instead of its mixture's")
    parser.add_argument("--n", type=int, default=256, interval=COUNT, help="problems")
    parser.add_argument("--samples", type=int, default=4, interval=COUNT, help="responses a problem")
    parser.add_argument("--temperature", type=float, default=1.0, interval="(0, 100)", help="of RL's rollouts")
    parser.add_argument("--max_completion_length", type=int, default=0, help="RL's cap in tokens; 0: the suite's")
    parser.add_argument("--reward_funcs", nargs="+", default=["answer"], help=f"of {', '.join(REWARDS)}")
    parser.add_argument("--reward_weights", nargs="+", type=float, default=[], help="one each; 1 each by default")
    parser.add_argument("--false_positive_rate", type=float, default=0.0, help="of a noisy verifier")
    parser.add_argument("--false_negative_rate", type=float, default=0.0, help="of a noisy verifier")
    parser.add_argument("--keep_from", type=float, default=1.0, help="STaR: total reward from which a response is kept")
    parser.add_argument(
        "--prompts_per_round", type=int, default=2048, interval=COUNT, help="STaR: for counting rollouts"
    )
    parser.add_argument("--backend", choices=BACKENDS, default="auto", help="auto: vLLM where it is here and pays")
    parser.add_argument("--batch_size", type=int, default=256, interval=COUNT, help="sequences decoded together")
    parser.add_argument("--out", type=Path, default=Path("plan"), help="folder for plan.json and plan.png")
    args = parser.parse_args(refuse=False)
    pay = Pay(
        *(tuple(args.reward_funcs), tuple(args.reward_weights), args.false_positive_rate, args.false_negative_rate),
        *(args.keep_from, args.max_completion_length),
    )
    if problems := [*parser.problems, *pay.problems()]:
        raise ConfigError(problems)
    folder = model_folder(args.model)
    suite, spec = read_suite(args.suite) if args.suite else (Suite(), None)
    run_dir = folder.parent.parent
    if spec is None and not (run_dir / MANIFEST).is_file():
        raise ConfigError([f"{folder} lies in no run directory: name a --suite, whose mixture says what to ask."])
    spec = spec or spec_of_manifest(run_dir)
    spec = with_source(spec, args.source) if args.source else spec
    if problems := misfits(folder, spec.to_mapping(), spec.task):
        raise ConfigError(problems)
    samplers = Samplers(args.backend, args.batch_size)
    support.prepare_environment()

    from rarecot.evaluation.questions import problems_of
    from rarecot.evaluation.reading import read_as
    from rarecot.forecast.measure import measure
    from rarecot.forecast.plan import plan
    from rarecot.mixtures.build import as_published, build, of_run
    from rarecot.report.plan import as_json, figure, words

    quiet()
    if suite.name:
        mixture, _ = as_published(spec)
    else:
        mixture = build(spec) if args.suite or args.source else of_run(run_dir)
    suite, reader, prompt_tokens = read_as(folder, mixture, replace(suite, n=args.n, samples=args.samples))
    suite, rows = problems_of(mixture, suite)
    sampler, _ = samplers.open(folder, prompt_tokens + suite.max_new_tokens)
    measured = measure(sampler, reader, rows, suite, args.temperature, pay)
    stamp = read_stamp(folder) or {}
    p_cot = stamp.get("p_cot") if stamp.get("stage") == "sft" and args.temperature == 1 else None
    made = plan(measured, p_cot, GUESS_RATES.get(spec.to_mapping()["task"]), suite.seed)
    figure(made, args.out / "plan.png", f"{folder}: what RL is expected to do")
    (args.out / "plan.json").write_text(json.dumps({"model": str(folder), **as_json(made)}, indent=2) + "\n")
    print(f"{words(made, args.prompts_per_round)}\n\n{args.out / 'plan.png'}   {args.out / 'plan.json'}")


if __name__ == "__main__":
    exit_with(main)
