"""What must be settled before torch and TRL are imported."""

import importlib

from rarecot.sampling.vllm import support
from rarecot.training.arguments import Request
from rarecot.training.checks import model_folder
from rarecot.training.memory_plan import cache_gib, plan


def prepare(request: Request) -> None:
    """Set up the process for vLLM, or keep TRL from importing it.

    TRL imports vLLM with its GRPO trainer whenever it is installed: ten seconds that a run without it need not wait.
    """
    if request.use_vllm:
        folder = model_folder(request)
        support.prepare_environment(cache_gib(plan(request, folder, gpu=0)) if folder else 1)
        return
    import_utils = importlib.import_module("trl.import_utils")  # trl is a lazy module that does not show it
    import_utils.is_vllm_available = lambda min_version=None: False
