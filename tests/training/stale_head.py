"""recipes/grpo.py with vLLM's weight sync as it was before our fix: the tied output head goes stale, silently.

Run by test_vllm.py, in a process of its own. Where vLLM packs the head's matrix, it goes on computing with the old packed one; on a processor for
which it packs none of that type, the head is given its old matrix back.
"""

import runpy
import sys

import torch
from conftest import ROOT

from rarecot.sampling.vllm import weights

repack = weights.repack


def without_the_head(vllm_config, model, named):
    (head,) = (module for module in model.modules() if type(module).__name__ == "ParallelLMHead")
    old = torch.nn.Parameter(head.weight.detach().clone(), requires_grad=False)
    repack(vllm_config, model, named)
    head.weight = old


weights.retie = lambda model: None
weights.repack = without_the_head
sys.argv[0] = str(ROOT / "recipes/grpo.py")
runpy.run_path(sys.argv[0], run_name="__main__")
