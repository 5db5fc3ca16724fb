"""The accounts of a run: they never go backwards, and they tell a broken run from broken objects."""

import io
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from capgen.dataset.lock import exclusive
from capgen.dataset.plan import ModelName, ShardEntry
from capgen.dataset.sessions.session_record import RateSample, SessionRecord, read_sessions, write_session
from capgen.dataset.shards import Manifest
from capgen.errors import Interrupted
from capgen.pipeline.asking.first_requests import FirstFailures
from capgen.pipeline.asking.handed.open_shards import OpenShards, ShardCounts
from capgen.pipeline.planning.prepare import prepare
from capgen.pipeline.running.driver import run_shards
from capgen.pipeline.running.history import SessionHistory
from capgen.pipeline.running.in_process import InProcess
from capgen.pipeline.running.progress import ProgressDisplay, sentence
from capgen.pipeline.running.run_progress import FirstRequestsFailed, RunProgress
from capgen.pipeline.running.status import run_status
from tests.conftest import write_lvis
from tests.pipeline.runs import asked_once, echo_settings

SIZE = 100


def entry(index):
    return ShardEntry(index=index, split="train", file=f"{index:05d}.jsonl", media=10, objects=SIZE, sha256="")


def manifest(index, **counts):
    body = {"kept": SIZE, "dropped": {}, "failed": {}} | counts
    return Manifest(
        version="1", index=index, fingerprint="f", file="", rows=SIZE, reasons={}, sha256="", bytes=0, **body
    )


def progress_of(shards, settled=None):
    """The progress of so many unfinished shards, and what it showed each time."""
    shown = []
    progress = RunProgress(planned=shards * SIZE, show=lambda now: shown.append(now.settled))
    progress.begin([entry(index) for index in range(shards)], settled or {})
    return progress, shown


def working(**shards):
    return OpenShards({(int(name[1:]), 0): ShardCounts(count) for name, count in shards.items()})


def test_a_shard_counts_on_between_its_last_request_and_its_manifest():
    progress, shown = progress_of(2)
    progress.hear(working(_0=100, _1=60))
    progress.hear(working(_1=70))  # the worker commits shard 0: nobody has it in hand
    progress.hear(working(_1=80))
    progress.committed(manifest(0))
    progress.hear(OpenShards())
    progress.committed(manifest(1))
    assert shown == [0, 160, 170, 180, 180, 180, 200]


def test_a_resumed_run_starts_where_the_last_one_stopped():
    progress, shown = progress_of(2, {0: 40})
    assert (shown, progress.resumed) == ([40], 40)
    progress.hear(working(_0=30))
    assert progress.settled == 40
    progress.hear(working(_0=50))
    assert progress.settled - progress.resumed == 10


def test_a_shard_that_is_handed_out_again_does_not_take_its_reasons_back():
    progress, _ = progress_of(1)
    progress.hear(OpenShards({(0, 0): ShardCounts(50, Counter(refusal=3))}))
    progress.hear(OpenShards({(0, 0): ShardCounts(0)}))
    assert (progress.settled, progress.reasons_so_far) == (50, {"refusal": 3})
    progress.committed(manifest(0, kept=95, dropped={"refusal": 5}))
    assert progress.reasons_so_far == {"refusal": 5}


def test_a_shard_in_pieces_counts_what_all_of_its_engines_have():
    """Engine 1 began with 10 answers, and gave media 5 to 10 away when it had 20; both have gone on since."""
    progress, _ = progress_of(1, {0: 10})
    first = ShardCounts(30, Counter(refusal=3), 25, before=10, media=(0, 4))
    second = ShardCounts(28, Counter(refusal=1, length=2), 5, before=20, media=(5, 6))
    progress.hear(OpenShards({(0, 0): first}) + OpenShards({(0, 5): second}))
    assert (progress.settled, progress.captioned) == (38, 30)
    assert progress.reasons_so_far == {"refusal": 4, "length": 2}
    progress.hear(OpenShards({(0, 0): first}))  # the second is through with its piece
    assert (progress.settled, progress.captioned) == (38, 30)
    again = ShardCounts(39, Counter(refusal=1), 1, before=38, media=(0, 1))  # engine 1 died: another one begins anew
    progress.hear(OpenShards({(0, 0): again}))
    assert (progress.settled, progress.captioned, progress.reasons_so_far["refusal"]) == (39, 30, 4)
    whole = ShardCounts(SIZE, Counter(refusal=6, length=3), 91, before=90, media=(0, 10))
    progress.hear(OpenShards({(0, 0): whole}))  # the one that commits the shard has read all answers
    assert (progress.settled, progress.captioned) == (SIZE, 91)
    assert progress.reasons_so_far == {"refusal": 6, "length": 3}


def test_an_engine_counts_as_lost_once_until_it_is_up_again_and_one_that_leaves_with_notice_does_not():
    progress, _ = progress_of(1)
    progress.engine_started({"start_s": 1.0}, 0)
    for _ in range(3):  # it dies, and fails to start twice
        progress.engine_lost(0)
    assert progress.lost == 1
    progress.engine_started({"start_s": 1.0}, 0)
    progress.engine_lost(0)
    progress.engine_lost(1)  # never was up
    assert progress.lost == 3
    progress.engine_started({"start_s": 1.0}, 2)
    progress.engine_leaves(2)
    progress.engine_lost(2)
    assert progress.lost == 3


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("hear"), st.dictionaries(st.integers(0, 4), st.integers(0, SIZE))),
            st.tuples(st.just("committed"), st.integers(0, 4)),
        ),
        max_size=60,
    )
)
def test_whatever_is_told_in_whatever_order_the_count_never_falls_nor_passes_the_plan(told):
    progress, shown = progress_of(5)
    done = set()
    for what, value in told:
        if what == "hear":
            progress.hear(OpenShards({(index, 0): ShardCounts(count) for index, count in value.items()}))
        elif value not in done:
            done.add(value)
            progress.committed(manifest(value))
    assert shown == sorted(shown)
    assert shown[-1] <= progress.planned
    for index in set(range(5)) - done:
        progress.committed(manifest(index))
    assert progress.settled == progress.planned


def test_what_is_asked_and_what_is_only_being_stopped_are_told_apart():
    progress, _ = progress_of(1)
    assert "the engine is starting" in sentence(progress)
    progress.engine_started({"start_s": 1.0})
    progress.hear(working(_0=100))
    progress.committed(manifest(0))
    assert sentence(progress) == "100/100 objects"
    before = progress.seconds
    progress.ending()
    assert sentence(progress) == "100/100 objects, the engines are stopping"
    assert progress.seconds == before, "no rate counts the seconds in which engines stop"


def test_a_log_begins_with_what_the_run_waits_for():
    printed = io.StringIO()
    display = ProgressDisplay(Console(file=printed, width=40))
    progress = RunProgress(planned=SIZE, show=display)
    progress.begin([entry(0)], {})
    assert printed.getvalue() == "", "nobody has looked yet"
    progress.wait("engine 0 is starting; out/logs/engine-00.log has what it prints")
    said = printed.getvalue().strip()
    assert said == "0/100 objects, 0 s so far: engine 0 is starting; out/logs/engine-00.log has what it prints"


def test_the_line_of_a_run_has_its_engines_the_cached_share_of_its_prompts_and_what_was_lost_by_reason():
    progress, _ = progress_of(2)
    progress.engine_started({"start_s": 1.0})
    progress.engine_lost()
    progress.hear(OpenShards({(1, 0): ShardCounts(20, Counter(refusal=1))}, workers=2))
    assert sentence(progress).endswith(", 2 engines (1 lost), out: refusal 1"), "no tokens are known yet"
    done = manifest(0, kept=98, dropped={"length": 2}, extra={"prompt_tokens": 400, "cached_tokens": 300})
    progress.committed(done)
    said = sentence(progress)
    assert said.startswith("120/200 objects, ")
    assert said.endswith(", 2 engines (1 lost), 75 % cached, out: length 2, refusal 1")


ALIKE = FirstFailures(8, "request_refused", "this server takes no pictures")


def test_a_run_is_stopped_once_every_worker_has_only_failures_of_one_kind():
    progress, _ = progress_of(2)
    assert not progress.hear(OpenShards(failures=(ALIKE,), undecided=1)), "the other worker may fare better"
    with pytest.raises(FirstRequestsFailed) as error:
        progress.hear(OpenShards(failures=(ALIKE, ALIKE)))
    assert "the first 16 objects all failed alike (request_refused)" in str(error.value)
    assert "this server takes no pictures" in str(error.value)


@pytest.mark.parametrize(
    "other",
    [
        OpenShards(answered=1),
        OpenShards(failures=(FirstFailures(8, "missing_picture", "a.jpg"),)),
    ],
)
def test_a_worker_whose_first_requests_fail_goes_on_where_another_fares_better(other):
    progress, _ = progress_of(2)
    assert progress.hear(OpenShards(failures=(ALIKE,)) + other)


def test_nothing_is_stopped_in_a_run_that_has_answers():
    progress, _ = progress_of(2)
    progress.committed(manifest(0, kept=0, dropped={"refusal": SIZE}))
    assert progress.hear(OpenShards(failures=(ALIKE,)))


def test_in_a_run_of_many_shards_the_count_never_falls_and_ends_at_the_plan(tmp_path):
    root = write_lvis(tmp_path / "lvis", images=31)
    settings = echo_settings(root, "engine.options.latency_s=0.02", "engine.options.concurrency=4")
    job, table = prepare(settings, tmp_path / "out", gpus=0, model=ModelName("echo", None))
    shown = []
    run_shards(job, table, InProcess(), lambda now: shown.append((now.settled, now.stopping)))
    counts = [count for count, _ in shown]
    assert counts == sorted(counts)
    assert len(set(counts)) > len(table.shards), "it moves inside shards too"
    assert shown[-1] == (table.objects, True)


def test_the_status_of_a_run_that_goes_on_has_its_rate_of_late_what_is_left_and_its_engines(tmp_path):
    out = tmp_path / "out"
    _, table = prepare(
        echo_settings(write_lvis(tmp_path / "lvis", images=3)), out, gpus=0, model=ModelName("echo", None)
    )
    settled = table.objects - 3
    samples = (RateSample(0, 0, 0, 0), RateSample(100, 0, 4, 8), RateSample(160, settled, 3, 6))
    record = SessionRecord(
        started="2026-11-25T12:00:00+00:00",
        seconds=160,
        ended=None,
        engines=4,
        gpus=1,
        planned=table.objects,
        before=0,
        settled=settled,
        lost=1,
        samples=samples,
    )
    with exclusive(out):
        write_session(out, 1, record)
        state = run_status(out)
    assert state.pace is not None
    assert state.pace.objects_per_s == pytest.approx(settled / 60, abs=0.01)
    assert state.pace.left_s == pytest.approx(3 / (settled / 60), rel=0.01)
    assert "3 of 4 engines up, 1 lost and started anew, 6 requests in flight" in state.text()
    assert run_status(out).pace is None, "nobody works on it any more"


def test_that_engines_are_up_is_written_down_soon(tmp_path, monkeypatch):
    monkeypatch.setattr("capgen.pipeline.running.history._WRITE_SOON_S", 0.0)
    progress = RunProgress(planned=SIZE, show=SessionHistory(tmp_path, 2, 0))
    progress.begin([entry(0)], {})
    up = []
    for workers in (1, 2, 2):
        progress.hear(OpenShards(workers=workers))
        up.append(read_sessions(tmp_path)[-1].samples[-1].engines)
    assert up == [1, 2, 2]


def test_status_has_the_reasons_of_open_shards_with_an_example_also_of_what_an_earlier_session_asked(
    lvis_root, tmp_path, monkeypatch
):
    monkeypatch.setattr("capgen.pipeline.running.history._WRITE_EVERY_S", 0.0)
    settings = asked_once(
        lvis_root, "run.shard_objects=100", "engine.options.garbage_rate=0.6", "engine.options.latency_s=0.2"
    )
    settings.engine.options["concurrency"] = 5
    out, seen, judged = tmp_path / "out", [], []
    job, table = prepare(settings, out, gpus=0, model=ModelName("echo", None))

    def run(stop_at):
        history = SessionHistory(out, 1, 0)

        def show(now):
            history(now)
            seen.append(run_status(out))
            judged.extend(counts.judged for counts in now.left.values())
            if now.settled >= stop_at:
                raise Interrupted

        with history.recording():
            run_shards(job, table, InProcess(), show)

    with exclusive(out):
        with pytest.raises(Interrupted):
            run(5)
        left = run_status(out).settled
        assert 5 <= left < table.objects
        judged.clear()
        run(100)
        state = run_status(out)
    assert max(judged) > table.objects - left, "answers of the earlier session count, too"
    told = [one for one in seen if one.open_reasons]
    assert {one.shards_done for one in told} == {0}, "of a committed shard its manifest counts alone"
    code = next(iter(told[-1].open_reasons))
    assert f"out so far in open shards: {code} {told[-1].open_reasons[code]} (such as: " in told[-1].text()
    assert (state.open_reasons, state.shards_done) == ({}, 1)
    assert all(one.open_reasons[code] <= state.dropped[code] for one in told if code in one.open_reasons)
