"""The copies of a run on two machines and its bucket: what one writes the other has, and nothing comes back."""

from __future__ import annotations

import os
import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import uuid4

import pytest

from capgen.buckets.places import remember
from capgen.buckets.store import ObjectStore
from capgen.cli.data.places import finished_out
from capgen.dataset.layout import RunLayout, lock_of
from capgen.dataset.lock import in_turn
from capgen.dataset.reader import read_plan
from capgen.dataset.remote.held_out import open_bucket
from capgen.dataset.remote.mirror import Mirror
from capgen.dataset.shards import is_committed, withdraw
from capgen.errors import LedgerError
from capgen.pipeline.asking.handed.open_shards import OpenShards, ShardCounts
from capgen.pipeline.asking.journal import ShardJournal
from capgen.pipeline.asking.retry_state import reopen
from capgen.pipeline.releasing.verify import verify
from capgen.pipeline.running.history import SessionHistory
from capgen.pipeline.running.run_progress import RunProgress
from capgen.pipeline.running.status import run_status
from capgen.pipeline.view import Settled
from tests.buckets.bucket import new_bucket, s3_server
from tests.tiny_runs import CARD, FINGERPRINT, said, three_shards


@pytest.fixture(scope="module")
def server():
    with s3_server() as address:
        yield address


@pytest.fixture
def url(server):
    return f"{new_bucket()}/runs/one"


def contents(out):
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in out.rglob("*") if p.is_file() and p.name != ".lock"}


def settled(key):
    return Settled(key=key, request="r", text="A cup.", finish_reason="stop")


def test_a_command_leaves_what_another_one_is_fetching_alone(tmp_path, monkeypatch):
    """All processes of a training read its data at once, and each deletes in the copy what is not in the bucket."""
    monkeypatch.setenv("CAPGEN_SCRATCH", str(tmp_path))
    url = f"memory://{uuid4().hex}"
    ObjectStore(url).write("data/a", b"a")
    folder = finished_out(url)
    half_written = folder / "data" / "a.1234abcd.part"
    with ThreadPoolExecutor(1) as pool:
        with in_turn(lock_of(folder)):
            half_written.touch()
            second = pool.submit(finished_out, url)
            with pytest.raises(TimeoutError):
                second.result(0.3)
            assert half_written.exists()
        assert second.result(30) == folder
    assert contents(folder) == {"data/a": b"a"}, "what a killed command left is deleted"


def test_a_release_that_was_made_here_is_whole_there(url, tmp_path):
    run = three_shards(tmp_path / "a").commit()
    run.pack()
    here = Mirror(url, tmp_path / "a")
    here.push()
    there = Mirror(url, tmp_path / "b")
    there.begin()
    assert contents(tmp_path / "b") == contents(tmp_path / "a")
    assert verify(tmp_path / "b").ok
    before = here.store.list()
    here.pull()
    here.push()
    assert here.store.list() == before, "nothing is written twice"


def test_a_card_that_is_written_alone_reaches_the_bucket_alone_and_what_is_there_is_always_a_release(url, tmp_path):
    run = three_shards(tmp_path / "a").commit()
    run.pack()
    here = Mirror(url, run.out)
    here.push()
    before, titles = here.store.list(), []

    def written(path):
        here.give([path])
        there = tmp_path / f"b{len(titles)}"
        Mirror(url, there).begin()
        assert verify(there).ok
        titles.append("Another title" in RunLayout(there).card.read_text())

    run.pack(card=replace(CARD, title="Another title"), written=written)
    here.push()
    after = here.store.list()
    assert titles == [False, True, True]
    assert {name for name in after if after[name] != before.get(name)} == {"README.md", "release.json"}
    assert after.keys() == before.keys()


def test_a_new_release_replaces_the_old_one_and_its_files(url, tmp_path):
    run = three_shards(tmp_path / "a").commit()
    run.pack()
    here, there = Mirror(url, tmp_path / "a"), Mirror(url, tmp_path / "b")
    here.push()
    there.begin()
    withdraw(run.out, 0)
    run.commit(0, change=lambda row: said(row, f"Another {row.object_id}."))
    run.pack()
    here.push()
    there.pull()
    assert contents(tmp_path / "b") == contents(tmp_path / "a")
    assert verify(tmp_path / "b").ok
    assert len([name for name in here.store.list() if name.startswith("candidates/00000-")]) == 1


def test_of_two_workers_that_finish_one_shard_one_alone_commits_it(url, tmp_path):
    first = three_shards(tmp_path / "a")
    second = three_shards(tmp_path / "b")
    first.commit(1)
    second.commit(1, change=lambda row: said(row, "Somebody else's words."))
    one, other = Mirror(url, tmp_path / "a"), Mirror(url, tmp_path / "b")
    assert one.commit_shard(1)
    assert not other.commit_shard(1)
    assert contents(tmp_path / "b") == contents(tmp_path / "a")
    assert is_committed(tmp_path / "b", 1, FINGERPRINT, deep=True)


def test_answers_reach_the_next_worker_line_by_line_and_go_with_the_commit(url, tmp_path):
    run = three_shards(tmp_path / "a")
    Mirror(url, tmp_path / "a").push()
    entry = run.table.shards[0]
    layout = RunLayout(tmp_path / "a")
    here = Mirror(url, tmp_path / "a")
    with ShardJournal(layout.journal_dir(0)) as journal:
        for number in range(5):
            journal.add(settled(f"tiny/train/1/{number}"))
            journal.flush()
            here.push_journals([0])
    there = Mirror(url, tmp_path / "b")
    there.begin_shard(entry.file, 0)
    assert (tmp_path / "b" / "plan" / entry.file).read_bytes() == layout.plan_file(entry.file).read_bytes()
    with ShardJournal(RunLayout(tmp_path / "b").journal_dir(0)) as journal:
        assert len(journal.settled) == 5
        journal.add(settled("tiny/train/2/9"))
    there.push_journals([0])
    here.hear_journal(0)
    with ShardJournal(layout.journal_dir(0)) as journal:
        assert len(journal.settled) == 6
    run.commit(0)
    assert here.commit_shard(0)
    there.pull()
    assert not here.store.list("journal/")
    assert not RunLayout(tmp_path / "b").journal_dir(0).exists()


def test_lines_that_a_kill_kept_from_the_bucket_are_not_lost_on_their_machine(url, tmp_path):
    three_shards(tmp_path / "a")
    here = Mirror(url, tmp_path / "a")
    here.push()
    folder = RunLayout(tmp_path / "a").journal_dir(0)
    with ShardJournal(folder) as journal:
        journal.add(settled("tiny/train/1/10"))
        journal.flush()
        here.push_journals([0])
        journal.add(settled("tiny/train/1/11"))
    again = Mirror(url, tmp_path / "a")
    again.begin()
    with ShardJournal(folder) as journal:
        assert len(journal.settled) == 2
    again.push_journals([0])
    other = Mirror(url, tmp_path / "b")
    other.begin()
    with ShardJournal(RunLayout(tmp_path / "b").journal_dir(0)) as journal:
        assert len(journal.settled) == 2


def test_lines_of_which_the_bucket_has_none_stay_too_unless_they_are_of_another_round(url, tmp_path):
    run = three_shards(tmp_path / "a")
    Mirror(url, tmp_path / "a").push()
    folder = RunLayout(tmp_path / "a").journal_dir(0)
    with ShardJournal(folder) as journal:
        journal.add(settled("tiny/train/1/10"))
    Mirror(url, tmp_path / "a").begin()
    with ShardJournal(folder) as journal:
        assert len(journal.settled) == 1
    other = Mirror(url, tmp_path / "b")
    other.begin()
    three_shards(tmp_path / "c").commit(0)
    for name in ("00000.parquet", "00000.json"):
        (tmp_path / "b" / "candidates").mkdir(exist_ok=True)
        (tmp_path / "c" / "candidates" / name).rename(tmp_path / "b" / "candidates" / name)
    reopen(tmp_path / "b", 0, RunLayout(tmp_path / "b").journal_dir(0), {"tiny/train/1/10": "length"}, {})
    other.push()
    Mirror(url, run.out).begin()
    with ShardJournal(folder) as journal:
        assert not journal.settled, "it is asked again in the round that the bucket has"


def test_what_a_copy_has_of_a_run_that_is_no_longer_there_is_forgotten(url, tmp_path):
    run = three_shards(tmp_path / "a").commit()
    run.pack()
    Mirror(url, tmp_path / "a").begin()
    assert contents(tmp_path / "a") == {}


def test_what_the_holder_forgets_is_forgotten_there(url, tmp_path):
    run = three_shards(tmp_path / "a").commit(0)
    here = Mirror(url, tmp_path / "a")
    with ShardJournal(RunLayout(run.out).journal_dir(1)) as journal:
        journal.add(settled("tiny/train/3/30"))
    here.push()
    assert any(name.startswith("journal/") for name in here.store.list())
    withdraw(run.out, 0)
    with ShardJournal(RunLayout(run.out).journal_dir(1)) as journal:
        journal.remove()
    here.push()
    assert not [name for name in here.store.list() if name.startswith(("journal/", "candidates/"))]


def test_names_that_lead_out_of_the_folder_are_refused(url, tmp_path):
    mirror = Mirror(url, tmp_path / "a" / "b")
    mirror.store.write("plan.json", b"{}")
    mirror.store._fs.pipe_file(f"{mirror.store._root}/x/../../evil", b"1")
    with pytest.raises(LedgerError, match="leads out of a folder"):
        mirror.pull()
    assert not (tmp_path / "evil").exists()


def test_how_a_run_stands_is_seen_from_another_machine_while_it_goes_on(url, tmp_path):
    run = three_shards(tmp_path / "a").commit(1)
    Mirror(url, run.out).push()
    remember(tmp_path / "b", url)
    there = Mirror(url, tmp_path / "b")
    with open_bucket_of(run.out, url) as bucket:
        progress = RunProgress(planned=8, show=SessionHistory(run.out, 1, 0, bucket.tell))
        progress.begin([entry for entry in read_plan(run.out).table.shards if entry.index != 1], {})
        progress.hear(OpenShards({(0, 0): ShardCounts(1, Counter(refusal=1))}, workers=1, in_flight=4))
        record = RunLayout(run.out).session(1)
        bucket.tell(record, True)
        there.begin(rows_too=False)
        state = run_status(tmp_path / "b")
        assert state.running == f"process {os.getpid()} on {socket.gethostname()}"
        assert state.pace is not None
        assert (state.shards_done, state.damaged) == (1, None)
        bucket.mirror.pull()
        assert (tmp_path / "b" / "sessions" / "0001.json").read_bytes() == record.read_bytes()
    assert run_status(tmp_path / "b").running is None


def open_bucket_of(out, url):
    remember(out, url)
    return open_bucket(out, None)
