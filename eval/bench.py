"""Ratios, measured side by side in one process: ours against a hand-written loop.

    python eval/bench.py [--rows ntp_step,grpo_round] [--json OUT] [--steps 200]

Ours and the other take turns, one step each, so that a machine whose speed drifts slows both. A ratio is the median over
the turns, with the range that holds the middle 80 % of them.
"""

import argparse
import json
import sys
from pathlib import Path

from rarecot.errors import ConfigError, exit_with

ROWS = {"ntp_step": 1.5, "grpo_round": 2.0}  # name → largest ratio that we promise


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default=",".join(ROWS), help="comma-separated")
    parser.add_argument("--json", type=Path, help="also write the rows here")
    parser.add_argument("--steps", type=int, default=200, help="NTP steps (GRPO starts from the model they make)")
    parser.add_argument("--rounds", type=int, default=12, help="GRPO rounds")
    args = parser.parse_args()
    wanted = args.rows.split(",")
    if unknown := sorted(set(wanted) - set(ROWS)):
        raise ConfigError([f"no row named {', '.join(unknown)}. Known: {', '.join(ROWS)}."])

    sys.path.insert(0, str(Path(__file__).with_name("bench")))
    import turns

    rows = [
        {**row, "target": ROWS[row["name"]]}
        for row in turns.headline(args.steps, args.rounds, with_grpo="grpo_round" in wanted)
        if row["name"] in wanted
    ]
    for row in rows:
        low, high = row["ratio_range"]
        print(
            f"{row['name']:<12} ours {row['ours']:.3f} {row['unit']}  hand {row['other']:.3f}  "
            f"ratio {row['ratio']:.2f} [{low:.2f}, {high:.2f}]  promised ≤ {row['target']}  ({row['repeats']} turns)"
        )
    if args.json:
        args.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    exit_with(main)
