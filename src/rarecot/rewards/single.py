"""One response's reward, for engines that score text by text: what `answer`, `format` and `chain` give, summed."""

from collections.abc import Sequence
from typing import Any

from rarecot.errors import ConfigError, nearest
from rarecot.rewards import CORRECTNESS, REWARDS


def problems_with(names: Sequence[str], weights: Sequence[float]) -> list[str]:
    """Why rewards cannot be given from a response's text alone; a sentence each.

    Args:
        names: keys of `CORRECTNESS`.
        weights: one a name.
    """
    found = [] if names else [f"no reward is named. Choose from {', '.join(CORRECTNESS)}."]
    for name in names:
        if name in REWARDS and name not in CORRECTNESS:
            found.append(
                f"reward_funcs has '{name}', which counts tokens, but the engine hands over text. Leave it out; "
                f"choose from {', '.join(CORRECTNESS)}."
            )
        elif name not in REWARDS:
            found.append(f"'{name}' is no reward{nearest(name, CORRECTNESS)} Choose from {', '.join(CORRECTNESS)}.")
    if len(set(names)) < len(names):
        found.append(f"reward_funcs names a reward twice: {' '.join(names)}. Name each once; reward_weights weighs it.")
    if len(weights) != len(names):
        found.append(f"reward_weights has {len(weights)} numbers for {len(names)} rewards. Give one each.")
    return found


def score(
    text: str, gold: str, row: dict[str, Any], names: Sequence[str], weights: Sequence[float]
) -> dict[str, float]:
    """The reward of one response.

    Args:
        text: the decoded response, without special tokens.
        gold: the answer.
        row: `style` (a key of `rarecot.parsing.STYLES`); `long` and `short`, the demonstrations, for `chain`; `finished`
            where it is known: False for a response that was cut off, which gets no reward.
        names: rewards, keys of `CORRECTNESS`.
        weights: one a name.

    Returns:
        `score`, the weighted sum, and `acc`, 1 where the answer is right. What cannot be held against the gold counts 0.

    Raises:
        ConfigError: the row does not say its style.
    """
    if "style" not in row:
        raise ConfigError(
            ["extra_info has no `style`, so how to read the answer is not known. Export the mixture again."]
        )
    columns = {"answer": [gold], "style": [row["style"]]}
    columns |= {name: [row[name]] for name in ("long", "short") if name in row}
    ended = row.get("finished") is not False

    def value(name: str) -> float:
        return (CORRECTNESS[name](completions=[text], **columns)[0] or 0.0) if ended else 0.0

    total = sum(weight * value(name) for name, weight in zip(names, weights, strict=True))
    return {"score": float(total), "acc": float(value("answer"))}
