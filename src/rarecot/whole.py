"""Files that are there whole or not at all, whatever ends the process or the machine while they are written."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

_FULL = (errno.ENOSPC, errno.EDQUOT)
# Of libraries that pass the system's words on without its number; the last two are all that torch's writer says.
_SAY_SO = ("no space left on device", "disk quota exceeded", "unexpected pos", "iostream error")


@contextlib.contextmanager
def replacing(path: Path, writer: str = "") -> Iterator[Path]:
    """Yield a file beside `path` to write to, which then takes its place; if the writing fails, what was there stays.

    Args:
        path: the file.
        writer: tells apart several processes that may write the same file at once.
    """
    temporary = path.with_name(".".join(filter(None, (path.name, writer, "part"))))
    try:
        yield temporary
        _flush(temporary)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    temporary.replace(path)
    _flush(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write a file of text, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def to_disk(folder: Path) -> None:
    """See to it that what was written into a folder outlives a failure of the machine."""
    for path in sorted(folder.rglob("*")):
        _flush(path)
    _flush(folder)


def disk_is_full(error: BaseException | None) -> bool:
    """Whether an error, or one behind it, is that nothing more can be written: no space, or a quota."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if (isinstance(error, OSError) and error.errno in _FULL) or any(
            words in str(error).lower() for words in _SAY_SO
        ):
            return True
        error = error.__cause__ or error.__context__
    return False


def _flush(path: Path) -> None:
    with contextlib.suppress(PermissionError, FileNotFoundError):  # not ours, or gone meanwhile: as safe as without
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in (
                errno.EINVAL,
                errno.ENOTSUP,
            ):  # file systems that know no fsync, of folders above all
                raise
        finally:
            os.close(descriptor)
