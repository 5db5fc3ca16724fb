"""Machines of a test: network, mount, process and host-name namespaces of this machine, joined by a switch.

Each has an address and a name of its own, its own ``/mnt`` (home, scratch and temporary files) and ``/dev/shm``, and
sees ``/mnt/shared`` as a file system that several machines share, unless it is made without. Nothing of them is
reached from this machine's own network, and nothing of that from them.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

REPOSITORY = Path(__file__).resolve().parents[2]
SHARED = Path("/mnt/shared")
_NET = "10.77.0"
_TRIAL = "ip link add name switch type bridge && mount -t tmpfs trial /mnt && hostname trial"
_INIT = """
set -e
mount -t tmpfs -o mode=755 own "$1/own"
mkdir -p "$1/own/shared" "$1/own/home" "$1/own/tmp" "$1/own/scratch"
[ -z "$2" ] || mount --bind "$2" "$1/own/shared"
mount --rbind "$1/own" /mnt
mount -t tmpfs shm /dev/shm
mount --bind "$1/hosts" /etc/hosts
hostname "$3"
ip link set lo up
echo made
read -r _
ip address add "$4/24" dev eth0
ip link set eth0 up
echo up
while :; do sleep 3600 & wait $!; done
"""
"""Arguments: a folder, the shared one or nothing, the name, the address. The last line has children buried."""


def why_not() -> str | None:
    """Why machines cannot be made here; None where they can."""
    needed = [name for name in ("unshare", "nsenter", "ip", "hostname", "mount") if shutil.which(name) is None]
    if needed:
        return f"no {needed[0]} here"
    tried = subprocess.run(
        [
            *_unshare(_as_root()),
            "sh",
            "-c",
            "ip link add name switch type bridge && mount -t tmpfs t /mnt && hostname a",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    return None if tried.returncode == 0 else f"no namespaces here: {tried.stderr.strip()}"


def _unshare(more: Sequence[str] = ()) -> list[str]:
    """A command in namespaces of its own; it ends with its parent."""
    return ["unshare", *more, "--net", "--mount", "--uts", "--pid", "--mount-proc", "--fork", "--kill-child"]


def _as_root() -> list[str]:
    """An ordinary user needs a namespace of users, too: the switch's, in which the machines are."""
    return [] if os.geteuid() == 0 else ["--user", "--map-root-user"]


def _enter(pid: int, *kinds: str) -> list[str]:
    user = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
    return ["nsenter", "--target", str(pid), *user, *kinds]


@dataclass(slots=True)
class Machine:
    """One of the machines.

    Args:
        name: its host name.
        address: on the switch.
        keeper: the process that holds its namespaces; its only child is their first process.
    """

    name: str
    address: str
    keeper: subprocess.Popen[str]
    init: psutil.Process
    _switch: list[str]
    _logs: Path

    def command(self, words: Sequence[str | Path]) -> list[str]:
        """What runs ``words`` there, in the repository's folder."""
        return [
            *_enter(self.init.pid, "--net", "--mount", "--uts", "--pid"),
            "env",
            "-C",
            str(REPOSITORY),
            *map(str, words),
        ]

    def environment(self, more: Mapping[str, str | None]) -> dict[str, str]:
        """This process's environment as it would be there; a variable that is None in ``more`` is unset."""
        own = {
            "HOME": "/mnt/home",
            "TMPDIR": "/mnt/tmp",
            "CAPGEN_SCRATCH": "/mnt/scratch",
            "XDG_STATE_HOME": "/mnt/home/state",
            "PYTHONPATH": str(REPOSITORY),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        return {name: value for name, value in (inherited | own | dict(more)).items() if value is not None}

    def start(self, *words: str | Path, **more: str | None) -> subprocess.Popen[bytes]:
        """A process there; its output is appended to ``log``."""
        with self.log.open("ab") as log:
            return subprocess.Popen(
                self.command(words),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment(more),
            )

    def run(self, *words: str | Path, seconds: float = 120, **more: str | None) -> str:
        """What a command there prints.

        Raises:
            AssertionError: it failed; with what it said.
        """
        done = subprocess.run(
            self.command(words),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            env=self.environment(more),
        )
        assert done.returncode == 0, f"{self.name}: {words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    @property
    def log(self) -> Path:
        """What was started there wrote."""
        return self._logs / f"{self.name}.log"

    def said(self) -> str:
        """The log's text so far."""
        return self.log.read_text("utf-8", "replace") if self.log.exists() else ""

    def cut(self) -> None:
        """The cable is pulled out: what it would still say reaches nobody."""
        subprocess.run([*self._switch, "ip", "link", "set", self._port, "down"], check=True, timeout=20)

    def lose(self) -> None:
        """Its power fails."""
        if self.alive:
            self.cut()
        self.end()

    def end(self) -> None:
        """End every process of it."""
        if self.alive:
            self.init.send_signal(signal.SIGKILL)
        self.keeper.wait(20)

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self.keeper.poll() is None and self.init.is_running()

    @property
    def _port(self) -> str:
        return f"port{self.address.rpartition('.')[2]}"


@dataclass(slots=True)
class Machines:
    """A switch and the machines on it."""

    folder: Path
    keeper: subprocess.Popen[str]
    _switch: list[str]
    all: list[Machine] = field(default_factory=list)

    @property
    def shared(self) -> Path:
        """The folder that machines see as ``/mnt/shared``."""
        return self.folder / "shared"

    def add(self, name: str, *, shares: bool = True, covers: Mapping[Path, Path] | None = None) -> Machine:
        """A further machine.

        Args:
            shares: whether it sees ``/mnt/shared``, which is an empty folder of its own otherwise.
            covers: files of this machine that it sees others in the place of.
        """
        address = f"{_NET}.{len(self.all) + 1}"
        with (self.folder / "hosts").open("a") as hosts:
            hosts.write(f"{address} {name}\n")
        place = self.folder / name
        (place / "own").mkdir(parents=True)
        os.link(self.folder / "hosts", place / "hosts")
        cover = "".join(f"mount --bind '{new}' '{old}'\n" for old, new in (covers or {}).items())
        shared = str(self.shared) if shares else ""
        inner = [*_unshare(), "bash", "-c", cover + _INIT, "init", str(place), shared, name]
        keeper = _keeper([*self._switch, *inner, address], self.folder / "keepers.log")
        _hear(keeper, "made", name)
        init = _first_process(keeper.pid)
        port = f"port{len(self.all) + 1}"
        for words in (
            ["link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", str(init.pid)],
            ["link", "set", port, "master", "switch", "up"],
        ):
            subprocess.run([*self._switch, "ip", *words], check=True, timeout=20)
        assert keeper.stdin is not None
        keeper.stdin.write("go\n")
        keeper.stdin.flush()
        _hear(keeper, "up", name)
        machine = Machine(name, address, keeper, init, self._switch, self.folder)
        self.all.append(machine)
        return machine


@contextmanager
def machines(folder: Path) -> Iterator[Machines]:
    """A switch without machines; all that were added end with the block.

    Args:
        folder: an empty one, for the machines' logs and what they share.
    """
    (folder / "shared").mkdir(parents=True)
    (folder / "hosts").write_text("127.0.0.1 localhost\n")
    setup = "ip link set lo up && ip link add switch type bridge && ip link set switch up && echo up && cat"
    keeper = _keeper([*_unshare(_as_root()), "sh", "-c", setup], folder / "keepers.log")
    _hear(keeper, "up", "the switch")
    all_of = Machines(folder, keeper, _enter(_first_process(keeper.pid).pid, "--net"))
    try:
        yield all_of
    finally:
        for machine in all_of.all:
            machine.end()
        keeper.kill()
        keeper.wait(20)


def _keeper(command: Sequence[str], log: Path) -> subprocess.Popen[str]:
    with log.open("a") as errors:
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True)


def _hear(process: subprocess.Popen[str], word: str, who: str) -> None:
    assert process.stdout is not None
    said = process.stdout.readline().strip()
    if said != word:
        raise AssertionError(f"{who} could not be made: {said!r}, exit {process.poll()}")


def _first_process(keeper: int) -> psutil.Process:
    """The first process of a machine: below nsenter and unshare, which wait for it."""
    process = psutil.Process(keeper)
    while process.name() in ("nsenter", "unshare"):
        children = process.children()
        if not children:
            break
        process = children[0]
    return process
