"""The result of an ablation: one JSON, one table in Markdown, one plot."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import msgspec

from capgen.ablation.measures import VariantMeasures
from capgen.dataset.files import whole_file, write_whole
from capgen.display import markdown, mathless

log = logging.getLogger(__name__)

JSON, TABLE, PLOT = "ablation.json", "ablation.md", "ablation.png"

_ATTRIBUTES = ("category", "colour", "texture", "size", "motion")


class AblationResult(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was measured.

    Args:
        source: the dataset or pipeline.
        facts: the name of the file that tells the truth; None where none is known.
        planned: variants of the file; ``variants`` are those that are done, the one to compare with first.
        engines: how often an engine was started in the last session.
    """

    version: int = 1
    file: str
    source: str
    objects: int
    facts: str | None
    planned: int
    engines: int
    variants: tuple[VariantMeasures, ...]


def write_result(out: Path, result: AblationResult) -> None:
    """Write the JSON and the table into OUT, and the plot once all variants are done, where matplotlib is installed.

    Raises:
        OSError: one of them cannot be written.
    """
    write_whole(out / JSON, msgspec.json.format(msgspec.json.encode(result)) + b"\n")
    write_whole(out / TABLE, as_table(result).encode())
    if len(result.variants) < result.planned:
        return
    try:
        with whole_file(out / PLOT) as part:
            draw(result.variants, part)
    except ImportError:
        log.warning("no plot: matplotlib is not installed (pip install 'capgen[eval]')")


def as_table(result: AblationResult) -> str:
    """The result as a page of Markdown."""
    axes = list(result.variants[0].values) if result.variants else []
    attributes = [name for name in _ATTRIBUTES if any(name in one.attributes for one in result.variants)]
    head = ["", *axes, "right", *attributes, "kept", "not kept", "leaks", "invented", "logprob_min", "fit"]
    head += ["prompt tokens", "cached", "computed", "objects/s"]
    rows = [_row(number, one, attributes) for number, one in enumerate(result.variants, 1)]
    used = [place for place, name in enumerate(head) if place <= len(axes) or any(row[place] for row in rows)]
    lines = [[markdown(head[place]) for place in used], ["---"] * len(used)]
    lines += [[markdown(row[place]) for place in used] for row in rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    told = f"{result.objects:,} objects of {markdown(result.source)} under {len(result.variants)} variants"
    if len(result.variants) < result.planned:
        told += f" (of {result.planned}; the others are not done yet)"
    return f"# Ablation\n{told}, made by `capgen ablate {markdown(result.file)}`.\n\n{table}\n\n{_notes(result)}"


def _row(number: int, one: VariantMeasures, attributes: Sequence[str]) -> list[str]:
    reasons = ", ".join(f"{code} {count}" for code, count in sorted(one.reasons.items(), key=lambda item: -item[1]))
    return [
        str(number),
        *one.values.values(),
        _right(one),
        *(_share(one.attributes.get(name)) for name in attributes),
        _share(one.kept_share),
        reasons,
        str(one.leaks) if one.leaks else "",
        str(one.invented) if one.invented else "",
        "" if one.logprob_min is None else f"{one.logprob_min:.2f}",
        "" if one.fit is None else f"{one.fit:.3f}",
        f"{one.prompt_tokens:,.0f}",
        f"{one.cached_tokens:,.0f}",
        f"{one.computed_tokens:,.0f}",
        "" if one.objects_per_s is None else f"{one.objects_per_s:.3g}",
    ]


def _right(one: VariantMeasures) -> str:
    if one.right is None or one.low is None or one.high is None:
        return ""
    return f"{_share(one.right)} ({_share(one.low)} to {_share(one.high)})"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}".removeprefix("0")


def _notes(result: AblationResult) -> str:
    lines = [
        "- kept: share of the objects whose caption is released; not kept: the others by their first reason.",
        "- leaks: answers that speak of what was drawn or said to show the object.",
        "- logprob_min: median log-probability of the least probable content word.",
        "- tokens: of a prompt, an object; computed ones were not found in the engine's cache, which is emptied before "
        "each variant (of a server's cache nothing is known).",
        "- objects/s: without the engine's start.",
    ]
    if result.facts:
        lines.insert(
            0,
            "- right: share of the released captions in which no word is wrong (95 % interval); then, by attribute, "
            "the share that says it and says it right.",
        )
    return "\n".join(lines) + "\n"


def draw(variants: Sequence[VariantMeasures], file: Path) -> None:
    """Plot right captions (kept ones where no truth is known) against computed prompt tokens, a point a variant.

    Raises:
        ImportError: matplotlib is not installed.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    known = all(one.right is not None for one in variants)
    figure = Figure(figsize=(9, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    colors = {model: f"C{number}" for number, model in enumerate(dict.fromkeys(one.model for one in variants))}
    for number, one in enumerate(variants, 1):
        height = one.right if known and one.right is not None else one.kept_share
        if known and one.low is not None and one.high is not None:
            axes.plot([one.computed_tokens] * 2, [one.low, one.high], color=colors[one.model], linewidth=1, alpha=0.5)
        axes.plot(
            [one.computed_tokens], [height], "o", color=colors[one.model], label=mathless(f"{number}: {one.name}")
        )
        axes.annotate(str(number), (one.computed_tokens, height), textcoords="offset points", xytext=(5, 4))
    axes.set_xlabel("computed prompt tokens an object (cached ones left out)")
    axes.set_ylabel("released captions without a wrong word" if known else "objects whose caption is released")
    axes.set_ylim(top=1.02)
    axes.set_xlim(left=0)
    figure.legend(loc="outside right upper", fontsize=7, handlelength=0, handletextpad=0, markerscale=0)
    figure.savefig(file, format="png", dpi=120, metadata={"Software": None})
