"""A sweep: one YAML, many runs, one report.

    python recipes/sweep.py --config recipes/experiments/02-threshold.yaml
    … --jobs 2             two runs at a time, sharing the cores (or one GPU each)
    … --from runs/mine     branch off the NTP run there instead of training one
    … --dry_run            list the runs and their state
    … --slurm slurm/sweep.sh --partition gpu     one array task for each run that starts by itself and those that go on from it

Started again, it skips what is done and goes on with what was interrupted; asked to stop (USR1, TERM), its runs save and leave.
"""

import subprocess
import sys
from pathlib import Path

from rarecot import stopping
from rarecot.command_line import Parser
from rarecot.errors import EXIT_FAILED, ConfigError, exit_with
from rarecot.holding import hold
from rarecot.sweeps import local, plan
from rarecot.sweeps.spec import read_sweep

RECIPES = Path(__file__).parent
REPORT = RECIPES.parent / "eval" / "report.py"
SUBMIT = RECIPES.parent / "slurm" / "submit.sh"


def main() -> None:
    stopping.listen()
    parser = Parser(__doc__)
    parser.add_argument("--config", type=Path, required=True, help="the sweep's YAML")
    parser.add_argument("--sweep_dir", type=Path, help="where its runs go, instead of the YAML's")
    parser.add_argument("--from", dest="start", type=Path, help="a run directory that its first stage goes on from")
    parser.add_argument(
        "--jobs", type=int, default=1, interval="[1, 1000]", help="runs at a time (Slurm: array tasks at a time)"
    )
    parser.add_argument("--dry_run", action="store_true", help="only say what would be run")
    parser.add_argument(
        "--task",
        type=int,
        interval="[0, inf)",
        help="only this run that starts by itself, and those that go on from it",
    )
    parser.add_argument("--slurm", type=Path, metavar="SCRIPT", help="submit one job array with this script")
    args, options = parser.parse_known_args()
    problems = parser.problems
    if options and not args.slurm:
        problems.append(f"cannot read '{' '.join(options)}': only sbatch takes further options (--slurm).")
    if problems:
        raise ConfigError(problems)
    sweep = read_sweep(args.config, args.sweep_dir, args.start)
    entries = plan.check(sweep)
    roots = sum(run.after is None for run in sweep.runs)
    if args.task is not None and not 0 <= args.task < roots:
        raise ConfigError([f"--task is {args.task}, but the sweep has the tasks 0 to {roots - 1}."])
    if args.dry_run:
        for run in sweep.runs:
            print(f"{'done' if plan.is_done(run, sweep.dir) else 'to do':6} {run.name}")
        return
    if args.task is None and not args.slurm:
        hold(sweep.dir, "runs this sweep", "--sweep_dir")
    if args.task is None or not (sweep.dir / plan.FILE).is_file():  # tasks of an array find it written
        plan.write(sweep, entries)
    if args.slurm:
        again = ["--config", str(args.config.resolve()), "--sweep_dir", str(sweep.dir)]
        again += ["--from", str(args.start.resolve())] if args.start else []
        array = f"--array=0-{roots - 1}%{args.jobs}" if args.jobs > 1 else f"--array=0-{roots - 1}"
        sys.exit(subprocess.run([str(SUBMIT), array, *options, str(args.slurm), *again]).returncode)
    runs = sweep.runs if args.task is None else sweep.family(args.task)
    outcomes = []
    for outcome in local.run_all(runs, sweep.dir, RECIPES, args.jobs):
        outcomes.append(outcome)
        print(
            f"[{len(outcomes)}/{len(runs)}] {outcome.status:8} {outcome.seconds:5.0f} s  {outcome.run.name}", flush=True
        )
        if outcome.status == "failed":
            print(f"        {outcome.log}: {local.last_words(outcome.log)}", flush=True)
    if args.task is None:
        subprocess.run([sys.executable, str(REPORT), str(sweep.dir)])
    if bad := [outcome.run.name for outcome in outcomes if outcome.status in ("failed", "stopped", "not run")]:
        print(
            f"\n{len(bad)} of {len(runs)} runs did not come to their end: {'; '.join(bad)}",
            file=sys.stderr,
        )
        sys.exit(EXIT_FAILED)


if __name__ == "__main__":
    exit_with(main)
