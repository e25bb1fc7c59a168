"""Quiet libraries: what a command has to say is its own."""

import logging
import os
import warnings


def quiet() -> None:
    """Let transformers, datasets and accelerate speak only of errors, and show no bars of their own."""
    import datasets
    import transformers

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    datasets.utils.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    logging.getLogger("accelerate").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning, module="(trl|transformers)")
    warnings.filterwarnings("ignore", message=".*pin_memory.*")
