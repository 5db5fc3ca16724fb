"""A cluster whose autoscaler starts machines for a run, as KubeRay's and that of `ray up` do."""

import json
import sys
import time

import pytest
from ray.autoscaler._private.fake_multi_node import node_provider as fake

from capgen.pipeline.releasing.verify import verify
from tests.cluster.machines import machines, why_not
from tests.cluster.ray_nodes import RayMachines, shared, wait_until
from tests.conftest import write_lvis
from tests.pipeline.drivers import settled

pytestmark = [pytest.mark.machines, pytest.mark.timeout(300)]
NODE = {"CPU": 1, "GPU": 1, "object_store_memory": 80 * 2**20}


def autoscaling(folder):
    """A configuration of Ray's own provider whose nodes are processes of one machine: one GPU, and one more at most."""
    lists = ("initialization", "setup", "head_setup", "worker_setup", "head_start_ray", "worker_start_ray")
    config = {f"{name}_commands": [] for name in lists}
    config |= {"auth": {}, "docker": {}, "file_mounts": {}, "cluster_synced_files": [], "upscaling_speed": 1.0}
    config |= {
        "cluster_name": "trial",
        "provider": {
            "type": "external",
            "module": f"{fake.__name__}.{fake.FakeMultiNodeProvider.__name__}",
            "disable_node_updaters": True,
            "disable_launch_config_check": True,
        },
        "available_node_types": {
            fake.FAKE_HEAD_NODE_TYPE: {"resources": {}, "node_config": {}, "max_workers": 0},
            "gpu": {"resources": NODE, "node_config": {}, "min_workers": 1, "max_workers": 2},
        },
        "head_node_type": fake.FAKE_HEAD_NODE_TYPE,
        "max_workers": 2,
        "idle_timeout_minutes": 10,
    }
    (folder / "autoscaling.json").write_text(json.dumps(config))
    return "/mnt/shared/autoscaling.json"


def test_an_autoscaler_starts_machines_for_all_the_gpus_that_a_run_asks_for(tmp_path):
    reason = why_not()
    if reason:
        pytest.skip(reason)
    with machines(tmp_path / "machines") as world:
        write_lvis(world.shared / "lvis", images=31)
        anna = world.add("anna")
        quick = {"AUTOSCALER_UPDATE_INTERVAL_S": "1", "RAY_FAKE_CLUSTER": "1"}
        cluster = RayMachines(anna, f"--autoscaling-config={autoscaling(world.shared)}", **quick)
        count = (sys.executable, "-c", "import ray; ray.init('auto'); print(ray.cluster_resources().get('GPU', 0))")
        until = time.monotonic() + 60
        while anna.run(*count, RAY_AUTH_MODE="token").strip() != "1.0":
            assert time.monotonic() < until, "the autoscaler has started nothing"
        slow = ("--gpus", "2", "--set", "engine.options.latency_s=0.5", "--set", "engine.options.concurrency=2")
        run = cluster.capgen("--root", shared("lvis"), "--out", shared("out"), *slow)
        wait_until(lambda: settled(world.shared / "out") > 0, "the first engine asks", run)
        assert "--gpus asks for 2 GPUs, the Ray cluster has 1: further engines start as nodes join" in anna.said()
        assert run.wait(200) == 0, anna.said()
        assert verify(world.shared / "out").ok
        report = json.loads((world.shared / "out" / "report.json").read_text())
        assert len(report["engine_start_s"]) == 2
