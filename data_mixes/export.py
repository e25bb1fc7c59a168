"""Write a mixture and its reward for a dedicated RL engine (verl): what to do when a model outgrows `recipes/grpo.py`.

    python data_mixes/export.py data_mixes/gsm8k.yaml --to verl --out DIR [--source PATH_OR_HUB_ID] [--any_key value]
    python data_mixes/export.py data_mixes/gsm8k.yaml --to verl --out DIR --template plain --model PATH_OR_HUB_ID
    python data_mixes/export.py BUILT_MIXTURE --to verl --out DIR

DIR/README.md then says which options verl has to be given.
"""

from pathlib import Path

from rarecot.command_line import Parser
from rarecot.errors import exit_with, unwritable
from rarecot.hub import tokenizer_folder
from rarecot.mixtures.spec import asked
from rarecot.quiet import quiet
from rarecot.rendering import TEMPLATES, Template, load_tokenizer
from rarecot.rewards import CORRECTNESS
from rarecot.rewards.single import problems_with
from rarecot.tasks import Generated


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("mixture", type=Path, help="a mixture's YAML, or the folder of a built mixture")
    parser.add_argument("--to", choices=("verl",), required=True, help="the engine")
    parser.add_argument("--out", type=Path, required=True, help="folder to write; must not hold anything yet")
    parser.add_argument("--reward_funcs", nargs="+", default=["answer"], help=f"of {', '.join(CORRECTNESS)}")
    parser.add_argument("--reward_weights", nargs="+", type=float, default=[], help="one each; 1 each by default")
    parser.add_argument("--template", choices=TEMPLATES, help="default: chat for corpora, bare for generated tasks")
    parser.add_argument("--system", default="", help="with --template chat: what the system says")
    parser.add_argument("--model", help="folder or hub id of the model to train, for its tokenizer")
    args, rest = parser.parse_known_args()
    weights = args.reward_weights or [1.0] * len(args.reward_funcs)
    problems = parser.problems + problems_with(args.reward_funcs, weights) + (unwritable(args.out) if args.out else [])
    if args.out and args.out.is_dir() and any(args.out.iterdir()):
        problems.append(f"{args.out} is not empty, and nothing is overwritten. Choose another --out.")
    spec = asked(args.mixture, rest, problems)
    template = Template(args.template or ("bare" if isinstance(spec.task, Generated) else "chat"), args.system)
    folder = tokenizer_folder(args.model, "--model") if args.model else None

    from rarecot.mixtures.build import build, load
    from rarecot.mixtures.export import Export, write

    quiet()
    mixture = load(args.mixture) if args.mixture.is_dir() else build(spec)
    tokenizer = load_tokenizer(folder) if folder else None
    written = write(Export(mixture, template, tuple(args.reward_funcs), tuple(weights), tokenizer), args.out)
    print(
        f"{args.out}: {', '.join(written)}; {len(mixture.rl)} RL prompts, {len(mixture.test)} test problems. "
        f"{args.out / 'README.md'} says how to start verl."
    )


if __name__ == "__main__":
    exit_with(main)
