"""The runs of a sweep on this machine, N at a time, each the command that one would type."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rarecot import stopping
from rarecot.errors import EXIT_STOPPED, STOP_NOTE, Stopped, printable
from rarecot.sweeps.plan import is_done
from rarecot.sweeps.spec import PlannedRun

LOGS = "logs"
_POLL = 0.2  # seconds
_ENDS = {0: "done", EXIT_STOPPED: "stopped"}


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Args:
        run: which.
        status: `done`, `known` (it was there), `failed`, `stopped` (it was asked to), or `not run` (what it goes on from did not get to its end).
        seconds: that it took.
        log: its output.
    """

    run: PlannedRun
    status: str
    seconds: float = 0.0
    log: Path | None = None


def command(run: PlannedRun, sweep_dir: Path, recipes: Path) -> list[str]:
    """The command line of a run.

    Args:
        run: which.
        sweep_dir: of the sweep.
        recipes: the folder of the recipes.
    """
    options = [
        word
        for key, words in run.words(sweep_dir).items()
        for word in ([f"--{key}={words[0]}"] if len(words) == 1 else [f"--{key}", *words])
    ]
    return [sys.executable, str(recipes / f"{run.recipe}.py"), "--config", str(run.config), *options]


def run_all(runs: list[PlannedRun], sweep_dir: Path, recipes: Path, jobs: int) -> Iterator[Outcome]:
    """Run what is not done yet; yields each outcome as it is known.

    A run starts when the one that it goes on from is done. When this process is asked to stop, so are the runs, which save and leave; when
    it ends otherwise, they end. All of them go on where they were when the sweep is started again.

    Args:
        runs: a run behind the one that it goes on from.
        sweep_dir: where they go.
        recipes: the folder of the recipes.
        jobs: at a time; they share the cores.

    Raises:
        Stopped: this process was asked to stop.
    """
    waiting, ended, saved = list(runs), {}, []
    stop, told = False, set()  # whether this sweep was asked to, and the slots whose runs were
    running: dict[int, tuple[PlannedRun, subprocess.Popen[bytes], float, Path]] = {}
    with _stopped_together(running):
        while (waiting and not stop) or running:
            stop = stopping.asked()
            told |= {
                slot
                for slot, (_, process, _, _) in running.items()
                if stop and slot not in told and stopping.tell(process)
            }
            # What goes on first: whole chains early.
            for run in [] if stop else sorted(waiting, key=lambda run: run.after is None):
                before = ended.get(run.after, "missing" if run.after in {r.id for r in runs} else "known")
                outcome = None
                if before in ("failed", "stopped", "not run"):
                    outcome = Outcome(run, "not run")
                elif before in ("done", "known") and is_done(run, sweep_dir):
                    outcome = Outcome(run, "known")
                elif before in ("done", "known") and len(running) < jobs:
                    slot = min(set(range(jobs)) - set(running))
                    running[slot] = _start(run, sweep_dir, recipes, slot, jobs)
                else:
                    continue
                waiting.remove(run)
                if outcome is not None:
                    ended[run.id] = outcome.status
                    yield outcome
            for slot, (run, process, started, log) in list(running.items()):
                if process.poll() is not None:
                    del running[slot]
                    ended[run.id] = _ENDS.get(process.returncode, "failed")
                    saved += [last_words(log)] if ended[run.id] == "stopped" else []
                    yield Outcome(run, ended[run.id], time.perf_counter() - started, log)
            time.sleep(_POLL)
    if stop and any(ended.get(run.id) in (None, "stopped") for run in runs):
        over = sum(status in ("done", "known") for status in ended.values())
        raise Stopped(" ".join([f"{over} of {len(runs)} runs are done.", *saved]))


def _start(run: PlannedRun, sweep_dir: Path, recipes: Path, slot: int, jobs: int) -> tuple[Any, ...]:
    log = sweep_dir / LOGS / f"{run.id:03d}-{run.name.replace(' ', '-')}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    threads = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // jobs))} if jobs > 1 else {}
    environment = {**threads, **os.environ, **_device(slot, jobs)}
    environment.pop(STOP_NOTE, None)  # the sweep's own
    # Should this process be killed, the run must not go on: the same sweep, started again, would find its directory held.
    how = {"start_new_session": True, "preexec_fn": partial(stopping.die_with_parent, signal.SIGKILL)}
    with log.open("ab") as file:
        process = subprocess.Popen(command(run, sweep_dir, recipes), stdout=file, stderr=file, env=environment, **how)
    return run, process, time.perf_counter(), log


def _device(slot: int, jobs: int) -> dict[str, str]:
    """One GPU a run, in turn, where there are several of both."""
    listed, driver = os.environ.get("CUDA_VISIBLE_DEVICES"), Path("/proc/driver/nvidia/gpus")
    if listed is not None:
        devices = listed.split(",")
    else:
        devices = [str(i) for i, _ in enumerate(driver.iterdir())] if driver.is_dir() else []
    return {"CUDA_VISIBLE_DEVICES": devices[slot % len(devices)]} if len(devices) > 1 and jobs > 1 else {}


@contextmanager
def _stopped_together(running: dict[int, Any]) -> Iterator[None]:
    """Whatever ends this block ends the runs in it, with all their processes."""

    def leave(number: int, _: Any) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGHUP, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)
        for _, process, _, _ in running.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        for _, process, _, _ in running.values():
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def last_words(log: Path) -> str:
    """The last line of a run's output that says something."""
    lines = [line.strip() for line in log.read_text(errors="replace").replace("\r", "\n").splitlines() if line.strip()]
    return printable(lines[-1]) if lines else "no output"
