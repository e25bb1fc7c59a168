"""Thousands of GRPO rounds of the tiny model: memory, open files and the time of a round must stay as they were.

    python tests/attacks/soak.py [--steps 4000] [--out DIR] [--use_vllm true] [--any_recipe_key value]

Watches the real recipe and all that it starts from outside, once a second; ends with a table and exit code 1 if something grew:
memory by its slope over the second half, since an allocator takes a thousand rounds to find its size; the rest in the last tenth of
the rounds against the second.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

ROOT = Path(__file__).parents[2]
# Growth of the last tenth over the second that is still called flat: (share, and what a share of little may be in any case).
FLAT = {"open files": (0.0, 4), "threads": (0.0, 4), "seconds a round": (0.2, 0.01)}
KEPT = 8.0  # MiB that 1 000 rounds may add: twice what the trainer's log and the watch over the run keep of them


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=4000, help="GRPO rounds, one step each")
    parser.add_argument("--out", type=Path, help="the run directory; by default one that is removed")
    args, rest = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as temporary:
        run_dir = args.out or Path(temporary) / "run"
        train("sft", run_dir, [])
        seen = watched(train("grpo", run_dir, ["--max_steps", str(args.steps), *rest], wait=False), run_dir)
    return report(seen, args.steps)


def train(stage: str, run_dir: Path, words: list[str], wait: bool = True) -> subprocess.Popen:
    """A recipe as one types it; checkpoints at its end alone."""
    recipe = [sys.executable, ROOT / "recipes" / f"{stage}.py", "--config", ROOT / f"recipes/parity/tiny/{stage}.yaml"]
    usual = ["--run_dir", run_dir, "--disable_tqdm", "true", "--save_steps", "500", "--eval_every", "100"]
    process = subprocess.Popen([str(word) for word in (*recipe, *usual, *words)], cwd=ROOT)
    if wait and process.wait():
        sys.exit(process.returncode)
    return process


def watched(process: subprocess.Popen, run_dir: Path) -> dict[str, np.ndarray]:
    """What was seen once a second until the process ended: rounds over, seconds, and sums over it and all that it started."""
    rows = []
    while process.poll() is None:
        try:
            family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
            memory = sum(each.memory_full_info().uss for each in family) / 2**20
            files, threads = sum(each.num_fds() for each in family), sum(each.num_threads() for each in family)
        except psutil.NoSuchProcess:
            continue
        rows.append((rounds_of(run_dir), time.monotonic(), memory, files, threads))
        time.sleep(1)
    if process.returncode:
        sys.exit(process.returncode)
    return dict(zip(("rounds", "time", "memory, MiB", "open files", "threads"), np.array(rows).T, strict=True))


def rounds_of(run_dir: Path) -> int:
    path = run_dir / "records.jsonl"
    lines = path.read_text().split("\n")[:-1] if path.is_file() else []
    return sum(record["split"] == "rollouts" for record in map(json.loads, lines))


def report(seen: dict[str, np.ndarray], steps: int) -> int:
    """Print the table; returns the exit code."""
    early = (seen["rounds"] >= 0.1 * steps) & (seen["rounds"] < 0.2 * steps)
    late = (seen["rounds"] >= 0.9 * steps) & (seen["rounds"] < steps)
    if min(early.sum(), late.sum()) < 3:
        sys.exit("The run was too short to be watched: raise --steps.")
    half = seen["rounds"] >= 0.5 * steps
    slope = 1000 * float(np.polyfit(seen["rounds"][half], seen["memory, MiB"][half], 1)[0])
    grew = int(slope > KEPT)
    at = [float(np.median(seen["memory, MiB"][which])) for which in (early, late)]
    print(
        f"memory: {at[0]:.0f} MiB in the second tenth of the rounds, {at[1]:.0f} MiB in the last; over the second half {slope:+.1f} MiB per 1 000 rounds "
        f"(allowed {KEPT:g}){'  GREW' if grew else ''}"
    )
    print(f"{'':18}{'second tenth':>14}{'last tenth':>14}   allowed")
    for name, (share, amount) in FLAT.items():
        if name in seen:
            before, after = float(np.median(seen[name][early])), float(np.median(seen[name][late]))
        else:
            before, after = (np.ptp(seen["time"][which]) / np.ptp(seen["rounds"][which]) for which in (early, late))
        limit = before + max(share * before, amount)
        grew += after > limit
        print(f"{name:18}{before:14.4g}{after:14.4g}   {limit:.4g}{'  GREW' if after > limit else ''}")
    print(f"{steps} rounds in {np.ptp(seen['time']):.0f} s")
    return int(grew > 0)


if __name__ == "__main__":
    sys.exit(main())
