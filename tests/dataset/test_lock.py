import errno
import fcntl
import json
import multiprocessing
import os
import socket
import subprocess
import sys
import time

import pytest

from capgen.dataset.layout import RunLayout
from capgen.dataset.lock import exclusive, exclusive_file, lock_holder
from capgen.errors import UserError


def hold(out, ready, leave):
    with exclusive(out):
        ready.set()
        leave.wait(30)


def test_a_second_run_on_one_out_is_told_who_holds_it(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready, leave = context.Event(), context.Event()
    holder = context.Process(target=hold, args=(tmp_path / "out", ready, leave))
    holder.start()
    assert ready.wait(30)
    with pytest.raises(UserError, match=f"in use by process {holder.pid} on "), exclusive(tmp_path / "out"):
        pass
    leave.set()
    holder.join(30)
    with exclusive(tmp_path / "out"):
        pass


def test_a_killed_holder_frees_the_lock(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready, leave = context.Event(), context.Event()
    holder = context.Process(target=hold, args=(tmp_path / "out", ready, leave))
    holder.start()
    assert ready.wait(30)
    os.kill(holder.pid, 9)
    holder.join(30)
    with exclusive(tmp_path / "out"):
        pass


def test_a_run_that_could_not_start_leaves_no_folder(tmp_path):
    out = tmp_path / "deep" / "out"
    with pytest.raises(UserError, match="no root"), exclusive(out):
        raise UserError("no root")
    assert not (tmp_path / "deep").exists()


def test_a_run_that_wrote_something_keeps_its_folder_and_so_does_one_that_found_it(tmp_path):
    with exclusive(tmp_path / "out"):
        (tmp_path / "out" / "plan.json").write_text("{}")
    assert (tmp_path / "out" / "plan.json").is_file()
    (tmp_path / "mine").mkdir()
    with exclusive(tmp_path / "mine"):
        pass
    assert (tmp_path / "mine").is_dir()


def test_an_out_that_is_a_file_is_named(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(UserError, match="cannot be written"), exclusive(tmp_path / "out"):
        pass


@pytest.fixture
def no_flock(monkeypatch):
    """A file system without locks, such as NFSv3 or Lustre without its mount option."""

    def refused(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refused)


def test_without_flock_there_is_a_warning_and_a_lock_all_the_same(no_flock, tmp_path, caplog):
    out = tmp_path / "out"
    with exclusive(out):
        assert "without locks" in caplog.text
        me = f"process {os.getpid()} on {socket.gethostname()}"
        assert lock_holder(out) == me
        with pytest.raises(UserError, match=f"in use by {me}"), exclusive(out):
            pass
        (out / "plan.json").write_text("{}")
    assert lock_holder(out) is None
    assert not RunLayout(out).lock_file.exists()
    with exclusive(out):
        pass


def left_behind(out, *, host, pid, age_s):
    out.mkdir()
    file = RunLayout(out).lock_file
    file.write_text(json.dumps({"pid": pid, "host": host}))
    then = time.time() - age_s
    os.utime(file, (then, then))


def test_without_flock_a_dead_holders_lock_is_taken_over(no_flock, tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait(30)
    left_behind(tmp_path / "here", host=socket.gethostname(), pid=ended.pid, age_s=0)
    left_behind(tmp_path / "there", host="another-node", pid=1, age_s=3600)
    for name in ("here", "there"):
        with exclusive(tmp_path / name):
            assert lock_holder(tmp_path / name) == f"process {os.getpid()} on {socket.gethostname()}"


def test_without_flock_another_machines_lock_holds_while_it_is_renewed(no_flock, tmp_path):
    left_behind(tmp_path / "out", host="another-node", pid=1, age_s=5)
    with pytest.raises(UserError, match="in use by process 1 on another-node"), exclusive(tmp_path / "out"):
        pass


def test_who_looks_at_a_lock_learns_the_holder_and_disturbs_nobody(tmp_path):
    out = tmp_path / "out"
    assert lock_holder(out) is None
    context = multiprocessing.get_context("spawn")
    ready, leave = context.Event(), context.Event()
    holder = context.Process(target=hold, args=(out, ready, leave))
    holder.start()
    assert ready.wait(30)
    assert lock_holder(out).startswith(f"process {holder.pid} on ")
    leave.set()
    holder.join(30)
    assert lock_holder(out) is None


def test_a_file_is_made_by_one_process_and_its_lock_is_gone_afterwards(tmp_path):
    file = tmp_path / "new" / "scores.json"
    with exclusive_file(file):
        refused = pytest.raises(UserError, match=f"scores.json is in use by process {os.getpid()} on ")
        with refused, exclusive_file(file):
            pass
        with exclusive_file(file.with_name("other.json")):
            pass
    assert list(file.parent.iterdir()) == []
    with exclusive_file(file):
        pass


def test_what_a_killed_process_left_of_a_file_is_gone_and_the_files_of_others_stay(tmp_path):
    names = ["page.html.0a1b2c3d.part", "other.html.0a1b2c3d.part", "page.html.part", ".page.html.lock"]
    for name in names:
        (tmp_path / name).write_text("half")
    with exclusive_file(tmp_path / "page.html"):
        pass
    assert {path.name for path in tmp_path.iterdir()} == set(names[1:3])


@pytest.mark.parametrize("umask", [0o002, 0o077])
def test_a_lock_is_as_open_as_the_umask_says(tmp_path, umask):
    before = os.umask(umask)
    try:
        with exclusive(tmp_path / "out"):
            assert RunLayout(tmp_path / "out").lock.stat().st_mode & 0o777 == 0o666 & ~umask
    finally:
        os.umask(before)
