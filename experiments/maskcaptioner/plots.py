"""The plots of one set of experiments, from its ``results.json`` alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import mean
from typing import Any

from experiments.maskcaptioner.results import values
from experiments.maskcaptioner.variants import FRACTIONS, MAIN, VARIANTS

Results = Mapping[str, Any]
_BARS = (
    ("clean.CHOTA", "CHOTA"),
    ("clean.DetA", "DetA"),
    ("clean.AssA", "AssA"),
    ("clean.CapA", "CapA"),
    ("tracks.category.rate", "category"),
    ("tracks.colour.rate", "colour"),
    ("tracks.motion.rate", "motion"),
)
_PARTS = {
    "loss": "all",
    "loss/lm": "caption",
    "loss/dice": "dice",
    "loss/bce": "mask",
    "loss/obj": "object",
    "loss/cls": "class",
}


def draw(results: Results, folder: Path) -> list[str]:
    """Write the plots that there are numbers for; their file names, in the order of the page."""
    folder.mkdir(parents=True, exist_ok=True)
    makers: dict[str, Callable[[Results], Any]] = {
        "curves.png": _learning_curves,
        "variants.png": _variant_bars,
        "captions.png": _caption_scaling,
    }
    written = []
    for name, make in makers.items():
        figure = make(results)
        (folder / name).unlink(missing_ok=True)
        if figure is not None:
            figure.savefig(folder / name, dpi=110, metadata={"Software": None})
            written.append(name)
    return written


def _figure(width: float, height: float) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _learning_curves(results: Results) -> Any:
    """Losses of ``main`` by part; beside them the validations of each variant's first seed that had more than one."""
    runs = results["variants"].get(MAIN, {})
    run = next((run for run in runs.values() if run.get("curves", {}).get("steps")), None)
    if run is None:
        return None
    validated = _validated(results)
    figure = _figure(11 if validated else 6, 4)
    axes = figure.subplots(1, 2 if validated else 1, squeeze=False)[0]
    left, steps = axes[0], run["curves"]["steps"]
    for name, label in _PARTS.items():
        if name in steps:
            left.plot(*_points(steps["step"], steps[name]), label=label, linewidth=1.2)
    left.set(title="main, losses (weighted)", xlabel="step", yscale="log")
    left.legend(fontsize=8, ncols=2)
    for variant, points in validated.items():
        axes[1].plot(*points, marker="o", markersize=3, label=variant)
    if validated:
        axes[1].set(title="CHOTA on held-out media of the training world", xlabel="step", ylim=(0, 1))
        axes[1].legend(fontsize=8)
    for axis in axes:
        axis.grid(alpha=0.3)
    return figure


def _validated(results: Results) -> dict[str, tuple[list[float], list[float]]]:
    """Steps and CHOTA of the validations of each variant's first seed, where there were several."""
    found = {}
    for variant, by_seed in results["variants"].items():
        scores = next(iter(by_seed.values())).get("curves", {}).get("validation", {})
        points = _points(scores.get("step", []), scores.get("CHOTA", []))
        if len(points[0]) > 1:
            found[variant] = points
    return found


def _points(steps: list[float], column: list[float | None]) -> tuple[list[float], list[float]]:
    pairs = [(s, v) for s, v in zip(steps, column, strict=True) if v is not None]
    return [s for s, _ in pairs], [v for _, v in pairs]


def _variant_bars(results: Results) -> Any:
    """A group of bars a score, a bar a variant: the mean over seeds, each seed a dot."""
    from matplotlib import colormaps

    names = [name for name in VARIANTS if values(results, name, "clean.DetA")]
    if not names:
        return None
    figure = _figure(12, 4.2)
    axis = figure.subplots()
    width = 0.85 / len(names)
    colours = colormaps["tab20"](range(20))
    for place, name in enumerate(names):
        label: str | None = name
        for group, (path, _) in enumerate(_BARS):
            found = values(results, name, path)
            x = group + (place - (len(names) - 1) / 2) * width
            if found:
                axis.bar(x, mean(found), width, color=colours[place], label=label, alpha=0.8)
                axis.plot([x] * len(found), found, ".", color="black", markersize=4)
                label = None
    axis.set_xticks(range(len(_BARS)), [label for _, label in _BARS])
    axis.set(ylim=(0, 1), title="unseen videos; bars are means over seeds, dots are seeds")
    axis.grid(axis="y", alpha=0.3)
    axis.legend(fontsize=8, ncols=2)
    return figure


def scaling(results: Results) -> dict[int, list[float]]:
    """CapA by the number of captions that were learnt from, a value a seed."""
    found: dict[int, list[float]] = {}
    for name in FRACTIONS:
        for run in results["variants"].get(name, {}).values():
            if run["finished"] and run["clean"].get("CapA") is not None:
                found.setdefault(run["data"]["captions"], []).append(run["clean"]["CapA"])
    return dict(sorted(found.items()))


def slope(points: Mapping[int, list[float]]) -> tuple[float, float]:
    """CapA gained by a fourfold number of captions, and the least-squares line's value at one caption."""
    xs = [math.log(count, 4) for count, scores in points.items() for _ in scores]
    ys = [score for scores in points.values() for score in scores]
    x, y = mean(xs), mean(ys)
    gain = sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True)) / sum((a - x) ** 2 for a in xs)
    return gain, y - gain * x


def _caption_scaling(results: Results) -> Any:
    """CapA against the logarithm of the number of captions, with the straight line that fits best."""
    points = scaling(results)
    if len(points) < 2 or min(points) < 1:
        return None
    figure = _figure(5.5, 4)
    axis = figure.subplots()
    for count, scores in points.items():
        axis.plot([count] * len(scores), scores, "o", color="C0")
    gain, start = slope(points)
    ends = [min(points), max(points)]
    axis.plot(ends, [start + gain * math.log(count, 4) for count in ends], color="C1", label=f"{gain:+.3f} a fourfold")
    axis.set(
        xscale="log", xlabel="captions learnt from", ylabel="CapA (clean)", title="more captions of the same videos"
    )
    axis.legend()
    axis.grid(alpha=0.3)
    return figure
