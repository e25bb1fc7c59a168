"""Being asked to stop: USR1 (what schedulers send ahead of a deadline) and TERM set a flag, which training reads between two steps."""

import atexit
import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from rarecot.errors import Stopped

PR_SET_PDEATHSIG = 1  # prctl(2)
SIGNALS = (signal.SIGUSR1, signal.SIGTERM)

_asked: list[int] = []


def listen() -> None:
    """From now on the signals are heeded at the next place from which the same command goes on."""
    for number in SIGNALS:
        signal.signal(number, _ask)
    atexit.register(_ignore)  # whoever asked may ask again while this process ends, when nobody listens any more


def leave_at_once() -> None:
    """From now on the signals raise `Stopped` where they arrive: for work that loses nothing when it is cut off."""

    def leave(*_: Any) -> None:
        _ignore()  # whoever asked may ask again while this process leaves
        raise Stopped("What is done is kept.")

    for number in SIGNALS:
        signal.signal(number, leave)


def asked() -> bool:
    """Whether this process was asked to stop."""
    return bool(_asked)


def tell(process: subprocess.Popen) -> bool:
    """Ask another process to stop, if it listens by now (one that does not yet would die of it); says whether it was asked."""
    status = Path(f"/proc/{process.pid}/status")
    if status.is_file():
        catches = next((line.split()[1] for line in status.read_text().splitlines() if line.startswith("SigCgt:")), "0")
        if not int(catches, 16) >> (signal.SIGUSR1 - 1) & 1:
            return False
    process.send_signal(signal.SIGUSR1)
    return True


def die_with_parent(number: int = signal.SIGTERM) -> None:
    """In a child between fork and exec: whatever ends the parent sends this process a signal, too (Linux; elsewhere nothing)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)


def _ignore() -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _ask(number: int, _: Any) -> None:
    if not _asked:  # written past the buffers: what was interrupted may be writing to them
        os.write(2, f"\n{signal.Signals(number).name}: stopping as soon as nothing is lost by it\n".encode())
    _asked.append(number)
