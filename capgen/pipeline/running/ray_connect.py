"""Joining a Ray cluster, or starting one of this machine's own."""

from __future__ import annotations

import logging
import os
from typing import Any

from capgen.errors import UserError
from capgen.pipeline.running.driver import RunFailed

log = logging.getLogger(__name__)

_CONNECTS = 2  # Ray gives its node 30 s to start, which a busy machine may not manage at once
_OBJECT_STORE = 80 * 2**20  # pictures never travel through it: Ray's least is enough


def connect(workers: int, gpus: int) -> Any:
    """The module ``ray``, connected: to the cluster that RAY_ADDRESS names, or to one of this machine's own.

    Args:
        workers: engines, each with a CPU of its own.
        gpus: GPUs of each engine.

    Raises:
        RunFailed: Ray could not be started or joined.
        UserError: the cluster has too few GPUs.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    address = os.environ.get("RAY_ADDRESS")
    options: dict[str, Any] = {"address": address} if address else _local(workers)
    for attempt in range(1 if address else _CONNECTS):
        try:
            ray.init(log_to_driver=False, logging_level=logging.ERROR, configure_logging=True, **options)
            break
        except Exception as error:  # Ray raises bare Exceptions from its start-up
            ray.shutdown()
            if address or attempt + 1 == _CONNECTS:
                raise RunFailed(f"Ray could not be started or joined: {error}") from error
            log.warning("Ray did not start (%s); trying again", first_line(error))
    there = ray.cluster_resources().get("GPU", 0)
    if there < workers * gpus:
        ray.shutdown()
        raise UserError(f"--gpus asks for {workers * gpus} GPUs, the Ray cluster has {there:g}", "lower --gpus")
    return ray


def _local(workers: int) -> dict[str, Any]:
    return {
        "address": "local",
        "num_cpus": max(workers, os.cpu_count() or 1),
        "object_store_memory": _OBJECT_STORE,
        "include_dashboard": False,
    }


def first_line(error: BaseException) -> str:
    """The first line of an error's text, or its type where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
