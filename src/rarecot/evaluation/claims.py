"""Several processes that share the work on one run: each takes what no other has taken, and a killed one lets go of what it had."""

import contextlib
import fcntl
import zlib
from collections.abc import Iterator
from pathlib import Path

FILE = ".evaluating"


class Claims:
    """Locks on parts of one file, a byte each: the system releases them when a process ends, however it ends.

    Args:
        run_dir: the run.
    """

    def __init__(self, run_dir: Path):
        self._file = (run_dir / FILE).open(
            "a+b"
        )  # kept open: closing it anywhere in this process would release its locks

    @contextlib.contextmanager
    def take(self, name: str, wait: bool = False) -> Iterator[bool]:
        """Whether a piece of work is this process's alone, while the context lasts.

        Args:
            name: of the piece.
            wait: until whoever has it is done, or dead.
        """
        place = zlib.crc32(name.encode())
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB), 1, place)
        except BlockingIOError:
            yield False
            return
        except OSError:  # a file system without locks: everybody works alone
            yield True
            return
        try:
            yield True
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, place)
