"""Refusals: everything wrong with what a user asked for, said at once and before any model loads."""

import atexit
import difflib
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from rarecot.whole import disk_is_full

EXIT_FAILED, EXIT_REFUSED, EXIT_STOPPED, EXIT_INTERRUPTED = 1, 2, 75, 130
STOP_NOTE = "RARECOT_STOP_NOTE"  # environment: a file that whoever started this process reads instead of the exit code


class ConfigError(ValueError):
    """A request that cannot be run.

    Args:
        problems: one sentence each: what is wrong, where, why, and the remedy. At least one.
    """

    def __init__(self, problems: Sequence[str]):
        assert problems, "a refusal names at least one problem"
        self.problems = list(problems)
        super().__init__("\n".join(f"  {i}. {text}" for i, text in enumerate(self.problems, 1)))


class RunError(RuntimeError):
    """A run that cannot go on, for a reason that its message explains to the user: no traceback is needed."""


class Stopped(BaseException):
    """Work that was asked to stop and left where nothing is lost by it; its message says what is kept. No `Exception`, which libraries
    may take for a fault of theirs."""


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown name: `"; did you mean 'p_cot'?"`, or a full stop when nothing known is close."""
    match = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean '{match[0]}'?" if match else "."


_USER_AND_PASSWORD = re.compile(r"(:/{1,2})[^/?#\s'\"]+@")  # a path has made one / of two
# What a terminal would obey instead of showing it: control characters, and those that turn a line around. Line ends and tabs stay.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def holds_password(value: Any) -> bool:
    """Whether a text, or one of a list of them, is an address with user or password in it (`https://user:password@host`)."""
    return any(map(holds_password, value)) if isinstance(value, list) else bool(_USER_AND_PASSWORD.search(str(value)))


def printable(text: str) -> str:
    """A text of a model, of data or of a file's name, for a terminal or a log: control characters are named (`‹U+001B›`) instead of obeyed, and users and
    passwords are taken out of addresses."""
    return _CONTROL.sub(lambda found: f"‹U+{ord(found[0]):04X}›", _USER_AND_PASSWORD.sub(r"\1…@", text))


def unwritable(folder: Path) -> list[str]:
    """Why nothing can be written into a folder that is there or is to be made; a sentence, or none."""
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir():
        return [f"{place} is a file, where a folder is needed. Name another one."]
    if not os.access(place, os.W_OK | os.X_OK):
        return [f"{place} cannot be written to. Change its permissions, or name another folder."]
    return []


def _leave(code: int) -> None:
    """End this process. One of several does so without the interpreter's teardown, in which torch's connections now and then abort it, after
    all is done."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def exit_with(main: Callable[[], None]) -> None:
    """Run an entry script; a `ConfigError` becomes a numbered list on stderr and exit code 2, a `RunError` its message and
    exit code 1; what the system denies and Ctrl-C a line, too.

    Work that stopped because it was asked to ends with exit code 75: nothing failed, and there is more to do. Launchers take that for
    the failure of a worker, so who names a file in RARECOT_STOP_NOTE finds there what happened, and gets exit code 0.
    """
    try:
        main()
        _leave(0)
    except ConfigError as error:
        count = len(error.problems)
        noun = "problem" if count == 1 else f"{count} problems"
        print(
            f"\nNothing was run, because of {'this' if count == 1 else 'these'} {noun}:\n{printable(str(error))}\n",
            file=sys.stderr,
        )
        sys.exit(EXIT_REFUSED)
    except RunError as error:
        print(f"\nThe run stopped: {printable(str(error))}\n", file=sys.stderr)
        sys.exit(EXIT_FAILED)
    except Stopped as stopped:
        print(f"\nStopped, as asked. {stopped} The same command goes on from there.\n", file=sys.stderr, flush=True)
        if note := os.environ.get(STOP_NOTE):
            Path(note).write_text(f"{stopped}\n")
        _leave(0 if note else EXIT_STOPPED)
    except (PermissionError, FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        print(f"\nThe run stopped: {error.strerror}: {printable(str(error.filename))}\n", file=sys.stderr)
        sys.exit(EXIT_FAILED)
    except OSError as error:
        if not disk_is_full(error):
            raise
        print(f"\nThe run stopped: {error}. Free some space, and run the same command again.\n", file=sys.stderr)
        sys.exit(EXIT_FAILED)
    except KeyboardInterrupt:
        print("\nStopped. The same command goes on where this one was.\n", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)
