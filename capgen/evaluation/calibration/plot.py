"""The curve of a calibration as a picture."""

from __future__ import annotations

from pathlib import Path

from capgen.dataset.files import whole_file
from capgen.dataset.quality.calibration import Calibration
from capgen.display import mathless


def plot_curve(found: Calibration, file: Path) -> None:
    """Draw precision against kept share with its interval, the wanted precision and the chosen point; PNG or SVG.

    Raises:
        ImportError: matplotlib is not installed.
        OSError: the file cannot be written.
        ValueError: the file's ending names no format.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    kept = [point.kept_share for point in found.curve]
    axes.fill_between(kept, [p.low for p in found.curve], [p.high for p in found.curve], alpha=0.2, linewidth=0)
    axes.plot(kept, [point.precision for point in found.curve])
    axes.axhline(found.wanted, linestyle="--", linewidth=1, color="grey")
    if found.chosen is not None:
        axes.plot([found.chosen.kept_share], [found.chosen.precision], "o", color="black")
        axes.annotate(
            f"threshold {found.chosen.threshold:.3f}",
            (found.chosen.kept_share, found.chosen.precision),
            textcoords="offset points",
            xytext=(-8, -16),
            ha="right",
        )
    axes.set_xlim(0, 1.02)
    axes.set_ylim(max(0.0, min(p.precision for p in found.curve[len(found.curve) // 20 :]) - 0.05), 1.005)
    axes.set_xlabel("kept share of the captions")
    axes.set_ylabel("share of these that is right")
    axes.set_title(mathless(f"{found.score}, {found.captions:,} captions of {found.model or 'an unknown model'}"))
    kind = file.suffix.removeprefix(".") or "png"
    with whole_file(file) as part:
        figure.savefig(
            part, format=kind, dpi=120, metadata={"Date": None} if file.suffix == ".svg" else {"Software": None}
        )
