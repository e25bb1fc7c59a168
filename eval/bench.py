"""Ratios, measured side by side in one process: ours against a hand-written loop, and one sampler against the other.

    python eval/bench.py [--rows ntp_step,grpo_round,sampler_tiny,sampler_135m] [--json OUT] [--steps 200]
    python eval/bench.py --rows verify_gsm8k,verify_math --gsm8k PATH_OR_HUB_ID --math PATH_OR_HUB_ID

Ours and the other take turns, one step each, so that a machine whose speed drifts slows both. A ratio is the median over
the turns, with the range that holds the middle 80 % of them. The sampler rows need vLLM; "ours" is what `auto` picked.
"""

import json
import sys
from pathlib import Path

from rarecot.command_line import Parser
from rarecot.errors import ConfigError, exit_with
from rarecot.sampling.vllm import support
from rarecot.tasks import Gsm8k, Math

# name → largest ratio that we promise
ROWS = {"ntp_step": 1.5, "grpo_round": 2.0, **{f"sampler_{size}": 1.0 for size in ("tiny", "12m", "36m", "135m")}}
ROWS |= {"verify_gsm8k": 1.0, "verify_math": 1.0}
LOOPS = ("ntp_step", "grpo_round")


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--rows", default=",".join(LOOPS), help=f"comma-separated, of {', '.join(ROWS)}")
    parser.add_argument("--json", type=Path, help="also write the rows here")
    parser.add_argument(
        "--steps", type=int, default=200, interval="[1, 1e9]", help="NTP steps (GRPO starts from the model they make)"
    )
    parser.add_argument(
        "--rounds",
        type=int,
        default=12,
        interval="[1, 1e9]",
        help="GRPO rounds; also how often the samplers take turns",
    )
    parser.add_argument("--gsm8k", default=Gsm8k.source, help="verify_gsm8k: folder or hub id")
    parser.add_argument("--math", default=Math.source, help="verify_math: folder or hub id")
    args = parser.parse_args()
    wanted = args.rows.split(",")
    if unknown := sorted(set(wanted) - set(ROWS)):
        raise ConfigError([f"no row named {', '.join(unknown)}. Known: {', '.join(ROWS)}."])

    with_samplers = [name.removeprefix("sampler_") for name in wanted if name.startswith("sampler_")]
    if with_samplers:
        if problems := support.problems():
            raise ConfigError(problems)
        support.prepare_environment()
    sys.path.insert(0, str(Path(__file__).with_name("bench")))
    rows = []
    if set(LOOPS) & set(wanted):
        import turns

        rows += turns.headline(args.steps, args.rounds, with_grpo="grpo_round" in wanted)
    if with_samplers:
        import samplers

        rows += samplers.rows(with_samplers, args.rounds)
    if corpora := {f"verify_{name}": getattr(args, name) for name in ("gsm8k", "math") if f"verify_{name}" in wanted}:
        import verification

        rows += verification.rows(corpora, args.rounds)
    rows = [{**row, "target": ROWS[row["name"]]} for row in rows if row["name"] in wanted]
    for row in rows:
        low, high = row["ratio_range"]
        print(
            f"{row['name']:<12} ours {row['ours']:.3f} {row['unit']}  other {row['other']:.3f}  "
            f"ratio {row['ratio']:.2f} [{low:.2f}, {high:.2f}]  promised ≤ {row['target']}  ({row['repeats']} turns)"
            + (f"  {row['tokens_per_second']}, auto picked {row['picked']}" if "picked" in row else "")
            + (f"  {row['note']}" if "note" in row else "")
        )
    if args.json:
        args.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    exit_with(main)
