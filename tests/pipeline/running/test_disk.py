"""A disk that fills up or may not be written to: one line with the folder and the remedy, and a run that resumes."""

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from capgen.dataset.plan import ModelName
from capgen.pipeline.planning.prepare import prepare
from capgen.pipeline.releasing.verify import verify
from capgen.pipeline.running.status import run_status
from tests.conftest import write_lvis
from tests.pipeline.runs import echo_settings, released, session

REPOSITORY = Path(__file__).resolve().parents[3]
RUN = ["--dataset", "lvis", "--engine", "echo", "--model", "none", "--gpus", "0"]
for _value in ("run.shard_objects=30", "engine.options.latency_s=0.01", "engine.options.concurrency=4"):
    RUN += ["--set", _value]
FULL = "make room there and run the same command again: what is done is kept"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """31 pictures, 90 objects."""
    return write_lvis(tmp_path_factory.mktemp("lvis"), images=31)


@pytest.fixture(scope="module")
def undisturbed(root, tmp_path_factory):
    settings = echo_settings(root, "run.shard_objects=30")
    return released(session(settings, tmp_path_factory.mktemp("undisturbed") / "out")[0])


def command(root, out):
    return [sys.executable, "-m", "tests.pipeline.inprocess", "run", "--root", str(root), "--out", str(out), *RUN]


def one_line(said, out, remedy):
    assert said.startswith("capgen: "), said
    assert said.count("\n") == 1, said
    assert str(out) in said
    assert "cannot be written" in said
    assert remedy in said


@pytest.mark.parametrize("size", [3000, 12_000])
def test_answers_that_cannot_be_written_down_end_the_run_and_those_that_were_are_kept(
    root, undisturbed, tmp_path, size
):
    """No file may grow beyond `size` bytes: the system refuses the write in the middle of a journal's line."""
    out = tmp_path / "out"
    prepare(echo_settings(root, "run.shard_objects=30"), out, gpus=0, model=ModelName("none", None))
    done = subprocess.run(
        command(root, out),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 2
    one_line(done.stderr, out, FULL)
    kept = run_status(out).settled
    assert 0 < kept < 90
    _, report = session(echo_settings(root, "run.shard_objects=30"), out)
    assert report.asked == 90 - kept
    assert verify(out).ok
    assert released(out) == undisturbed


def namespace():
    """A command prefix under which this process may mount; skips where the system forbids it."""
    prefix = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-Urm"]
    probe = [*prefix, "mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", "/mnt"]
    if shutil.which("unshare") is None or subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    return prefix


def in_namespace(script, *arguments):
    done = subprocess.run(
        [*namespace(), "bash", "-c", script, "bash", *map(str, arguments)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.mark.parametrize("size", [20, 44, 72, 112, 128])
def test_a_run_on_a_full_disk_goes_on_when_there_is_room_again(root, undisturbed, tmp_path, size):
    """`size` KiB: full while planning, asking, committing or packing."""
    out, copy = tmp_path / "disk" / "out", tmp_path / "copy"
    out.parent.mkdir()
    script = """
        disk=$1; copy=$2; size=$3; log=$4; shift 4
        mount -t tmpfs -o size=${size}k tmpfs "$disk" || exit 1
        "$@" 2> "$log"; [ $? = 2 ] || exit 2
        df --output=avail "$disk" | tail -1
        mount -o remount,size=64m "$disk" || exit 3
        "$@" || exit 4
        cp -a "$disk/out" "$copy"
    """
    log = tmp_path / "log"
    in_namespace(script, out.parent, copy, size, log, *command(root, out))
    one_line(log.read_text(), out, FULL)
    assert verify(copy).ok
    assert released(copy) == undisturbed
    assert not list(copy.rglob("*.part"))


def test_a_read_only_out_is_named_in_one_line(root, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    script = """
        disk=$1; log=$2; shift 2
        mount -t tmpfs -o size=1m tmpfs "$disk" || exit 1
        mkdir "$disk/out"
        mount -o remount,ro "$disk" || exit 2
        "$@" 2> "$log"; [ $? = 2 ] || exit 3
    """
    in_namespace(script, disk, tmp_path / "log", *command(root, disk / "out"))
    one_line((tmp_path / "log").read_text(), disk / "out", "choose another --out")


def test_a_sample_world_that_cannot_be_written_is_named_in_one_line(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    run = [sys.executable, "-m", "tests.pipeline.inprocess", "run", "--dataset", "sample-images", "--engine", "echo"]
    script = """
        disk=$1; log=$2; shift 2
        mount -t tmpfs -o size=40k tmpfs "$disk" || exit 1
        "$@" 2> "$log"; [ $? = 2 ] || exit 3
    """
    in_namespace(script, disk, tmp_path / "log", *run, "--gpus", "0", "--model", "none", "--out", disk / "out")
    said = (tmp_path / "log").read_text()
    assert said.startswith(f"capgen: cannot write the sample world to {disk}")
    assert said.count("\n") == 1
    assert "make room there" in said
