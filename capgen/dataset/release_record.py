"""``OUT/release.json``: which files a release consists of, and how its objects are accounted for."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from capgen.dataset.layout import RunLayout
from capgen.errors import LedgerError

CONFIGS = ("captions", "media")


class ReleasedFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a release; ``path`` is relative to OUT. ``config``, ``split`` and ``rows`` where it holds rows."""

    path: str
    sha256: str
    bytes: int
    config: str | None = None
    split: str | None = None
    rows: int | None = None


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """Objects, each counted once; ``dropped`` and ``failed`` by first reason, ``duplicate`` among the dropped."""

    planned: int
    kept: int
    dropped: dict[str, int]
    failed: dict[str, int]


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """What ``pack`` wrote.

    Args:
        inputs: digest of everything that the files are a function of: equal inputs are not packed again.
        shards: how many shards are in; fewer than ``shards_planned`` where the release is partial.
        missing_pictures: frames that ``--embed-media`` did not find.
        warning: why the release is not what was wanted: too many objects failed.
    """

    version: str
    fingerprint: str
    inputs: str
    dedup: bool
    embed_media: bool
    shards: int
    shards_planned: int
    media: int
    counts: Counts
    missing_pictures: int
    files: tuple[ReleasedFile, ...]
    warning: str | None = None

    def of(self, config: str, split: str) -> list[ReleasedFile]:
        """The files of a config and split, in order."""
        return [file for file in self.files if (file.config, file.split) == (config, split)]


def release_path(out: Path) -> Path:
    """Where the record of a release is."""
    return RunLayout(out).release_json


def read_release(out: Path) -> Release | None:
    """The record of OUT's release; None where nothing was packed yet.

    Raises:
        LedgerError: the record is damaged.
    """
    path = release_path(out)
    try:
        return msgspec.json.decode(path.read_bytes(), type=Release)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        raise LedgerError(f"{path} is not a release's record ({error}); delete it and pack again") from error


def stem(split: str) -> str:
    """A split's name as ``datasets`` allows it, in YAML and in file names."""
    return re.sub(r"\W", "_", split)
