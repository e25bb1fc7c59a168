"""One building of parity data in a process of its own, for `building.py`: `python building_alone.py ours|by_hand N`."""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import peaks
import pyarrow as pa
import pyarrow.compute as pc

HEADLINE = Path(__file__).parents[2] / "data_mixes" / "parity-headline.yaml"


def ours(n: int) -> Callable[[Path], None]:
    """The headline's mixture as a fixed set, as `data_mixes/build.py` builds it."""
    from rarecot.mixtures.build import build
    from rarecot.mixtures.spec import asked
    from rarecot.quiet import quiet

    quiet()
    spec = asked(HEADLINE, ["--online", "false", "--n", str(n)], [])
    return lambda folder: build(spec).save(folder / "mixture")


def by_hand(n: int, d: int = 50, p_cot: float = 0.25) -> Callable[[Path], None]:
    """The same columns of as many training demonstrations, drawn and written by numpy and pyarrow, with nothing held out, looked for twice
    or hashed."""

    def text(codes: np.ndarray) -> pa.StringArray:
        offsets = np.arange(len(codes) + 1, dtype=np.int32) * np.int32(codes.shape[1])
        return pa.StringArray.from_buffers(len(codes), pa.py_buffer(offsets), pa.py_buffer(codes))

    def work(folder: Path) -> None:
        rng = np.random.default_rng(0)
        prompt = np.full((n, d + 1), ord("="), np.uint8)
        prompt[:, :d] = rng.integers(0, 2, (n, d), dtype=np.uint8) + ord("0")
        problem_id = np.empty((n, d + 7), np.uint8)
        problem_id[:, :7], problem_id[:, 7:] = np.frombuffer(b"parity-", np.uint8), prompt[:, :d]
        chain = np.bitwise_xor.accumulate(prompt[:, :d] & 1, axis=1) + np.uint8(ord("0"))
        answer, long = text(chain[:, -1:].copy()), pa.array(rng.permutation(n) < round(p_cot * n))
        columns = {
            "prompt": text(prompt),
            "completion": pc.if_else(long, text(chain), answer),
            "answer": answer,
            "kind": pc.if_else(long, "long", "short"),
            "problem_id": text(problem_id),
        }
        table = pa.table(columns)
        with pa.OSFile(str(folder / "train.arrow"), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table)

    return work


if __name__ == "__main__":
    import pyarrow.compute

    made = {"ours": ours, "by_hand": by_hand}[sys.argv[1]]
    for n in (100, int(sys.argv[2])):  # the first one imports what is imported late
        work = made(n)
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            work(Path(folder))
            seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "megabytes": peaks.megabytes([os.getpid()])}))
