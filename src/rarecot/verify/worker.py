"""A process that compares answers with math-verify: one JSON line in, one out, until its input ends.

    python -m rarecot.verify.worker SECONDS

Alone in a process of its own, so that it can be killed, that math-verify's alarm signal works whatever thread asks, and
that a memory limit hits nothing else.
"""

import json
import logging
import resource
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from rarecot.types import Verdict
from rarecot.verify import structure
from rarecot.verify.compare import compare
from rarecot.verify.notation import UnparseableGold, normal, number, split_unit, words

MEMORY = 4 * 2**30  # bytes of address space


class TookTooLong(BaseException):
    """The alarm rang. Not an `Exception`: math-verify catches those and goes on."""


def main() -> None:
    """Serve until the end of input."""
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # schedulers ask every process to stop: this one ends with its input
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    logging.disable(logging.CRITICAL)  # math-verify logs every expression that it cannot read
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    sys.setrecursionlimit(3000)
    seconds = float(sys.argv[1])
    from math_verify import LatexExtractionConfig, parse, verify
    from sympy import Basic, Symbol

    plain = LatexExtractionConfig(boxed_match_priority=0)
    # Units are ours to read: math-verify takes the t of 3t + 16t for tons and drops it.
    config = [replace(plain, normalization_config=replace(plain.normalization_config, units=False))]

    def same_symbols(item: Any) -> Any:
        """math-verify takes i for a real symbol in one place and for a complex one in another."""
        if not isinstance(item, Basic):
            return item
        return item.xreplace({x: Symbol(x.name) for x in item.free_symbols if isinstance(x, Symbol)})

    def read(latex: str) -> list[Any]:
        found = parse(f"${latex}$", config, fallback_mode="no_fallback", parsing_timeout=None)
        return [same_symbols(item) for item in found if not isinstance(item, str)]

    def algebra(gold: str, answer: str) -> bool:
        x = _nonsense_as([], read, _latex(gold))
        if not x:
            raise UnparseableGold
        y = _nonsense_as([], read, _latex(answer))
        return bool(y) and _nonsense_as(False, verify, x, y, strict=True, timeout_seconds=None)

    def readable(gold: str) -> bool:
        leaves = structure.scalars(normal(gold))
        return all(
            words(s) is not None
            or number(split_unit(s)[0]) is not None
            or _nonsense_as([], read, _latex(split_unit(s)[0]))
            for s in leaves
        )

    def ring(*_: Any) -> None:
        raise TookTooLong

    # Of processor time, so that a verdict does not depend on what else the machine does.
    signal.signal(signal.SIGPROF, ring)
    output = sys.stdout.buffer
    sys.stdout = sys.stderr  # nothing but answers goes out
    output.write(b'"ready"\n')
    output.flush()
    for line in sys.stdin.buffer:
        gold, answer = json.loads(line)
        signal.setitimer(signal.ITIMER_PROF, seconds)
        try:
            reply: Any = _decide(gold, answer, algebra, readable)
        except Exception:
            reply = {"error": traceback.format_exc()}  # a fault of ours: raised where the question came from
        signal.setitimer(signal.ITIMER_PROF, 0)
        output.write(json.dumps(reply).encode() + b"\n")
        output.flush()


def _decide(gold: str, answer: str | None, algebra: Any, readable: Any) -> Verdict:
    try:
        if answer is None:
            return "correct" if readable(gold) else "unparseable_gold"
        return "correct" if compare(gold, answer, algebra) else "wrong"
    except UnparseableGold:
        return "unparseable_gold"
    except (TookTooLong, MemoryError, RecursionError):
        return "timed_out"


def _nonsense_as(fallback: Any, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What a call of math-verify gives, or the fallback: on nonsense, sympy raises anything."""
    try:
        return call(*args, **kwargs)
    except (MemoryError, RecursionError):
        raise
    except Exception:
        return fallback


def _latex(s: str) -> str:
    return s.replace("⦃", "\\{").replace("⦄", "\\}").replace("⏎", "\\\\").replace("%", "\\%")


if __name__ == "__main__":
    main()
