"""A vLLM plugin (entry point `vllm.general_plugins`), loaded in every vLLM process of this environment.

It does nothing unless RARECOT_VLLM_SYNC is set, so vLLM programs of other projects in the same environment are not touched.
"""

import os

SWITCH = "RARECOT_VLLM_SYNC"
GLOO = "rarecot_gloo"  # our weight transfer backend


def register() -> None:
    """Make weights writable on the CPU and offer a weight transfer that needs no GPU."""
    if os.environ.get(SWITCH) != "1":
        return
    from vllm.distributed.weight_transfer.factory import WeightTransferEngineFactory
    from vllm.platforms import current_platform

    if GLOO not in WeightTransferEngineFactory._registry:  # plugins may be loaded several times
        WeightTransferEngineFactory.register_engine(GLOO, "rarecot.sampling.vllm.transfer", "GlooEngine")
    if current_platform.is_cpu():
        keep_weights_writable()


def keep_weights_writable() -> None:
    """Let vLLM's CPU build compute linear layers from their plain weights.

    What upstream lacks: after loading, the CPU build packs every Linear weight for oneDNN and drops the parameter, so no
    later `load_weights` reaches it (vLLM 0.32). Can go when vLLM repacks after an update on the CPU. Costs about a
    third of the throughput of a tiny model, nothing measurable at 135M (README).
    """
    import vllm._custom_ops as ops

    ops._supports_onednn = False
