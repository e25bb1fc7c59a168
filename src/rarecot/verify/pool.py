"""Worker processes that compare answers, killed when they hang, usable from any thread.

Processes of our own over pipes: `multiprocessing` and the pools built on it import the user's main script again in every
worker, so each kill would cost the seconds that torch takes to import, and they must not fork a process that runs torch.
"""

import atexit
import json
import os
import queue
import select
import subprocess
import sys
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from rarecot.errors import RunError
from rarecot.types import Verdict

Pair = tuple[str, str | None]  # gold and answer; an answer of None asks whether the gold can be compared with

SECONDS = 3.0  # of processor time for one comparison
BUSY = 4  # times longer that it may take on a busy machine, by the clock
GRACE = 2.0  # seconds that a worker may take to notice its own alarm
STARTING = 60.0  # seconds until a new worker answers first: it imports sympy
CACHE = 200_000  # verdicts
ATTEMPTS = 3  # at a comparison or a start whose process is killed: from outside, as where memory is short, it says nothing of the answer


class _Worker:
    """One process. Not for two threads at once."""

    def __init__(self, seconds: float):
        self.seconds = seconds
        self.process: subprocess.Popen[bytes] | None = None

    def ask(self, pair: Pair) -> Verdict | None:
        """The verdict on a pair; None where the worker does not answer in time, or dies of it again and again: it is replaced at the next call.

        Raises:
            RunError: no worker can be started, so that nothing could be judged.
            RuntimeError: a fault of the worker's own code, which must not pass for a wrong answer.
        """
        for _ in range(ATTEMPTS):
            if self.process is None:
                self._start()
            try:
                self.process.stdin.write(json.dumps(pair).encode() + b"\n")
                line = self._line(BUSY * self.seconds + GRACE)
            except (BrokenPipeError, EOFError):
                self.stop()
                continue
            if not line:
                self.stop()
                return None
            reply = json.loads(line)
            if isinstance(reply, dict):
                raise RuntimeError(f"comparing {pair} failed:\n{reply['error']}")
            return reply
        return None

    def _line(self, patience: float) -> bytes:
        """The next whole line; empty if none comes in time.

        Raises:
            EOFError: the process ended instead.
        """
        ready, _, _ = select.select([self.process.stdout], [], [], patience)
        if not ready:
            return b""
        line = self.process.stdout.readline()
        if not line.endswith(b"\n"):
            raise EOFError
        return line

    def stop(self) -> None:
        """Kill the process, if there is one."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None

    def _start(self) -> None:
        for _ in range(ATTEMPTS):
            self.process = subprocess.Popen(
                # -P: the folder the user stands in may hold a types.py
                [sys.executable, "-P", "-m", "rarecot.verify.worker", str(self.seconds)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            )
            try:
                if self._line(STARTING):
                    return
                code = None
            except EOFError:
                code = self.process.wait()
            self.stop()
            if code is None or code >= 0:  # no signal: another would end as this one did
                break
        raise RunError(
            "the process that compares answers did not start"
            + (f" (ended with {code})" if code is not None else f" in {STARTING:g} seconds")
            + f": see what `{sys.executable} -P -m rarecot.verify.worker 3` says (is math-verify installed, and memory left?)"
        )


class Pool:
    """Compares pairs in parallel and remembers the verdicts.

    Args:
        workers: processes, started when first needed.
        seconds: of processor time that one comparison may take.
        cache: verdicts to remember; 0: none.
    """

    def __init__(self, workers: int | None = None, seconds: float = SECONDS, cache: int = CACHE):
        self.workers = workers or min(8, os.cpu_count() or 1)
        self.cache_size = cache
        self._all = [_Worker(seconds) for _ in range(self.workers)]
        self._idle: queue.LifoQueue[_Worker] = queue.LifoQueue()
        for worker in self._all:
            self._idle.put(worker)
        self._cache: OrderedDict[Pair, Verdict] = OrderedDict()
        self._lock = threading.Lock()

    def compare(self, pairs: Sequence[Pair]) -> list[Verdict]:
        """A verdict for each pair, in order. Safe to call from several threads."""
        with self._lock:
            known = {pair: self._cache[pair] for pair in pairs if pair in self._cache}
        new = list(dict.fromkeys(pair for pair in pairs if pair not in known))
        if len(new) <= 1:
            answers = [self._ask(pair) for pair in new]
        else:  # one by one: they take from 1 ms to seconds each, and a worker that is done takes the next
            with ThreadPoolExecutor(min(self.workers, len(new))) as threads:
                answers = list(threads.map(self._ask, new))
        found = dict(zip(new, answers, strict=True))
        with self._lock:
            self._cache |= {pair: verdict for pair, verdict in found.items() if verdict is not None}
            while len(self._cache) > self.cache_size:
                self._cache.popitem(last=False)
        return [known.get(pair) or found[pair] or "timed_out" for pair in pairs]

    def close(self) -> None:
        """Kill the workers; they start again when needed."""
        for worker in self._all:
            worker.stop()

    def _ask(self, pair: Pair) -> Verdict | None:
        worker = self._idle.get()
        try:
            return worker.ask(pair)
        finally:
            self._idle.put(worker)


_shared: Pool | None = None
_guard = threading.Lock()


def shared() -> Pool:
    """The pool of this process."""
    global _shared
    with _guard:
        if _shared is None:
            _shared = Pool()
            atexit.register(_shared.close)
    return _shared
