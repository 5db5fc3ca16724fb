"""An engine that does not start is told of by its cause, not by Ray's header or by where the cause stands."""

import pytest
import ray

from capgen.dataset.layout import RunLayout
from capgen.pipeline.engines.base import EngineDead, EngineNotStarted
from capgen.pipeline.running.cluster.lost_engines import EngineStarts, why_lost

KILLED = (
    "The actor died unexpectedly before finishing this task.\n\tclass_name: ShardActor\n\tactor_id: 8d14\n\tpid: 7\n"
    "\tip: 127.0.0.1\nThe actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR Worker "
    "exit detail: Worker unexpectedly exits with a connection error code 2. End of file. Some common causes include: "
    "(1) it was killed by the OOM killer due to high memory usage, (2) ray stop --force was called, (3) a crash."
)


GONE = "its process is gone without a word, as when memory runs out and the system kills it"


@pytest.fixture
def log(tmp_path):
    file = RunLayout(tmp_path).engine_log(0)
    file.parent.mkdir()
    return file


def test_a_process_that_is_gone_is_told_of_without_rays_header(tmp_path):
    error = ray.exceptions.RayError(KILLED)
    assert why_lost(error) == GONE
    assert EngineStarts(tmp_path).why_not(0, error).startswith(f"{GONE}; free memory on this machine")


def test_the_log_of_this_start_has_the_cause_where_ray_knows_none(tmp_path, log):
    log.write_text("ValueError: of an earlier start\n")
    starts = EngineStarts(tmp_path)
    starts.begin(0)
    assert "earlier" not in starts.why_not(0, ray.exceptions.RayError(KILLED))
    log.write_text(log.read_text() + "torch.OutOfMemoryError: CUDA out of memory for sk-abcdef0123456789\n")
    told = starts.why_not(0, ray.exceptions.RayError(KILLED))
    assert told.startswith(f"torch.OutOfMemoryError: CUDA out of memory for *** (in {log}; Ray says: its process")
    assert "--tensor-parallel 2" in told


def test_the_engines_own_word_is_told_with_its_remedy_also_where_the_next_start_only_loses_the_process(tmp_path):
    starts = EngineStarts(tmp_path)
    assert starts.why_not(0, EngineNotStarted("no memory", "lower it")) == "no memory; lower it"
    starts.begin(0)
    assert starts.why_not(0, ray.exceptions.RayError(KILLED)) == "no memory; lower it"
    assert starts.why_not(1, ray.exceptions.RayError(KILLED)).startswith(GONE)


def test_an_engine_is_started_three_times_but_once_where_the_next_start_would_end_in_the_same_way(tmp_path):
    passing, lasting = EngineNotStarted("no memory", "free it"), EngineNotStarted("an old driver", "update it", True)
    starts = EngineStarts(tmp_path)
    assert [starts.fails(0, passing) for _ in range(3)] == [False, False, True]
    assert [starts.fails(1, error) for error in (ray.exceptions.RayError(KILLED), lasting)] == [False, True]
    starts.forget(0)
    assert not starts.fails(0, passing)
    cluster = EngineStarts(tmp_path, elsewhere=True)  # the next start may be on a machine with another driver
    assert [cluster.fails(0, lasting) for _ in range(3)] == [False, False, True]


def test_other_errors_are_told_as_they_are(tmp_path):
    starts = EngineStarts(tmp_path)
    assert starts.why_not(0, EngineDead("no folder; mount it")) == "no folder; mount it"
    assert starts.why_not(0, ValueError("odd")) == f"odd; look at the end of {RunLayout(tmp_path).engine_log(0)}"
