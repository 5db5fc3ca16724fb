"""What a run is to do: ``OUT/plan.json``, and a file of JSON lines for each shard with its media still undecoded.

Planning a split of a million objects must neither decode nor copy a million masks: ``segmentation`` stays raw JSON
until the worker that owns the shard turns it into run lengths.
"""

from __future__ import annotations

from typing import Any

import msgspec

from capgen.dataset.types import MediaHeader

PLAN_VERSION = "2"
"""Version 1 had the absolute folder of the pictures in every line; it can still be read."""


class PlannedObject(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One annotation: ``segmentation`` is raw JSON, of one frame (image) or a list with an entry a frame (video)."""

    object_id: str
    category_id: int | None = None
    category: str | None = None
    synonyms: tuple[str, ...] = ()
    segmentation: msgspec.Raw = msgspec.Raw(b"null")
    reason: str | None = None
    message: str | None = None


class PlannedMedia(MediaHeader, frozen=True, kw_only=True, omit_defaults=True):
    """One image or video of the plan: a line of a shard's file.

    Args:
        folder: the folder that ``file_names`` are relative to, itself relative to the dataset's root.
        left_out: how many annotations are no objects of the plan, by reason: ``crowd``, ``stuff``, ``small`` and so on.
    """

    folder: str = ""
    left_out: dict[str, int] = msgspec.field(default_factory=dict)
    objects: tuple[PlannedObject, ...] = ()


class ShardEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A shard: consecutive media of one split, in the order of the source; ``file`` lies in ``OUT/plan/``."""

    index: int
    split: str
    media: int
    objects: int
    file: str
    sha256: str


class ShardTable(msgspec.Struct, frozen=True, kw_only=True):
    """All shards of a run, ``shards[i].index == i``.

    Args:
        folders: by ``dataset/split``, the folders below the root in which its pictures are.
        left_out: how many annotations of the source are no objects of the plan, by reason.
        new_media, new_objects: how many of them a source that has grown has just added.
    """

    shards: tuple[ShardEntry, ...]
    folders: dict[str, tuple[str, ...]] = {}
    left_out: dict[str, int] = {}
    new_media: int = 0
    new_objects: int = 0

    @property
    def media(self) -> int:
        """Images and videos planned, with and without objects."""
        return sum(entry.media for entry in self.shards)

    @property
    def objects(self) -> int:
        """Objects planned: as many rows as the run ends with."""
        return sum(entry.objects for entry in self.shards)

    def text(self) -> str:
        """The counts in one line, with what the source has added and what it left out."""
        line = f"{self.objects:,} objects of {self.media:,} media planned in {len(self.shards):,} shards"
        if self.new_media:
            line += f", of them {self.new_objects:,} objects of {self.new_media:,} media that are new in the dataset"
        left_out = ", ".join(f"{count:,} {reason}" for reason, count in self.left_out.items())
        return f"{line} (left out: {left_out})" if left_out else line

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits, in the order of the plan."""
        return tuple(dict.fromkeys(entry.split for entry in self.shards))


class ModelName(msgspec.Struct, frozen=True):
    """What the rows say of the model; where it lies may be something else, as for the embedded captioner."""

    name: str
    revision: str | None = None


class SourceGrowth(msgspec.Struct, frozen=True, kw_only=True):
    """Media were added to a plan, because its source or its limit had grown.

    Args:
        source: the part ``source`` that a fingerprint would have had then.
        shards: how many shards were planned before.
    """

    source: dict[str, Any]
    shards: int


class PlanRecord(msgspec.Struct, frozen=True, kw_only=True):
    """``OUT/plan.json``.

    Args:
        parts: what the fingerprint is made of, by a name that a person understands.
        settings: the pipeline's settings, with a root that means the same from any folder.
        root: where the dataset was when it was planned; ``--root`` says where it is now.
        limit: so many objects were planned at most; None is all.
        folders, left_out: see ``ShardTable``.
        grown: how the source has grown since, in order; the fingerprint stays that of the first planning.
    """

    version: str
    fingerprint: str
    parts: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    model: ModelName = ModelName("")
    root: str | None = None
    limit: int | None = None
    folders: dict[str, tuple[str, ...]] = {}
    left_out: dict[str, int] = {}
    grown: tuple[SourceGrowth, ...] = ()
    shards: tuple[ShardEntry, ...]

    @property
    def parts_now(self) -> dict[str, Any]:
        """``parts`` with the source as it was when media were added last."""
        return self.parts | {"source": self.grown[-1].source} if self.grown else self.parts

    @property
    def table(self) -> ShardTable:
        """The shards."""
        return ShardTable(shards=self.shards, folders=self.folders, left_out=self.left_out)

    @property
    def legacy_root(self) -> str | None:
        """The root that the lines of a plan of version 1 start with; None where they have none."""
        return self.root if self.version == "1" else None
