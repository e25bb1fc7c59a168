"""Verifications a second: our door, with nothing remembered, against math-verify one by one."""

import logging
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from math_verify import parse, verify
from row import Row, compared

from rarecot.parsing import last_box, last_hashes
from rarecot.tasks import Gsm8k, Math
from rarecot.tasks.corpus import TextCorpus
from rarecot.verify import verify_all
from rarecot.verify.compare import at_once
from rarecot.verify.pool import Pool

TURN = 200  # verifications


def rows(args: Any) -> Iterator[Row]:
    """A row a corpus: each problem's own demonstration and its neighbour's, so that half of the answers are wrong."""
    logging.disable(logging.WARNING)
    for name, task in (("gsm8k", Gsm8k), ("math", Math)):
        yield measure(f"verification_{name}", task(source=getattr(args, name)), args.repeats or 10)


def measure(name: str, task: TextCorpus, repeats: int) -> Row:
    """Time both on the same pairs, turn by turn, in milliseconds a verification."""
    problems = task.load().train
    golds = [gold for gold in problems.answer for _ in range(2)]
    neighbours = problems.long[1:] + problems.long[:1]
    texts = [text for own, other in zip(problems.long, neighbours, strict=True) for text in (own, other)]
    order = np.random.default_rng(0).permutation(len(golds))
    pool = Pool(cache=0)
    pool.compare([("x", "x + 1")] * 1)  # start-up is not counted
    ours, other = [], []
    for turn in range(repeats):
        at = [int(i) for i in order[turn * TURN : (turn + 1) * TURN]]
        pairs = [(golds[i], texts[i]) for i in at]
        started = time.perf_counter()
        verify_all([gold for gold, _ in pairs], [text for _, text in pairs], [task.style] * len(pairs), pool)
        ours.append(time.perf_counter() - started)
        started = time.perf_counter()
        for gold, text in pairs:
            verify(parse(f"${gold}$"), parse(text))
        other.append(time.perf_counter() - started)
    pool.close()
    read = last_box if task.style == "boxed" else last_hashes
    hard = sum(at_once(gold, read(text).answer) is None for gold, text in zip(golds, texts, strict=True)) / len(golds)
    rate = TURN / float(np.median(ours))
    return compared(
        name,
        np.array(ours) / TURN * 1000,
        np.array(other) / TURN * 1000,
        "ms",
        "math-verify, one by one",
        "≤ 1",
        f"{rate:,.0f}/s, nothing remembered; {hard:.0%} need algebra",
    )
