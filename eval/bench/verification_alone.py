"""Peak memory of verifying the pairs on standard input, for `verification.py`: `python verification_alone.py ours|one_by_one STYLE`."""

import json
import logging
import os
import sys

import peaks


def main() -> None:
    logging.disable(logging.WARNING)
    golds, texts = zip(*json.load(sys.stdin), strict=True)
    pids = [os.getpid()]
    if sys.argv[1] == "ours":
        from rarecot.verify import verify_all
        from rarecot.verify.pool import Pool

        pool = Pool()
        verify_all(golds, texts, [sys.argv[2]] * len(golds), pool)
        pids += [worker.process.pid for worker in pool._all if worker.process]
    else:
        from math_verify import parse, verify

        for gold, text in zip(golds, texts, strict=True):
            verify(parse(f"${gold}$"), parse(text))
    print(json.dumps({"megabytes": peaks.megabytes(pids), "processes": len(pids)}))


if __name__ == "__main__":
    main()
