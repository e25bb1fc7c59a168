"""How figures look, and pyplot, which must not look for a screen."""

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

GREEDY, SAMPLED, THEORY, EXPECTED, SHORT = "#0b5fa5", "#e07b00", "#3a3a3a", "#8a2be2", "#9aa0a6"
ALARM = "#b3261e"
STYLE = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "figure.dpi": 110,
    "savefig.dpi": 160,
}

__all__ = ["ALARM", "EXPECTED", "GREEDY", "SAMPLED", "SHORT", "STYLE", "THEORY", "plt"]
