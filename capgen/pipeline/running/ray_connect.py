"""Joining a Ray cluster, or starting one of this machine's own."""

from __future__ import annotations

import atexit
import logging
import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from capgen.display import plain
from capgen.errors import CapgenError, UserError
from capgen.pipeline.running.driver import RunFailed

log = logging.getLogger(__name__)

_CONNECTS = 2  # Ray gives its node 30 s to start, which a busy machine may not manage at once
_LISTENS_S = 5.0
_LONGEST_TMPDIR = 40  # Ray adds up to 66 characters, and the system allows 107 in the name of a Unix socket
_OBJECT_STORE = 80 * 2**20  # pictures never travel through it: Ray's least is enough


@contextmanager
def connected(workers: int, gpus: int) -> Iterator[Any]:
    """The module ``ray`` for as long as the block runs; see ``_connect``."""
    try:
        ray = _connect(workers, gpus)
        try:
            yield ray
        finally:
            ray.shutdown()
    finally:
        _unlock()


def _connect(workers: int, gpus: int) -> Any:
    """The module ``ray``, connected: to the cluster that RAY_ADDRESS names, or to one of this machine's own.

    Args:
        workers: engines, each with a CPU of its own.
        gpus: GPUs of each engine.

    Raises:
        RunFailed: Ray could not be started.
        UserError: no cluster answers at RAY_ADDRESS, or it has no CPU, or too few GPUs.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    address = os.environ.get("RAY_ADDRESS")
    options: dict[str, Any] = {"address": address} if address else _local(workers)
    if address:
        _check_listens(address)
    else:
        _lock_out_others()
    import ray

    for attempt in range(1 if address else _CONNECTS):
        try:
            ray.init(log_to_driver=False, logging_level=logging.ERROR, configure_logging=True, **options)
            break
        except Exception as error:  # Ray raises bare Exceptions from its start-up
            ray.shutdown()
            if address or attempt + 1 == _CONNECTS:
                raise _not_connected(address, error) from error
            log.warning("Ray did not start (%s); trying again", first_line(error))
    if ray.cluster_resources().get("CPU", 0) < 1:
        ray.shutdown()
        raise UserError(
            "the Ray cluster has no CPU to give, and every engine needs one",
            "start one of its nodes with --num-cpus=1 or more, or unset RAY_ADDRESS to run on this machine alone",
        )
    there = ray.cluster_resources().get("GPU", 0)
    if there < workers * gpus:
        ray.shutdown()
        raise UserError(f"--gpus asks for {workers * gpus} GPUs, the Ray cluster has {there:g}", "lower --gpus")
    return ray


def _check_listens(address: str) -> None:
    """Ray itself would try for more than a minute, and print lines of its own."""
    host, _, port = address.rpartition(":")
    if "/" in address or not host or not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_LISTENS_S).close()
    except (OSError, OverflowError) as error:
        raise _not_connected(address, error) from error


def _not_connected(address: str | None, error: Exception) -> CapgenError:
    if address:
        return UserError(
            f"RAY_ADDRESS={plain(address)}: no Ray cluster answers there ({first_line(error)})",
            "correct it, start the cluster, or unset it to run on this machine alone",
        )
    return RunFailed(f"Ray could not be started: {error}")


def _lock_out_others() -> None:
    """Give the cluster of this process a secret of its own: its ports are open to whoever reaches this machine.

    Set in the environment alone, which Ray's processes inherit; a user who chose a mode has chosen it for this, too.
    """
    if "RAY_AUTH_MODE" not in os.environ:
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ["RAY_AUTH_TOKEN"] = _token()


@cache
def _token() -> str:
    """One for all clusters of this process: Ray reads it once."""
    return secrets.token_hex(32)


def _unlock() -> None:
    """Take the secret out of the environment again: the next cluster may be another one."""
    if os.environ.get("RAY_AUTH_TOKEN") == _token():
        del os.environ["RAY_AUTH_TOKEN"], os.environ["RAY_AUTH_MODE"]


def _local(workers: int) -> dict[str, Any]:
    short = {} if len(tempfile.gettempdir()) <= _LONGEST_TMPDIR else {"_temp_dir": _short_folder()}
    return {
        **short,
        "address": "local",
        "num_cpus": max(workers, os.cpu_count() or 1),
        "object_store_memory": _OBJECT_STORE,
        "include_dashboard": False,
    }


def _short_folder() -> str:
    """A temporary folder for Ray with a short name, removed with this process; TMPDIR of batch jobs may be too long."""
    root = Path("/tmp")
    folder = tempfile.mkdtemp(prefix="capgen-ray-", dir=root if root.is_dir() else None)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def first_line(error: BaseException) -> str:
    """The first line of an error's text, or its type where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
