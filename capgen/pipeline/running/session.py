"""One session on a run: plan, ask, pack, verify, report. Run again with the same OUT, it goes on where it stopped."""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pyarrow.compute as pc
from rich.console import Console

from capgen.dataset.files import DiskTrouble, scratch_folder, telling_disk_trouble, write_whole
from capgen.dataset.layout import RunLayout
from capgen.dataset.lock import exclusive
from capgen.dataset.plan import ModelName, ShardTable
from capgen.dataset.quality.calibration import read_calibration
from capgen.dataset.quality.judge_scores import judge_counts
from capgen.dataset.reader import read_columns, read_plan
from capgen.dataset.remote.held_out import open_bucket
from capgen.dataset.shards import examples_of, read_manifest, such_as
from capgen.errors import CapgenError, Interrupted, LedgerError
from capgen.pipeline.planning.job import Job
from capgen.pipeline.planning.prepare import card_info, prepare
from capgen.pipeline.releasing.embedded import Embed
from capgen.pipeline.releasing.pack import pack
from capgen.pipeline.releasing.release_card import FileTold
from capgen.pipeline.releasing.verify import Ledger, verify
from capgen.pipeline.running.driver import Executor, run_shards
from capgen.pipeline.running.history import SessionHistory
from capgen.pipeline.running.in_process import InProcess
from capgen.pipeline.running.metrics.run_metrics import RunMetrics
from capgen.pipeline.running.nodes.needs import NodeNeeds
from capgen.pipeline.running.progress import EndReport, ProgressDisplay, end_report
from capgen.pipeline.running.ray_cluster import RayCluster
from capgen.pipeline.running.retry import ask_again, reopen_grown
from capgen.pipeline.running.run_progress import RunProgress
from capgen.pipeline.running.stop import listener
from capgen.pipeline.settings import Settings
from capgen.pipeline.tasks import InThisProcess, TaskRunner, local_tasks
from capgen.stop import Stop


@dataclass(frozen=True, slots=True)
class Devices:
    """Where engines run.

    Args:
        workers: engines at once.
        gpus: GPUs of each (tensor parallel size); 0 is the CPU.
        grow: engines for all GPUs of a cluster, those that join it later too, instead of ``workers``.
        ray: False does the work in this process.
    """

    workers: int = 1
    gpus: int = 0
    ray: bool = True
    grow: bool = False

    def executor(self, stop: Stop, needs: NodeNeeds | None = None) -> Executor:
        """The executor that these devices ask for; it ends early where ``stop`` says so.

        Args:
            needs: what the run needs of a machine.
        """
        return RayCluster(self.workers, self.gpus, stop, self.grow, needs) if self.ray else InProcess(stop)


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What a session is asked for beside its settings.

    ``refused``: keys whose captions somebody finds wrong, asked again too where ``again`` is not None.
    ``again``: reasons whose objects are asked again first, () being those of all failed objects; None asks for what is
    left only.
    ``planned``: called once OUT is planned or taken up, before anything is asked. ``metrics``: told where the session
    stands.
    """

    out: Path
    model: ModelName
    devices: Devices = Devices()
    fork: bool = False
    embed: Embed | None = None
    again: tuple[str, ...] | None = None
    refused: frozenset[str] = frozenset()
    planned: Callable[[Job], None] | None = None
    metrics: RunMetrics | None = None


class NothingKept(CapgenError):
    """A run ended in which no object has a caption; there is no release."""

    def __init__(self, out: Path, lost: str, remedy: str) -> None:
        self.out, self.lost, self.remedy = out, lost, remedy
        super().__init__(out, lost, remedy)

    def __str__(self) -> str:
        return f"{self.out}: no object has a caption, so nothing is released: {self.lost}; {self.remedy}"


def run_session(settings: Settings, wanted: RunRequest, console: Console) -> tuple[Path, EndReport]:
    """Do everything that is left of a run; OUT (another one after a fork) and the report.

    Raises:
        UserError: something the user can mend, before anything slow has started.
        RunFailed: an engine could not be kept alive.
        FirstRequestsFailed: the first objects all failed alike.
        NothingKept: no object has a caption.
        Interrupted: the user stopped it; the same command resumes.
        LedgerError: the accounts do not close.
    """
    begun = time.monotonic()
    with _in(wanted.out) as stop, ExitStack() as held, ProgressDisplay(console) as display:
        needs = NodeNeeds(settings, wanted.out.resolve(), wanted.devices.gpus)
        executor = held.enter_context(closing(wanted.devices.executor(stop, needs)))
        bucket = held.enter_context(open_bucket(wanted.out, settings.source.root, fork=wanted.fork))
        tasks = InThisProcess.for_any if bucket.copies else executor.tasks
        job, table = prepare(
            settings,
            wanted.out,
            gpus=wanted.devices.gpus,
            model=wanted.model,
            fork=wanted.fork,
            may_grow=wanted.again is None,
            progress=display.planning,
            tasks=tasks,
        )
        if job.out != wanted.out.resolve():
            held.enter_context(exclusive(job.out))
        if wanted.planned is not None:
            wanted.planned(job)
        planned = time.monotonic()
        display.say(f"{table.text()}, in {job.out}")
        reopen_grown(job, table)
        if wanted.again is not None:
            display.say(_told(ask_again(job, table, wanted.again, wanted.refused)))
        metrics = wanted.metrics or RunMetrics()
        metrics.begin(len(table.shards))
        history = SessionHistory(
            job.out, min(wanted.devices.workers, len(table.shards)), wanted.devices.gpus, bucket.tell
        )

        def show(progress: RunProgress) -> None:
            display(progress)
            history(progress)
            metrics(progress)

        bucket.give()
        with bucket.shared(), history.recording():
            progress = run_shards(job, table, executor, show)
        metrics.asked()
        _refuse_nothing(job, table)
        asked = time.monotonic()
        parts = _copied_parts(held, table.objects, wanted.embed) if bucket.copies else tasks(table.objects)
        ledger = _release(job, parts, wanted.embed, display, bucket.bring)
        ended = time.monotonic()
        seconds = {"plan": planned - begun, "ask": asked - planned, "pack and verify": ended - asked}
        report = end_report(progress, ledger, {name: round(value, 2) for name, value in seconds.items()})
        write_whole(RunLayout(job.out).report_json, json.dumps(asdict(report), indent=1).encode() + b"\n")
        bucket.give()
        if not ledger.ok:
            raise LedgerError(f"{job.out}: the ledger does not close; `capgen verify {job.out}` says where")
        metrics.finish()
        return job.out, report


def _copied_parts(held: ExitStack, objects: int, embed: Embed | None) -> TaskRunner:
    """Where a release is made of a copy of a bucket: on this machine, which alone has the rows of all shards.

    Pictures that are to be embedded are fetched by this process, one part after the other.
    """
    return InThisProcess() if embed is not None else held.enter_context(local_tasks(objects))


def _release(job: Job, tasks: TaskRunner, embed: Embed | None, display: ProgressDisplay, written: FileTold) -> Ledger:
    """Pack what was answered, or write its card alone, and verify it."""
    plan = read_plan(job.out)
    judges = judge_counts(job.out, _passed(job.out, plan.table))
    pack(
        job.out,
        plan,
        replace(card_info(job.settings), calibration=read_calibration(job.out), judges=judges),
        embed=embed,
        dedup=job.settings.dedup.rules(),
        keep_alike=job.settings.distinct.keep == "media",
        root=job.settings.source.root,
        bounds=job.bounds,
        max_failed=job.settings.run.max_failed,
        progress=display.steps("packing"),
        tasks=tasks,
        written=written,
    )
    with scratch_folder(job.out) as scratch:
        return verify(job.out, display.steps("verifying"), tasks=tasks, scratch=scratch)


def _passed(out: Path, table: ShardTable) -> Iterator[tuple[str, str]]:
    """Keys and captions that the checks let pass."""
    for entry in table.shards:
        rows = read_columns(out, entry.index, ("key", "caption", "status"))
        kept = rows.filter(pc.equal(rows.column("status"), "kept"))
        yield from zip(kept.column("key").to_pylist(), kept.column("caption").to_pylist(), strict=True)


def _refuse_nothing(job: Job, table: ShardTable) -> None:
    """Raise ``NothingKept`` where the finished shards hold not one caption."""
    read = (read_manifest(job.out, entry.index) for entry in table.shards)
    manifests = [manifest for manifest in read if manifest is not None]
    if not table.objects or any(manifest.kept for manifest in manifests):
        return
    dropped: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    for manifest in manifests:
        dropped.update(manifest.dropped)
        failed.update(manifest.failed)
    examples = examples_of(manifests)
    lost = [
        f"{name}: {code} {count:,}{such_as(examples.get(code))}"
        for name, counts in (("failed", failed), ("dropped", dropped))
        for code, count in counts.most_common()
    ]
    again = "".join(f" --reason {code}" for code in (*failed, *dropped)) if dropped else ""
    raise NothingKept(job.out, "; ".join(lost), f"mend that, then `capgen retry {job.out}{again}`")


@contextmanager
def _in(out: Path) -> Iterator[Stop]:
    """Hold OUT, listen for signals, and tell what is wrong with its disk.

    Raises:
        DiskTrouble: the disk is full or read-only; what takes room and is of no use is gone.
        Interrupted: the user stopped it while nothing was being asked.
    """
    try:
        with telling_disk_trouble(out), listener() as stop, exclusive(out):
            yield stop
    except KeyboardInterrupt:
        raise Interrupted from None
    except DiskTrouble:
        for part in (RunLayout(out).data_part, RunLayout(out).scratch):
            shutil.rmtree(part, ignore_errors=True)
        raise


def _told(again: Counter[str]) -> str:
    if not again:
        return "nothing to ask again beside what is unfinished"
    by_reason = ", ".join(f"{code} {count:,}" for code, count in again.most_common())
    return f"{again.total():,} objects are asked again ({by_reason}); every other row stays as it is"
