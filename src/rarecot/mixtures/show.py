"""Rendered examples with the loss mask made visible."""

from itertools import islice
from typing import Any

from rarecot.errors import printable
from rarecot.mixtures.build import Mixture
from rarecot.rendering import (
    BARE,
    IGNORED_LABEL,
    Template,
    as_transformers_tokenizer,
    render_demonstrations,
)
from rarecot.tasks import Generated


def show(mixture: Mixture, count: int, tokenizer: Any = None, template: Template = BARE) -> str:
    """`count` examples of each kind; what carries loss stands in ⟦ ⟧.

    Token by token with a tokenizer: that of the model to be trained, or the task's own. A corpus without either is shown as
    text, whose response carries the loss.
    """
    if tokenizer is None and isinstance(mixture.spec.task, Generated):
        tokenizer = as_transformers_tokenizer(mixture.spec.task.tokenizer())
    lines = [
        "",
        f"{'Tokens' if tokenizer else 'Text'} in ⟦ ⟧ carr{'y' if tokenizer else 'ies'} loss; the others are read only.",
    ]
    first_block = list(islice(mixture.train, mixture.spec.n))
    for kind in ("short", "long"):
        for row in [row for row in first_block if row["kind"] == kind][:count]:
            shown = _text(row) if tokenizer is None else _tokens(row, tokenizer, template)
            lines.append(f"{kind:>5}  answer {row['answer']}  {shown}")
    return printable("\n".join(lines))


def _text(row: dict[str, str]) -> str:
    return f"{row['prompt']} ⟦{row['completion']}⟧⟦end⟧".replace("\n", "⏎")


def _tokens(row: dict[str, str], tokenizer: Any, template: Template) -> str:
    example = render_demonstrations(tokenizer, [row["prompt"]], [row["completion"]], template)
    tokens = [_visible(tokenizer, token) for token in example["input_ids"][0]]
    return " ".join(
        token if label == IGNORED_LABEL else f"⟦{token}⟧"
        for token, label in zip(tokens, example["labels"][0], strict=True)
    )


def _visible(tokenizer: Any, token: int) -> str:
    """A token as text, with its spaces and line ends made visible."""
    text = tokenizer.decode([token], skip_special_tokens=False)
    return text.replace("\n", "⏎").replace(" ", "␣") or tokenizer.convert_ids_to_tokens(token)
