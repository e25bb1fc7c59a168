"""Tables and figures of the experiments on the linear model, from their points (`theory/linear/experiments.summarise`)."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rarecot.report.style import GREEDY, STYLE, THEORY, plt
from rarecot.theory.linear.model import sigmoid
from rarecot.theory.linear.optimum import chain_weight
from rarecot.theory.predict import greedy_threshold, odds_recursion

Point = Mapping[str, float]
Slopes = Mapping[str, tuple[float, float, float]]
TARGET = 0.02  # the error that counts as calibrated
WORDS = {
    "first": "position 1: ‖w − w*‖",
    "stop": "stop decision: ‖w − w*‖",
    "chain": "positions 2..d: ‖w − w*‖",
    "long_to_optimum": "P(long correct)",
    "short_to_optimum": "P(short correct)",
    "long_error": "error of π(long)",
    "short_error": "error of π(short)",
    "greedy_accuracy": "greedy accuracy",
    "greedy_long": "greedy long share",
    "chain_right": "P(chain right), gone on",
    "optimum": "of the optimum",
    "predicted": "p_n",
    "long": "π(long)",
    "short": "π(short)",
    "kept_long_share": "long share of kept",
    "lambda_chain": "λ of positions 2..d",
}
COLUMNS = {
    "calibration": (
        ("d", "p", "samples"),
        ("long", "long_error", "short", "short_error", "greedy_accuracy"),
    ),
    "near": (("d", "p", "samples"), ("long_error", "greedy_long", "greedy_accuracy")),
    "star": (("d", "p", "round"), ("predicted", "long", "long_error", "kept_long_share", "greedy_accuracy")),
    "rate": (("d", "p", "samples"), ("first", "stop", "chain", "long_to_optimum", "short_to_optimum", "long_error")),
    "starving": (("d", "p", "lambda_chain"), ("chain_right", "optimum")),
}


def table(experiment: str, points: Sequence[Point], slopes: Slopes | None) -> str:
    """The points in Markdown: means over seeds, and where there are several, the range over them."""
    keys, fields = COLUMNS[experiment]
    lines = ["| " + " | ".join(WORDS.get(name, name) for name in (*keys, *fields)) + " |"]
    lines.append("|" + "---|" * (len(keys) + len(fields)))
    for point in points:
        cells = [f"{point[key]:g}" if key in point else "–" for key in keys]
        lines.append("| " + " | ".join([*cells, *(_cell(point, field) for field in fields)]) + " |")
    seeds = int(points[0]["seeds"])
    lines += ["", f"{seeds} seed{'s: mean [range over seeds]' if seeds > 1 else ''}."]
    for name, (mean, low, high) in (slopes or {}).items():
        lines.append(
            f"slope of ln error over ln T, {WORDS[name]}: {mean:.3f} [{low:.3f}, {high:.3f}] (95 %, over seeds)"
        )
    return "\n".join(lines)


def _cell(point: Point, field: str) -> str:
    if field not in point:
        return "–"
    mean, low, high = (point[key] for key in (field, f"{field}_low", f"{field}_high"))
    return f"{mean:.4f}" if low == high else f"{mean:.4f} [{low:.4f}, {high:.4f}]"


def save(experiment: str, points: Sequence[Point], slopes: Slopes | None, path: Path) -> Path:
    """Write the experiment's figure; its path."""
    makers: dict[str, Callable[[], Figure]] = {
        "calibration": lambda: calibration(points),
        "near": lambda: near(points),
        "star": lambda: star(points),
        "rate": lambda: rate(points, slopes or {}),
        "starving": lambda: starving(points),
    }
    with plt.rc_context(STYLE):
        figure = makers[experiment]()
        figure.supxlabel(caption(points), fontsize=8, color=THEORY)
        figure.savefig(path, bbox_inches="tight")
        plt.close(figure)
    return path


def caption(points: Sequence[Point]) -> str:
    """What holds for every point, and what the bars are."""
    fixed = [f"{WORDS.get(key, key)} = {points[0][key]:g}" for key in ("d", "p", "samples") if _constant(points, key)]
    seeds = int(points[0]["seeds"])
    return ", ".join(
        [*fixed, "1 seed" if seeds == 1 else f"mean of {seeds} seeds, bars from the lowest to the highest"]
    )


def _constant(points: Sequence[Point], key: str) -> bool:
    return len({point.get(key) for point in points}) == 1 and key in points[0]


def calibration(points: Sequence[Point]) -> Figure:
    """Theorem 1 over p, a colour for each d: the modes' probabilities, their mean errors, and greedy accuracy."""
    figure, (modes, errors, greedy) = plt.subplots(1, 3, figsize=(13.5, 4.2), layout="constrained")
    grid = np.linspace(0, max(p["p"] for p in points) * 1.08, 300)
    modes.plot(grid, grid, color=THEORY, lw=1.1, ls="--", label="p (Theorem 1)")
    modes.plot(grid, (1 - grid) / 2, color=THEORY, lw=1.1, ls=":", label="(1 − p)/2 (Theorem 1)")
    threshold = greedy_threshold()
    greedy.plot(grid, np.where(grid < threshold, 0.5, 1.0), color=THEORY, lw=1.1, ls="--", label="Theorem 1")
    for i, (d, own) in enumerate(_groups(points, "d")):
        look = {"color": f"C{i}", "ms": max(9 - 4 * i, 3), "zorder": 3 + i}  # smaller on top: curves may coincide
        _draw(modes, own, "p", "long", f"π(long correct), {d}", marker="o", ls="", **look)
        _draw(modes, own, "p", "short", f"π(short correct), {d}", marker="s", ls="", mfc="white", **look)
        _draw(errors, own, "p", "long_error", f"long, {d}", marker="o", **look)
        _draw(errors, own, "p", "short_error", f"short, {d}", marker="s", ls="--", mfc="white", **look)
        _draw(greedy, own, "p", "greedy_accuracy", d, marker="o", ls="", **look)
    errors.axhline(TARGET, color=THEORY, lw=0.9, ls=":", label=f"{TARGET}")
    top = 1.6 * max(TARGET, *(point[f"{mode}_error"] for point in points for mode in ("long", "short")))
    errors.set(ylim=(0, top), ylabel="mean over inputs of |probability − theory|", title="calibration error")
    modes.set(ylabel="mean probability of the exact demonstration", title="both modes, after next-token prediction")
    greedy.set(ylim=(0.4, 1.04), ylabel="greedy accuracy", title="greedy decoding flips at p = 1/3")
    for axes in (modes, errors, greedy):
        axes.axvline(threshold, color=GREEDY, lw=0.9, ls=":")
        axes.set_xlabel("p, share of long demonstrations")
        axes.legend(fontsize=8, loc="upper right" if axes is errors else "best")
    return figure


def near(points: Sequence[Point]) -> Figure:
    """Greedy decoding against the number of samples, a colour for each p."""
    figure, (greedy, errors) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    for (p, own), colour in zip(*_shades(points, "p"), strict=True):
        _draw(greedy, own, "samples", "greedy_accuracy", p, marker="o", ms=4, color=colour)
        _draw(errors, own, "samples", "long_error", p, marker="o", ms=4, color=colour)
    for level in (0.5, 1.0):
        greedy.axhline(level, color=THEORY, lw=0.9, ls=":")
    errors.axhline(TARGET, color=THEORY, lw=0.9, ls=":")
    greedy.set(ylim=(0.4, 1.04), ylabel="greedy accuracy", title="near 1/3 greedy decoding needs more samples")
    errors.set(yscale="log", ylabel="mean of |π(long correct | x) − p|", title="the probabilities do not")
    greedy.legend(fontsize=8)
    for axes in (greedy, errors):
        axes.set(xscale="log", xlabel="demonstrations T")
    return figure


def star(points: Sequence[Point]) -> Figure:
    """Theorem 2: the long share and greedy accuracy round by round, a colour for each p_0."""
    figure, (share, error, greedy) = plt.subplots(1, 3, figsize=(13.5, 4.2), layout="constrained")
    rounds = np.linspace(0, max(p["round"] for p in points), 200)
    for i, (p, own) in enumerate(_groups(points, "p")):
        look = {"color": f"C{i}", "marker": "o", "ms": 4}
        label = "p_n of Theorem 2" if i == 0 else None
        share.plot(rounds, odds_recursion(own[0]["p"], 2.0, rounds), color=THEORY, lw=1.1, ls="--", label=label)
        _draw(share, own, "round", "long", p.replace("p", "p_0"), ls="", **look)
        off = [abs(point["long"] - point["predicted"]) for point in own]
        error.plot([point["round"] for point in own], off, label=p.replace("p", "p_0"), **look)
        _draw(greedy, own, "round", "greedy_accuracy", p.replace("p", "p_0"), **look)
    share.axhline(greedy_threshold(), color=GREEDY, lw=1, ls=":", label="1/3")
    error.axhline(TARGET, color=THEORY, lw=0.9, ls=":")
    share.set(ylim=(0, 1.02), ylabel="mean of π_n(long correct | x)", title="STaR up-samples the long mode")
    error.set(ylim=(0, None), ylabel="|mean of π_n(long correct | x) − p_n|", title="distance to Theorem 2")
    greedy.set(ylim=(0.4, 1.04), ylabel="greedy accuracy", title="greedy decoding flips as p_n passes 1/3")
    for axes in (share, error, greedy):
        axes.set_xlabel("round of STaR")
        axes.legend(fontsize=8)
    return figure


def rate(points: Sequence[Point], slopes: Slopes) -> Figure:
    """Distances to the exact optimum against T on logarithmic axes, with fitted slopes."""
    figure, (weights, modes) = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
    for i, name in enumerate(slopes):
        axes = weights if name in ("first", "stop", "chain") else modes
        mean, low, high = slopes[name]
        label = f"{WORDS[name]}: slope {mean:.2f} [{low:.2f}, {high:.2f}]"
        _draw(axes, points, "samples", name, label, marker="o", ms=4, color=f"C{i}")
    for axes, name in ((weights, "stop"), (modes, "short_to_optimum")):
        x = np.array([point["samples"] for point in points], dtype=float)
        anchor = 0.6 * points[-1][name] * np.sqrt(x[-1] / x)
        axes.plot(x, anchor, color=THEORY, lw=1.1, ls="--", label="slope −1/2")
        axes.set(xscale="log", yscale="log", xlabel="demonstrations T")
        axes.legend(fontsize=8)
    weights.set(ylabel="distance to the exact regularised optimum", title="averaged SGD: weights")
    modes.set(ylabel="mean |difference| to the optimum's probability", title="… and probabilities of the modes")
    return figure


def starving(points: Sequence[Point]) -> Figure:
    """The chain's probability against λ, a colour for each d, with that of the exact optimum."""
    figure, axes = plt.subplots(figsize=(6.5, 4.4), layout="constrained")
    lambdas = [point["lambda_chain"] for point in points]
    grid = np.geomspace(min(lambdas), max(lambdas), 100)
    for i, (d, own) in enumerate(_groups(points, "d")):
        _draw(axes, own, "lambda_chain", "chain_right", f"SGD, {d}", marker="o", ms=5, ls="", color=f"C{i}")
        exact = sigmoid(np.array([chain_weight(lam) for lam in grid])) ** (own[0]["d"] - 1)
        axes.plot(grid, exact, color=f"C{i}", lw=1.1, ls="--", label="exact optimum, σ(w*)^(d−1)" if i == 0 else None)
    axes.set(xscale="log", ylim=(0, 1.03), xlabel="λ of positions 2..d", ylabel="P(chain right | gone on)")
    axes.set_title("too large a λ starves the product over positions")
    axes.legend(fontsize=8)
    return figure


def _groups(points: Sequence[Point], key: str) -> list[tuple[str, list[Point]]]:
    return [
        (f"{key} = {value:g}", [point for point in points if point[key] == value])
        for value in sorted({point[key] for point in points})
    ]


def _shades(points: Sequence[Point], key: str) -> tuple[list[tuple[str, list[Point]]], list]:
    """Groups in order, with the colours of a diverging scale from blue to red; its pale middle is left out."""
    groups = _groups(points, key)
    signed = np.linspace(-1, 1, len(groups))
    return groups, [plt.get_cmap("coolwarm")(t) for t in 0.5 + 0.5 * np.sign(signed) * (0.4 + 0.6 * abs(signed))]


def _draw(axes: Axes, points: Sequence[Point], x: str, field: str, label: str | None, **look) -> None:
    """Means over seeds, with the range over seeds as bars."""
    mean = np.array([point[field] for point in points])
    low, high = (np.array([point[f"{field}_{end}"] for point in points]) for end in ("low", "high"))
    bars = np.clip([mean - low, high - mean], 0, None)
    axes.errorbar([point[x] for point in points], mean, yerr=bars, label=label, capsize=2, elinewidth=1, lw=1.4, **look)
