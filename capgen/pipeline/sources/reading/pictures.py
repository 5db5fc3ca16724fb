"""Where the pictures of an annotation file are below a root: tried by looking, since files of many tools disagree."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from pathlib import Path

from capgen.errors import MissingFile
from capgen.images import SUFFIXES
from capgen.pipeline.sources.reading.common import safe_name
from capgen.videos.frames import file_of

_OF_2014 = re.compile(r"COCO_\w+_(\d{12}\.\w+)")
"""COCO's names of 2014; the same pictures have the number alone in the folders of 2017."""

_PROBED = 200
"""So many pictures are looked for before a root without any is refused."""


_MAY_BE_MISSING: ContextVar[bool] = ContextVar("pictures may be missing", default=False)


@contextmanager
def pictures_may_be_missing() -> Iterator[None]:
    """While this lasts, a root that holds none of the pictures is no error: somebody wants to know what is there."""
    token = _MAY_BE_MISSING.set(True)
    try:
        yield
    finally:
        _MAY_BE_MISSING.reset(token)


def refuse_without_pictures(path: Path, remedy: str) -> None:
    """Say that pictures were probably never put there.

    Raises:
        MissingFile: unless ``pictures_may_be_missing``.
    """
    if not _MAY_BE_MISSING.get():
        raise MissingFile(path, remedy)


@dataclass(frozen=True, slots=True)
class PictureFinder:
    """Finds files by the names that annotations have for them.

    Args:
        root: the dataset's folder.
        folders: where pictures may be, relative to the root, best first; ``""`` is the root itself.
        present: those of ``folders`` that are there.
        any_suffix: whether ``a.jpg`` may be ``a.png``, as files of some panoptic sets are.
    """

    root: Path
    folders: tuple[str, ...]
    any_suffix: bool = False
    listings: dict[str, frozenset[str]] = field(default_factory=dict, compare=False)
    present: tuple[str, ...] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        there = tuple(folder for folder in self.folders if (self.root / folder).is_dir())
        object.__setattr__(self, "present", there)

    def find(self, name: object, hints: Sequence[str] = ()) -> str | None:
        """The path relative to the root of the file that annotations call ``name``; None where it is nowhere.

        Args:
            name: may be absolute, have back slashes or other folders in front: then its last parts are looked for, and
                a name of COCO 2014 also without its prefix.
            hints: further folders, looked at last.
        """
        found = self.locate(name, hints)
        return None if found is None else joined(*found)

    def locate(self, name: object, hints: Sequence[str] = ()) -> tuple[str, str] | None:
        """As ``find``: the folder, and the name in it."""
        if isinstance(name, str) and safe_name(name) == name:  # nearly always
            for folder in self.present:
                if self.is_file(joined(folder, name)):
                    return folder, name
        for tail in _tails(name):
            for folder in (*self.present, *hints):
                if self.is_file(joined(folder, tail)):
                    return folder, tail
        return self._of_another_suffix(name, hints) if self.any_suffix else None

    def _of_another_suffix(self, name: object, hints: Sequence[str]) -> tuple[str, str] | None:
        stem = name.rpartition(".")[0] if isinstance(name, str) else ""
        exact = replace(self, any_suffix=False)
        found = (exact.locate(stem + suffix, hints) for suffix in SUFFIXES if stem)
        return next((place for place in found if place is not None), None)

    def is_file(self, path: str) -> bool:
        """Whether there is such a file below the root, or a video file for such a frame; each folder is listed once."""
        folder, _, name = (file_of(path) if "#" in path else path).rpartition("/")
        if folder not in self.listings:
            self.listings[folder] = _listing(self.root / folder)
        return name in self.listings[folder]

    def expected(self, name: object) -> str | None:
        """Where a picture that is nowhere should have been; None where its name is no name below the root."""
        tail = safe_name(name) if isinstance(name, str) else None
        if tail is None:
            return None
        return joined(next(filter(None, self.present), ""), tail)

    def check(self, names: Iterable[object], remedy: str) -> None:
        """Refuse a root that holds none of the first pictures.

        Raises:
            MissingFile: not one of the first names is found anywhere.
        """
        first: object = None
        for number, name in enumerate(names):
            first = name if first is None else first
            if self.find(name) is not None:
                return
            if number + 1 >= _PROBED:
                break
        if first is not None:
            tried = ", ".join(repr(f"{folder}/") if folder else "the folder itself" for folder in self.folders[:6])
            place = self.root / (self.expected(first) or str(first))
            refuse_without_pictures(place, f"{remedy} (looked in {tried})")


def joined(folder: str, name: str) -> str:
    """A name below a folder, which may be ``""``."""
    return f"{folder}/{name}" if folder else name


def _tails(name: object) -> list[str]:
    """A name and its last two and last parts, as far as they are safe; no part of it may climb."""
    if not isinstance(name, str) or not name:
        return []
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    if not parts or ".." in parts:
        return []
    tails = ["/".join(parts[-count:]) for count in (len(parts), 3, 2, 1) if count <= len(parts)]
    of_2014 = _OF_2014.fullmatch(parts[-1])
    tails += [of_2014[1]] if of_2014 else []
    return [tail for tail in dict.fromkeys(tails) if safe_name(tail)]


def _listing(folder: Path) -> frozenset[str]:
    try:
        return frozenset(entry.name for entry in os.scandir(folder) if not entry.name.startswith("._"))
    except OSError:
        return frozenset()
