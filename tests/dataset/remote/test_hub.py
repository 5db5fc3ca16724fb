"""A run's folder on the Hub is read as one in a bucket, here from a stand-in on loopback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.exporting.hub import TOKEN, Hub, serve
from tests.tiny_runs import three_shards

REPOSITORY = Path(__file__).resolve().parents[3]
_READ = """
import sys
from capgen.cli.data.places import finished_out
from capgen.errors import UserError
from capgen.maskcaptioner.data.release_rows import open_releases
from capgen.pipeline.releasing.verify import verify
out = finished_out("hf://datasets/me/run")
print(verify(out).ok)
(part,) = open_releases([out], "train", pictures=None, limit=None)
print([make().media_id for make in part.rows()])
try:
    finished_out("hf://datasets/me/nothing")
except UserError as error:
    print(error)
"""


@pytest.fixture
def hub(tmp_path):
    """The stand-in with a finished run, as `me/run`."""
    three_shards(tmp_path / "out").commit().pack()
    files = {p.relative_to(tmp_path / "out").as_posix(): p for p in (tmp_path / "out").rglob("*") if p.is_file()}
    hub = Hub(repos={"me/run": True}, trees={("me/run", "main"): {name: p.read_bytes() for name, p in files.items()}})
    server = serve(hub)
    yield hub
    server.shutdown()


def test_a_run_on_the_hub_is_verified_and_learnt_from_and_one_that_is_not_there_is_one_line(hub, tmp_path):
    """In a process of its own: the Hub's library reads the environment when it is imported."""
    own = {"HF_ENDPOINT": hub.address, "HF_TOKEN": TOKEN, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path / "home")}
    environment = os.environ | own | {"CAPGEN_SCRATCH": str(tmp_path / "scratch")}
    command = [sys.executable, "-c", _READ]
    done = subprocess.run(command, env=environment, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ok, media, missing = done.stdout.splitlines()
    assert (ok, media) == ("True", "['1', '2', '3', '4']")
    assert missing.startswith("hf://datasets/me/nothing cannot be read")
