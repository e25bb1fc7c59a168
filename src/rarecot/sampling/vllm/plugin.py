"""A vLLM plugin (entry point `vllm.general_plugins`), loaded in every vLLM process of this environment.

All it does is to offer a weight transfer that needs no GPU; nothing changes for a program that does not ask for it.
"""

GLOO = "rarecot_gloo"  # the backend's name in `--weight-transfer-config`


def register() -> None:
    """Called by vLLM, in each of its processes."""
    from vllm.distributed.weight_transfer.factory import WeightTransferEngineFactory

    if GLOO not in WeightTransferEngineFactory._registry:  # plugins may be loaded several times
        WeightTransferEngineFactory.register_engine(GLOO, "rarecot.sampling.vllm.transfer", "GlooEngine")
