"""A run on machines that differ: each has its own network, files and processes, and only its token lets it join."""

import re
import sys

import pytest

from capgen.pipeline.releasing.verify import verify
from tests.buckets.bucket import KEYS
from tests.cluster.machines import REPOSITORY, machines, why_not
from tests.cluster.ray_nodes import RayMachines, has_engine, shared, wait_until
from tests.conftest import write_lvis
from tests.pipeline.drivers import settled
from tests.pipeline.runs import echo_settings, released, session

pytestmark = [pytest.mark.machines, pytest.mark.timeout(400)]
SLOW = ("--workers", "2", "--set", "engine.options.latency_s=0.5", "--set", "engine.options.concurrency=2")
_PUT = """
import s3fs, sys
bucket = s3fs.S3FileSystem()
bucket.mkdir("runs")
bucket.put(sys.argv[1], "runs/lvis", recursive=True)
"""
_COPY = """
import pathlib, sys
from capgen.dataset.remote.mirror import Mirror
Mirror("s3://runs/out", pathlib.Path(sys.argv[1])).begin()
"""
_COMMITTED = "find /mnt/scratch/run -path '*/candidates/*.parquet' -printf '%f\\n'"


@pytest.fixture
def world(tmp_path):
    """A switch to put machines on."""
    reason = why_not()
    if reason:
        pytest.skip(reason)
    with machines(tmp_path / "machines") as world:
        yield world


def other_version(folder):
    """What a machine sees in the place of capgen's own file."""
    file = REPOSITORY / "capgen" / "__init__.py"
    other = folder / "init_of_another_version.py"
    other.write_text(re.sub('__version__ = ".*"', '__version__ = "0.0.1"', file.read_text()))
    return {file: other}


def parquet(out):
    return {name: data for name, data in released(out).items() if "parquet" in name}


def test_a_run_leaves_out_unfit_machines_and_outlives_one_that_dies_while_another_joins(world, tmp_path):
    root, out = write_lvis(world.shared / "lvis", images=41), world.shared / "out"
    ray = RayMachines(world.add("anna"))
    berta = ray.join(world.add("berta"))
    carla = ray.join(world.add("carla", shares=False))
    dora = ray.join(world.add("dora", covers=other_version(tmp_path)))
    run = ray.capgen("--root", shared("lvis"), "--out", shared("out"), *SLOW)
    said = ray.head.said
    wait_until(lambda: settled(out) >= 10, "berta's engine asks", run)
    left_out = [line for line in said().splitlines() if "left out" in line]
    assert [
        line
        for line in left_out
        if re.search(r"node carla .*it has no folder /mnt/shared/out; mount.*also.*/lvis", line)
    ]
    assert [line for line in left_out if re.search(r"node dora .*capgen 0\.0\.1 in .*; pip install", line)]
    assert len(left_out) == 2, left_out
    emil = ray.join(world.add("emil"))
    wait_until(lambda: has_engine(emil), "an engine on the machine that joined late", run)
    at = settled(out)
    wait_until(lambda: settled(out) >= at + 5, "both ask", run)
    assert has_engine(berta)
    assert settled(out) < 90, "nothing is left for the time after the loss"
    berta.lose()
    assert run.wait(240) == 0, said()
    assert "the engine was lost" in said()
    assert not has_engine(carla)
    assert not has_engine(dora)
    assert verify(out).ok
    calm, _ = session(echo_settings(root), tmp_path / "calm")
    assert parquet(out) == parquet(calm)


def test_machines_that_share_nothing_but_a_bucket_divide_a_run_and_write_the_bytes_of_one_process(world, tmp_path):
    pytest.importorskip("moto.server")
    root = write_lvis(world.shared / "lvis", images=31)
    anna = world.add("anna")
    keys = KEYS | {"AWS_ENDPOINT_URL": f"http://{anna.address}:5000"}
    server = anna.start(sys.executable, "-m", "moto.server", "-H", anna.address, "-p", "5000", **keys)
    ray = RayMachines(anna, **keys)
    engines = [ray.join(world.add(name, shares=False)) for name in ("berta", "carla")]
    anna.run(sys.executable, "-c", _PUT, shared("lvis"), **keys)
    run = ray.capgen("--root", "s3://runs/lvis", "--out", "s3://runs/out", *SLOW)
    wait_until(lambda: all(map(has_engine, engines)), "an engine on each machine", run)
    assert run.wait(240) == 0, anna.said()
    committed = [set(engine.run("sh", "-c", _COMMITTED).split()) for engine in engines]
    assert min(map(len, committed)) >= 2
    anna.run(sys.executable, "-c", _COPY, shared("copy"), **keys)
    server.terminate()
    assert verify(world.shared / "copy").ok
    calm, _ = session(echo_settings(root), tmp_path / "calm")
    assert set.union(*committed) == {file.name for file in (calm / "candidates").glob("*.parquet")}
    assert parquet(world.shared / "copy") == parquet(calm)
