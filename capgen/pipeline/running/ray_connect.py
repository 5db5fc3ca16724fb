"""Joining a Ray cluster, or starting one of this machine's own."""

from __future__ import annotations

import atexit
import logging
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from capgen.errors import CapgenError, UserError, first_line
from capgen.pipeline.running.cluster.address import check_cluster, find_cluster, not_connected
from capgen.pipeline.running.driver import RunFailed

log = logging.getLogger(__name__)

_CONNECTS = 2  # Ray gives its node 30 s to start, which a busy machine may not manage at once
_LONGEST_TMPDIR = 40  # Ray adds up to 66 characters, and the system allows 107 in the name of a Unix socket
_OBJECT_STORE = 80 * 2**20  # pictures never travel through it: Ray's least is enough
_MANY_MACHINES = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""``0`` gives a node the address 127.0.0.1, and Ray's processes then bind to that alone. Not only on those systems."""


@contextmanager
def connected(workers: int, gpus: int) -> Iterator[Any]:
    """The module ``ray`` for as long as the block runs; see ``_connect``."""
    try:
        ray = _connect(workers, gpus)
        cluster = bool(os.environ.get("RAY_ADDRESS"))
        try:
            if cluster:
                _want(workers, gpus)
            yield ray
        finally:
            if cluster:
                _want(0, 0)
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
    if address:
        address = find_cluster(address)
        _join_as(check_cluster(address))
    else:
        _lock_out_others()
    options: dict[str, Any] = {"address": address} if address else _local(workers)
    ray = _imported()
    for attempt in range(1 if address else _CONNECTS):
        try:
            ray.init(log_to_driver=False, logging_level=logging.ERROR, configure_logging=True, **options)
            break
        except Exception as error:  # Ray raises bare Exceptions from its start-up
            ray.shutdown()
            if address or attempt + 1 == _CONNECTS:
                raise _not_started(address, error) from error
            log.warning("Ray did not start (%s); trying again", first_line(error))
    if ray.cluster_resources().get("CPU", 0) < 1:
        ray.shutdown()
        raise UserError(
            "the Ray cluster has no CPU to give, and every engine needs one",
            "start one of its nodes with --num-cpus=1 or more, or unset RAY_ADDRESS to run on this machine alone",
        )
    _check_gpus(ray, workers, gpus, grows=bool(address))
    return ray


def _check_gpus(ray: Any, workers: int, gpus: int, *, grows: bool) -> None:
    """That there are GPUs for all engines, or in a cluster, which others may join, for one."""
    there, wanted = ray.cluster_resources().get("GPU", 0), workers * gpus
    if there >= wanted:
        return
    if not grows or there < gpus:
        ray.shutdown()
        raise UserError(f"--gpus asks for {wanted} GPUs, the Ray cluster has {there:g}", "lower --gpus")
    log.warning("--gpus asks for %d GPUs, the Ray cluster has %g: further engines start as nodes join", wanted, there)


def _want(workers: int, gpus: int) -> None:
    """Have the cluster's autoscaler, if it has one, see to room for so many engines; none takes that back."""
    from ray.autoscaler.sdk import request_resources

    each = {"CPU": 1, "GPU": gpus} if gpus else {"CPU": 1}
    request_resources(bundles=[each] * workers)


def _not_started(address: str | None, error: Exception) -> CapgenError:
    return not_connected(address, first_line(error)) if address else RunFailed(f"Ray could not be started: {error}")


def _join_as(mode: str | None) -> None:
    """Have Ray send a token or none, as the cluster expects; what a user has chosen stays."""
    if mode is not None and "RAY_AUTH_MODE" not in os.environ:
        _ours["RAY_AUTH_MODE"] = mode
        os.environ["RAY_AUTH_MODE"] = mode


def _lock_out_others() -> None:
    """Bind the cluster of this process to the loopback address, and give it a secret of its own.

    Set in the environment alone, which Ray's processes inherit; what a user has chosen stays.
    """
    if "RAY_AUTH_MODE" not in os.environ:
        _ours.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=_token())
    if _MANY_MACHINES not in os.environ:
        _ours[_MANY_MACHINES] = "0"
    os.environ.update(_ours)


_ours: dict[str, str] = {}
"""Variables of the environment that were set for the cluster which is connected."""


@cache
def _token() -> str:
    """One for all clusters of this process: Ray reads it once."""
    return secrets.token_hex(32)


def _unlock() -> None:
    """Take out of the environment what was set for this cluster: the next one may be another."""
    for name, value in _ours.items():
        if os.environ.get(name) == value:
            del os.environ[name]
    if _ours and "ray" in sys.modules:
        _read_again()  # or what a user's program starts next would be bound to the loopback address
    _ours.clear()


def _imported() -> Any:
    """The module ``ray`` with the settings of the environment, which it reads once, when it is imported."""
    before = "ray" in sys.modules
    import ray

    if before:
        _read_again()
    return ray


def _read_again() -> None:
    """Have Ray, which is imported, read the environment again."""
    from ray import _raylet
    from ray._private import ray_constants

    core: Any = _raylet  # compiled, without types
    core.Config.initialize("")
    core.AuthenticationTokenLoader.instance().reset_cache()
    many = ray_constants.env_bool(_MANY_MACHINES, not ray_constants.IS_WINDOWS_OR_OSX)
    ray_constants.ENABLE_RAY_CLUSTER = many


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


def draining_nodes() -> frozenset[str]:
    """Nodes of the connected cluster that are about to go: Ray knows of a spot notice, or somebody has drained them."""
    from ray._private.state import state

    return frozenset(state.get_draining_nodes())
