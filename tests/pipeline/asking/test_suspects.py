"""What is known when an engine ends: who was in flight, who is asked again in isolation, and who is to blame."""

import asyncio

import pytest

from capgen.pipeline.asking.journal import ShardJournal, Strike
from capgen.pipeline.asking.suspects import EngineGuard
from capgen.pipeline.engines.base import EngineDead, EngineFault
from capgen.pipeline.view import Answer, View


class ScriptedSession:
    """Answers, or raises what the script has for a key; remembers what it was asked."""

    def __init__(self, script=None):
        self.script = script or {}
        self.asked = []

    async def answer(self, view):
        self.asked.append(view.key)
        end = self.script.get(view.key)
        if end == "hang":
            await asyncio.sleep(60)
        if isinstance(end, Exception):
            raise end
        return Answer("A cup.", "stop")

    async def stop(self):
        pass


def view(key):
    return View(key=key, system="", examples=(), parts=("Describe it.",), category=None)


def guard_of(session=None, *, in_flight=4, attempts=3, stall_s=60.0):
    return EngineGuard(session or ScriptedSession(), in_flight=in_flight, attempts=attempts, stall_s=stall_s)


def struck(folder, **strikes):
    """A journal whose keys have so many strikes."""
    with ShardJournal(folder) as journal:
        for key, number in strikes.items():
            for _ in range(number):
                journal.add(Strike(strike=key, why="killed"))
    return ShardJournal(folder)


def isolate(guard, journal, keys, *, ask=None, known=None):
    """The keys in the order in which they were asked alone."""
    order = []

    async def asked(one):
        order.append(one.key)
        guard.sent(journal, one.key, "digest", isolated=True)
        if ask is not None:
            await ask(one)
        return True

    async def answered_before():
        return known

    asyncio.run(guard.ask_suspects(journal, [view(key) for key in keys], asked, answered_before))
    return order


@pytest.mark.parametrize(("attempts", "strikes"), [(1, 1), (2, 1), (3, 2), (5, 4)])
def test_a_request_is_isolated_one_strike_before_its_attempts_are_used_up(tmp_path, attempts, strikes):
    guard = guard_of(attempts=attempts)
    journal = struck(tmp_path / "0", enough=strikes, fewer=strikes - 1)
    assert guard.is_suspect(journal, "enough")
    assert not guard.is_suspect(journal, "fewer")
    assert not guard.is_suspect(journal, "never")


def test_everything_in_flight_gets_a_strike_in_the_journal_of_its_own_shard(tmp_path):
    guard = guard_of()
    guard.finished(answered=True)
    first, second = ShardJournal(tmp_path / "0"), ShardJournal(tmp_path / "1")
    for journal, key in ((first, "a"), (first, "b"), (second, "c")):
        guard.sent(journal, key, f"digest of {key}")
    guard.returned("b")
    guard.ended("killed")
    guard.ended("killed")
    assert ShardJournal(tmp_path / "0").strikes == {"a": 1}
    assert ShardJournal(tmp_path / "1").strikes == {"c": 1}
    assert not ShardJournal(tmp_path / "0").alone, "two were in flight: neither is proved to be to blame"


@pytest.mark.parametrize("worked", [True, False])
def test_a_single_request_is_to_blame_only_in_an_engine_that_has_worked(tmp_path, worked):
    guard = guard_of()
    guard.finished(answered=worked)
    journal = ShardJournal(tmp_path / "0")
    guard.sent(journal, "a", "digest", isolated=True)
    guard.ended("stalled")
    blamed = ShardJournal(tmp_path / "0").alone
    assert blamed == ({"a": [Strike(strike="a", why="stalled", alone=True, request="digest")]} if worked else {})


def test_suspects_are_asked_with_every_slot_taken_and_give_them_back(tmp_path):
    guard = guard_of(in_flight=2)
    guard.finished(answered=True)
    journal = struck(tmp_path / "0", a=2)

    async def nothing_else_fits(_):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(guard.slot(), 0.01)

    assert isolate(guard, journal, ["a"], ask=nothing_else_fits) == ["a"]
    asyncio.run(asyncio.wait_for(guard.slot(), 1))


def test_a_proved_engine_is_given_the_suspect_that_is_nearest_to_being_proved(tmp_path):
    with ShardJournal(tmp_path / "0") as journal:
        for key, alone in (("often", False), ("often", False), ("often", False), ("nearly", True), ("nearly", False)):
            journal.add(Strike(strike=key, alone=alone))
    journal = ShardJournal(tmp_path / "0")
    proved = guard_of()
    proved.finished(answered=True)
    assert isolate(proved, journal, ["often", "nearly"]) == ["nearly", "often"]
    assert isolate(guard_of(), journal, ["often", "nearly"]) == ["nearly", "often"], "it has fewer strikes"
    with ShardJournal(tmp_path / "0") as journal:
        for _ in range(3):
            journal.add(Strike(strike="nearly", alone=True))
    journal = ShardJournal(tmp_path / "0")
    assert isolate(guard_of(), journal, ["nearly", "often"]) == ["often", "nearly"]


def test_a_new_engine_is_first_given_what_was_answered_before(tmp_path):
    session = ScriptedSession()
    guard = guard_of(session)
    assert isolate(guard, struck(tmp_path / "0", a=2), ["a"], known=view("known")) == ["a"]
    assert (session.asked, guard.answered) == (["known"], 1)


@pytest.mark.parametrize(
    ("end", "proved"), [(EngineFault("busy"), None), (EngineDead("gone"), EngineDead), ("hang", EngineDead)]
)
def test_an_engine_that_does_not_answer_the_known_request_blames_no_suspect(tmp_path, end, proved):
    guard = guard_of(ScriptedSession({"known": end}), stall_s=0.05)
    journal = struck(tmp_path / "0", a=2)
    if proved is None:
        assert isolate(guard, journal, ["a"], known=view("known")) == ["a"]
        assert guard.answered == 0
    else:
        with pytest.raises(proved):
            isolate(guard, journal, ["a"], known=view("known"))
    guard.ended("killed")
    assert not ShardJournal(tmp_path / "0").alone


def test_an_engine_counts_as_stalled_only_while_the_shard_waits_for_it(tmp_path):
    guard = guard_of(stall_s=0.05)
    waiting, idle = ShardJournal(tmp_path / "0"), ShardJournal(tmp_path / "1")
    guard.sent(waiting, "a", "digest")

    async def later():
        await asyncio.sleep(0.1)
        guard.check_stalled(idle)
        with pytest.raises(EngineDead, match=r"finished nothing for 0\.05 s"):
            guard.check_stalled(waiting)

    asyncio.run(later())
    assert ShardJournal(tmp_path / "0").strikes == {"a": 1}


def test_every_finished_request_starts_the_stall_time_anew(tmp_path):
    guard = guard_of(stall_s=0.3)
    journal = ShardJournal(tmp_path / "0")
    guard.sent(journal, "slow", "digest")

    async def busy():
        for _ in range(6):
            await asyncio.sleep(0.1)
            guard.finished(answered=False)
            guard.check_stalled(journal)

    asyncio.run(busy())
    assert journal.strikes == {}
