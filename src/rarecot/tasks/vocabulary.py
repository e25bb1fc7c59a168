"""A real tokenizer for a small alphabet: one token a character, distinct pad, bos and eos; and texts in it, many at once."""

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors

PAD, BOS, EOS = "<pad>", "<bos>", "<eos>"


def character_tokenizer(alphabet: str) -> Tokenizer:
    """A tokenizer whose ids are 0 pad, 1 bos, 2 eos, then the characters of `alphabet` in order.

    It puts one bos in front of a text and nothing behind it. There is no unknown token on purpose: a character
    outside the alphabet is an error, never a silent substitute.
    """
    tokens = [PAD, BOS, EOS, *alphabet]
    tokenizer = Tokenizer(models.WordLevel({token: i for i, token in enumerate(tokens)}))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), behavior="isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A $B", special_tokens=[(BOS, tokens.index(BOS))]
    )
    tokenizer.add_special_tokens([PAD, BOS, EOS])
    return tokenizer


def texts(codes: np.ndarray) -> list[str]:
    """ASCII codes, shape (n, k), dtype uint8 → n strings of k characters."""
    n, k = codes.shape
    joined = codes.tobytes().decode("ascii")
    return [joined[i * k : (i + 1) * k] for i in range(n)]
