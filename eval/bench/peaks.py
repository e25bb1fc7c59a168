"""Peak memory of processes, and of programs that are run in a process of their own."""

import json
import re
import subprocess
import sys
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
