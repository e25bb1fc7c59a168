"""Being asked to stop: USR1 (what schedulers send ahead of a deadline) and TERM set a flag, which training reads between two steps."""

import os
import signal
from typing import Any

from rarecot.errors import Stopped

SIGNALS = (signal.SIGUSR1, signal.SIGTERM)

_asked: list[int] = []


def listen() -> None:
    """From now on the signals are heeded at the next place from which the same command goes on."""
    for number in SIGNALS:
        signal.signal(number, _ask)


def leave_at_once() -> None:
    """From now on the signals raise `Stopped` where they arrive: for work that loses nothing when it is cut off."""

    def leave(*_: Any) -> None:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)  # whoever asked may ask again while this process leaves
        raise Stopped("What is done is kept.")

    for number in SIGNALS:
        signal.signal(number, leave)


def asked() -> bool:
    """Whether this process was asked to stop."""
    return bool(_asked)


def _ask(number: int, _: Any) -> None:
    if not _asked:  # written past the buffers: what was interrupted may be writing to them
        os.write(2, f"\n{signal.Signals(number).name}: stopping as soon as nothing is lost by it\n".encode())
    _asked.append(number)
