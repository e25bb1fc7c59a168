"""Results as JSON holds them."""

import math
from typing import Any

import numpy as np


def plain(value: Any) -> Any:
    """Mappings, sequences and numbers, numpy's too, as JSON's; what is not finite becomes null."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(item) for item in value]
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    return value
