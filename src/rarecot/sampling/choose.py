"""Which sampler completes the prompts of a checkpoint folder, and how it is opened."""

from pathlib import Path
from typing import Any, Literal

from rarecot import checkpoints
from rarecot.errors import ConfigError
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
        from transformers import AutoTokenizer, GenerationConfig

        tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
        backend, unfit = choose(self.backend, checkpoints.parameters(folder)), support.model_problems(folder)
        if backend == "vllm" and unfit and self.backend == "vllm":
            raise ConfigError(unfit)
        if backend == "transformers" or unfit:
            return self._transformers(folder, tokenizer), tokenizer
        settings = GenerationConfig.from_pretrained(folder) if (folder / "generation_config.json").is_file() else None
        return self._vllm(folder, tokenizer, eos_ids(settings, tokenizer), max_tokens), tokenizer

    def close(self) -> None:
        """Free the engine, if there is one."""
        if self._engine is not None:
            from rarecot.sampling.vllm.sampler import close

            close(self._engine)
            self._engine = None

    def _transformers(self, folder: Path, tokenizer: Any) -> Sampler:
        import torch
        from transformers import AutoModelForCausalLM

        from rarecot.sampling.hf import HfSampler

        device = "cuda" if torch.cuda.is_available() else "cpu"
        return HfSampler(AutoModelForCausalLM.from_pretrained(folder).to(device), tokenizer, self.batch_size)

    def _vllm(self, folder: Path, tokenizer: Any, ends: list[int], max_tokens: int) -> Sampler:
        from rarecot.sampling.vllm import sampler, weights

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
