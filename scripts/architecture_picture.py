"""docs/architecture.svg: the packages in the order of their imports, from the contracts that `make check` holds.

python scripts/architecture_picture.py docs/architecture.svg
"""

from __future__ import annotations

import sys
import tomllib
from html import escape
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
WIDTH, LINE, GAP, PAD = 1160, 26, 10, 12
INKS = {"capgen.pipeline": "#1d70b8", "capgen.maskcaptioner": "#7a3fa0", "capgen.evaluation": "#2a7d46"}
GREY = "#5a6472"
STYLE = "font-family:'DejaVu Sans',Verdana,sans-serif"


def contracts() -> tuple[list[str], dict[str, list[str]]]:
    """The layers of the whole, and the layers inside each package that has a contract of its own, top first."""
    tables = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    layered: list[dict[str, Any]] = [table for table in tables if table["type"] == "layers"]
    whole = next(table["layers"] for table in layered if "containers" not in table)
    return whole, {table["containers"][0]: table["layers"] for table in layered if "containers" in table}


def text(x: float, y: float, words: str, size: int = 14, ink: str = "#1b1f24", weight: str = "normal") -> str:
    """One line of text, centred on x."""
    style = f"{STYLE};font-size:{size}px;font-weight:{weight}"
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="middle" fill="{ink}" style="{style}">{escape(words)}</text>'


def box(x: float, y: float, wide: float, high: float, ink: str, fill: str = "#ffffff") -> str:
    """A rounded box with a coloured edge."""
    return (
        f'<rect x="{x:.0f}" y="{y:.0f}" width="{wide:.0f}" height="{high:.0f}" rx="7" fill="{fill}" stroke="{ink}"'
        ' stroke-width="1.6"/>'
    )


def row(layer: str, x: float, y: float, wide: float, ink: str) -> list[str]:
    """The modules of one layer side by side."""
    names = [name.strip(" ()") for name in layer.split("|")]
    cell = (wide - GAP * (len(names) - 1)) / len(names)
    parts = []
    for number, name in enumerate(names):
        left = x + number * (cell + GAP)
        parts += [box(left, y, cell, LINE, ink), text(left + cell / 2, y + 18, name.removeprefix("capgen."), 13)]
    return parts


def package(name: str, layers: list[str], x: float, y: float, wide: float, high: float) -> list[str]:
    """A package with its layers inside, the topmost first."""
    ink = INKS.get(name, GREY)
    parts = [box(x, y, wide, high, ink, "#f6f8fa")]
    parts.append(text(x + wide / 2, y + 21, name.removeprefix("capgen."), 15, ink, "bold"))
    for number, layer in enumerate(layers):
        parts += row(layer, x + PAD, y + 34 + number * (LINE + 7), wide - 2 * PAD, ink)
    return parts


def draw() -> str:
    """The picture as SVG: whoever stands above may import what stands below."""
    whole, inner = contracts()
    y, parts = (
        44.0,
        [text(WIDTH / 2, 26, "imports point down only; packages side by side do not know each other", 14, GREY)],
    )
    for layer in whole:
        names = [name.strip(" ()") for name in layer.split("|")]
        depth = max((len(inner.get(name, ())) for name in names), default=0)
        if not depth:
            parts += row(layer, PAD, y, WIDTH - 2 * PAD, GREY)
            y += LINE + GAP + 4
            continue
        high = 34 + depth * (LINE + 7) + 6
        shares = [{0: 1.0, 5: 3.7}.get(len(inner.get(name, ())), 3.0) for name in names]
        unit = (WIDTH - 2 * PAD - GAP * (len(names) - 1)) / sum(shares)
        x = float(PAD)
        for name, share in zip(names, shares, strict=True):
            parts += package(name, inner.get(name, []), x, y, unit * share, high)
            x += unit * share + GAP
        y += high + GAP + 4
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y:.0f}" width="{WIDTH}" height="{y:.0f}">'
        f'<rect width="{WIDTH}" height="{y:.0f}" fill="#ffffff"/>{"".join(parts)}</svg>\n'
    )


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(draw(), encoding="utf-8")
