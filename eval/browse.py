"""A page to filter and read generations: of a run's checkpoints, of several runs, or of single Parquet files.

python eval/browse.py runs/parity-headline                         runs/parity-headline/generations.html
python eval/browse.py runs/headline-seed0 runs/headline-seed1 --out seeds.html --limit 50
python eval/browse.py runs/a/completions/grpo-000030-test-greedy-t0-n1024x1-max51-seed30-native.parquet --limit 0
"""

from pathlib import Path

from rarecot.command_line import Parser
from rarecot.errors import ConfigError, exit_with, printable, unwritable


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument(
        "inputs",
        nargs="+",
        type=Path,
        metavar="DIR_OR_PARQUET",
        help="run directories (their evaluations on the test split), or Parquet files with generations",
    )
    parser.add_argument("--out", type=Path, help="the page (default: generations.html in the run, or beside the file)")
    parser.add_argument(
        "--limit",
        type=int,
        default=200,
        interval="[0, inf)",
        help="responses of each evaluation at most, those of its first problems; 0: all (default: 200)",
    )
    args = parser.parse_args()
    from rarecot.report import generations

    problems, files = [], []
    if len(args.inputs) > 1 and args.out is None:
        problems.append("a page over several inputs belongs to none of them: say where it goes with --out PAGE.html.")
    for path in args.inputs:
        try:
            files += generations.find(path) if path.is_dir() else [path]
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    first = args.inputs[0]
    out = args.out or (first if first.is_dir() else first.parent) / "generations.html"
    if problems := unwritable(out.parent):
        raise ConfigError(problems)
    title = (
        f"generations of {first.resolve().name}" if len(args.inputs) == 1 else f"generations, {len(args.inputs)} inputs"
    )
    print(printable(str(generations.write(files, out, title, args.limit))))


if __name__ == "__main__":
    exit_with(main)
