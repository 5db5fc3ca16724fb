"""What a source is shown of a folder, to say whether it is its own: the keys of the JSON files in it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_LOOKED = 2**20
_MOST_FILES = 40
_KEY = re.compile(rb'"(\w{1,40})"\s*:(?!\s*(?:null|\[\s*\]|\{\s*\}|""))')
"""A key that has a value: boxes are often written with an empty ``segmentation``."""
_SKIPPED = frozenset({"JPEGImages", "Annotations"})


@dataclass(frozen=True, slots=True)
class FolderContents:
    """What a source is shown of a folder.

    Args:
        keys: by JSON file, its path relative to the root, the keys that have a value in it, at any depth.
    """

    root: Path
    keys: Mapping[str, frozenset[str]]

    def with_keys(self, *needed: str, without: Sequence[str] = ()) -> list[str]:
        """The JSON files that have all of some keys and none of others."""
        return [file for file, keys in self.keys.items() if keys.issuperset(needed) and keys.isdisjoint(without)]


def read_contents(root: Path) -> FolderContents:
    """The JSON files of a folder, of the folders in it and in ``annotations/``, some of each."""
    return FolderContents(root, {path: _keys(root / path) for path in _json_files(root)})


def _json_files(root: Path) -> Iterator[str]:
    """JSON files of the folder and of the folders in it, some of each."""
    for folder in ("", *_folders(root), *(f"annotations/{name}" for name in _folders(root / "annotations"))):
        try:
            names = sorted(
                entry.name
                for entry in os.scandir(root / folder)
                if entry.name.endswith(".json") and not entry.name.startswith(".") and entry.is_file()
            )
        except OSError:
            continue
        yield from (f"{folder}/{name}" if folder else name for name in names[:_MOST_FILES])


def _folders(root: Path) -> list[str]:
    try:
        names = sorted(e.name for e in os.scandir(root) if e.is_dir() and e.name not in _SKIPPED and e.name[0] != ".")
    except OSError:
        return []
    return names[:_MOST_FILES]


def _keys(path: Path) -> frozenset[str]:
    try:
        with path.open("rb") as file:
            text = file.read(_LOOKED)
            file.seek(max(file.tell(), path.stat().st_size - _LOOKED))
            text += file.read(_LOOKED)
    except OSError:
        return frozenset()
    return frozenset(key.decode("ascii", "replace") for key in _KEY.findall(text))
