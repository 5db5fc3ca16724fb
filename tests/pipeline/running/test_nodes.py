"""A cluster of three machines that loses two: the others go on without them, and engines come up elsewhere."""

import time

import psutil
import pytest

from capgen.pipeline.releasing import pack as pack_step
from capgen.pipeline.releasing.ranges import ranges_of
from capgen.pipeline.releasing.verify import verify
from capgen.pipeline.running.cluster.ray_tasks import RayTasks
from capgen.pipeline.running.ray_connect import connected
from tests.conftest import write_lvis
from tests.pipeline.drivers import COUNTED, kill_all, settled, start, wait_until_settled
from tests.pipeline.engines.counted import counts
from tests.pipeline.runs import echo_settings, released, session
from tests.tiny_runs import three_shards

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]

_SLOW_S = 200
"""A machine that runs other tests beside may take minutes to start three raylets and two engines."""
NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}


@pytest.fixture
def cluster():
    """Three raylets on this machine: the head, and two with room for one engine each."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args=NODE | {"num_cpus": 0})
    for _ in range(2):
        cluster.add_node(**NODE)
    cluster.wait_for_nodes(_SLOW_S)
    yield cluster
    cluster.shutdown()


def actors_by_node(cluster):
    """The processes of engines on each node that is not the head: they are children of its raylet."""
    found = {}
    for node in cluster.worker_nodes:
        pids = [info.process.pid for infos in node.all_processes.values() for info in infos]
        found[node] = [child for pid in pids for child in children(pid) if is_engine(child)]
    return found


def children(pid):
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def is_engine(process):
    try:
        return "ShardActor" in " ".join(process.cmdline())
    except psutil.Error:  # it has ended since it was listed
        return False


def lose(cluster, node, engines):
    """The machine is gone, and with it whatever ran there."""
    cluster.remove_node(node, allow_graceful=False)
    for engine in engines:
        if engine.is_running():
            engine.kill()


def wait_for_engines(cluster, number, process, seconds=_SLOW_S):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        found = {node: engines for node, engines in actors_by_node(cluster).items() if engines}
        if len(found) >= number:
            return found
        time.sleep(0.1)
    raise AssertionError(f"no engines on {number} nodes; exit {process.poll()}")


def test_a_run_outlives_the_loss_of_every_node_that_it_began_on(tmp_path, cluster):
    root, out = write_lvis(tmp_path / "lvis", images=41), tmp_path / "out"
    slow = ("--workers", "2", "--set", "engine.options.latency_s=0.5", "--set", "engine.options.concurrency=2")
    process = start(root, out, *slow, env={"RAY_ADDRESS": cluster.address})
    try:
        engines = wait_for_engines(cluster, 2, process)
        wait_until_settled(out, 15, process, _SLOW_S)
        first, second = engines
        lose(cluster, first, engines[first])  # nowhere is there room for its engine: the other goes on
        wait_until_settled(out, settled(out) + 15, process, _SLOW_S)
        cluster.add_node(**NODE)
        lose(cluster, second, engines[second])
        assert settled(out) < 120, "nothing is left for the new node"
        assert process.wait(240) == 0  # there was nowhere else to do it
    finally:
        if process.poll() is None:
            kill_all(process)
    assert verify(out).ok
    calm, _ = session(echo_settings(root), tmp_path / "calm")
    assert released(out) == released(calm)


def test_all_gpus_are_those_that_join_later_too_and_a_machine_that_is_told_to_go_hands_its_shards_back(
    tmp_path, cluster, monkeypatch
):
    """The GPUs are a number that nodes tell Ray: the engine of this test has no use for them.

    Ranges that are packed and verified as tasks of the cluster give the bytes of one process, too.
    """
    root, out = write_lvis(tmp_path / "lvis", images=41), tmp_path / "out"
    for node in list(cluster.worker_nodes):
        cluster.remove_node(node)
    cluster.add_node(**NODE, num_gpus=1)
    slow = ("--gpus", "all", "--set", "engine.options.latency_s=0.4", "--set", "engine.options.concurrency=2")
    process = start(root, out, *slow, engine=COUNTED, env={"RAY_ADDRESS": cluster.address})
    try:
        (engines,) = wait_for_engines(cluster, 1, process).values()
        wait_until_settled(out, 10, process, _SLOW_S)
        cluster.add_node(**NODE, num_gpus=1)
        wait_for_engines(cluster, 2, process)
        assert settled(out) < 90, "nothing is left for the node that has joined"
        engines[0].terminate()
        psutil.wait_procs(engines, timeout=60)
        assert process.wait(240) == 0
    finally:
        if process.poll() is None:
            kill_all(process)
    assert verify(out).ok
    assert counts(out)["asked"] == counts(out)["answered"] == 120, "what was in flight was answered, and nothing twice"
    assert "the engine was lost" not in (tmp_path / "driver.log").read_text()
    calm, _ = session(echo_settings(root, f"engine.name={COUNTED}"), tmp_path / "calm")
    parquet = [{name: data for name, data in released(of).items() if "parquet" in name} for of in (out, calm)]
    assert parquet[0] == parquet[1]
    monkeypatch.setattr(pack_step, "ranges_of", lambda shards, _: ranges_of(shards, 1))
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    one, two = three_shards(tmp_path / "one").commit(), three_shards(tmp_path / "two").commit()
    with connected(1, 0) as ray:
        tasks = RayTasks(ray)
        assert two.pack(tasks=tasks) == one.pack()
        assert verify(two.out, tasks=tasks, scratch=tmp_path) == verify(one.out)
    assert released(one.out) == released(two.out)
