"""Predict layout, memory and seconds of a GRPO round by model and number of GPUs; prints the Markdown table of slurm/README.md.

    python slurm/scale.py [--models llama-3.2-1b llama-3.1-8b] [--gpus 1 8 16 64] [--prompts 512] [--tokens 512] [--mfu 0.4]
    python slurm/scale.py --model FOLDER_WITH_CONFIG_JSON

Nothing is measured: equations and assumptions stand in src/rarecot/training/rl/scale.py.
"""

from dataclasses import fields
from pathlib import Path

from rarecot.command_line import Parser
from rarecot.errors import ConfigError, exit_with, nearest
from rarecot.training.rl.scale import MODELS, Machine, Round, problems_with, read_model, table


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--models", nargs="+", default=[], help=f"of {', '.join(MODELS)}; all by default")
    parser.add_argument("--model", type=Path, help="instead: a folder with a Llama-like model's config.json")
    parser.add_argument("--gpus", nargs="+", type=int, default=[1, 8, 16, 64], help="numbers of GPUs")
    for made, what in ((Round, "of the round"), (Machine, "of the machine")):
        for field in fields(made):
            help = f"{what}; default {field.default:g}"
            parser.add_argument(f"--{field.name}", type=field.type, default=field.default, help=help)
    args = parser.parse_args(refuse=False)
    work, machine = (made(**{f.name: getattr(args, f.name) for f in fields(made)}) for made in (Round, Machine))
    problems = parser.problems + problems_with(machine, work, args.gpus)
    for name in args.models:
        if name not in MODELS:
            problems.append(
                f"models has '{name}'{nearest(name, MODELS)} Known: {', '.join(MODELS)}; or give --model FOLDER."
            )
    if args.model and args.models:
        problems.append("both --models and --model are given. Leave one out.")
    if problems:
        raise ConfigError(problems)
    models = [read_model(args.model)] if args.model else [MODELS[name] for name in args.models or MODELS]
    print(table(models, machine, work, sorted(set(args.gpus))))


if __name__ == "__main__":
    exit_with(main)
