"""Draws docs/evaluation.svg: two true tracks, what was predicted, and what HOTA's matching makes of it."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from capgen.evaluation.evaluate import Options, evaluate

FRAMES: Final = 6
TRUTHS: Final = {"dog": ("a red dog runs", range(6)), "wall": ("an old stone wall", range(6))}
FOUND: Final = (
    ("1", "a red dog runs", "dog", range(4)),
    ("2", "a red dog sits", "dog", range(4, 6)),
    ("3", "a grey house", "wall", range(2, 4)),
    ("4", "a cat", "", range(1, 3)),
)
"""Predicted tracks: id, caption, the truth they lie on (none: on nothing), frames."""
_CELL, _LEFT, _ROW = 74, 190, 46


def numbers() -> dict[str, float | None]:
    """The clean numbers of the example, by the evaluator itself."""
    import json

    places = {"dog": [10, 10, 20, 20], "wall": [60, 10, 20, 20], "": [10, 60, 20, 20]}
    ids = dict(zip(TRUTHS, (1, 2), strict=True))
    truth: list[dict[str, Any]] = [
        {"id": 10 * ids[name] + f, "image_id": f + 1, "track_id": ids[name], "bbox": places[name], "caption": caption}
        for name, (caption, frames) in TRUTHS.items()
        for f in frames
    ]
    found: list[dict[str, Any]] = [
        {"image_id": f + 1, "track_id": int(track), "bbox": places[on], "caption": caption, "score": 1.0}
        for track, caption, on, frames in FOUND
        for f in frames
    ]
    for one in (*truth, *found):
        one["category_id"] = 1
    images = [{"id": f + 1, "video_id": 1, "height": 100, "width": 100} for f in range(FRAMES)]
    with tempfile.TemporaryDirectory() as folder:
        gt, pred = Path(folder) / "gt.json", Path(folder) / "pred.json"
        gt.write_text(json.dumps({"images": images, "annotations": truth, "categories": [{"id": 1, "name": "object"}]}))
        pred.write_text(json.dumps(found))
        return evaluate(gt, pred, Options(metrics=("cider",))).scores[0].values


def picture(values: dict[str, float | None]) -> str:
    """The SVG: a row a track, a cell a frame; a filled cell is a match, a dashed one a miss or a false positive."""
    parts = []
    rows = [(f"truth: {caption}", name, frames) for name, (caption, frames) in TRUTHS.items()]
    matched = {(on, f): track for track, _, on, frames in FOUND for f in frames if on}
    colours = {"1": "#2a7f9e", "2": "#c2389a", "3": "#c98a1b", "4": "#777777"}
    for row, (label, name, frames) in enumerate(rows):
        y = 34 + row * _ROW
        parts.append(f'<text x="8" y="{y + 20}">{label}</text>')
        for f in frames:
            track = matched.get((name, f))
            style = f'fill="{colours[track]}" fill-opacity="0.35"' if track else 'fill="none" stroke-dasharray="4 3"'
            parts.append(_cell(f, y, style, f"TP {track}" if track else "FN"))
    for row, (track, caption, on, frames) in enumerate(FOUND, len(rows)):
        y = 52 + row * _ROW
        parts.append(f'<text x="8" y="{y + 20}">{track}: {caption}</text>')
        for f in frames:
            style = f'fill="{colours[track]}" fill-opacity="{0.35 if on else 0.08}"'
            parts.append(_cell(f, y, style if on else style + ' stroke-dasharray="4 3"', "TP" if on else "FP"))
    names = ("DetA", "AssA", "CapA_cider", "CHOTA_cider")
    said = ", ".join(f"{name} {values[name]:.3f}" for name in names)
    height = 52 + (len(rows) + len(FOUND)) * _ROW + 36
    parts.append(f'<text x="8" y="{height - 14}">{said}</text>')
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LEFT + FRAMES * _CELL + 8}" height="{height}"'
    frames_line = "".join(f'<text x="{_LEFT + f * _CELL + 20}" y="22">frame {f + 1}</text>' for f in range(FRAMES))
    style = 'font-family="sans-serif" font-size="13" fill="#222222"'
    ground = '<rect width="100%" height="100%" fill="white"/>'
    return f"{head} {style}>{ground}{frames_line}{''.join(parts)}</svg>\n"


def _cell(frame: int, y: int, style: str, text: str) -> str:
    x = _LEFT + frame * _CELL
    box = f'<rect x="{x}" y="{y}" width="{_CELL - 8}" height="32" rx="4" stroke="#444444" {style}/>'
    return f'{box}<text x="{x + 18}" y="{y + 21}">{text}</text>'


def main() -> int:
    """Write the picture beside the page that shows it; the exit code."""
    out = Path(__file__).resolve().parent.parent / "docs" / "evaluation.svg"
    values = numbers()
    out.write_text(picture(values), encoding="utf-8")
    sys.stdout.write(f"{out}: { ({k: values[k] for k in ('DetA', 'AssA', 'CapA_cider', 'CHOTA_cider')}) }\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
