"""Rendered examples with the loss mask made visible."""

from itertools import islice

from rarecot.mixtures.build import Mixture
from rarecot.rendering import IGNORED_LABEL, as_transformers_tokenizer, render_demonstrations


def show(mixture: Mixture, count: int) -> str:
    """`count` examples of each kind, token by token; tokens that carry loss stand in ⟦ ⟧."""
    tokenizer = as_transformers_tokenizer(mixture.spec.task.tokenizer())
    lines = ["", "Tokens in ⟦ ⟧ carry loss; the others are read only."]
    first_block = list(islice(mixture.train, mixture.spec.n))
    for kind in ("short", "long"):
        rows = [row for row in first_block if row["kind"] == kind][:count]
        for row in rows:
            example = render_demonstrations(tokenizer, [row["prompt"]], [row["completion"]])
            tokens = tokenizer.convert_ids_to_tokens(example["input_ids"][0])
            shown = [
                token if label == IGNORED_LABEL else f"⟦{token}⟧"
                for token, label in zip(tokens, example["labels"][0], strict=True)
            ]
            lines.append(f"{kind:>5}  answer {row['answer']}  {' '.join(shown)}")
    return "\n".join(lines)
