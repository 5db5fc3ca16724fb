"""Thousands of damaged LVIS and LV-VIS folders: planned, decoded and rendered; some through the whole run.

    python -m tests.stress.hostile [--cases 12000] [--whole 20] [--seed 0] [--workers 1]
    python -m tests.stress.hostile --case 4711      # one case again, with its traceback

Each case is a folder whose JSON, names, masks and pictures were damaged by structure and by byte (`hostile_world.py`).
Either the file is refused with one line, or as many objects as the file has annotations end as a view for the model
or with a reason code; every `--whole`th case also goes through asking (`echo`), packing, the gallery and `verify`, and
its ledger must close. A watch on what Python opens, starts and connects sees that nothing outside the
root is read and nothing from data is run. Cases are done in processes of their own, so that a crash or a hang is found.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import resource
import selectors
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.common import machine, save
from capgen.dataset.plan import ModelName
from capgen.dataset.reader import read_media, read_rows
from capgen.dataset.shards import candidates_path
from capgen.errors import LedgerError, UserError
from capgen.pipeline.gallery.export import export_run
from capgen.pipeline.planning.config import load_settings
from capgen.pipeline.planning.plan import write_plan
from capgen.pipeline.rendering.prompt import load_prompt
from capgen.pipeline.rendering.render import Renderer, render_media
from capgen.pipeline.running.session import Devices, RunRequest, run_session
from capgen.pipeline.sources import SOURCES
from capgen.pipeline.sources.reading.decode import decode_media
from capgen.pipeline.view import View
from tests.stress import RESULTS
from tests.stress.hostile_world import CANARY, EXECUTED, World, world

TIME_LIMIT_S = 120.0
"""Wall-clock that a case may take before its process is ended: the machine may be busy with other work."""

_MEMORY = 6 * 2**30
_FORBIDDEN = (
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "socket.connect",
    "pickle.find_class",
)
_CODE = re.compile(r"[a-z][a-z_]*")
_SIZES = ("render.clean_pixels=4096", "render.marked_pixels=4096")


class Watchman:
    """Notes what the interpreter opens outside the folders that it may, and what it starts, while it is on duty."""

    def __init__(self) -> None:
        here = Path(__file__).resolve().parents[2]
        prefixes = {"/usr/share/zoneinfo", sys.prefix, sys.base_prefix, *sysconfig.get_paths().values(), *sys.path}
        code = [str(here / name) for name in ("capgen", "prompts", "pipelines", "data_cards", "benchmarks", "tests")]
        self._always = tuple(os.path.realpath(name) for name in (*prefixes, *code) if name and name != str(here))
        self.place: str | None = None
        self.seen: list[str] = []
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.place is None:
            return
        if event == "open":
            self._opened(arguments[0])
        elif event in _FORBIDDEN:
            self.seen.append(f"{event} {arguments[:1]!r:.100}")

    def _opened(self, name: Any) -> None:
        if isinstance(name, int):
            return
        path = os.path.normpath(Path.cwd() / os.fsdecode(name))  # as text: a link that the user laid is followed
        allowed = (f"{self.place}/root", f"{self.place}/out", *self._always)
        if not any(path == folder or path.startswith(folder + os.sep) for folder in allowed):
            self.seen.append(f"opened {path[:200]}")


@dataclass(slots=True)
class Outcome:
    """What became of a case; ``fault`` is what must never be."""

    number: int
    form: str
    end: str = ""
    planned: int = 0
    kept: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    fault: str | None = None


def judge(case: World, number: int, place: Path, watchman: Watchman, *, whole: bool) -> Outcome:
    """Run one case in ``place`` and say what became of it; an exception that no user may see passes through."""
    outcome = Outcome(number, case.form)
    root, out = case.write(place), place / "out"
    watchman.seen.clear()
    begun = time.process_time()
    watchman.place = str(place)
    try:
        (_run if whole else _render)(case, root, out, outcome)
    except UserError as error:
        outcome.end = "refused"
        if "\n" in str(error) or not str(error) or len(str(error)) > 2_000:
            outcome.fault = f"refused, but not in one line: {str(error)!r:.200}"
    except LedgerError as error:
        outcome.end, outcome.fault = "ledger", str(error)
    else:
        outcome.end = "run" if whole else "rendered"
        outcome.fault = outcome.fault or _accounts(case, outcome)
    finally:
        watchman.place = None
        outcome.seconds = round(time.process_time() - begun, 3)
    if watchman.seen:
        outcome.fault = watchman.seen[0]
    return outcome


@cache
def _tools(form: str) -> tuple[type[Any], Renderer]:
    settings = load_settings(form, {"model.id": "none"}, _SIZES)
    return SOURCES.load(settings.source.type), Renderer(
        settings.render, load_prompt(settings.prompt.name, category=settings.prompt.category)
    )


def _render(case: World, root: Path, out: Path, outcome: Outcome) -> None:
    """Plan, decode and render, as a run does it, and count what every object ends as."""
    source, renderer = _tools(case.form)
    failed: Counter[str] = Counter()
    for entry in write_plan(source(root=root), out, shard_objects=4).shards:
        for planned in read_media(out, entry):
            outcome.planned += len(planned.objects)
            for shown in render_media(decode_media(planned, root), renderer):
                if not isinstance(shown, View):
                    failed[shown[1].reason] += 1
                elif any(isinstance(part, str) and EXECUTED in part for part in shown.parts):
                    outcome.fault = f"a template from the data was run for {shown.key}"
                else:
                    outcome.kept += 1
    outcome.failed = dict(failed)


def _run(case: World, root: Path, out: Path, outcome: Outcome) -> None:
    """The whole run with `echo`, without Ray, and the gallery."""
    flags = {"source.root": root, "engine.name": "echo", "model.id": "none", "run.shard_objects": 4}
    settings = load_settings(case.form, flags, _SIZES)
    wanted = RunRequest(out, ModelName("none", None), Devices(ray=False))
    _, ended = run_session(settings, wanted, Console(file=io.StringIO()))
    export_run(out, out.with_name(f"{out.name}-page"), limit=10)
    outcome.planned, outcome.kept = ended.planned, ended.kept
    outcome.dropped, outcome.failed = ended.dropped, ended.failed
    outcome.fault = _rows(out) or _executed(out)


def _accounts(case: World, outcome: Outcome) -> str | None:
    """Whether as many objects were planned as Python's own parser sees annotations, and each has one end."""
    try:
        rows = json.loads(case.text)["annotations"]
    except (ValueError, RecursionError, KeyError, TypeError):
        rows = None
    if isinstance(rows, list) and len(rows) != outcome.planned:
        return f"{len(rows)} annotations, {outcome.planned} planned"
    if outcome.planned != outcome.kept + sum(outcome.dropped.values()) + sum(outcome.failed.values()):
        return "planned is not kept + dropped + failed"
    strange = [code for code in (*outcome.dropped, *outcome.failed) if not _CODE.fullmatch(code)]
    return f"{strange[0]!r} is no reason code" if strange else None


def _rows(out: Path) -> str | None:
    """Whether every candidate's status and reasons go together."""
    for index in range(len(list((out / "candidates").glob("*.json")))):
        for row in read_rows(candidates_path(out, index)):
            if (row.status == "kept") == bool(row.reasons) or not all(map(_CODE.fullmatch, row.reasons)):
                return f"{row.key} is {row.status} with reasons {row.reasons}"
    return None


def _executed(out: Path) -> str | None:
    """Whether a template that stood in the data was run, or its markup stands in a page as markup."""
    for file in (path for path in out.rglob("*") if path.suffix in (".md", ".html", ".json", ".jsonl")):
        data = file.read_bytes()
        if EXECUTED.encode() in data:
            return f"{file.name} holds {EXECUTED}: a template from the data was run"
        if file.suffix in (".md", ".html") and CANARY.encode() in data:
            return f"{file.name} holds markup from the data"
    return None


def do_range(seed: int, start: int, stop: int, whole: int) -> None:
    """A worker: a line of JSON for each case; ``start`` and on, so that its parent knows which case it was at."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    memory = Path("/dev/shm")
    watchman = Watchman()
    watchman.place = "/nowhere"
    with open(os.devnull):  # noqa: PTH123 - the watch must see what it is there for
        watchman.place = None
    if not watchman.seen:
        raise SystemExit("the watch on opened files sees nothing")
    for number in range(start, stop):
        place = Path(tempfile.mkdtemp(prefix="hostile-", dir=memory if memory.is_dir() else None)).resolve()
        case = world(seed, number)
        try:
            outcome = judge(case, number, place, watchman, whole=number // 2 % whole == 0)
        except BaseException as error:  # noqa: BLE001 - whatever comes is what is looked for
            last = traceback.extract_tb(error.__traceback__)[-1]
            what = f"{type(error).__name__}: {str(error)[:200]} ({Path(last.filename).name}:{last.lineno})"
            outcome = Outcome(number, case.form, "raised", fault=what)
        finally:
            shutil.rmtree(place, ignore_errors=True)
        print(json.dumps(asdict(outcome)), flush=True)


@dataclass(slots=True)
class Hand:
    """A worker process on a range of cases; taken up behind the case at which it crashed or hung.

    ``command``: what follows Python; the worker prints an ``Outcome`` as a line of JSON for each case. ``form``: of a
    case that crashed.
    """

    command: Sequence[str]
    at: int
    stop: int
    form: Callable[[int], str]
    limit_s: float = TIME_LIMIT_S
    process: subprocess.Popen[bytes] = field(init=False)
    _text: bytes = b""
    _moved: float = 0.0

    def __post_init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        command = [sys.executable, *self.command, "--range", str(self.at), str(self.stop)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), False)
        self._text, self._moved = b"", time.monotonic()

    def read(self) -> list[dict[str, Any]]:
        """The outcomes since the last time; a crash or a hang is one too."""
        assert self.process.stdout is not None
        data = self.process.stdout.read() or b""
        *lines, self._text = (self._text + data).split(b"\n")
        found = [json.loads(line) for line in lines]
        if found:
            self.at, self._moved = found[-1]["number"] + 1, time.monotonic()
        code = self.process.poll()
        hangs = code is None and time.monotonic() - self._moved > self.limit_s
        if not data and self.at < self.stop and (code is not None or hangs):
            self.process.kill()
            self.process.wait()
            why = f"hung for {self.limit_s:g} s" if hangs else f"crashed with {code}"
            found.append(asdict(Outcome(self.at, self.form(self.at), "crashed or hung", fault=why)))
            self.at += 1
            if self.at < self.stop:
                self._begin()
        return found


def drive(
    command: Sequence[str], cases: int, workers: int, form: Callable[[int], str], limit_s: float = TIME_LIMIT_S
) -> list[dict[str, Any]]:
    """All cases, spread over worker processes."""
    cuts = [cases * number // workers for number in range(workers + 1)]
    hands = [Hand(command, start, stop, form, limit_s) for start, stop in pairwise(cuts)]
    outcomes: list[dict[str, Any]] = []
    told = time.monotonic()
    while any(hand.at < hand.stop for hand in hands):
        with selectors.DefaultSelector() as selector:
            for hand in hands:
                if hand.at < hand.stop and hand.process.stdout is not None:
                    selector.register(hand.process.stdout, selectors.EVENT_READ)
            selector.select(timeout=1.0)
        for outcome in (found for hand in hands for found in hand.read()):
            outcomes.append(outcome)
            if outcome["fault"]:
                print(f"case {outcome['number']}: {outcome['fault']}", flush=True)
        if time.monotonic() - told > 30:
            told = time.monotonic()
            print(f"{len(outcomes)} of {cases} cases, {sum(bool(o['fault']) for o in outcomes)} faults", flush=True)
    return outcomes


def report(outcomes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row a form: how the cases ended, and how their objects did."""
    rows = []
    for form in ("lvis", "lv-vis"):
        mine = [outcome for outcome in outcomes if outcome["form"] == form]
        reasons: Counter[str] = Counter()
        for outcome in mine:
            reasons.update(outcome["dropped"])
            reasons.update(outcome["failed"])
        rows.append(
            {
                "form": form,
                "cases": len(mine),
                "refused": sum(outcome["end"] == "refused" for outcome in mine),
                "rendered": sum(outcome["end"] == "rendered" for outcome in mine),
                "whole_runs": sum(outcome["end"] == "run" for outcome in mine),
                "planned": sum(outcome["planned"] for outcome in mine),
                "kept": sum(outcome["kept"] for outcome in mine),
                "out": sum(reasons.values()),
                "slowest_s": max((outcome["seconds"] for outcome in mine), default=0.0),
                "faults": sum(bool(outcome["fault"]) for outcome in mine),
                "reasons": dict(reasons.most_common()),
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=12_000)
    parser.add_argument("--whole", type=int, default=20, help="every so manyth case goes through the whole run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--case", type=int, help="one case, with its traceback")
    parser.add_argument("--range", type=int, nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.range:
        do_range(arguments.seed, *arguments.range, arguments.whole)
        return
    if arguments.case is not None:
        case = world(arguments.seed, arguments.case)
        print(*case.deeds, sep="\n")
        with tempfile.TemporaryDirectory() as folder:
            print(judge(case, arguments.case, Path(folder).resolve(), Watchman(), whole=True))
        return
    before, begun = machine(), time.monotonic()
    command = ["-m", "tests.stress.hostile", "--seed", str(arguments.seed), "--whole", str(arguments.whole)]
    outcomes = drive(command, arguments.cases, arguments.workers, lambda number: ("lvis", "lv-vis")[number % 2])
    faults = [outcome for outcome in outcomes if outcome["fault"]]
    note = (
        f"{len(outcomes):,} damaged folders, seed {arguments.seed}, {time.monotonic() - begun:,.0f} s: "
        f"{len(faults)} faults (crash, hang, traceback, an open ledger, a file outside the root, anything run)."
    )
    save("hostile", report(outcomes), note, before, RESULTS)
    if faults:
        raise SystemExit(f"{len(faults)} faults, the first: {faults[0]}")


if __name__ == "__main__":
    main()
