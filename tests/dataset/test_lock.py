import multiprocessing
import os

import pytest

from capgen.dataset.lock import exclusive
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
