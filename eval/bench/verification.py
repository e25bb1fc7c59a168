"""Verifications a second and memory: our door, with nothing remembered and with everything, against math-verify one by one."""

import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import peaks
from math_verify import parse, verify
from row import Row, compared, seconds

from rarecot.errors import ConfigError
from rarecot.parsing import last_box, last_hashes
from rarecot.tasks import Gsm8k, Math
from rarecot.tasks.corpus import TextCorpus
from rarecot.verify import verify_all
from rarecot.verify.compare import at_once
from rarecot.verify.pool import Pool

TURN = 200  # verifications
Pairs = list[tuple[str, str]]  # gold and response


def rows(args: Any) -> Iterator[Row]:
    """Two rows a corpus (nothing remembered; all of it) and memory: each problem's own demonstration and its neighbour's, so that half
    of the answers are wrong."""
    logging.disable(logging.WARNING)
    if args.small:
        yield from measure("made_up", made_up(10), "boxed", args.repeats or 2, turn=10)
        return
    for name, task in (("gsm8k", Gsm8k), ("math", Math)):
        try:
            corpus = task(source=getattr(args, name))
            pairs = pairs_of(corpus)
        except ConfigError as error:
            print(f"verification_{name}: not measured: {error.problems[0]}", flush=True)
            continue
        yield from measure(name, pairs, corpus.style, args.repeats or 10, TURN)


def pairs_of(corpus: TextCorpus) -> Pairs:
    """Golds and responses of a corpus's training problems, in random order."""
    problems = corpus.load().train
    golds = [gold for gold in problems.answer for _ in range(2)]
    neighbours = problems.long[1:] + problems.long[:1]
    texts = [text for both in zip(problems.long, neighbours, strict=True) for text in both]
    return [(golds[i], texts[i]) for i in np.random.default_rng(0).permutation(len(golds))]


def made_up(n: int) -> Pairs:
    """n pairs of formulas of which every other is wrong, for a machine without the corpora."""
    golds = [f"(x+{i})^2" for i in range(1, n + 1)]
    others = [f"x^2+{2 * i}x+{i * i + i % 2}" for i in range(1, n + 1)]
    return [(gold, rf"So it is $\boxed{{{other}}}$.") for gold, other in zip(golds, others, strict=True)]


def measure(name: str, pairs: Pairs, style: str, repeats: int, turn: int) -> Iterator[Row]:
    """Time both on the same pairs, turn by turn, in milliseconds a verification."""
    fresh, remembering = Pool(cache=0), Pool()
    for pool in (fresh, remembering):
        pool.compare([("x", "x + 1"), ("x", "x + 2")] * pool.workers)  # start-up is not counted
    ours, known, other = [], [], []
    for i in range(repeats):
        part = [pairs[k % len(pairs)] for k in range(i * turn, (i + 1) * turn)]
        through(remembering, part, style)()
        ours.append(seconds(through(fresh, part, style)))
        other.append(seconds(lambda part=part: [verify(parse(f"${gold}$"), parse(text)) for gold, text in part]))
        known.append(seconds(through(remembering, part, style)))
    fresh.close()
    remembering.close()
    read = last_box if style == "boxed" else last_hashes
    hard = sum(at_once(gold, read(text).answer) is None for gold, text in pairs) / len(pairs)
    for label, times, promise, said in (
        ("", ours, "≤ 0.3", f"nothing remembered; {hard:.0%} need algebra"),
        ("_known", known, "≤ 0.1", "all asked before"),
    ):
        per = [np.array(column) / turn * 1000 for column in (times, other)]
        note = f"{1000 / np.median(per[0]):,.0f}/s, {said}"
        yield compared(f"verification_{name}{label}", *per, "ms", "math-verify, one by one", promise, note)
    given = json.dumps([pairs[k % len(pairs)] for k in range(repeats * turn)])
    mine, others = (peaks.alone("verification_alone.py", who, style, given=given) for who in ("ours", "one_by_one"))
    note = f"peaks of {mine['processes']} processes together"
    sizes = [mine["megabytes"]], [others["megabytes"]]
    yield compared(f"verification_{name}_memory", *sizes, "MB", "math-verify in one process", "≤ 3.5", note)


def through(pool: Pool, part: Pairs, style: str) -> Callable[[], Any]:
    """Verifying these pairs."""
    golds, texts = [gold for gold, _ in part], [text for _, text in part]
    return lambda: verify_all(golds, texts, [style] * len(part), pool)
