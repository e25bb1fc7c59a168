"""Is B better than A? Two checkpoints on the same problems, paired.

    python eval/compare.py runs/parity-headline/sft runs/parity-headline/grpo [--decoding sampled]
    python eval/compare.py evaluations/base evaluations/mine --protocol lighteval-5shot

Each is a checkpoint (or stage) of a run, an --out folder of eval/run.py, or a file of generations. Says the difference of accuracy,
response length and long share with 95 % intervals, and how likely so much disagreement would be if the two were equally good.
"""

from pathlib import Path

from rarecot.command_line import Parser
from rarecot.errors import ConfigError, exit_with, printable


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("a", type=Path, metavar="A")
    parser.add_argument("b", type=Path, metavar="B")
    parser.add_argument(
        "--decoding", choices=("greedy", "sampled"), default="greedy", help="of folders: which evaluation"
    )
    parser.add_argument("--protocol", default="native", help="of folders: under which protocol")
    parser.add_argument(
        "--suite", default="", help="of folders: the name of a suite of published problems (gsm8k, math-500, …)"
    )
    parser.add_argument(
        "--temperature", type=float, interval="[0, 100]", help="of folders: at which, if they have several"
    )
    args = parser.parse_args()
    if missing := [str(path) for path in (args.a, args.b) if not path.exists()]:
        raise ConfigError(
            [
                f"there is no {path}. Name a checkpoint, an --out folder of eval/run.py, or a file of generations."
                for path in missing
            ]
        )

    from rarecot.evaluation.compare import compare, read_answers

    a, b = (read_answers(path, args.decoding, args.protocol, args.suite, args.temperature) for path in (args.a, args.b))
    found = compare(a, b)
    print(printable(f"A  {a.name}\nB  {b.name}"))
    print(f"{found.problems} problems, responses to each: {a.correct.shape[1]}\n")
    if a.record.get("asked_sha256") != b.record.get("asked_sha256"):
        print("They read other tokens: another tokenizer, template or examples are part of the difference.\n")
    for difference in found.differences:
        low, high = difference.interval
        percent = difference.what != "response length"
        scale, unit = (100, " points") if percent else (1, " tokens")
        print(
            f"{difference.what:16} {difference.a * scale:7.1f} → {difference.b * scale:7.1f}   {difference.value * scale:+.1f} "
            f"[{low * scale:+.1f}, {high * scale:+.1f}]{unit}"
        )
    print(f"\nbetter on {found.only_b} problems, worse on {found.only_a}; p = {found.p:.2g} ({found.test})")
    print(
        {"better": "B is better.", "worse": "B is worse."}.get(
            found.verdict, "They cannot be told apart on these problems."
        )
    )


if __name__ == "__main__":
    exit_with(main)
