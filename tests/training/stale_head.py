"""recipes/grpo.py with vLLM's weight sync as it was before our fix: the tied output head goes stale, silently.

Run by test_vllm.py, in a process of its own.
"""

import runpy
import sys

from conftest import ROOT

from rarecot.sampling.vllm import weights

weights.retie = lambda model: None
sys.argv[0] = str(ROOT / "recipes/grpo.py")
runpy.run_path(sys.argv[0], run_name="__main__")
