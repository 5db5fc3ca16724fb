"""The verb ``resume``: a run goes on with what its command said, taken from this user's own record of it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from capgen.cli import options
from capgen.cli.data import places
from capgen.cli.providers import Providers
from capgen.cli.runs.ending import embed_of, finish
from capgen.cli.runs.metrics import with_metrics
from capgen.cli.runs.output import long_work
from capgen.cli.settings import in_world
from capgen.display import plain, progress_terminal
from capgen.errors import UserError
from capgen.pipeline.running.metrics.run_metrics import RunMetrics

if TYPE_CHECKING:
    from capgen.dataset.plan import ModelName
    from capgen.pipeline.running.own_runs import DeviceFlags, OwnRun
    from capgen.pipeline.settings import Settings

app = typer.Typer(rich_markup_mode=None)


@dataclass(frozen=True, slots=True)
class _Known:
    """What a run goes on with."""

    settings: Settings
    model: ModelName
    embed: str | None
    devices: DeviceFlags


@app.command()
@long_work("the release's path")
@with_metrics
def resume(
    ctx: typer.Context,
    out: options.RunFolder,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Caption so many objects in all; not below the run's own limit.")
    ] = None,
    root: options.RootFlag = None,
    gpus: options.GpusFlag = None,
    tensor_parallel: Annotated[int | None, typer.Option(help="GPUs per engine. Default: as before.")] = None,
    workers: Annotated[
        int | None, typer.Option(help="Number of engines when running on the CPU. Default: as before.")
    ] = None,
    embed: options.EmbedFlag = None,
    follow_links: options.FollowLinksFlag = None,
    trust_out: Annotated[
        bool, typer.Option("--trust-out", help="Go on with a run that was not started here, with its own settings.")
    ] = False,
    set_: options.SetFlag = None,
    metrics: RunMetrics | None = None,
) -> None:
    """Go on with a run that was stopped, or raise its limit.

    A run that you started on this machine needs nothing else: settings and devices are those of its command.
    """
    from capgen.pipeline.running.own_runs import note_run, own_run
    from capgen.pipeline.running.session import RunRequest, run_session

    flags = {"source.root": root, "source.limit": limit, "source.follow_links": follow_links}
    out = out.absolute()  # _recorded may change the working directory
    run = own_run(out)
    if run is None or run.imported:
        known = _foreign(out, flags, set_ or (), trusted=trust_out or run is not None)
    else:
        known = _recorded(run, flags, set_ or ())
    embed = embed or known.embed
    devices = _devices(known.devices, gpus, tensor_parallel, workers)
    wanted = RunRequest(
        places.out_to_run(out),
        known.model,
        ctx.ensure_object(Providers).devices(devices.gpus, devices.tensor_parallel, devices.workers),
        embed=embed_of(embed),
        planned=lambda job: note_run(job, devices, embed),
        metrics=metrics,
    )
    console = progress_terminal(stderr=False)
    made, report = run_session(in_world(known.settings), wanted, console)
    finish(made, report, console)


def _recorded(run: OwnRun, flags: Mapping[str, Any], assignments: Sequence[str]) -> _Known:
    """The run as this user's record has it, in the folder in which it was started.

    Raises:
        UserError: that folder is gone, or a setting is wrong.
    """
    from capgen.pipeline.running.retry import settings_with

    try:
        os.chdir(run.folder)
    except OSError as error:
        raise UserError(
            f"{run.out} was started in {run.folder}: {error.strerror}", "run its command again where its files are"
        ) from None
    if run.root_url is not None and flags["source.root"] is None:
        flags = {**flags, "source.root": places.dataset_root(run.root_url)}
    return _Known(settings_with(run.settings, flags, assignments), run.model, run.embed, run.devices)


def _foreign(out: Path, flags: Mapping[str, Any], assignments: Sequence[str], *, trusted: bool) -> _Known:
    """The run as OUT itself says it was, once the user has said where its pictures are or that OUT is to be trusted.

    Raises:
        UserError: the user has said neither, or OUT asks for servers, keys, folders or code.
    """
    from capgen.pipeline.running.own_runs import DeviceFlags
    from capgen.pipeline.running.retry import recorded

    if flags["source.root"] is None and not trusted:
        raise UserError(
            f"{plain(str(out))}: there is no record that you started this run here, as it stands now",
            "give its command again, or --root DIR with the folder of its pictures, or --trust-out if OUT is yours",
        )
    was = recorded(out, flags, assignments, trusted=trusted)
    return _Known(was.settings, was.model, was.embed, DeviceFlags())


def _devices(was: DeviceFlags, gpus: str | None, tensor_parallel: int | None, workers: int | None) -> DeviceFlags:
    from capgen.pipeline.running.own_runs import DeviceFlags

    return DeviceFlags(
        gpus=was.gpus if gpus is None else gpus,
        tensor_parallel=was.tensor_parallel if tensor_parallel is None else tensor_parallel,
        workers=was.workers if workers is None else workers,
    )
