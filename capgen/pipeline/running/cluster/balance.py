"""Who is to give work away at the end of a run, and what is asked twice: a pure function of what engines say.

While shards wait, engines take the next one as they get through, so a quick one does more of them. When none waits, an
engine with nothing left is given half of what the engine has left that would take longest. Where nobody has anything
left to give it, it asks pieces whose last requests take far longer than usual as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from capgen.pipeline.asking.handed.open_shards import OpenShards
from capgen.pipeline.asking.handed.pieces import Piece

PIECES_AT_ONCE = 2
"""So many pieces an engine has in hand of which something is left: the next is there when one is all asked."""
MOST_PIECES = 6
"""So many it has at most, those included of which only the last requests are to be answered."""

_SOON_S = 1.0
_WORTH_S = 2.0
_LEAST_S = 2.0
_TIMES_USUAL = 3.0


@dataclass(slots=True, eq=False)
class HandedPiece:
    """A piece in an engine's hands.

    Args:
        life: which of the engine's lives has it.
        at: when it was handed out.
        group: the same for engines that ask the same piece.
        quiet: since when nothing of it is left but requests in flight.
        dropped: another engine was quicker; what becomes of it here does not matter.
    """

    number: int
    life: int
    piece: Piece
    at: float
    group: int
    quiet: float | None = None
    dropped: bool = False


@dataclass(slots=True)
class _Engine:
    """What is known of one engine: its pieces, the seconds that what it has left will take, and those of a request."""

    pieces: list[HandedPiece] = field(default_factory=list)
    left_s: float = 0.0
    usual_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Balance:
    """What is to be done now.

    Args:
        givers: engines that are to part with some work, those first that need longest.
        shared: pieces that are to be asked by a second engine, and that engine.
    """

    givers: Sequence[int] = ()
    shared: Sequence[tuple[HandedPiece, int]] = ()


def balance(
    up: Iterable[int],
    handed: Iterable[HandedPiece],
    said: Mapping[int, OpenShards],
    sent: Mapping[int, float],
    most: Mapping[int, int],
    now: float,
) -> Balance:
    """Look at engines that are up while no piece waits.

    Args:
        said: what each engine said last, asked at the time ``sent``. One that was handed a piece since has to say how
            much is left of it first.
        most: requests that each engine ever had in flight: these over its answers a second are a request's usual time.
    """
    engines = {number: _Engine() for number in up if number in said}
    alive = [one for one in handed if not one.dropped]
    for one in alive:
        if one.number in engines:
            engines[one.number].pieces.append(one)
    for number, engine in list(engines.items()):
        if any(one.at >= sent[number] for one in engine.pieces):
            del engines[number]
            continue
        _fill(engine, said[number], most.get(number, 0))
    idle = sorted((n for n, one in engines.items() if _has_room(one)), key=lambda n: len(engines[n].pieces))
    slow = sorted((n for n, one in engines.items() if one.left_s > _WORTH_S), key=lambda n: -engines[n].left_s)
    givers = [number for number in slow if number not in idle][: len(idle)]
    spare = [number for number in idle[len(givers) :] if not engines[number].pieces]
    twice = Counter(one.group for one in alive)
    late = [one for one in _late(engines.values(), now) if twice[one.group] == 1]
    return Balance(givers, list(zip(late, spare, strict=False)))


def note_quiet(
    handed: Iterable[HandedPiece], said: Mapping[int, OpenShards], sent: Mapping[int, float], now: float
) -> None:
    """Note of which pieces nothing is left but requests in flight, by what their engines said after they had them."""
    for one in handed:
        if one.number not in said or one.at >= sent[one.number]:
            continue
        if said[one.number].left.get(one.piece.key, 0):
            one.quiet = None
        elif one.quiet is None:
            one.quiet = now


def _has_room(engine: _Engine) -> bool:
    return engine.left_s < _SOON_S and len(engine.pieces) < MOST_PIECES


def _fill(engine: _Engine, said: OpenShards, most: int) -> None:
    rate = said.answered / said.up_s if said.up_s > 0 else 0.0
    engine.usual_s = most / rate if rate else 0.0
    for one in engine.pieces:
        entry = one.piece.entry
        objects = said.left.get(one.piece.key, 0) * entry.objects / max(1, entry.media)
        engine.left_s += objects / rate if rate else float(objects > 0) * 2 * _WORTH_S


def _late(engines: Iterable[_Engine], now: float) -> list[HandedPiece]:
    """Pieces that one engine has, and whose last requests take far longer than usual."""
    found = [
        one
        for engine in engines
        for one in engine.pieces
        if one.quiet is not None
        and not one.piece.final
        and now - one.quiet > max(_LEAST_S, _TIMES_USUAL * engine.usual_s)
    ]
    return sorted(found, key=lambda one: one.quiet or now)
