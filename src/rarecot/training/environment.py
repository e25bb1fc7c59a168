"""What must be settled before torch and TRL are imported."""

import importlib
import sys

from rarecot.hub import is_hub_id, model_snapshot
from rarecot.sampling.vllm import support
from rarecot.stages import STAGES
from rarecot.training.request import Request
from rarecot.training.rl.memory_plan import cache_gib, plan
from rarecot.training.start import model_folder


def prepare(request: Request) -> None:
    """Fetch a model on the hub; set up the process for vLLM; keep TRL from importing it and trackio where they are not used.

    TRL imports both with its GRPO trainer whenever they are installed: ten seconds, and a third of one, that a run without them need not wait.
    """
    asked = request.trainer_value("report_to")
    if not {"trackio", "all", None} & set(asked if isinstance(asked, list) else [asked]):
        sys.modules.setdefault("trackio", None)  # to all who look for it, it is not installed
    name = request.arguments.model_name_or_path
    if name and is_hub_id(name):
        model_snapshot(name, request.trainer_value("model_revision"), weights=True)
    if request.use_vllm:
        folder = model_folder(request) if STAGES[request.stage].config == "GRPOConfig" else None
        support.prepare_environment(*([cache_gib(plan(request, folder, gpu=0))] if folder else []))
        return
    import_utils = importlib.import_module("trl.import_utils")  # trl is a lazy module that does not show it
    import_utils.is_vllm_available = lambda min_version=None: False
