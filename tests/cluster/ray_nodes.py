"""Ray on machines of a test, with token authentication, and runs that are started there."""

from __future__ import annotations

import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from tests.cluster.machines import SHARED, Machine

_PORT = 6379
_FLAGS = ("--disable-usage-stats", "--object-store-memory", str(80 * 2**20))
_QUICK = {
    "RAY_health_check_initial_delay_ms": "5000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "5000",
    "RAY_health_check_failure_threshold": "2",
}
"""A machine whose power failed is found out after some ten seconds instead of half a minute."""


class RayMachines:
    """A head without a CPU to give, and nodes with one each; only who has its token joins.

    Args:
        environment: of everything that runs there, beside the machine's own.
    """

    def __init__(self, head: Machine, *flags: str, **environment: str) -> None:
        self.head, self.token, self._environment = head, secrets.token_hex(32), environment
        self._ray(
            head,
            "--head",
            f"--port={_PORT}",
            "--temp-dir=/mnt/ray",
            "--include-dashboard=false",
            "--num-cpus=0",
            *flags,
        )

    @property
    def address(self) -> str:
        return f"{self.head.address}:{_PORT}"

    def join(self, machine: Machine) -> Machine:
        """Have a machine be a node."""
        self._ray(machine, f"--address={self.address}", "--num-cpus=1")
        return machine

    def _ray(self, machine: Machine, *flags: str) -> None:
        machine.run("sh", "-c", f"umask 077; mkdir -p ~/.ray; echo {self.token} > ~/.ray/auth_token")
        ray = str(Path(sys.executable).with_name("ray"))
        own = f"--node-ip-address={machine.address}"
        machine.run(ray, "start", own, *_FLAGS, *flags, RAY_AUTH_MODE="token", **_QUICK | self._environment)

    def capgen(self, *words: str) -> subprocess.Popen[bytes]:
        """`capgen run` with the engine `echo` on the head, where the token's file is; the output is in its log."""
        command = (
            sys.executable,
            "-m",
            "capgen.cli",
            "run",
            "--dataset",
            "lvis",
            "--engine",
            "echo",
            "--model",
            "none",
        )
        environment = self._environment | {"RAY_ADDRESS": self.address}
        return self.head.start(*command, "--set", "run.shard_objects=5", *words, **environment)


def has_engine(machine: Machine) -> bool:
    """Whether an engine's process is there."""
    for process in machine.init.children(recursive=True) if machine.alive else ():
        try:
            if "ShardActor" in " ".join(process.cmdline()):
                return True
        except psutil.Error:
            continue
    return False


def wait_until(true: Callable[[], bool], what: str, run: subprocess.Popen[bytes], seconds: float = 120) -> None:
    """Until ``true()`` while a run goes on."""
    until = time.monotonic() + seconds
    while not true():
        assert run.poll() is None, f"{what}: the run ended with {run.poll()}"
        assert time.monotonic() < until, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.2)


def shared(name: str) -> str:
    """A name in the folder that machines share."""
    return str(SHARED / name)
