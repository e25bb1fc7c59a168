"""Our numbers against another harness's, example by example: each disagreement, and what either side read.

    python eval/agreement.py evaluations/mine/completions/FILE.parquet details_gsm8k.parquet --reading lenient

The other file is lighteval's details (`--save-details`) or the samples of lm-evaluation-harness (`--log_samples`).
"""

from pathlib import Path

from rarecot.command_line import Parser
from rarecot.errors import ConfigError, exit_with, printable


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("ours", type=Path, help="a file of generations of eval/run.py, one response a problem")
    parser.add_argument(
        "theirs", type=Path, help="details of lighteval (.parquet) or samples of lm-evaluation-harness (.jsonl)"
    )
    parser.add_argument(
        "--reading", choices=("strict", "lenient"), default="lenient", help="which of our protocol's two"
    )
    parser.add_argument("--task", default="gsm8k", help="whose protocol it is")
    parser.add_argument("--protocol", default="", help="its YAML, if it is one of your own")
    parser.add_argument("--show", type=int, default=20, interval="[0, inf)", help="disagreements that are written out")
    args = parser.parse_args()
    if missing := [f"there is no {path}." for path in (args.ours, args.theirs) if not path.is_file()]:
        raise ConfigError(missing)

    from rarecot.evaluation.agreement import agreement, in_words

    found = agreement(args.ours, args.theirs, args.reading, args.task, args.protocol)
    print(printable(in_words(found, args.show)))


if __name__ == "__main__":
    exit_with(main)
