"""Which engine of a cluster has which piece, and how pieces change hands at the end of a run."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import count
from typing import Any

from capgen.dataset.plan import ShardEntry
from capgen.pipeline.asking.handed.open_shards import OpenShards
from capgen.pipeline.asking.handed.pieces import Piece
from capgen.pipeline.running.cluster.balance import MOST_PIECES, PIECES_AT_ONCE, HandedPiece, balance, note_quiet
from capgen.pipeline.running.cluster.looks import EngineLooks
from capgen.pipeline.running.cluster.piece_queue import PieceQueue

_ANSWERS_S = 5.0


class Handing:
    """The pieces of one pass over the shards.

    Args:
        actors: the engines by number; the list may grow.
    """

    def __init__(self, ray: Any, actors: Sequence[Any], shards: Iterable[ShardEntry]) -> None:
        self._ray, self._actors = ray, actors
        self.queue = PieceQueue(shards)
        self.pending: dict[Any, HandedPiece] = {}
        self._gives: dict[int, Any] = {}
        self._shares: dict[Any, tuple[HandedPiece, int, int]] = {}
        self._groups = count()

    @property
    def over(self) -> bool:
        """Whether nothing waits and nothing that matters is in an engine's hands."""
        return not self.queue and all(one.dropped for one in self.pending.values())

    def has(self, number: int) -> bool:
        """Whether an engine has a piece that matters."""
        return any(one.number == number and not one.dropped for one in self.pending.values())

    def hand_out(self, up: Iterable[int], lives: Sequence[int], said: Mapping[int, OpenShards]) -> None:
        """Fill the engines, each with one piece before any has two, and those first that have least left."""
        mine = [one for one in self.pending.values() if not one.dropped]
        all_of = Counter(one.number for one in mine)
        load = Counter(one.number for one in mine if one.quiet is None)
        order = sorted(up, key=lambda number: sum(said[number].left.values()) if number in said else 0)
        for full in range(1, PIECES_AT_ONCE + 1):
            for number in order:
                if self.queue and load[number] < full and all_of[number] < MOST_PIECES:
                    self._send(number, lives[number], self.queue.next(), next(self._groups))
                    load[number] += 1
                    all_of[number] += 1

    def rebalance(self, up: Sequence[int], lives: Sequence[int], looks: EngineLooks) -> None:
        """Where nothing waits, engines with much left part with some, and late requests go out twice."""
        note_quiet(self.pending.values(), looks.latest, looks.sent, time.monotonic())
        for number in list(self._gives):
            self._take_given(number, 0)
        for ref in list(self._shares):
            self._take_shared(ref, lives)
        if self.queue or self._gives or self._shares:
            return
        found = balance(up, self.pending.values(), looks.latest, looks.sent, looks.most, time.monotonic())
        self._gives = {number: self._actors[number].give.remote() for number in found.givers}
        for one, spare in found.shared:
            self._shares[self._actors[one.number].share.remote(one.piece.key)] = (one, spare, lives[spare])

    def ended(self, ref: Any) -> HandedPiece:
        """A call has ended; what its engine has given away before that is known from now on."""
        handed = self.pending.pop(ref)
        if handed.number in self._gives:
            self.pending[ref] = handed
            self._take_given(handed.number, _ANSWERS_S)
            del self.pending[ref]
        return handed

    def done(self, handed: HandedPiece) -> None:
        """All of a piece is asked: whoever else asks it need not go on."""
        for other in self.pending.values():
            if other.group == handed.group and not other.dropped:
                other.dropped = True
                self._actors[other.number].drop.remote(other.piece.key)
        self.queue.done(handed.piece)

    def back(self, handed: HandedPiece) -> None:
        """A piece comes back unfinished; it waits again unless another engine asks it, too."""
        if not self._asked_twice(handed):
            self.queue.put_back(handed.piece)

    def _asked_twice(self, handed: HandedPiece) -> bool:
        """Whether another engine asks the same piece."""
        others = (one for one in self.pending.values() if one is not handed and not one.dropped)
        return any(one.group == handed.group for one in others)

    def forget(self, number: int) -> None:
        """An engine's life is over; what it was asked for will not come."""
        self._gives.pop(number, None)
        self._shares = {ref: share for ref, share in self._shares.items() if share[0].number != number}

    def _send(self, number: int, life: int, piece: Piece, group: int) -> None:
        name = f"ShardActor.piece shard {piece.entry.index:05d}"  # as Ray's dashboard lists it
        ref = self._actors[number].piece.options(name=name).remote(piece)
        self.pending[ref] = HandedPiece(number, life, piece, time.monotonic(), group)

    def _take_given(self, number: int, seconds: float) -> None:
        """What an engine parts with, if it has said so within so many seconds."""
        ref = self._gives[number]
        if not self._ray.wait([ref], timeout=seconds)[0]:
            return
        del self._gives[number]
        given: Piece | None = None
        with suppress(self._ray.exceptions.RayError):  # it is being lost
            given = self._ray.get(ref)
        if given is None:
            return
        for one in self.pending.values():
            mine = one.number == number and not one.dropped and one.piece.entry.index == given.entry.index
            if mine and one.piece.first <= given.first and one.piece.last == given.last:
                one.piece = one.piece.until(given.first)
                self.queue.given(given)
                return

    def _take_shared(self, ref: Any, lives: Sequence[int]) -> None:
        """Hand a piece to a second engine, once the first is not going to commit it."""
        one, spare, life = self._shares[ref]
        if not self._ray.wait([ref], timeout=0)[0]:
            return
        del self._shares[ref]
        shared: Piece | None = None
        with suppress(self._ray.exceptions.RayError):
            shared = self._ray.get(ref)
        if shared is None or one.dropped or one not in self.pending.values():
            return
        one.piece = shared
        if life == lives[spare] and not self._asked_twice(one):
            self._send(spare, life, shared, one.group)
