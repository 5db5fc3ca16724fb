"""Which pieces of a run's shards wait for an engine, and when all pieces of a shard are done."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable

from capgen.dataset.plan import ShardEntry
from capgen.pipeline.asking.handed.pieces import Piece


class PieceQueue:
    """Every shard as one piece, until some of it is given away; a shard whose pieces are all done is to be committed.

    Nothing here knows of engines. A piece counts once, however many engines have it.
    """

    def __init__(self, shards: Iterable[ShardEntry]) -> None:
        self._waiting = deque(map(Piece.whole, shards))
        self._open = Counter(piece.entry.index for piece in self._waiting)
        self._committed: set[int] = set()

    def __len__(self) -> int:
        return len(self._waiting)

    def next(self) -> Piece:
        """Take the next piece."""
        return self._waiting.popleft()

    def put_back(self, piece: Piece) -> None:
        """An engine was lost with a piece, or hands it back: it comes next."""
        self._waiting.appendleft(piece)

    def given(self, piece: Piece) -> None:
        """An engine has parted with this piece of one that it keeps the rest of."""
        self._open[piece.entry.index] += 1
        self._waiting.appendleft(piece)

    def done(self, piece: Piece) -> None:
        """All of a piece is asked that is not to be committed alone. After the last one, its shard is committed."""
        index = piece.entry.index
        self._open[index] -= 1
        if not self._open[index]:
            self._open[index] = 1
            self._waiting.appendleft(Piece.whole(piece.entry, final=True))

    def committed(self, index: int) -> bool:
        """A shard is committed; False where that was known."""
        known = index in self._committed
        self._committed.add(index)
        return not known
