"""SLURM of Debian's packages on machines of a test: munge, a controller and a daemon on every node."""

from __future__ import annotations

import secrets
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.cluster.machines import SHARED, Machine

_CONF = """
ClusterName=trial
SlurmctldHost={controller}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=/mnt/munge/socket,cred_expire=20
CredType=cred/munge
StateSaveLocation=/mnt/slurm/state
SlurmdSpoolDir=/mnt/slurm/spool
SlurmctldPidFile=/mnt/slurm/controller.pid
SlurmdPidFile=/mnt/slurm/node.pid
SlurmctldLogFile=/mnt/slurm/controller.log
SlurmdLogFile=/mnt/slurm/node.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
SlurmdTimeout=15
KillWait=10
ReturnToService=2
GresTypes=gpu
NodeName={nodes} CPUs=2 RealMemory=4000 Gres=gpu:1
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
"""A job that is put back may start again after ``cred_expire`` seconds and one; SLURM's default is 120."""


def why_not() -> str | None:
    """Why SLURM cannot be tried here; None where it can."""
    missing = [name for name in ("slurmctld", "slurmd", "sbatch", "munged") if shutil.which(name) is None]
    return f"no {missing[0]} here: apt-get install slurm-wlm munge" if missing else None


class SlurmCluster:
    """A controller that jobs are sent from, and its nodes; each has a GPU, which is a number only."""

    def __init__(self, shared: Path, controller: Machine, nodes: Sequence[Machine]) -> None:
        self._controller, self._nodes = controller, nodes
        names = ",".join(node.name for node in nodes)
        folder = shared / "slurm"
        folder.mkdir()
        (folder / "slurm.conf").write_text(_CONF.format(controller=controller.name, nodes=names))
        (folder / "gres.conf").write_text(f"NodeName={names} Name=gpu File=/dev/null\n")
        key = folder / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o600)
        self._environment = {"SLURM_CONF": str(SHARED / "slurm" / "slurm.conf")}
        self._daemons: list[subprocess.Popen[bytes]] = []
        for machine in (controller, *nodes):
            machine.run("mkdir", "-p", "/mnt/slurm/state", "/mnt/slurm/spool", "/mnt/munge")
            self._serve(machine, "munged", "--foreground", *_munge_files())
        time.sleep(1)
        self._serve(controller, "slurmctld", "-D")
        for node in nodes:
            self._serve(node, "slurmd", "-D", "-N", node.name)
        self.wait_for_nodes()

    def _serve(self, machine: Machine, *words: str) -> None:
        self._daemons.append(machine.start(*words, **self._environment))

    def wait_for_nodes(self, seconds: float = 60) -> None:
        """Until every node is idle."""
        until = time.monotonic() + seconds
        while (idle := self.say("sinfo", "-h", "-N", "-o", "%N %T").count(" idle")) < len(self._nodes):
            assert time.monotonic() < until, f"{idle} idle nodes\n{self._controller.said()}"
            time.sleep(0.5)

    def say(self, *words: str, **more: str) -> str:
        """What a command of SLURM's prints on the controller."""
        return self._controller.run(*words, **self._environment | more)

    def submit(self, *words: str, **more: str) -> int:
        """A job's number."""
        return int(self.say("sbatch", "--parsable", *words, **more).strip())

    def job(self, number: int) -> Mapping[str, str]:
        """What the controller knows of a job."""
        line = self.say("scontrol", "show", "job", str(number), "-o")
        return dict(word.split("=", 1) for word in line.split() if "=" in word)

    def wait(self, number: int, *states: str, seconds: float) -> Mapping[str, str]:
        """A job once it is in one of these states."""
        until = time.monotonic() + seconds
        while (job := self.job(number))["JobState"] not in states:
            assert time.monotonic() < until, f"job {number} is {job['JobState']} ({job['Reason']})"
            time.sleep(1)
        return job


def _munge_files() -> list[str]:
    folder = "/mnt/munge"
    key = SHARED / "slurm" / "munge.key"
    own = {"socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
    return [f"--key-file={key}", *(f"--{flag}={folder}/{name}" for flag, name in own.items()), "--force"]
