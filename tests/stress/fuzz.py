"""Damaged and hostile inputs for the commands that read what others made.

    python -m tests.stress.fuzz eval|predict|lint|train|out|import|quality|models [--cases N] [--seed 0] [--workers 1]
    python -m tests.stress.fuzz eval --case 4711      # one case again, with its traceback

A case is a sound input (`fuzz_inputs.py`, `fuzz_more.py`) of which something was changed: values, names, bytes,
columns, whole files, or a file that became a link, a pipe or a folder. The command must end by itself, with a result or
with one line, and print no terminal controls; a watch sees that nothing is started, nothing beside the inputs is opened
and nothing from them is unpickled. Cases are done in processes of their own, so that a crash or a hang is found.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import re
import resource
import shutil
import sys
import tempfile
import time
import traceback
import unicodedata
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from typer.exceptions import Abort, Exit, TyperException

from benchmarks.common import machine, save
from capgen.cli.main import app
from capgen.cli.providers import Providers
from capgen.errors import CapgenError
from tests.stress import RESULTS
from tests.stress.fuzz_inputs import KINDS as FIRST_KINDS
from tests.stress.fuzz_inputs import Kind
from tests.stress.fuzz_more import MORE_KINDS
from tests.stress.hostile import Outcome, drive

KINDS = FIRST_KINDS | MORE_KINDS
CASES = {"eval": 3_000, "predict": 400, "lint": 400, "train": 130, "out": 1_350}
CASES |= {"import": 1_000, "quality": 1_500, "models": 1_000}
_MEMORY = 10 * 2**30
_TIME_LIMIT_S = 60.0
_FORBIDDEN = ("os.system", "os.exec", "os.posix_spawn", "socket.connect", "pickle.find_class")
_TOOLS = re.compile(r"/(?:ffmpeg|ldconfig|gcc|cc|lscpu|uname|nproc)\b|^(?:ldconfig|/sbin/ldconfig|uname)")
"""Programs that libraries start when they are imported."""


class Watch:
    """Notes what is opened beside a case's own files, and what is started, while it is on duty."""

    def __init__(self) -> None:
        self.forbidden: tuple[str, ...] = ()
        self.seen: list[str] = []
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.forbidden:
            return
        if event == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
            path = os.path.realpath(os.fsdecode(arguments[0]))
            if path.startswith(self.forbidden):
                self.seen.append(f"opened {path[:200]}")
        elif event == "subprocess.Popen" and not _TOOLS.search(str(arguments[0])):
            self.seen.append(f"started {arguments[0]!r:.100}")
        elif event in _FORBIDDEN:
            self.seen.append(f"{event} {arguments[:1]!r:.100}")


def judge(kind: Kind, seed: int, number: int, base: Path, place: Path, watch: Watch) -> Outcome:
    """Run one case in ``place``; an exception that no user may see passes through."""
    draw = random.Random(f"{kind.name}/{seed}/{number}")
    (place / "elsewhere").mkdir()
    (place / "elsewhere" / "secret").write_text("a secret")
    case = kind.case(draw, base, place)
    outcome = Outcome(number, case.form)
    said = io.StringIO()
    watch.seen.clear()
    watch.forbidden = (f"{place}/elsewhere/", "/etc/passwd", "/etc/shadow")
    begun = time.process_time()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            outcome.end = _run(case.arguments)
    except CapgenError as error:
        outcome.end = "refused"
        text = str(error)
        if not text or "\n" in text or len(text) > 2_000:
            outcome.fault = f"refused, but not in one line: {text!r:.300}"
    finally:
        watch.forbidden = ()
        outcome.seconds = round(time.process_time() - begun, 3)
    controls = [c for c in said.getvalue() if unicodedata.category(c) == "Cc" and c not in "\n\t\r"]
    if watch.seen or controls:
        outcome.fault = watch.seen[0] if watch.seen else f"printed {controls[0]!r}"
    outcome.fault = outcome.fault or case.trouble()
    return outcome


def _run(arguments: list[str]) -> str:
    """How a command ended that was not refused."""
    try:
        code = app(arguments, standalone_mode=False, obj=Providers())
    except Abort as error:
        if error.__cause__ is not None:
            raise error.__cause__ from None
        raise
    except Exit as error:
        code = error.exit_code
    except TyperException:
        return "wrong usage"
    return f"exit {code if isinstance(code, int) else 0}"


def do_range(kind: Kind, seed: int, start: int, stop: int) -> None:
    """A worker: a line of JSON for each case."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    memory = Path("/dev/shm")
    folder = memory if memory.is_dir() else None
    watch = Watch()
    told = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # libraries in C print there too
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=folder) as base:
        kind.prepare(Path(base))
        for number in range(start, stop):
            place = Path(tempfile.mkdtemp(prefix="fuzz-", dir=folder)).resolve()
            try:
                outcome = judge(kind, seed, number, Path(base), place, watch)
            except BaseException as error:  # noqa: BLE001 - whatever comes is what is looked for
                last = traceback.extract_tb(error.__traceback__)[-1]
                what = f"{type(error).__name__}: {str(error)[:200]} ({Path(last.filename).name}:{last.lineno})"
                outcome = Outcome(number, "", "raised", fault=what)
            finally:
                shutil.rmtree(place, ignore_errors=True)
            print(json.dumps(asdict(outcome)), file=told, flush=True)


def report(outcomes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row a form: how its cases ended."""
    rows = []
    for form in sorted({outcome["form"] for outcome in outcomes}):
        mine = [outcome for outcome in outcomes if outcome["form"] == form]
        ends = Counter(outcome["end"] for outcome in mine)
        slowest = max(outcome["seconds"] for outcome in mine)
        faults = sum(bool(outcome["fault"]) for outcome in mine)
        rows.append(
            {"form": form, "cases": len(mine), **dict(sorted(ends.items())), "slowest_s": slowest, "faults": faults}
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=sorted(KINDS))
    parser.add_argument("--cases", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--case", type=int, help="one case, with its traceback")
    parser.add_argument("--range", type=int, nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    kind = KINDS[arguments.kind]
    if arguments.range:
        do_range(kind, arguments.seed, *arguments.range)
        return
    if arguments.case is not None:
        with tempfile.TemporaryDirectory() as base, tempfile.TemporaryDirectory() as place:
            kind.prepare(Path(base))
            print(judge(kind, arguments.seed, arguments.case, Path(base), Path(place).resolve(), Watch()))
        return
    before, begun = machine(), time.monotonic()
    cases = arguments.cases or CASES[kind.name]
    command = ["-m", "tests.stress.fuzz", kind.name, "--seed", str(arguments.seed)]
    outcomes = drive(command, cases, arguments.workers, lambda _: "", _TIME_LIMIT_S)
    faults = [outcome for outcome in outcomes if outcome["fault"]]
    note = (
        f"{len(outcomes):,} damaged inputs of {kind.name}, seed {arguments.seed}, {time.monotonic() - begun:,.0f} s: "
        f"{len(faults)} faults (crash, hang, traceback, more than one line, a file beside the inputs, anything run)."
    )
    save(f"fuzz_{kind.name}", report(outcomes), note, before, RESULTS)
    if faults:
        raise SystemExit(f"{len(faults)} faults, the first: {faults[0]}")


if __name__ == "__main__":
    main()
