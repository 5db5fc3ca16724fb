"""Ray where machines are odd: what cannot work is one line at once, and a run's own cluster is its own."""

import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
from ray._private import ray_constants

from capgen.errors import UserError
from capgen.pipeline.running.cluster.address import check_cluster, find_cluster
from capgen.pipeline.running.ray_connect import connected
from capgen.pipeline.running.run_progress import FirstRequestsFailed
from capgen.pipeline.running.session import Devices
from capgen.pipeline.running.status import run_status
from tests.conftest import write_lvis
from tests.pipeline.drivers import REPOSITORY, start
from tests.pipeline.runs import echo_settings, session


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize("address", ["127.0.0.1:{port}", "no-such-host.invalid:6379", "127.0.0.1:99999"])
def test_an_address_where_nothing_listens_is_named_at_once(monkeypatch, address):
    address = address.format(port=free_port())
    monkeypatch.setenv("RAY_ADDRESS", address)
    begun = time.monotonic()
    with pytest.raises(UserError, match=f"RAY_ADDRESS={address}: no Ray cluster answers there"), connected(1, 0):
        pass
    assert time.monotonic() - begun < 20


@pytest.mark.ray
def test_a_run_with_the_tmpdir_of_a_batch_job_works_and_leaves_nothing_there(lvis_root, tmp_path, monkeypatch):
    long = tmp_path / "scratch" / "slurm" / "job_1355700" / "user_home_of_somebody" / "tmp.node0016"
    long.mkdir(parents=True)
    monkeypatch.setenv("TMPDIR", str(long))
    monkeypatch.setattr(tempfile, "tempdir", None)
    _, report = session(echo_settings(lvis_root), tmp_path / "out", Devices(workers=1))
    assert report.kept == 15
    assert "RAY_AUTH_TOKEN" not in os.environ, "the secret of a cluster goes with it"
    assert ray_constants.ENABLE_RAY_CLUSTER, "the next cluster of this process is not bound to the loopback address"


@pytest.mark.ray
def test_every_port_of_a_runs_own_cluster_is_bound_to_the_loopback_address():
    own = (
        "import psutil, ray\n"  # a user's program may have imported it with other settings
        "from capgen.pipeline.running.ray_connect import connected\n"
        "with connected(1, 0) as ray:\n"
        "    class Actor:\n"
        "        def there(self): return True\n"
        "    actor = ray.remote(Actor).remote()\n"
        "    assert ray.get(actor.there.remote())\n"
        "    here = psutil.Process()\n"
        "    for process in (here, *here.children(recursive=True)):\n"
        "        for one in process.net_connections('inet'):\n"
        "            if one.status == 'LISTEN':\n"
        "                print(*process.cmdline()[:1], one.laddr.ip.removeprefix('::ffff:'))\n"
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    done = subprocess.run(
        [sys.executable, "-c", own], env=clean, cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=True
    )
    listening = [line.rsplit(" ", 1) for line in done.stdout.splitlines()]
    names = {Path(name).name for name, _ in listening}
    assert {"gcs_server", "raylet"} <= names, listening
    assert any("ray::Actor" in name for name in names), listening
    assert {address for _, address in listening} == {"127.0.0.1"}, listening


@pytest.mark.parametrize(
    ("address", "what"),
    [
        ("ray://head:10001", "a Ray client's address"),
        ("http://head:8265", "a dashboard's address"),
        ("head", "no HOST:PORT"),
        ("head:port", "no HOST:PORT"),
        ("/tmp/ray", "no HOST:PORT"),
    ],
)
def test_an_address_of_the_wrong_kind_is_named_at_once(address, what):
    with pytest.raises(UserError, match=f"{what}.*HOST:6379"):
        check_cluster(find_cluster(address))


def test_a_web_server_is_no_cluster():
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=lambda: answer_once(server), daemon=True)
        thread.start()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(UserError, match="web server, such as Ray's dashboard"):
            check_cluster(address)


def answer_once(server):
    for _ in range(2):  # the first only looks whether somebody listens
        connection, _ = server.accept()
        with connection:
            if connection.recv(1000):
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")


@pytest.mark.ray
def test_nobody_without_its_token_joins_a_runs_own_cluster(monkeypatch, tmp_path):
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    join = "import ray, sys; ray.init(address=sys.argv[1], log_to_driver=False); print('joined')"
    with connected(1, 0) as ray:
        address = ray.get_runtime_context().gcs_address
        stranger = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
        wrong = stranger | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}
        tried = [
            (_python(join, address, environment), joins)
            for environment, joins in ((dict(os.environ), True), (stranger, False), (wrong, False))
        ]
        for process, joins in tried:
            said, errors = process.communicate(timeout=120)
            assert ("joined" in said) == joins, errors
        told_what_is_wrong_with_the_token(monkeypatch, tmp_path, address, os.environ["RAY_AUTH_TOKEN"])


def told_what_is_wrong_with_the_token(monkeypatch, folder, address, token):
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(folder))
    with pytest.raises(UserError, match="wants a token, and there is none here"):
        check_cluster(address)
    file = folder / ".ray" / "auth_token"
    file.parent.mkdir()
    file.write_text("0" * 64)
    with pytest.raises(UserError, match=r"refuses the token of ~/\.ray/auth_token"):
        check_cluster(address)
    file.write_text(token)
    assert check_cluster(address) == "token"


def _python(program, argument, environment):
    """A Python of its own, started."""
    return subprocess.Popen(
        [sys.executable, "-c", program, argument],
        env=environment,
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.ray
def test_a_cluster_whose_cpus_are_all_taken_is_named_and_waited_for(lvis_root, tmp_path, monkeypatch):
    with connected(1, 0) as ray:

        class Occupant:
            def there(self):
                return True

        number = int(ray.cluster_resources()["CPU"])
        occupant = ray.remote(Occupant).options(num_cpus=number).remote()
        assert ray.get(occupant.there.remote())
        process = start(lvis_root, tmp_path / "out", env={"RAY_ADDRESS": ray.get_runtime_context().gcs_address})
        said, deadline = "", time.monotonic() + 60
        while "no CPU of the Ray cluster is free" not in said and time.monotonic() < deadline:
            time.sleep(0.5)
            said = (tmp_path / "driver.log").read_text()
        assert "no CPU of the Ray cluster is free" in said
        assert process.poll() is None
        ray.kill(occupant)
        assert process.wait(90) == 0


@pytest.mark.ray
def test_on_ray_too_a_run_whose_first_requests_all_fail_alike_stops(tmp_path):
    root = write_lvis(tmp_path / "lvis", images=31)
    broken = ("engine.options.concurrency=1", "engine.options.error_rate=1", "engine.options.latency_s=0.05")
    with pytest.raises(FirstRequestsFailed, match=r"the first (8|16) objects all failed alike \(engine_failed\)"):
        session(echo_settings(root, *broken), tmp_path / "out", Devices(workers=2))
    assert run_status(tmp_path / "out").left == 90
    _, report = session(echo_settings(root), tmp_path / "out", Devices(workers=2))
    assert (report.kept, report.failed) == (90, {})
