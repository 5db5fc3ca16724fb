"""Who gives work away at the end of a run, and when a shard that was divided is whole again."""

from __future__ import annotations

from capgen.dataset.plan import ShardEntry
from capgen.pipeline.asking.handed.open_shards import OpenShards
from capgen.pipeline.asking.handed.pieces import Piece
from capgen.pipeline.running.cluster.balance import HandedPiece, balance, note_quiet
from capgen.pipeline.running.cluster.piece_queue import PieceQueue
from tests.stress import tail, tail_world

MOST = dict.fromkeys(range(5), 8)


def entry(index: int, media: int = 100) -> ShardEntry:
    return ShardEntry(
        index=index, split="train", media=media, objects=10 * media, file=f"{index:05d}.jsonl", sha256="0" * 64
    )


def said(rate: float, in_flight: int = 8, **left: int) -> OpenShards:
    """An engine of so many answers a second over 100 s, with so many media left of its shards (`s3`)."""
    pieces = {(int(name[1:]), 0): media for name, media in left.items()}
    return OpenShards(answered=int(100 * rate), up_s=100.0, in_flight=in_flight, left=pieces, workers=1)


def handed(number: int, index: int, at: float = 0.0, group: int | None = None) -> HandedPiece:
    return HandedPiece(number, 0, Piece.whole(entry(index)), at, index if group is None else group)


def at_one(numbers) -> dict[int, float]:
    return dict.fromkeys(numbers, 1.0)


def test_an_engine_without_work_takes_from_the_one_that_needs_longest():
    """Engine 1 is four times as quick: although it has more left, engine 2 needs longer."""
    looks = {0: said(10, in_flight=0), 1: said(40, s1=100), 2: said(10, s2=60)}
    pieces = [handed(1, 1), handed(2, 2)]
    assert balance([0, 1, 2], pieces, looks, at_one(looks), MOST, now=2.0).givers == [2]


def test_as_many_give_as_have_room():
    looks = {0: said(10, 0), 1: said(10, 0), 2: said(10, s2=60), 3: said(10, s3=90), 4: said(10, s4=20)}
    pieces = [handed(number, number) for number in (2, 3, 4)]
    assert balance(range(5), pieces, looks, at_one(looks), MOST, now=2.0).givers == [3, 2]


def test_what_takes_a_moment_is_not_worth_moving():
    looks = {0: said(10, 0), 1: said(100, s1=10)}
    found = balance([0, 1], [handed(1, 1)], looks, at_one(looks), MOST, now=2.0)
    assert not found.givers
    assert not found.shared


def test_an_engine_that_was_just_handed_a_piece_counts_as_busy_until_it_has_said_so():
    looks = {0: said(10, 0), 1: said(10, s1=60)}
    assert balance([0, 1], [handed(0, 5, at=1.5), handed(1, 1)], looks, at_one(looks), MOST, now=2.0).givers == []


def test_requests_that_take_far_longer_than_usual_are_asked_by_an_engine_that_has_nothing():
    """Usual are 8 in flight / 10 a second = 0.8 s; after 2.4 s they are late."""
    looks = {0: said(10, 0), 1: said(10, s1=0)}
    late = handed(1, 1)
    note_quiet([late], looks, at_one(looks), now=2.0)
    assert balance([0, 1], [late], looks, at_one(looks), MOST, now=2.0).shared == []
    assert balance([0, 1], [late], looks, at_one(looks), MOST, now=4.0).shared == []
    assert balance([0, 1], [late], looks, at_one(looks), MOST, now=4.5).shared == [(late, 0)]
    twice = [late, handed(0, 1, group=1)]
    assert balance([0, 1, 2], twice, looks | {2: said(10, 0)}, at_one(range(3)), MOST, now=9.0).shared == []


def test_a_divided_shard_is_committed_after_the_last_of_its_pieces():
    queue = PieceQueue([entry(0), entry(1)])
    first, second = queue.next(), queue.next()
    assert not queue
    rest = first.until(50)
    queue.given(Piece(entry(0), 50, 100, commits=False))
    other = queue.next()
    queue.done(rest)
    assert not queue, "the other half is not done"
    queue.put_back(other)  # its engine was lost
    queue.done(queue.next())
    last = queue.next()
    assert (last.first, last.last, last.commits, last.final) == (0, 100, True, True)
    assert queue.committed(0)
    assert not queue.committed(0), "an engine that was taken for dead says so, too"
    assert queue.committed(second.entry.index)


def test_the_drivers_own_code_outlives_deaths_of_engines_in_simulated_time(monkeypatch):
    monkeypatch.setattr(tail_world, "RESTART_S", 60.0)
    row = tail.run(10_000, 4, 0, balanced=True)
    assert row["deaths"] > 2
    assert row["objects"] == 8008
    assert row["asked_per_object"] < 1.3
