"""``OUT/release.json``: which files a release consists of, and how its objects are accounted for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import msgspec

from capgen.dataset.files import sha256_of, write_whole
from capgen.dataset.layout import RunLayout, refuse_links
from capgen.encoding import is_below
from capgen.errors import LedgerError, MissingFile

_REMEDY = "take another copy of the release, or delete release.json and run the same command again to make it anew"

_DATA = "data/"
"""Where ``RunLayout.data_dir`` is: ``refuse_links`` looks for links there, and leaves a user's other folders alone."""

CONFIGS = ("captions", "media")


class ReleasedFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a release; ``path`` is relative to OUT. ``config``, ``split`` and ``rows`` where it holds rows.

    ``shards``: the first and the last shard of the plan whose rows it may hold; None in older releases.
    """

    path: str
    sha256: str
    bytes: int
    config: str | None = None
    split: str | None = None
    rows: int | None = None
    shards: tuple[int, int] | None = None


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """Objects, each counted once; ``dropped`` and ``failed`` by first reason, ``duplicate`` among the dropped."""

    planned: int
    kept: int
    dropped: dict[str, int]
    failed: dict[str, int]


class DedupRules(msgspec.Struct, frozen=True, kw_only=True):
    """When a caption counts as a repetition of an earlier one of its category, and what is left out for it.

    Args:
        near: the Jaccard similarity of word shingles from which two captions say nearly the same; 1: only equal ones.
        shingle: words of a shingle.
        scope: ``medium``: a repetition is left out where the earlier caption is of the same image or video;
            ``release``: wherever it is.
        per_sentence: how often one sentence may stand for one category in the whole release; None: any number.
    """

    near: float = 0.8
    shingle: int = 3
    scope: Literal["medium", "release"] = "medium"
    per_sentence: int | None = None


DEFAULT_RULES = DedupRules()
EXACT_ONLY = DedupRules(near=1.0)
"""What releases were made by that do not record their rules."""


class ReviewCounts(msgspec.Struct, frozen=True, kw_only=True):
    """What people's judgements did to a release.

    Args:
        bytes, sha256: the part of ``OUT/reviews.jsonl`` that was read: it is only ever appended to.
        good: captions that people found right; ``restored`` of them a check had dropped.
        bad: captions that are left out because of them.
        edited: captions that people wrote.
        outdated: judgements of a caption that was replaced since, which count no more.
    """

    bytes: int
    sha256: str
    good: int = 0
    restored: int = 0
    bad: int = 0
    edited: int = 0
    outdated: int = 0


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """What ``pack`` wrote.

    Args:
        dedup_rules: None where repetitions were left in, and in releases from before there were rules.
        inputs: digest of everything that the files are a function of, the card aside: equal inputs are not packed
            again.
        shards: how many shards are in; fewer than ``shards_planned`` where the release is partial.
        missing_pictures: pictures that ``--embed`` did not find.
        keep_alike: whether captions that do not tell their objects apart are in the media.
        embed: the pictures in it: ``crops`` or ``media``; ``embed_media`` says the latter in older records too.
        warning: why the release is not what was wanted: too many objects failed.
        reviews: what people's judgements did; None where there were none.
        card: digest of what the card is a function of beside the release: an equal card is not written again.
        card_before: sha256 of the card that is still there until the recorded one has taken its place; None where that
            is done.
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
    embed: str | None = None
    keep_alike: bool = True
    dedup_rules: DedupRules | None = None
    reviews: ReviewCounts | None = None
    card: str | None = None
    card_before: str | None = None

    @property
    def rules(self) -> DedupRules | None:
        """By which rules repetitions were left out; None where they were not."""
        return (self.dedup_rules or EXACT_ONLY) if self.dedup else None

    def of(self, config: str, split: str) -> list[ReleasedFile]:
        """The files of a config and split, in order."""
        return [file for file in self.files if (file.config, file.split) == (config, split)]


def release_path(out: Path) -> Path:
    """Where the record of a release is."""
    return RunLayout(out).release_json


def read_release(out: Path) -> Release | None:
    """The record of OUT's release; None where nothing was packed yet.

    Raises:
        LedgerError: the record is damaged, or names a file outside of OUT, or rows outside of its folder of data.
    """
    path = release_path(out)
    try:
        release = msgspec.json.decode(path.read_bytes(), type=Release)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise LedgerError(f"{path} is not a release's record ({error}); delete it and pack again") from error
    for file in release.files:
        if not is_below(file.path):
            raise LedgerError(f"{path} names {file.path!r}, outside of its folder; delete it and pack again")
        if file.config is not None and not file.path.startswith(_DATA):
            raise LedgerError(f"{path} names {file.path!r} as data, outside of {_DATA}; delete it and pack again")
    return release


def write_release(out: Path, release: Release) -> None:
    """Write the record of a release, whole."""
    write_whole(release_path(out), msgspec.json.format(msgspec.json.encode(release)) + b"\n")


def card_fits(out: Path, release: Release) -> bool:
    """Whether OUT's card is the recorded one, or the one whose place that is about to take."""
    layout = RunLayout(out)
    recorded = {file.sha256 for file in release.files if file.path == layout.record_of(layout.card)}
    return bool(recorded) and layout.card.is_file() and sha256_of(layout.card) in recorded | {release.card_before}


def released_files(out: Path, config: str) -> list[Path]:
    """The Parquet files of a config that ``release.json`` names, in order; what else lies in ``data/`` is none.

    Raises:
        MissingFile: OUT has no release.
        LedgerError: its record is damaged, or a file is missing or has another size than it says.
    """
    return [RunLayout(out).released(file.path) for file in recorded_files(out, config)]


def check_released(out: Path, config: str) -> None:
    """Compare the files of a config with the hashes in ``release.json``; it reads every byte of them.

    Raises:
        MissingFile: OUT has no release.
        LedgerError: its record is damaged, or a file is not as recorded.
    """
    for file in recorded_files(out, config):
        path = RunLayout(out).released(file.path)
        if sha256_of(path) != file.sha256:
            raise _differs(path)


def recorded_files(out: Path, config: str) -> list[ReleasedFile]:
    """What ``released_files`` are the paths of."""
    refuse_links(out, reading=True)
    release = read_release(out)
    if release is None:
        raise MissingFile(release_path(out), "give the OUT of a finished `capgen run`, which writes this file last")
    files = [file for file in release.files if file.config == config]
    for file in files:
        path = RunLayout(out).released(file.path)
        if not path.is_file():
            raise LedgerError(f"{path}, which release.json names, is missing; {_REMEDY}")
        if path.stat().st_size != file.bytes:
            raise _differs(path)
    return files


def _differs(path: Path) -> LedgerError:
    return LedgerError(f"{path} is not the file that release.json records; {_REMEDY}")


def stem(split: str) -> str:
    """A split's name as ``datasets`` allows it, in YAML and in file names."""
    return re.sub(r"\W", "_", split)
