"""What a dataset's folder holds, before anything is run: counts, sizes, categories, missing pictures, oddities."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from capgen.dataset.layout import picture_bounds
from capgen.dataset.plan import PlannedMedia
from capgen.display import plain
from capgen.pipeline.planning.open_source import build_source
from capgen.pipeline.settings import Settings
from capgen.pipeline.sources.reading.decode import decode_media
from capgen.pipeline.sources.reading.pictures import pictures_may_be_missing
from capgen.videos.frames import file_of

_DECODED = 2_000
"""So many objects have their masks decoded: enough to see what is wrong with a file, in a second."""
_SPECK = 100
_SHOWN = 8


@dataclass(slots=True)
class DescribedSplit:
    """A split's images or videos, their frames, and their objects."""

    media: int = 0
    frames: int = 0
    objects: int = 0
    without_objects: int = 0


@dataclass(slots=True)
class SourceSummary:
    """What ``describe`` has counted.

    Args:
        sizes: (width, height) of the media.
        categories: objects by category; None counts those without one.
        faults: objects that cannot be captioned, by reason, with one message each in ``examples``.
        decoded: objects whose masks were decoded; ``areas`` has the largest of each.
        missing: files of pictures or videos that are not there, of ``files``.
    """

    dataset: str
    kinds: Counter[str] = field(default_factory=Counter)
    splits: dict[str, DescribedSplit] = field(default_factory=dict)
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    categories: Counter[str | None] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    files: int = 0
    missing: int = 0
    missing_example: str | None = None
    decoded: int = 0
    boxes_only: int = 0
    areas: list[int] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The same as plain values; sizes and categories with the most frequent first."""
        return {
            "dataset": self.dataset,
            "kinds": dict(self.kinds),
            "splits": {
                name: {
                    "media": one.media,
                    "frames": one.frames,
                    "objects": one.objects,
                    "without_objects": one.without_objects,
                }
                for name, one in self.splits.items()
            },
            "sizes": [[*size, count] for size, count in self.sizes.most_common()],
            "categories": {name: count for name, count in self.categories.most_common() if name is not None},
            "objects_without_category": self.categories[None],
            "left_out": dict(self.left_out),
            "faults": {name: {"objects": n, "example": self.examples[name]} for name, n in self.faults.most_common()},
            "files": self.files,
            "missing_files": self.missing,
            "missing_example": self.missing_example,
            "masks_decoded": self.decoded,
            "boxes_only": self.boxes_only,
            "specks": self._specks(),
        }

    def text(self) -> str:
        """The same for people."""
        return "\n".join(map(plain, self._lines()))

    def _specks(self) -> int:
        return sum(area < _SPECK for area in self.areas)

    def _lines(self) -> Iterator[str]:
        for name, one in self.splits.items():
            frames = f", {one.frames:,} frames" if one.frames != one.media else ""
            bare = f", {one.without_objects:,} of them without objects" if one.without_objects else ""
            yield f"split {name}: {one.media:,} {self._kind()}{frames}{bare}, {one.objects:,} objects"
        yield f"sizes: {self._size_text()}"
        yield f"categories: {self._category_text()}"
        missing = f"{self.missing:,} missing, such as {self.missing_example}" if self.missing else "none is missing"
        yield f"files of pictures and videos: {self.files:,}, {missing}"
        yield from self._oddities()

    def _kind(self) -> str:
        return " and ".join(f"{kind}s" for kind in sorted(self.kinds)) or "media"

    def _size_text(self) -> str:
        if not self.sizes:
            return "none"
        shown = ", ".join(f"{w}x{h} ({count:,})" for (w, h), count in self.sizes.most_common(3))
        pixels = [width * height for width, height in self.sizes]
        more = f", {len(self.sizes):,} different, {min(pixels) / 1e6:.2f} to {max(pixels) / 1e6:.2f} megapixels"
        return shown + (more if len(self.sizes) > 3 else "")

    def _category_text(self) -> str:
        named = [(name, count) for name, count in self.categories.most_common() if name is not None]
        shown = ", ".join(f"{name} ({count:,})" for name, count in named[:_SHOWN])
        bare = self.categories[None]
        if not named:
            return "none: prompts ask what the object is"
        return f"{len(named):,}: {shown}" + (f"; {bare:,} objects have none" if bare else "")

    def _oddities(self) -> Iterator[str]:
        for reason, count in sorted(self.left_out.items()):
            yield f"left out: {count:,} annotations ({reason})"
        for reason, count in self.faults.most_common():
            yield f"cannot be captioned: {count:,} objects ({reason}), such as {self.examples[reason]}"
        if self.boxes_only:
            yield f"boxes without a mask: {self.boxes_only:,} of {self.decoded:,} objects looked at"
        if self._specks():
            yield (
                f"specks: {self._specks():,} of {self.decoded:,} objects looked at have fewer than {_SPECK} pixels "
                "(source.min_area leaves such out)"
            )


def describe(settings: Settings) -> SourceSummary:
    """Read a dataset's annotations, look for its files, and decode the masks of the first objects.

    Raises:
        UserError: the source is missing or not of its format.
    """
    root = (settings.source.root or Path()).resolve()
    bounds = picture_bounds(root, settings.source.follow_links)
    summary = SourceSummary(settings.dataset)
    folders: dict[Path, frozenset[str]] = {}
    with pictures_may_be_missing():
        for media in build_source(settings).scan():
            _count(summary, media)
            _look_for_files(summary, media, root, folders)
            if summary.decoded < _DECODED:
                _decode(summary, media, root, bounds)
            else:
                _note(summary, ((item.object_id, item.reason, item.message) for item in media.objects), media)
    return summary


def _count(summary: SourceSummary, media: PlannedMedia) -> None:
    split = summary.splits.setdefault(media.split, DescribedSplit())
    split.media += 1
    split.frames += len(media.file_names)
    split.objects += len(media.objects)
    split.without_objects += not media.objects
    summary.kinds[media.kind] += 1
    summary.left_out.update(media.left_out)
    summary.categories.update(item.category for item in media.objects)
    if media.file_names:
        summary.sizes[media.width, media.height] += 1


def _look_for_files(
    summary: SourceSummary, media: PlannedMedia, root: Path, folders: dict[Path, frozenset[str]]
) -> None:
    for name in dict.fromkeys(map(file_of, media.file_names)):
        path = PurePosixPath(media.folder, name)
        folder = root / path.parent
        if folder not in folders:
            folders[folder] = _listing(folder)
        summary.files += 1
        if path.name not in folders[folder]:
            summary.missing += 1
            summary.missing_example = summary.missing_example or path.as_posix()


def _listing(folder: Path) -> frozenset[str]:
    try:
        return frozenset(entry.name for entry in os.scandir(folder))
    except OSError:
        return frozenset()


def _decode(summary: SourceSummary, media: PlannedMedia, root: Path, bounds: Path | None) -> None:
    objects = decode_media(media, root, bounds).objects
    found = [(item.object_id, item.fault) for item in objects]
    _note(summary, ((name, fault.reason, fault.message) for name, fault in found if fault), media)
    for item in objects:
        summary.decoded += 1
        areas = [area for area in item.areas if area is not None]
        if areas:
            summary.areas.append(max(areas))
        elif item.fault is None:
            summary.boxes_only += 1


def _note(summary: SourceSummary, faults: Iterator[tuple[str, str | None, str | None]], media: PlannedMedia) -> None:
    for object_id, reason, message in faults:
        if reason is not None:
            summary.faults[reason] += 1
            summary.examples.setdefault(reason, f"{media.key_of(object_id)}: {message}")
