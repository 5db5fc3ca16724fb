"""Which dataset a folder holds: JSON files are known by their keys, everything else by the folders' names.

Only the first and the last mebibyte of a JSON file is looked at, so that a gigabyte costs nothing.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from capgen.errors import MissingFile, UserError
from capgen.pipeline.sources import SOURCES
from capgen.pipeline.sources.reading.contents import read_contents


@dataclass(frozen=True, slots=True)
class Recognised:
    """A dataset that a folder holds.

    Args:
        name: of the source.
        found: what gave it away: files or folders relative to the root.
        split: what ``--split`` has to be for it.
    """

    name: str
    found: tuple[str, ...]
    split: str = "all"

    def text(self) -> str:
        """``coco (annotations/instances_val2017.json)``."""
        more = f" and {len(self.found) - 3} more" if len(self.found) > 3 else ""
        return f"{self.name} ({', '.join(self.found[:3])}{more})"


def recognise(root: Path) -> list[Recognised]:
    """The datasets in a folder, in the order of the sources; a source that cannot look (no ``recognise``) is left out.

    Raises:
        MissingFile: there is no such folder.
        UserError: it holds nothing that a source knows.
    """
    if not root.is_dir():
        raise MissingFile(root, "--root must name the folder that holds the dataset")
    contents = read_contents(root)
    found: list[Recognised] = []
    for name in SOURCES:
        source = SOURCES.load(name)
        given_away = source.recognise(contents) if hasattr(source, "recognise") else ()
        if given_away:
            found.append(Recognised(name, tuple(given_away), _split(source, root, given_away)))
    if not found:
        seen = ", ".join(sorted(entry.name for entry in os.scandir(root))[:6]) or "nothing"
        raise UserError(
            f"--root {root} holds no dataset that is known: it has {seen}",
            "docs/sources.md shows the layouts; name yours with --dataset",
        )
    return found


def _split(source: type, root: Path, found: Sequence[str]) -> str:
    """``all`` where the source finds its files by itself, otherwise the JSON files that were recognised."""
    names = [name for name in found if name.endswith(".json")]
    try:
        _ = source(root).files
    except MissingFile:
        return ",".join(names)
    return "all"
