"""Ranges packed and verified side by side: the bytes, the ledger and the problems are those of one process."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

from capgen.dataset.files import sha256_of
from capgen.dataset.layout import RunLayout
from capgen.dataset.reader import read_plan
from capgen.dataset.release_record import DedupRules, read_release
from capgen.dataset.shards import write_candidates
from capgen.errors import UserError
from capgen.pipeline.releasing import dedup as dedup_step
from capgen.pipeline.releasing import pack as pack_step
from capgen.pipeline.releasing import verify as verify_step
from capgen.pipeline.releasing.ranges import ranges_of, released_ranges
from capgen.pipeline.tasks import InThisProcess, LocalProcesses, TaskLost
from tests.tiny_runs import FINGERPRINT, dropped, failed, plan_run, planned_image, rows_of, said

SENTENCES = ("A red cup.", "A small red cup with a white handle stands on the wooden table near the door.", "A pot.")
BY_RELEASE = DedupRules(scope="release", per_sentence=1)


@pytest.fixture(scope="module")
def processes():
    with LocalProcesses(2) as tasks:
        yield tasks


@pytest.fixture
def small_ranges(monkeypatch):
    """Ranges of three objects, and a part of the comparison for every five."""
    ranges = lambda shards, objects=0: ranges_of(shards, 3)  # noqa: E731
    monkeypatch.setattr(pack_step, "ranges_of", ranges)
    monkeypatch.setattr(verify_step, "ranges_of", ranges)
    monkeypatch.setattr(dedup_step, "_PART_OBJECTS", 5)


def change(row):
    """Captions that repeat others, near and far; some dropped or failed."""
    number = int(row.object_id)
    if number % 7 == 3:
        return dropped(row, "length")
    return failed(row, "engine_failed") if number % 11 == 5 else said(row, SENTENCES[number % 3])


def make(out: Path):
    """Eleven pictures of two splits in six shards; one picture is without objects."""
    media = [planned_image(str(n), objects=n % 4, split="train" if n < 8 else "val") for n in range(1, 12)]
    return plan_run(out, [media[:2], media[2:4], media[4:6], media[6:7], media[7:9], media[9:]]).commit(change=change)


def tree(out: Path) -> dict[str, bytes]:
    names = ("*.parquet", "README.md", "release.json")
    return {str(file.relative_to(out)): file.read_bytes() for name in names for file in sorted(out.rglob(name))}


@pytest.mark.usefixtures("small_ranges")
@pytest.mark.parametrize("rules", [DedupRules(), BY_RELEASE, None])
def test_the_number_of_processes_shows_in_no_byte(tmp_path, processes, rules):
    one, two = make(tmp_path / "one"), make(tmp_path / "two")
    release = one.pack(dedup=rules)
    assert two.pack(dedup=rules, tasks=processes) == release
    assert len(release.of("media", "train")) > 2
    assert tree(one.out) == tree(two.out)
    assert verify_step.verify(two.out, tasks=processes) == verify_step.verify(one.out)
    assert verify_step.verify(one.out).ok
    assert not RunLayout(two.out).scratch.exists()


def test_ranges_decide_no_row(tmp_path, request):
    """One range a split, and many: the same rows, repetitions and counts."""
    whole = make(tmp_path / "whole")
    before = whole.pack(dedup=BY_RELEASE)
    request.getfixturevalue("small_ranges")
    cut = make(tmp_path / "cut")
    after = cut.pack(dedup=BY_RELEASE)
    assert (before.counts, before.media) == (after.counts, after.media)
    assert before.counts.dropped["duplicate"] > 0
    for config in ("captions", "media"):
        for split in ("train", "val"):
            rows = [[row for f in r.of(config, split) for row in pq.read_table(out / f.path).to_pylist()]
                    for r, out in ((before, whole.out), (after, cut.out))]  # fmt: skip
            assert rows[0] == rows[1]
            assert rows[0] or (config, split) == ("captions", "val")
    assert pq.read_table(whole.out / "dedup.parquet").equals(pq.read_table(cut.out / "dedup.parquet"))
    assert (whole.out / "README.md").read_text() == (cut.out / "README.md").read_text()


@pytest.mark.usefixtures("small_ranges")
def test_problems_are_the_same_from_any_number_of_processes(tmp_path, processes):
    run = make(tmp_path / "out")
    release = run.pack()
    rows = [row for media in run.shards[1] for row in rows_of(media, change)]
    write_candidates([said(rows[0], "Another."), *rows[1:]], run.out, 1, {"fingerprint": FINGERPRINT})
    (run.out / release.of("media", "val")[0].path).write_bytes(b"PAR1")
    (run.out / "plan" / "00003.jsonl").unlink()
    ledger = verify_step.verify(run.out)
    assert not ledger.ok
    assert len(ledger.problems) >= 3
    assert verify_step.verify(run.out, tasks=processes) == ledger


@pytest.mark.usefixtures("small_ranges")
def test_a_release_that_does_not_say_its_ranges_is_verified_split_by_split(tmp_path, processes):
    """Releases of earlier versions: one stream a split, whatever its files hold."""
    run = make(tmp_path / "out")
    run.pack()
    record = RunLayout(run.out).release_json
    text = record.read_text()
    release = read_release(run.out)
    assert len(released_ranges(read_plan(run.out).shards, release.files)) > 2
    spans = {file.shards for file in release.files if file.shards}
    for first, last in spans:
        text = text.replace(f'"shards": [\n        {first},\n        {last}\n      ]', '"shards": null')
    record.write_text(text)
    old = read_release(run.out)
    assert {file.shards for file in old.files} == {None}
    assert [one.split for one in released_ranges(read_plan(run.out).shards, old.files)] == ["train", "val"]
    assert verify_step.verify(run.out, tasks=processes).ok
    (run.out / release.of("captions", "train")[1].path).unlink()
    assert not verify_step.verify(run.out, tasks=processes).ok


@pytest.mark.usefixtures("small_ranges")
def test_a_row_moved_to_the_file_of_another_range_is_found(tmp_path):
    run = make(tmp_path / "out")
    release = run.pack()
    first, second, *_ = (run.out / file.path for file in release.of("media", "train"))
    shutil.copy(first, run.out / "kept")
    first.write_bytes(second.read_bytes())
    second.write_bytes((run.out / "kept").read_bytes())
    record = RunLayout(run.out).release_json
    text = record.read_text()
    swapped = {file.path: file for file in release.of("media", "train")[:2]}
    assert len(swapped) == 2
    for file in swapped.values():
        text = text.replace(file.sha256, f"new-{file.path}").replace(
            f'"bytes": {file.bytes}', f'"bytes": "{file.path}"'
        )
    for file in swapped.values():
        path = run.out / file.path
        text = text.replace(f"new-{file.path}", sha256_of(path)).replace(
            f'"bytes": "{file.path}"', f'"bytes": {path.stat().st_size}'
        )
    record.write_text(text)
    assert not verify_step.verify(run.out).ok


def square(number: int, tell) -> int:
    tell()
    return number * number


def refuse(number: int, tell) -> int:
    if number == 2:
        raise UserError("no two here", "give another")
    return number


def die(number: int, tell) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_results_come_in_order_and_every_unit_is_told(processes):
    for tasks in (InThisProcess(), processes):
        told: list[int] = []
        assert list(tasks.map(square, range(9), lambda: told.append(1))) == [n * n for n in range(9)]  # noqa: B023
        assert len(told) == 9


def test_an_error_of_a_part_arrives_as_itself(processes):
    with pytest.raises(UserError, match="no two here; give another"):
        list(processes.map(refuse, range(4)))


def test_a_killed_process_is_one_line_with_a_remedy_and_none_is_left():
    before = set(psutil.Process().children())
    with LocalProcesses(2) as tasks, pytest.raises(TaskLost, match="for lack of memory; what is done is kept"):
        list(tasks.map(die, range(2)))
    started = set(psutil.Process().children()) - before
    assert psutil.wait_procs([p for p in started if "resource_tracker" not in _line(p)], timeout=10)[1] == []


def _line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:  # it has ended
        return ""
