"""What commands write, on full disks, killed at every step, twice at once, and under several umasks.

    python -m tests.stress.writing [COMMAND ...] [--kills 40] [--sizes 16] [--pairs 6] [--seed 0]

Each command writes into a tmpfs of its own: of a size at which it is full sooner or later, or killed with SIGKILL
before a step that changes a file, or at a random moment. What then stands under its name must be what was there before
or what an undisturbed call writes, byte for byte; a full disk is told of in one line that names a folder on it; and the
same command, called again when there is room, ends as an undisturbed one does and leaves no half-written file. While a
call is stopped in the middle a second one on the same output must be refused. Needs `unshare` and the right to mount.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.common import machine, save
from tests.stress import RESULTS
from tests.stress.writing_calls import Call, Ended
from tests.stress.writing_commands import COMMANDS, WritingCommand, prepare

_UMASKS = (0o002, 0o022, 0o027, 0o077)
_ROOMY = "256m"
_PAGE = 4096
_TIME = re.compile(rb"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?")
"""When a page was made, which it says."""


@contextmanager
def disk(place: Path, size: str = _ROOMY) -> Iterator[Path]:
    """A file system of its own at ``place``."""
    place.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def resize(place: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", place], check=True)


def visible(place: Path) -> dict[str, bytes]:
    """What stands under its name, without times: no locks, and nothing that is called unfinished."""
    found = {}
    for path in sorted(place.rglob("*")):
        name = path.relative_to(place).as_posix()
        hidden = any(one.endswith(".part") or (one.startswith(".") and "lock" in one) for one in name.split("/"))
        if path.is_file() and not hidden:
            found[name] = _TIME.sub(b"a time", path.read_bytes())
    return found


def left_over(place: Path) -> list[str]:
    """Half-written files, and locks of single files."""
    names = [path.relative_to(place).as_posix() for path in place.rglob("*")]
    return [name for name in names if ".part" in name or (name.endswith(".lock") and not name.endswith("/.lock"))]


@dataclass(slots=True)
class Trial:
    """One command: what it writes undisturbed, over nothing and over what another call has written."""

    command: WritingCommand
    base: Path
    place: Path
    draw: random.Random
    before: dict[str, bytes] = field(default_factory=dict)
    after: dict[str, bytes] = field(default_factory=dict)
    alone: Ended | None = None
    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def call(self, *, old: bool = False, **options: int) -> Call:
        """The command, or that which wrote what is there ``old``."""
        return Call(self.command.arguments(self.base, self.place, old=old), self.place, **options)

    def measure(self) -> None:
        """The undisturbed calls."""
        with disk(self.place):
            ended = self.call(old=True).end()
            self.expect(ended.code == 0, "the old call", ended)
            self.before = visible(self.place)
        with disk(self.place):
            self.alone = self.call().end()
            self.expect(self.alone.code == 0, "an undisturbed call", self.alone)
            self.expect(not left_over(self.place), f"an undisturbed call left {left_over(self.place)}", self.alone)
            self.after = visible(self.place)

    def expect(self, holds: bool, what: str, ended: Ended) -> None:
        """Note a fault."""
        if not holds:
            fault = f"{self.command.name}: {what} (exit {ended.code}, {ended.said[-300:]!r})"
            self.faults.append(fault)
            print(f"FAULT {fault}", flush=True)

    def begin(self, *, over: bool) -> None:
        """Put there what an older call has written, or nothing."""
        for name, data in self.before.items() if over else ():
            path = self.place / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    def look(self, what: str, ended: Ended, *, over: bool) -> None:
        """Every file is what was there before, or what an undisturbed call writes."""
        for name, data in visible(self.place).items():
            known = [side[name] for side in (self.before if over else {}, self.after) if name in side]
            fine = any(self.command.alike(name, data, one) for one in known) or self.command.may_differ(name, data)
            self.expect(fine, f"{what}: {name} is neither the old nor the new one, {len(data)} bytes", ended)
        trouble = self.command.trouble(self.place)
        self.expect(trouble is None, f"{what}: {trouble}", ended)
        if over:
            lost = [name for name in self.before if name in self.after and not (self.place / name).is_file()]
            self.expect(not lost, f"{what}: {lost} were there and are gone", ended)

    def again(self, what: str) -> None:
        """The same command ends as an undisturbed one."""
        if self.command.once and visible(self.place).keys() == self.after.keys():
            return  # it ended by itself
        ended = self.call().end()
        self.expect(ended.code == 0, f"{what}, and again", ended)
        now = visible(self.place)
        differing = [
            name
            for name, data in self.after.items()
            if not self.command.alike(name, now.get(name, b""), data)
            and not self.command.may_differ(name, now.get(name, b""))
        ]
        self.expect(not differing, f"{what}, and again: {differing} differ", ended)
        self.expect(not left_over(self.place), f"{what}, and again: {left_over(self.place)} are left", ended)

    def full_disks(self, count: int) -> None:
        """Sizes from one page to what is needed."""
        needed = sum(-(-len(data) // _PAGE) + 2 for data in self.after.values()) + 8
        for number in range(count):
            over = self.command.over and number % 2 == 1
            used = sum(-(-len(data) // _PAGE) + 2 for data in self.before.values()) + 4 if over else 0
            share = number and (number + self.draw.random()) / count  # the first has a page: outputs may be small
            pages = used + 1 + round((needed - 1) * share)
            what = f"a disk of {pages * _PAGE} bytes{' over an old output' if over else ''}"
            with disk(self.place, str(pages * _PAGE)):
                try:
                    self.begin(over=over)
                except OSError:
                    continue  # the old output alone fills it
                ended = self.call().end()
                self.counts["full disks"] += 1
                if ended.code != 0:
                    self.counts["of them full"] += 1
                    complaint = ended.complaint(self.place)
                    self.expect(complaint is None, f"{what}: {complaint}", ended)
                self.look(what, ended, over=over)
                resize(self.place, _ROOMY)
                self.again(what)

    def kills(self, count: int) -> None:
        """Before steps that change a file, all where there are few, and at random moments."""
        assert self.alone is not None
        steps = list(range(1, len(self.alone.steps) + 1))
        chosen = sorted(self.draw.sample(steps, min(count, len(steps))))
        for number, step in enumerate(chosen):
            self._kill(f"killed before step {step} of {len(steps)}", number, at=step, blow=signal.SIGKILL)
            self.counts["kills at steps"] += 1
        for number in range(count // 2):
            after = self.draw.uniform(0, self.alone.seconds)
            self._kill(f"killed after {after:.3f} s", number, after=after)
            self.counts["kills at moments"] += 1

    def _kill(self, what: str, number: int, after: float | None = None, **options: int) -> None:
        over = self.command.over and number % 2 == 1
        with disk(self.place):
            self.begin(over=over)
            ended = self.call(**options).end(after)
            if ended.code == 0:
                self.counts["ended before the kill"] += 1
            self.look(f"{what}{' over an old output' if over else ''}", ended, over=over)
            self.again(what)

    def pairs(self, count: int) -> None:
        """A second call while the first stands still in the middle."""
        assert self.alone is not None
        locks = [n for n, step in enumerate(self.alone.steps, 1) if step.rsplit("/")[-1].endswith(".lock")]
        self.expect(bool(locks), "takes no lock", self.alone)
        if not locks:
            return
        free = [n for n in locks if self.alone.steps[n - 1].startswith("os.remove")]
        last = free[0] if free else len(self.alone.steps)
        inside = list(range(locks[0] + 1, last + 1))
        for step in sorted(self.draw.sample(inside, min(count, len(inside)))):
            with disk(self.place):
                first = self.call(at=step, blow=signal.SIGSTOP)
                if not first.stopped():
                    self.faults.append(f"{self.command.name}: the first call did not come to step {step}")
                    continue
                second = self.call().end()
                first.go_on()
                ended = first.end()
                self.counts["second calls"] += 1
                refused = second.code == 2 and f"is in use by process {first.pid}" in second.said
                self.expect(refused, f"a second call during step {step} is not refused", second)
                self.expect(ended.code == 0, f"the first call of two, stopped before step {step}", ended)
                self.look("two calls", ended, over=False)
                self.expect(
                    visible(self.place).keys() == self.after.keys(), "the first call of two is not whole", ended
                )

    def umasks(self) -> None:
        """Modes of all that was written."""
        for umask in _UMASKS:
            with disk(self.place):
                ended = self.call(umask=umask).end()
                self.counts["umasks"] += 1
                wrong = []
                for path in self.place.rglob("*"):
                    mode = stat.S_IMODE(path.stat().st_mode)
                    wanted = (0o777 if path.is_dir() else 0o666) & ~umask
                    if mode != wanted:
                        wrong.append(f"{path.relative_to(self.place)} {mode:o}")
                self.expect(not wrong, f"umask {umask:03o}: {wrong[:4]}", ended)


def run(command: WritingCommand, base: Path, arguments: argparse.Namespace) -> Trial:
    """All of a command's trials."""
    draw = random.Random(f"{command.name}/{arguments.seed}")
    trial = Trial(command, base, Path(tempfile.mkdtemp(prefix="writing-")), draw)
    begun = time.monotonic()
    try:
        trial.measure()
        if trial.faults:
            return trial
        trial.full_disks(max(2, round(arguments.sizes * command.share)))
        trial.kills(max(2, round(arguments.kills * command.share)))
        trial.pairs(arguments.pairs)
        trial.umasks()
    finally:
        trial.place.rmdir()
    print(f"{command.name}: {dict(trial.counts)}, {time.monotonic() - begun:.0f} s", flush=True)
    return trial


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commands", nargs="*", help=", ".join(COMMANDS))
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--sizes", type=int, default=16)
    parser.add_argument("--pairs", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if os.environ.get("WRITING_MOUNTS") != "private":
        prefix = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-Urm"]
        again = [*prefix, sys.executable, "-m", "tests.stress.writing", *sys.argv[1:]]
        os.execvpe(prefix[0], again, os.environ | {"WRITING_MOUNTS": "private"})
    before, begun = machine(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="writing-base-") as folder:
        base = Path(folder)
        prepare(base)
        chosen = arguments.commands or list(COMMANDS)
        trials: list[Trial] = []
        for name in chosen:
            trials.append(run(COMMANDS[name], base, arguments))
            tell(trials, arguments, before, time.monotonic() - begun)
    faults = [fault for trial in trials for fault in trial.faults]
    if faults:
        raise SystemExit(f"{len(faults)} faults, the first: {faults[0]}")


def tell(trials: list[Trial], arguments: argparse.Namespace, before: dict[str, object], seconds: float) -> None:
    """Print and keep what was counted so far; chosen commands are only printed."""
    rows = [{"command": t.command.name, **t.counts, "faults": len(t.faults)} for t in trials]
    total = sum((trial.counts for trial in trials), Counter[str]())
    note = (
        f"{total['full disks']} disks of which {total['of them full']} were too small, "
        f"{total['kills at steps'] + total['kills at moments']} kills, {total['second calls']} second calls, "
        f"{total['umasks']} calls under umasks, seed {arguments.seed}, {seconds:,.0f} s: "
        f"{sum(len(t.faults) for t in trials)} faults (half a file, no line that names the full disk, no recovery, "
        "two at once, other modes)."
    )
    save("writing", rows, note, before, Path(tempfile.gettempdir()) if arguments.commands else RESULTS)


if __name__ == "__main__":
    main()
