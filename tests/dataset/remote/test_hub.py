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
import os
from capgen.buckets.roots import here
from capgen.buckets.store import ObjectStore
from capgen.cli.data.places import dataset_root, finished_out
from capgen.errors import UserError
from capgen.maskcaptioner.data.release_rows import open_releases
from capgen.pipeline.releasing.verify import verify
out = finished_out("hf://datasets/me/run")
print(verify(out).ok)
(part,) = open_releases([out], "train", pictures=None, limit=None)
print([make().media_id for make in part.rows()])
root = dataset_root("hf://datasets/me/lvis")
print((root / "annotations.json").read_text(), here(root / "images" / "1.jpg").read_text())
try:
    ObjectStore("hf://datasets/me/run").create(".lease/00000001.json", b"x")
except UserError as error:
    print(error)
for name, token in (("nothing", os.environ["HF_TOKEN"]), ("private", "hf_of_somebody_else")):
    os.environ["HF_TOKEN"] = token
    try:
        finished_out(f"hf://datasets/me/{name}")
    except UserError as error:
        print(error)
"""


@pytest.fixture
def hub(tmp_path):
    """The stand-in with a finished run, as `me/run`, whose listing is cut into pages."""
    three_shards(tmp_path / "out").commit().pack()
    files = {p.relative_to(tmp_path / "out").as_posix(): p for p in (tmp_path / "out").rglob("*") if p.is_file()}
    tree = {name: path.read_bytes() for name, path in files.items()}
    lvis = {"annotations.json": b"{}", "images/1.jpg": b"a picture"}
    trees = {("me/run", "main"): tree, ("me/private", "main"): {}, ("me/lvis", "main"): lvis}
    hub = Hub(repos=dict.fromkeys(("me/run", "me/private", "me/lvis"), True), trees=trees, page=5)
    server = serve(hub)
    yield hub
    server.shutdown()


def test_a_run_on_the_hub_is_verified_and_learnt_from_and_one_that_cannot_be_read_is_one_line(hub, tmp_path):
    """In a process of its own: the Hub's library reads the environment when it is imported."""
    own = {"HF_ENDPOINT": hub.address, "HF_TOKEN": TOKEN, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path / "home")}
    environment = os.environ | own | {"CAPGEN_SCRATCH": str(tmp_path / "scratch")}
    command = [sys.executable, "-c", _READ]
    done = subprocess.run(command, env=environment, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ok, media, root, refused, missing, private = done.stdout.splitlines()
    assert (ok, media) == ("True", "['1', '2', '3', '4']")
    assert root == "{} a picture"
    assert refused.startswith("hf://datasets/me/run: nothing is written to the Hub file by file; ")
    assert missing.startswith("hf://datasets/me/nothing cannot be read")
    assert private.startswith("hf://datasets/me/private cannot be read")
    assert "401" in private
    assert private.endswith("a private repository needs the token of somebody who may read it in HF_TOKEN")
    assert "hf_of_somebody_else" not in private
