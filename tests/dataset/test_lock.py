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


def test_an_out_that_is_a_file_is_named(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(UserError, match="cannot be written"), exclusive(tmp_path / "out"):
        pass
