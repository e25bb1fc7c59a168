"""Which sampler completes the prompts of a checkpoint folder, and how it is opened."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, Literal

from rarecot import checkpoints, model_files
from rarecot.errors import ConfigError
from rarecot.rendering import load_tokenizer
from rarecot.sampling.base import Sampler, eos_ids
from rarecot.sampling.vllm import support

Backend = Literal["auto", "transformers", "vllm"]
BACKENDS: tuple[Backend, ...] = ("auto", "transformers", "vllm")

# On two cores vLLM loses with half a million parameters and wins with 12 million (README). In between it would have to win
# back the 15 seconds that it takes to start.
VLLM_PAYS_FROM = 10_000_000  # parameters


def choose(backend: Backend, parameters: int) -> Literal["transformers", "vllm"]:
    """Resolve `auto`: vLLM where it is installed, works, and the model is large enough for it to pay."""
    if backend != "auto":
        return backend
    return "vllm" if parameters >= VLLM_PAYS_FROM and not support.problems() else "transformers"


def one_gpu_each() -> None:
    """Of several processes that a launcher started on this machine, each sees a GPU of its own. Call before torch is imported."""
    rank, visible = os.environ.get("LOCAL_RANK"), os.environ.get("CUDA_VISIBLE_DEVICES")
    if rank is None or visible == "":  # empty: no GPU is to be used
        return
    devices = visible.split(",") if visible else [str(i) for i in range(int(os.environ.get("LOCAL_WORLD_SIZE", "1")))]
    os.environ["CUDA_VISIBLE_DEVICES"] = devices[int(rank) % len(devices)]


class Samplers:
    """Opens the checkpoints of one run or model one after another, each with its tokenizer.

    A vLLM engine is kept from one checkpoint to the next as long as their shapes agree: only its weights are replaced.

    Args:
        backend: `auto` decides by the size of each checkpoint.
        batch_size: sequences decoded together.

    Raises:
        ConfigError: vLLM is asked for and cannot be used, here or for a model.
    """

    def __init__(self, backend: Backend, batch_size: int):
        if backend == "vllm" and (found := support.problems()):
            raise ConfigError(found)
        self.backend, self.batch_size = backend, batch_size
        self._engine: Any = None
        self._shape: tuple[str, int] = ("", 0)

    def open(self, folder: Path, max_tokens: int) -> tuple[Sampler, Any]:
        """The sampler of a checkpoint and its tokenizer. The one opened before must no longer be used.

        Args:
            folder: the checkpoint.
            max_tokens: the longest prompt and response together.
        """
        from transformers import GenerationConfig

        tokenizer = load_tokenizer(folder)
        backend, unfit = choose(self.backend, checkpoints.parameters(folder)), support.model_problems(folder)
        if backend == "vllm" and unfit and self.backend == "vllm":
            raise ConfigError(unfit)
        if backend == "transformers" or unfit:
            return self._transformers(folder, tokenizer), tokenizer
        settings = GenerationConfig.from_pretrained(folder) if (folder / "generation_config.json").is_file() else None
        ends = eos_ids(settings, tokenizer)
        if not checkpoints.is_adapter(folder):
            return self._vllm(folder, tokenizer, ends, max_tokens), tokenizer
        with tempfile.TemporaryDirectory(prefix="rarecot-merged-") as merged:
            whole_model(folder).save_pretrained(merged)
            return self._vllm(Path(merged), tokenizer, ends, max_tokens, tokenizer_folder=folder), tokenizer

    def close(self) -> None:
        """Free the engine, if there is one."""
        if self._engine is not None:
            from rarecot.sampling.vllm.sampler import close

            close(self._engine)
            self._engine = None

    def _transformers(self, folder: Path, tokenizer: Any) -> Sampler:
        import torch

        from rarecot.sampling.hf import HfSampler

        device = "cuda" if torch.cuda.is_available() else "cpu"
        return HfSampler(whole_model(folder).to(device), tokenizer, self.batch_size)

    def _vllm(
        self, folder: Path, tokenizer: Any, ends: list[int], max_tokens: int, tokenizer_folder: Path | None = None
    ) -> Sampler:
        from rarecot.sampling.vllm import sampler, weights

        for file in tokenizer_folder.glob("*token*") if tokenizer_folder else ():
            shutil.copy(file, folder)  # the engine wants a tokenizer beside the weights

        shape = (folder / "config.json").read_text(), max_tokens
        if self._engine is not None and shape != self._shape:
            self.close()
        if self._engine is None:
            self._engine = sampler.open_engine(folder, max_tokens, sequences=self.batch_size)
            self._shape = shape
            weights.verify(self._engine, folder)
        else:
            weights.load(self._engine, folder)
        return sampler.VllmSampler(self._engine, tokenizer, ends)


def whole_model(folder: Path) -> Any:
    """The transformers model of a checkpoint, an adapter merged into its base."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(checkpoints.weights_folder(folder), **model_files.NO_CODE)
    if not checkpoints.is_adapter(folder):
        return model
    from peft import PeftModel

    return PeftModel.from_pretrained(model, folder).merge_and_unload()
