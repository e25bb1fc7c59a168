"""recipes/sft.py whose second process is slow to write its part of a checkpoint; a stamp that comes before it is told on stderr.

Run by tests/attacks/test_elsewhere.py, by torchrun.
"""

import os
import runpy
import sys
import time

from conftest import ROOT
from transformers import Trainer

from rarecot import checkpoints

save, stamp = Trainer._save_rng_state, checkpoints.stamp


def slow(self, folder):
    if os.environ["RANK"] == "1":
        time.sleep(1)
    save(self, folder)


def watched(folder, content):
    if not (folder / "rng_state_1.pth").is_file():
        print(f"{folder.name} is stamped too early", file=sys.stderr, flush=True)
    stamp(folder, content)


Trainer._save_rng_state, checkpoints.stamp = slow, watched
sys.argv[0] = str(ROOT / "recipes/sft.py")
runpy.run_path(sys.argv[0], run_name="__main__")
