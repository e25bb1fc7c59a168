"""A folder that one process at a time works in, held by a lock that ends with its process however that ends."""

import atexit
import fcntl
import os
import platform
from pathlib import Path
from typing import Any

from rarecot.errors import ConfigError

LOCK = ".lock"

_held: dict[
    tuple[int, int], Any
] = {}  # (device, inode) of a lock → its open file, which holds it until this process ends


def hold(folder: Path, doing: str, other: str) -> None:
    """Keep other processes from working in a folder, which is made if need be, as long as this one lives.

    Args:
        folder: the folder.
        doing: what a process does in it, as a verb of a sentence.
        other: the option that names another folder.

    Raises:
        ConfigError: another process works there, or the lock is a link.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # Whoever may write here must not have another file emptied by a link of that name.
    if (folder / LOCK).is_symlink():
        raise ConfigError([f"{folder / LOCK} is a link to a file that it would empty. Take the link away."])
    file = os.fdopen(os.open(folder / LOCK, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o666), "a+")
    status = os.fstat(file.fileno())
    if (status.st_dev, status.st_ino) in _held:
        file.close()
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if not isinstance(
            error, BlockingIOError
        ):  # a file system without locks: as unprotected as before there were any
            print(
                f"{folder} cannot be locked here ({error.strerror}): see to it that one process {doing} in it",
                flush=True,
            )
            file.close()
            return
        file.seek(0)
        holder = file.read().strip()
        file.close()
        raise ConfigError(
            [f"another process ({holder}) {doing} in {folder}. Wait for its end, stop it, or use another {other}."]
        ) from None
    file.truncate(0)
    file.write(f"pid {os.getpid()} on {platform.node()}\n")
    file.flush()
    _held[status.st_dev, status.st_ino] = file
    atexit.register(file.close)
