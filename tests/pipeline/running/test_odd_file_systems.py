"""File systems without locks (Lustre, NFS 3) or syncing of folders (CIFS, FUSE): a warning, and a whole run."""

import json
import os
import shutil
import socket
import subprocess
import sys

import pytest

from capgen.pipeline.releasing.verify import verify
from tests.pipeline.drivers import REPOSITORY

SOURCE = """
#define _GNU_SOURCE
#include <errno.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int flock(int file, int operation) { errno = ENOLCK; return -1; }

int fsync(int file) {
    struct stat about;
    if (fstat(file, &about) == 0 && S_ISDIR(about.st_mode)) { errno = EINVAL; return -1; }
    return syscall(SYS_fsync, file);
}
"""


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """The environment of a process that finds such a file system everywhere."""
    if shutil.which("gcc") is None:
        pytest.skip("no gcc to compile the library that stands in for such a file system")
    folder = tmp_path_factory.mktemp("odd")
    (folder / "odd.c").write_text(SOURCE)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", folder / "odd.so", folder / "odd.c"], check=True)
    return os.environ | {"LD_PRELOAD": str(folder / "odd.so")}


def run(environment, root, out):
    command = [sys.executable, "-m", "tests.pipeline.inprocess", "run", "--dataset", "lvis", "--root", str(root)]
    command += ["--engine", "echo", "--model", "none", "--out", str(out), "--set", "run.shard_objects=5"]
    return subprocess.run(command, env=environment, cwd=REPOSITORY, capture_output=True, text=True, check=False)


def test_a_run_goes_through_and_says_once_what_is_missing(odd, lvis_root, tmp_path):
    done = run(odd, lvis_root, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert verify(tmp_path / "out").ok
    assert done.stderr.count("without locks") == 1
    assert done.stderr.count("sync folders") == 1
    assert not (tmp_path / "out" / ".lock.held").exists(), "the stand-in goes with its holder"


def test_a_second_run_is_refused_while_the_first_lives(odd, lvis_root, tmp_path):
    (tmp_path / "out").mkdir()
    holder = {"pid": os.getpid(), "host": socket.gethostname()}
    (tmp_path / "out" / ".lock.held").write_text(json.dumps(holder))
    done = run(odd, lvis_root, tmp_path / "out")
    assert done.returncode == 2
    assert f"in use by process {holder['pid']}" in done.stderr
    assert "a defect" not in done.stderr


def test_a_holder_that_is_gone_is_taken_over(odd, lvis_root, tmp_path):
    (tmp_path / "out").mkdir()
    holder = {"pid": 2**22 - 1, "host": socket.gethostname()}
    (tmp_path / "out" / ".lock.held").write_text(json.dumps(holder))
    assert run(odd, lvis_root, tmp_path / "out").returncode == 0
