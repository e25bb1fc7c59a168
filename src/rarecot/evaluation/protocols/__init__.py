"""Named ways to ask and to read: one YAML each, with the source that it follows."""

from rarecot.evaluation.protocols.prompts import Prompts, prompts_of
from rarecot.evaluation.protocols.protocol import (
    AS_TRAINED,
    NATIVE,
    Example,
    Protocol,
    protocol_named,
    protocol_names,
    protocol_title,
)

__all__ = [
    "AS_TRAINED",
    "NATIVE",
    "Example",
    "Prompts",
    "Protocol",
    "prompts_of",
    "protocol_named",
    "protocol_names",
    "protocol_title",
]
