"""Build a mixture and look at it.

    python data_mixes/build.py data_mixes/parity-headline.yaml --out DIR [--p_cot 0.1] [--any_key value] [--show 3]
    python data_mixes/build.py data_mixes/gsm8k.yaml --source PATH_OR_HUB_ID --out DIR [--model PATH_OR_HUB_ID] [--template chat]

DIR then holds the splits (`datasets.load_from_disk(DIR)`) and `manifest.json`; recipes take it as `--mixture DIR`.
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rarecot.command_line import Parser
from rarecot.errors import exit_with, unwritable
from rarecot.hub import tokenizer_folder
from rarecot.mixtures.spec import asked
from rarecot.quiet import quiet
from rarecot.rendering import TEMPLATES, Template, load_tokenizer, render_demonstrations
from rarecot.tasks import Generated

if TYPE_CHECKING:
    from rarecot.mixtures.build import Mixture


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("spec", type=Path, help="a mixture's YAML")
    parser.add_argument("--out", type=Path, required=True, help="folder to write; must not hold anything yet")
    parser.add_argument(
        "--show", type=int, default=0, interval="[0, inf)", metavar="N", help="print N rendered examples of each kind"
    )
    parser.add_argument("--model", help="measure lengths in this model's tokens, and show examples as it reads them")
    parser.add_argument(
        "--template", choices=TEMPLATES, help="with --model: around a prompt (default: plain for corpora)"
    )
    args, rest = parser.parse_known_args()
    problems = parser.problems + (unwritable(args.out) if args.out else [])
    if args.out and args.out.is_dir() and any(args.out.iterdir()):
        problems.append(f"{args.out} is not empty, and nothing is overwritten. Choose another --out.")
    spec = asked(args.spec, rest, problems)
    folder = tokenizer_folder(args.model, "--model") if args.model else None

    from rarecot.mixtures.build import DROPPED, build
    from rarecot.mixtures.show import show

    quiet()
    started = time.perf_counter()
    mixture = build(spec)
    seconds = time.perf_counter() - started
    mixture.save(args.out)
    manifest, made = mixture.manifest, mixture.spec
    each = "online, in each block of" if made.online else "fixed,"
    print(
        f"{args.out}: {each} {made.n} demonstrations, {manifest['n_long']} long "
        f"(p_cot {made.p_cot} asked, {manifest['p_cot_realised']:.6g} realised); {made.n_rl} RL prompts, "
        f"{made.n_test} test problems; sha256 {manifest['sha256'][:12]}; built in {seconds:.1f} s"
    )
    if manifest["dropped"]:
        reasons = ", ".join(f"{count} {reason}" for reason, count in manifest["dropped"].items())
        print(f"left out: {reasons}; each one is listed in {args.out / DROPPED}")
    tokenizer, template = None, Template(args.template or ("bare" if isinstance(made.task, Generated) else "plain"))
    if folder:
        tokenizer = load_tokenizer(folder)
        print(in_tokens(mixture, tokenizer, template, args.model))
    if args.show:
        print(show(mixture, args.show, tokenizer, template))


def in_tokens(mixture: "Mixture", tokenizer: Any, template: Template, model: str) -> str:
    """The mixture in a model's tokens: the training set rendered whole, and the lengths that caps must hold."""
    from rarecot.mixtures.build import column
    from rarecot.mixtures.lengths import measure

    started, train = time.perf_counter(), ""
    if mixture.fixed is not None:
        columns = (column(mixture.fixed, name) for name in ("prompt", "completion"))
        rows = render_demonstrations(tokenizer, *columns, template)["input_ids"]
        seconds = time.perf_counter() - started
        train = f"{sum(map(len, rows)):,} training tokens, rendered in {seconds:.1f} s; "
    lengths = measure(mixture, tokenizer, template)
    return (
        f"in tokens of {model}: {train}prompts up to {lengths.prompt}; long demonstrations up to {lengths.long}, 99 % within "
        f"{lengths.usual_long}; long by length from {lengths.long_from}"
    )


if __name__ == "__main__":
    exit_with(main)
