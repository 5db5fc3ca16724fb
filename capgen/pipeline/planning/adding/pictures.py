"""The pictures of planned media: which are gone, and which are not those that the model was shown."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from capgen.dataset.plan import PlannedMedia
from capgen.dataset.reader import read_columns
from capgen.dataset.shards import committed_manifest
from capgen.pipeline.planning.adding.lines import PlannedLines
from capgen.pipeline.planning.job import Job
from capgen.pipeline.rendering.render import render_media
from capgen.pipeline.view import View, request_digest
from capgen.videos.frames import file_of

_LOOKED_AT = 64
"""So many of the media whose files are newer than their rows are rendered again: a few seconds."""
_MISSING = "picture_missing"


class PlannedPictures:
    """The pictures of the media in finished shards.

    Nothing recorded says what a picture was, but the digest of each request does. A request that is made again and has
    another digest, although settings, prompt and mask are the same, shows another picture. Only media whose files are
    newer than the beginning of their shard are tried, at most 64 of them, spread evenly. Where a medium whose file is
    not newer gives another digest too, pictures are decoded otherwise than before, and nothing is said of any.
    """

    def __init__(self, job: Job, lines: PlannedLines) -> None:
        self._job, self._lines = job, lines
        self._root = Path(job.settings.source.root or "")
        self._times: dict[Path, dict[str, float]] = {}
        self._begun: dict[int, float | None] = {}
        self._missing: list[tuple[int, str]] = []
        self._newer: list[int] = []
        self._older: int | None = None

    def look(self, number: int, medium: PlannedMedia) -> None:
        """Look for the files of the medium in a line of the plan."""
        begun = self._shard_begun(self._lines.shard(number).index)
        if begun is None or not medium.objects:
            return
        newest = 0.0
        for name in dict.fromkeys(map(file_of, medium.file_names)):
            path = self._root / medium.folder / name
            found = self._folder(path.parent).get(path.name)
            if found is None:
                self._missing.append((number, Path(medium.folder, name).as_posix()))
                return
            newest = max(newest, found)
        if newest > begun:
            self._newer.append(number)
        elif medium.file_names and self._older is None:
            self._older = number

    def vanished(self) -> list[str]:
        """``file of medium`` for those that are gone although their objects were asked about."""
        asked: dict[int, set[str]] = {}
        found = []
        for number, name in self._missing:
            index = self._lines.shard(number).index
            if index not in asked:
                columns = read_columns(self._job.out, index, ["key", "reasons"]).to_pydict()
                rows = zip(columns["key"], columns["reasons"], strict=True)
                asked[index] = {key.rpartition("/")[0] for key, reasons in rows if _MISSING not in (reasons or ())}
            medium = self._lines.read(number).name
            if medium in asked[index]:
                found.append(f"{name} of {medium}")
        return found

    def changed(self) -> list[str]:
        """Names of the media whose requests are others now."""
        tried = [self._newer[place] for place in _spread(len(self._newer), _LOOKED_AT)]
        others = [number for number in tried if self._is_another(number)]
        if others and self._older is not None and self._is_another(self._older):
            return []
        return [self._lines.read(number).name for number in others]

    def _shard_begun(self, index: int) -> float | None:
        """When a finished shard was begun, in seconds since 1970; None where it is not finished."""
        if index not in self._begun:
            manifest = committed_manifest(self._job.out, index, self._job.fingerprint)
            try:
                self._begun[index] = datetime.fromisoformat((manifest and manifest.started) or "").timestamp()
            except ValueError:
                self._begun[index] = None
        return self._begun[index]

    def _folder(self, folder: Path) -> dict[str, float]:
        """When the files in a folder were written last, by name."""
        if folder not in self._times:
            try:
                with os.scandir(folder) as entries:
                    self._times[folder] = {entry.name: entry.stat().st_mtime for entry in entries}
            except OSError:
                self._times[folder] = {}
        return self._times[folder]

    def _is_another(self, number: int) -> bool:
        """Whether a request of the medium has another digest than its row."""
        planned = self._lines.read(number)
        recorded = dict(self._digests(self._lines.shard(number).index, planned.name))
        shown = render_media(self._job.decode(planned), self._job.renderer)
        return any(
            recorded.get(one.key) not in (None, request_digest(one, self._job.salt))
            for one in shown
            if isinstance(one, View)
        )

    def _digests(self, index: int, medium: str) -> Iterator[tuple[str, str | None]]:
        """Keys of a medium's objects, with the digests of their first requests."""
        columns = read_columns(self._job.out, index, ["key", "request_sha256", "answers"]).to_pydict()
        for key, released, answers in zip(*columns.values(), strict=True):
            if key.rpartition("/")[0] == medium:
                yield key, answers[0].get("request_sha256") if answers else released


def _spread(count: int, most: int) -> Sequence[int]:
    """At most so many of the first ``count`` numbers, spread evenly."""
    return [place * count // min(most, count) for place in range(min(most, count))]
