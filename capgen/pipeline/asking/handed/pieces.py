"""What an engine is handed: a shard, or some of its images or videos where several engines work on it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from capgen.dataset.plan import ShardEntry

PieceKey = tuple[int, int]
"""The index of a piece's shard, and its first medium."""


@dataclass(frozen=True, slots=True)
class Piece:
    """The media ``first`` to before ``last`` of a shard, in the order of its plan.

    ``commits``: the engine that has asked for all of it commits the shard; otherwise the answers stay in the journal,
    for whoever is handed the shard when all of its pieces are done. ``final``: that one; nothing of it is given away.
    """

    entry: ShardEntry
    first: int
    last: int
    commits: bool = True
    final: bool = False

    @classmethod
    def whole(cls, entry: ShardEntry, *, final: bool = False) -> Piece:
        """A shard, to be committed."""
        return cls(entry, 0, entry.media, final=final)

    @property
    def key(self) -> PieceKey:
        """By what an engine knows the piece: it keeps its first medium whatever is given away of it."""
        return self.entry.index, self.first

    def until(self, last: int) -> Piece:
        """What is left when the media from ``last`` on belong to another piece."""
        return replace(self, last=last, commits=False)
