"""Peak memory of processes, and of programs that are run in a process of their own: `python peaks.py COMMAND …` runs one."""

import json
import re
import resource
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def megabytes(pids: Iterable[int | str]) -> float:
    """The sum of what each of these processes had in memory at its highest (pages that they share count for each). `ru_maxrss` will not do: it
    also counts the process that started one."""
    found = [re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text()) for pid in pids]
    return sum(int(peak[1]) for peak in found) / 1024


def alone(program: str, *words: str, given: str = "") -> dict[str, Any]:
    """What a program of this folder prints as its last line, a JSON object, run in a process of its own."""
    path = Path(__file__).with_name(program)
    done = subprocess.run([sys.executable, path, *words], input=given, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def of_command(*words: str, **how: Any) -> tuple[float, float]:
    """Seconds and peak megabytes of a command of this interpreter; what it prints is not shown. A small process between it and this one waits
    for it, whose own memory is all that `ru_maxrss` can count beside.

    Args:
        words: of the command, without the interpreter.
        how: as `subprocess.run` takes it.

    Raises:
        RuntimeError: it failed.
    """
    done = subprocess.run([sys.executable, __file__, *words], stdout=subprocess.PIPE, text=True, check=False, **how)
    if done.returncode:
        raise RuntimeError(f"{words[0]} left with {done.returncode}")
    took = json.loads(done.stdout.splitlines()[-1])
    return took["seconds"], took["megabytes"]


def main() -> None:
    started = time.perf_counter()
    done = subprocess.run([sys.executable, *sys.argv[1:]], stdout=subprocess.DEVNULL, check=False)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024  # kB on Linux
    print(json.dumps({"seconds": seconds, "megabytes": peak}))
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
