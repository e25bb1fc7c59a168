"""The models that a GPU is tried with, and what is asked for each."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from samplers import SHAPES

from rarecot.training import request

RECIPES = Path(__file__).parents[3] / "recipes" / "gsm8k"
# Public config.json of meta-llama/Llama-3.2-1B.
LLAMA_1B = {
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 16,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128_256,
}


@dataclass(frozen=True)
class Size:
    """A model and what it is trained on.

    Args:
        recipes: folder below recipes/gsm8k with the settings.
        shape: of a Llama.
        theta: base of its rotary positions.
        prompt: fewest and most words of a problem.
        solution: fewest and most words of a worked solution.
        short: mean length of a short response, in tokens.
        test: problems of the test split.
        words: options of the command line that follow the recipe's.
    """

    recipes: str
    shape: dict[str, int]
    theta: float = 10_000.0
    prompt: tuple[int, int] = (60, 120)
    solution: tuple[int, int] = (700, 880)
    short: int = 32
    test: int = 512
    words: dict[str, list[str]] = field(default_factory=dict)


TINY = {
    "sft": ["--global_batch_size", "8", "--per_device_train_batch_size", "8"],
    "grpo": [
        *("--global_batch_size", "16", "--per_device_train_batch_size", "8", "--num_generations", "4"),
        *("--max_completion_length", "24"),
    ],
}
SIZES = {
    "tiny": Size(
        "smollm2-135m",
        {**SHAPES["tiny"], "intermediate_size": 128, "vocab_size": 512},
        *(1e4, (4, 8), (40, 60), 4, 16, TINY),
    ),
    "135m": Size("smollm2-135m", SHAPES["135m"]),
    "1b": Size("llama-3.2-1b", LLAMA_1B, theta=5e5),
}


def asked(stage: str, size: Size, checkpoint: Path, mixture: Path, steps: int, *more: str, run_dir: Path) -> Any:
    """The request of the recipe for a size, on what was made here."""
    words = ["--config", str(RECIPES / size.recipes / f"{stage}.yaml"), "--mixture", str(mixture)]
    words += ["--model_name_or_path", str(checkpoint), "--run_dir", str(run_dir)]
    words += ["--max_steps", str(steps), "--save_strategy", "no", "--disable_tqdm", "true"]
    return request.parse(stage, "", [*words, "--eval_n", "1", "--eval_n_last", "1", *size.words.get(stage, []), *more])
