"""The headline (d = 50) from nothing to a greedy accuracy of 99 %: our recipes, a program by hand, and plain TRL, each in processes of its own."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from row import Row, compared

from rarecot.evaluation import records

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[2]
HIGH_ENOUGH = 0.99
# Plain TRL in three ways: its options, and how many times as long as ours it is waited for.
PLAIN = {
    "headline_trl": ((), 4, "its defaults, our learning rates and batches"),
    "headline_trl_float32": (("--float32",), 10, "the same in float32"),
    "headline_trl_untouched": (("--untouched",), 4, "all its defaults"),
}
SMALL = {"d": 14, "steps": 20, "rounds": 2}


def rows(args: Any) -> Iterator[Row]:
    """Ours and by hand in turns, then plain TRL, once in each way."""
    turns = [(ours(args.small), of_program("hand_headline.py", args.small)) for _ in range(args.repeats or 3)]
    if not args.small and (late := [turn for turn in turns if min(one["greedy"] for one in turn) < HIGH_ENOUGH]):
        raise RuntimeError(f"greedy accuracy of {HIGH_ENOUGH:.0%} was not reached: {late}")
    mine, by_hand = ([turn[k]["seconds"] for turn in turns] for k in (0, 1))
    yield compared(
        "headline_hand", mine, by_hand, "s", "a program by hand", "≤ 1.3", told(turns[-1][0], turns[-1][1]), turns=turns
    )
    for name, (more, patience, what) in PLAIN.items():
        plain = of_program("plain_trl.py", args.small, *more, "--limit", str(patience * min(mine)))
        note = told(turns[-1][0], plain)
        yield compared(name, mine, [plain["seconds"]], "s", f"plain TRL: {what}", "≤ 0.333", note, plain=plain)


def told(ours: dict[str, Any], other: dict[str, Any]) -> str:
    """How far each came."""
    if other["greedy"] >= HIGH_ENOUGH:
        end = f"the other after round {other['rounds']}"
    elif other.get("stopped"):
        end = f"the other was stopped at {other['greedy']:.0%} after {other['rounds']} rounds, so the ratio is a bound"
    else:
        end = f"the other did not get there: {other['greedy']:.0%} after all of its {other['rounds']} rounds"
    return f"NTP {ours['ntp']:.0f} / {other['ntp']:.0f} s; {ours['greedy']:.0%} after round {ours['rounds']}, {end}"


def of_program(name: str, small: bool, *more: str) -> dict[str, Any]:
    """What a program of this folder says of itself in its last line."""
    sizes = [word for key, value in SMALL.items() for word in (f"--{key}", str(value))] if small else []
    command = [sys.executable, str(HERE / name), *sizes, *more]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def ours(small: bool) -> dict[str, Any]:
    """The two recipes as a user starts them, until the harness has written down that it is high enough."""
    started = time.time()
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        for stage in ("sft", "grpo"):
            config = ROOT / "recipes" / "parity" / "headline" / f"{stage}.yaml"
            command = [sys.executable, str(ROOT / "recipes" / f"{stage}.py"), "--config", str(config)]
            command += ["--run_dir", str(run), "--disable_tqdm", "true", *(of_small(stage) if small else [])]
            with (Path(folder) / "log").open("w+") as log:
                with subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log) as process:
                    reached = until_high(process, run) if stage == "grpo" else None
                if process.returncode and not reached:
                    log.seek(0)
                    raise RuntimeError(f"{' '.join(command)} failed:\n{log.read()[-2000:]}")
            if stage == "sft":
                after_ntp = time.time() - started
        greedy = [r for r in records.read(run) if (r["stage"], r["decoding"]) == ("grpo", "greedy")]
    seconds = (reached or time.time()) - started
    return {"seconds": seconds, "ntp": after_ntp, "rounds": greedy[-1]["round"], "greedy": greedy[-1]["accuracy"]}


def until_high(process: subprocess.Popen, run: Path) -> float | None:
    """When GRPO's greedy accuracy was high enough, by the clock, and ends the process then; None if it ended by itself before."""
    while process.poll() is None:
        for record in records.read(run):
            if (record["stage"], record["decoding"]) == ("grpo", "greedy") and record["accuracy"] >= HIGH_ENOUGH:
                at = time.time()
                process.terminate()
                return at
        time.sleep(0.1)
    return None


def of_small(stage: str) -> list[str]:
    """The options of a small one."""
    steps, length = (SMALL["steps"], None) if stage == "sft" else (SMALL["rounds"], SMALL["d"] + 1)
    words = ["--d", str(SMALL["d"]), "--max_steps", str(steps)]
    return [*words, "--max_completion_length", str(length)] if length else words
