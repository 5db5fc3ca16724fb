"""The verb ``doctor``: what would stop a run on this machine or cluster, each with its remedy."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from capgen.cli import options
from capgen.cli.providers import local_devices
from capgen.display import echo, json_text
from capgen.errors import UserError

app = typer.Typer(rich_markup_mode=None)


@app.command()
def doctor(
    dataset: options.DatasetFlag = None,
    pipeline: options.PipelineFlag = None,
    root: Annotated[str | None, typer.Option(metavar="DIR", help="Folder or URL of the dataset.")] = None,
    out: Annotated[str | None, typer.Option(metavar="OUT", help="Folder or URL of the run.")] = None,
    engine: options.EngineFlag = None,
    model: options.ModelFlag = None,
    gpus: options.GpusFlag = None,
    set_: options.SetFlag = None,
    as_json: options.JsonFlag = False,
) -> None:
    """Find what would stop a run, on this machine or a cluster.

    Give the flags of the run. The cluster is the one that RAY_ADDRESS names. Nothing is started but the look at each
    machine, and nothing is kept. Exit code 1 where something would stop the run; each such line has its remedy.
    """
    from dataclasses import asdict

    from capgen.buckets.places import local_place
    from capgen.cli.settings import settings_of
    from capgen.pipeline.running.nodes.check_result import DoctorRequest
    from capgen.pipeline.running.nodes.doctor import check_all

    flags = {
        "source.root": None if root is None else local_place(root, "root"),
        "engine.name": engine,
        "model.id": model,
    }
    if dataset is None and pipeline is None:
        dataset = "sample-images"
    settings, _ = settings_of(dataset, pipeline, flags, set_ or ())
    count, wrong = 0, None
    try:
        count = local_devices(gpus, 1, 1).gpus
    except UserError as error:
        wrong = error
    found = []
    for one in check_all(DoctorRequest(settings, None if out is None else local_place(out, "run"), count, wrong)):
        found.append(one)
        if not as_json:
            echo(one.line())
    faults = sum(one.state == "fault" for one in found)
    if as_json:
        echo(json_text(json.dumps({"ok": not faults, "checks": [asdict(one) for one in found]}, indent=1)))
    else:
        echo(f"{faults} of {len(found)} checks found what would stop a run" if faults else "nothing would stop a run")
    if faults:
        raise typer.Exit(1)
