"""How long problems and demonstrations are in a model's tokens: what caps and context must hold."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from rarecot.mixtures.build import Mixture, column
from rarecot.rendering import BARE, Template, render_prompts, render_responses
from rarecot.tasks import Generated

ENOUGH = 512  # problems of a generated task, whose lengths do not vary
QUANTILE = 0.99


@dataclass(frozen=True)
class Lengths:
    """In tokens.

    Args:
        prompt: of the longest rendered prompt.
        long: of the longest long demonstration, end-of-sequence included.
        usual_long: of the long demonstration that is longer than 99 % of them, end-of-sequence included.
        long_from: responses of this many tokens or more are nearer to the long demonstrations than to the short ones.
    """

    prompt: int
    long: int
    usual_long: int
    long_from: int


def measure(mixture: Mixture, tokenizer: Any, template: Template = BARE) -> Lengths:
    """Over the RL and test problems of a mixture, which have both demonstrations whatever p_cot is."""
    rows = slice(0, ENOUGH) if isinstance(mixture.spec.task, Generated) else slice(None)
    texts = {
        name: [text for split in (mixture.rl, mixture.test) for text in column(split, name)[rows]]
        for name in ("prompt", "long", "short")
    }
    prompts = [len(ids) for ids in render_prompts(tokenizer, texts["prompt"], template)]
    long = np.array([len(ids) for ids in render_responses(tokenizer, texts["long"])])
    short = np.array([len(ids) for ids in render_responses(tokenizer, texts["short"])])
    return Lengths(
        prompt=max(prompts),
        long=int(long.max()),
        usual_long=int(np.quantile(long, QUANTILE, method="higher")),
        long_from=threshold(short - 1, long - 1),
    )


def threshold(short: np.ndarray, long: np.ndarray) -> int:
    """The length from which a response is called long so that the fewest demonstrations are called wrongly; in the middle
    where several lengths do as well.

    Args:
        short: lengths of short demonstrations, end-of-sequence not counted.
        long: lengths of long ones.
    """
    candidates = np.arange(short.min(), long.max() + 2)
    wrong = (long[None, :] < candidates[:, None]).mean(1) + (short[None, :] >= candidates[:, None]).mean(1)
    best = candidates[wrong == wrong.min()]
    return int(best[len(best) // 2])
