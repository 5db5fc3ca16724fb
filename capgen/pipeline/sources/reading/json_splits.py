"""What sources share whose splits are JSON files, one a split: where the files are, and the walk over them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from capgen.dataset.plan import PlannedMedia
from capgen.pipeline.sources.reading import common


class JsonSplits:
    """The base of a source whose options ``root`` and ``split`` name the folder and what of it is asked for.

    Class attributes of the source:
        patterns: where a split's file may be below the root, best first; ``{}`` or ``{0}`` in them is the split.
        usual: the splits that a release has; ``all`` is what is there of them.
        affixes: what is cut from a file's stem to get its split's label.
    """

    __slots__ = ()

    root: Path
    split: str
    patterns: ClassVar[tuple[str, ...]]
    usual: ClassVar[tuple[str, ...]]
    affixes: ClassVar[re.Pattern[str]]

    @property
    def files(self) -> tuple[Path, ...]:
        """The annotation files, one a split."""
        return tuple(self._files().values())

    def scan(self) -> Iterator[PlannedMedia]:
        """Every image or video with its objects, those without objects too, split by split, in the order of the file.

        Raises:
            UserError: a file is missing or not of the form, or none of the pictures is there.
        """
        for split, path in self._files().items():
            yield from self._scan(split, path)

    def parts(self) -> list[OneSplit]:
        """The splits, each a source of its own.

        Raises:
            UserError: a file is missing.
        """
        return [OneSplit(self, split, path) for split, path in self._files().items()]

    def scan_split(self, split: str, path: Path) -> Iterator[PlannedMedia]:
        """The media of one split."""
        return self._scan(split, path)

    def _files(self) -> dict[str, Path]:
        return common.annotation_files(self.root, self.split, self._splits(), self._candidates, self.affixes)

    def _candidates(self, name: str) -> list[Path]:
        return [self.root / pattern.format(name) for pattern in self.patterns]

    def _splits(self) -> Sequence[str]:
        """The splits that ``all`` looks for."""
        return self.usual

    def _scan(self, split: str, path: Path) -> Iterator[PlannedMedia]:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class OneSplit:
    """A split of a source whose splits are files."""

    source: JsonSplits
    split: str
    path: Path

    @property
    def files(self) -> tuple[Path, ...]:
        """Its annotation file."""
        return (self.path,)

    def scan(self) -> Iterator[PlannedMedia]:
        """Its media."""
        return self.source.scan_split(self.split, self.path)
