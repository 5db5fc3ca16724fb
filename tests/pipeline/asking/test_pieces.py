"""A shard that several engines work on: nothing is asked twice but by intent, and it is committed once."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from capgen.dataset.plan import ModelName
from capgen.dataset.shards import candidates_path, is_committed
from capgen.errors import Interrupted
from capgen.pipeline.asking.handed.open_shards import sum_of_pieces
from capgen.pipeline.asking.handed.pieces import Piece
from capgen.pipeline.asking.worker import Worker
from capgen.pipeline.planning.prepare import prepare
from tests.conftest import write_lvis
from tests.pipeline.runs import echo_settings, session

SLOW = ("engine.options.latency_s=0.01", "engine.options.concurrency=2", "run.shard_objects=1000")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """15 pictures, 42 objects, one shard."""
    return write_lvis(tmp_path_factory.mktemp("lvis"), images=15)


@pytest.fixture(scope="module")
def undisturbed(root, tmp_path_factory):
    out, _ = session(echo_settings(root, *SLOW), tmp_path_factory.mktemp("undisturbed") / "out")
    return candidates_path(out, 0).read_bytes()


def planned(root: Path, out: Path, *more: str):
    return prepare(echo_settings(root, *SLOW, *more), out, gpus=0, model=ModelName("echo"))


async def engines(job, number: int) -> list[Worker]:
    workers = [Worker(job, await job.engine.start(job.context)) for _ in range(number)]
    for worker in workers:
        worker.go_on()
    return workers


async def until(true) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.002)


async def settled(worker: Worker, number: int) -> None:
    await until(lambda: any(shard.settled >= number for shard in worker.active.values()))


def answers(out: Path) -> list[str]:
    """The keys in the journal of shard 0, a line an answer."""
    files = sorted((out / "journal" / "00000").glob("*.jsonl"))
    return [json.loads(line)["key"] for file in files for line in file.read_text().splitlines()]


def test_what_an_engine_gives_away_another_asks_and_the_shard_is_that_of_one(root, undisturbed, tmp_path):
    out = tmp_path / "out"
    job, table = planned(root, out)

    async def run() -> None:
        one, two, three = await engines(job, 3)
        whole = Piece.whole(table.shards[0])
        first = asyncio.create_task(one.piece(whole))
        await settled(one, 4)
        half = one.give()
        assert (half.last, half.commits) == (15, False)
        second = asyncio.create_task(two.piece(half))
        await until(lambda: any(shard.settled > shard.counts.before for shard in two.active.values()))
        known = [*one.active.values(), *two.active.values()]
        said = sum_of_pieces((one.open_shards + two.open_shards).shards.values())
        assert said.settled == len(set().union(*(shard.journal.settled for shard in known)))
        assert said.captioned == sum(shard.outcomes.captioned for shard in known)
        quarter = two.give()
        assert half.first < quarter.first < quarter.last == half.last
        assert await three.piece(quarter) is None
        assert await first is None
        assert await second is None
        assert not is_committed(out, 0, job.fingerprint)
        keys = answers(out)
        assert len(keys) == len(set(keys)) == 42
        manifest = await two.piece(Piece.whole(table.shards[0], final=True))
        assert (manifest.rows, manifest.extra["asked"]) == (42, 0)
        assert await one.piece(whole) == manifest, "an engine that comes too late commits nothing"
        for worker in (one, two, three):
            await worker.close()

    asyncio.run(run())
    assert candidates_path(out, 0).read_bytes() == undisturbed
    assert not (out / "journal" / "00000").exists()


def test_of_two_that_ask_the_same_the_first_counts_and_the_other_gives_up(root, undisturbed, tmp_path):
    out = tmp_path / "out"
    hangs, table = planned(root, out, "engine.options.latency_s=60")
    job, _ = planned(root, out)

    async def run() -> None:
        (one,), (two,) = await engines(hangs, 1), await engines(job, 1)
        whole = Piece.whole(table.shards[0])
        slow = asyncio.create_task(one.piece(whole))
        await until(lambda: one.open_shards.in_flight == 2)
        shared = one.share(whole.key)
        assert (shared.first, shared.last, shared.commits) == (0, 15, False)
        assert await two.piece(shared) is None
        one.drop(whole.key)
        with pytest.raises(Interrupted):
            await slow
        assert one.share(whole.key) is None
        manifest = await two.piece(Piece.whole(table.shards[0], final=True))
        assert manifest.rows == 42
        for worker in (one, two):
            await worker.close()

    asyncio.run(run())
    assert candidates_path(out, 0).read_bytes() == undisturbed


def test_nothing_is_given_of_a_shard_that_an_engine_died_with(root, tmp_path):
    """Which request is to blame is found by one engine alone."""
    out = tmp_path / "out"
    job, table = planned(root, out)
    journal = job.journal_dir(0)
    journal.mkdir(parents=True)
    (journal / "0001-00000000.jsonl").write_text('{"lost":true}\n')

    async def run() -> None:
        (one,) = await engines(job, 1)
        task = asyncio.create_task(one.piece(Piece.whole(table.shards[0])))
        await settled(one, 3)
        assert one.give() is None
        assert (await task).rows == 42
        await one.close()

    asyncio.run(run())
