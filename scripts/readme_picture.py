"""README's picture: objects of a finished run over the sample world, marked, each with the caption it was given.

python scripts/readme_picture.py OUT docs/sample.png [--columns 3] [--rows 2]

Only pictures are shown of which every caption is true; the accuracy of the whole run is printed, to be stated beside.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

from capgen import rle
from capgen.dataset.layout import RunLayout
from capgen.dataset.reader import read_media, read_plan, read_rows
from capgen.dataset.row import Row
from capgen.evaluation.sample_facts import WorldFacts, read_facts, score, score_release

CELL = 400
LINE = 22
COLOURS = ((230, 57, 70), (29, 120, 180), (42, 157, 80), (150, 70, 190), (200, 120, 0))
OBJECTS = (3, 5)


def chosen(out: Path, count: int, truth: WorldFacts) -> list[list[Row]]:
    """The rows of so many images: those with three to five objects, all kept and truly described, evenly spread."""
    media: dict[str, list[Row]] = {}
    for file in RunLayout(out).all_candidates():
        for row in read_rows(file):
            media.setdefault(row.name, []).append(row)
    low, high = OBJECTS
    whole = [rows for rows in media.values() if low <= len(rows) <= high and all(is_true(row, truth) for row in rows)]
    if len(whole) < count:
        raise SystemExit(
            f"{out} has {len(whole)} images with {low} to {high} objects, all truly described; {count} are wanted"
        )
    return whole[:: max(1, len(whole) // count)][:count]


def is_true(row: Row, truth: WorldFacts) -> bool:
    """Whether a row is kept and everything that its caption should say is said and right."""
    if row.status != "kept" or row.caption is None:
        return False
    told = score([(row.key, row.caption)], truth).attributes
    return all(tally.wrong == tally.unsaid == 0 for tally in told.values())


def accuracy(out: Path, facts: Path) -> str:
    """The accuracy of all captions of the release, in one line."""
    result = score_release(out, facts)
    told = {name: tally.rate for name, tally in result.attributes.items() if tally.rate is not None}
    return f"of {result.objects:,} captions: " + ", ".join(f"{name} {rate:.3f}" for name, rate in told.items())


def folders(out: Path) -> dict[str, Path]:
    """The folder of each medium's pictures, by its name."""
    plan = read_plan(out)
    root = Path(plan.root or "")
    return {
        medium.name: root / medium.folder
        for entry in plan.shards
        for medium in read_media(out, entry, legacy_root=plan.legacy_root)
    }


def cell(rows: list[Row], root: Path, font: Any) -> Image.Image:
    """One image with its objects outlined and numbered, and their captions in the same colours below."""
    first = rows[0]
    pixels = cv2.imread(str(root / first.file_names[0]))[:, :, ::-1].copy()
    scale = min(CELL / first.width, 300 / first.height)
    size = round(first.width * scale), round(first.height * scale)
    pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    for row, colour in zip(rows, COLOURS, strict=False):
        bitmap = rle.decode(row.segmentation[0]["counts"], (first.height, first.width)).astype(np.uint8)
        bitmap = cv2.resize(bitmap, size, interpolation=cv2.INTER_NEAREST)
        # round the object and not on it, so that small objects keep their colours
        away = cv2.distanceTransform(1 - bitmap, cv2.DIST_L2, 5)
        for reach, ink in ((6.5, (16, 18, 22)), (5.5, (244, 246, 248)), (4.5, colour), (1.5, (244, 246, 248))):
            pixels[(away > 0) & (away < reach)] = ink
    canvas = Image.new("RGB", (CELL, 300 + LINE * OBJECTS[1] + 12), "white")
    canvas.paste(Image.fromarray(pixels), ((CELL - size[0]) // 2, 300 - size[1]))
    draw = ImageDraw.Draw(canvas)
    for number, (row, colour) in enumerate(zip(rows, COLOURS, strict=False)):
        draw.text((8, 304 + LINE * number), row.caption, fill=colour, font=font)
    return canvas


def main() -> None:
    """Draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("--columns", type=int, default=3)
    parser.add_argument("--rows", type=int, default=2)
    arguments = parser.parse_args()
    font = ImageFont.truetype(font_manager.findfont("DejaVu Sans"), 15)
    where = folders(arguments.out)
    facts = RunLayout(arguments.out).world / "facts.json"
    media = chosen(arguments.out, arguments.columns * arguments.rows, read_facts(facts))
    print(accuracy(arguments.out, facts))
    cells = [cell(rows, where[rows[0].name], font) for rows in media]
    wide, high = cells[0].size
    sheet = Image.new("RGB", (wide * arguments.columns, high * arguments.rows), "white")
    for number, picture in enumerate(cells):
        sheet.paste(picture, (number % arguments.columns * wide, number // arguments.columns * high))
    arguments.file.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(arguments.file, optimize=True)


if __name__ == "__main__":
    main()
