"""One session on a run: plan, ask, pack, verify, report. Run again with the same OUT, it goes on where it stopped."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console

from capgen.dataset.files import write_whole
from capgen.errors import LedgerError
from capgen.pipeline.cluster import RayCluster
from capgen.pipeline.lock import exclusive
from capgen.pipeline.pack import card_info, pack
from capgen.pipeline.prepare import ModelName, prepare
from capgen.pipeline.progress import EndReport, Show, end_report
from capgen.pipeline.run import Executor, InProcess, run_shards
from capgen.pipeline.settings import Settings
from capgen.pipeline.verify import verify


@dataclass(frozen=True, slots=True)
class Devices:
    """Where engines run.

    Args:
        workers: engines at once.
        gpus: GPUs of each (tensor parallel size); 0 is the CPU.
        ray: False does the work in this process.
    """

    workers: int = 1
    gpus: int = 0
    ray: bool = True

    def executor(self) -> Executor:
        """The executor that these devices ask for."""
        return RayCluster(self.workers, self.gpus) if self.ray else InProcess()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a session is asked for beside its settings."""

    out: Path
    model: ModelName
    devices: Devices = Devices()
    fork: bool = False
    embed_media: bool = False


def run_session(settings: Settings, wanted: Wanted, console: Console) -> tuple[Path, EndReport]:
    """Do everything that is left of a run; OUT (another one after a fork) and the report.

    Raises:
        UserError: something the user can mend, before anything slow has started.
        RunFailed: an engine could not be kept alive.
        LedgerError: the accounts do not close.
    """
    begun = time.monotonic()
    with exclusive(wanted.out):
        job, table = prepare(settings, wanted.out, gpus=wanted.devices.gpus, model=wanted.model, fork=wanted.fork)
        planned = time.monotonic()
        planned_of = f"{table.objects:,} objects of {table.media:,} media planned in {len(table.shards):,} shards"
        console.print(f"{planned_of}, in {job.out}", highlight=False)
        with Show(console) as show:
            progress = run_shards(job, table, wanted.devices.executor(), show)
        asked = time.monotonic()
        pack(
            job.out,
            table,
            card_info(settings),
            fingerprint=job.fingerprint,
            embed_media=wanted.embed_media,
            deduplicate=settings.dedup.enabled,
        )
        ledger = verify(job.out)
        ended = time.monotonic()
        seconds = {"plan": planned - begun, "ask": asked - planned, "pack and verify": ended - asked}
        report = end_report(progress, ledger, {name: round(value, 2) for name, value in seconds.items()})
        write_whole(job.out / "report.json", json.dumps(asdict(report), indent=1).encode() + b"\n")
        if not ledger.ok:
            raise LedgerError(f"{job.out}: the ledger does not close; `capgen verify {job.out}` says where")
        return job.out, report
