"""The source of some settings, ready to be scanned, and what of it counts for a run's fingerprint."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from capgen.dataset.layout import picture_bounds
from capgen.dataset.plan import PlannedMedia
from capgen.dataset.types import MediaObject
from capgen.encoding import check_name, leads_below
from capgen.errors import UserError
from capgen.pipeline.rendering.frames import shown_area
from capgen.pipeline.settings import Settings
from capgen.pipeline.sources import SOURCES
from capgen.pipeline.sources.base import Source
from capgen.pipeline.sources.reading.decode import decode_media

_HASHED = 32 * 2**20  # so much is hashed at a time: between two pieces a thread waits for the interpreter


def build_source(settings: Settings) -> Source:
    """The registered source over its root and split.

    Raises:
        UnknownName: no such source.
        UserError: no root is given, or it is not there.
    """
    root = settings.source.root
    if root is None:
        raise UserError(f"dataset {settings.name} needs its folder", "give it with --root DIR")
    check_name(root)
    if not root.is_dir():
        raise UserError(f"--root {root}: there is no such folder", "give the folder that holds the dataset")
    options = {"root": root.resolve(), "split": settings.source.split, "dataset": settings.dataset}
    source: Source = SOURCES.build(settings.source.type, settings.source.options | options, "source")
    source = _bounded(source, root.resolve(), picture_bounds(root, settings.source.follow_links))
    least = settings.source.min_area
    if least is None:
        return source
    return WithoutSpecks(source, least, root.resolve(), picture_bounds(root, settings.source.follow_links))


def _bounded(source: Source, root: Path, bounds: Path | None) -> Source:
    """The source with its links bounded, whatever its options say.

    Raises:
        UserError: an annotation file below the root is a link out of the bounds.
    """
    if "bounds" in getattr(source, "__dataclass_fields__", {}):
        source = replace(source, bounds=bounds)  # type: ignore[type-var]
    for file in source.files if bounds is not None else ():
        if file.is_relative_to(root) and not leads_below(file, bounds or root):
            raise UserError(
                f"{file} is a link out of the root folder", "--follow-links allows it, if you know where it leads"
            )
    return source


def with_kind(settings: Settings) -> Settings:
    """The settings with the kind of media that the source has, where it may have images or videos.

    Raises:
        UserError: the source cannot be built.
    """
    if settings.source.root is None or not hasattr(SOURCES.load(settings.source.type), "kind"):
        return settings
    return settings.model_copy(update={"kind": build_source(settings).kind})  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class WithoutSpecks:
    """A source whose small objects are left out and counted; everything else of it is as before.

    Args:
        least: pixels of the mask, or of the box where there is no mask, on the frame that shows most of the object.
        bounds: see ``Media``.
    """

    source: Source
    least: int
    root: Path
    bounds: Path | None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.source, name)

    @property
    def files(self) -> tuple[Path, ...]:
        """The files of the source."""
        return self.source.files

    def parts(self) -> Sequence[Source]:
        """The parts of the source, without their small objects."""
        parts: Sequence[Source] = getattr(self.source, "parts", lambda: [self.source])()
        return [replace(self, source=part) for part in parts]

    def scan(self) -> Iterator[PlannedMedia]:
        """The media of the source; masks are decoded to know how large they are. Objects with a fault stay."""
        for planned in self.source.scan():
            found = decode_media(planned, self.root, self.bounds).objects
            kept = tuple(one for one, item in zip(planned.objects, found, strict=True) if not self._is_small(item))
            left_out = dict(planned.left_out)
            if len(kept) < len(found):
                left_out["small"] = len(found) - len(kept)
            yield msgspec.structs.replace(planned, objects=kept, left_out=left_out)

    def _is_small(self, item: MediaObject) -> bool:
        return item.fault is None and max(shown_area(item, i) for i in item.visible) < self.least


def source_hashes(source: Source, root: Path) -> dict[str, str]:
    """What the fingerprint has of a source: the contents of its files, names and sizes of those that it lists."""
    found = file_hashes(source.files, root)
    listing = getattr(source, "listing", None)
    return found if listing is None else found | {"listing": listing_sha256(listing(), root)}


def file_hashes(files: Sequence[Path], root: Path) -> dict[str, str]:
    """sha256 of each annotation file by its name; by its path below the root where several have one name."""
    times = Counter(file.name for file in files)
    return {
        file.name if times[file.name] == 1 else Path(os.path.relpath(file, root)).as_posix(): file_sha256(file)
        for file in files
    }


def listing_sha256(files: Iterable[Path], root: Path) -> str:
    """sha256 over names and sizes: of a hundred thousand files, contents would take longer than planning."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{Path(os.path.relpath(file, root)).as_posix()}\0{file.stat().st_size}\0".encode())
    return digest.hexdigest()


def file_sha256(path: Path) -> str:
    """Hexadecimal sha256 of a file's contents."""
    digest = hashlib.sha256()
    piece = bytearray(min(_HASHED, max(1, path.stat().st_size)))
    view = memoryview(piece)
    with path.open("rb", buffering=0) as file:
        while size := file.readinto(piece):
            digest.update(view[:size])
    return digest.hexdigest()
