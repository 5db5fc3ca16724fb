"""The verb ``ablate``: the same objects under several settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from capgen.cli import options
from capgen.cli.providers import Providers
from capgen.cli.runs.output import long_work
from capgen.cli.settings import settings_of, with_world
from capgen.display import echo, json_text, note, progress_terminal
from capgen.errors import UserError

if TYPE_CHECKING:
    from capgen.dataset.plan import ModelName
    from capgen.pipeline.settings import Settings

app = typer.Typer(rich_markup_mode=None)


@app.command()
@long_work("the table and the files' path")
def ablate(
    ctx: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="Ablation file (TOML): a name in ablations/, or a path.")],
    out: Annotated[Path, typer.Option(help="Folder of the runs and the result.")],
    root: options.RootFlag = None,
    objects: Annotated[int | None, typer.Option(min=1, help="Number of objects, instead of the file's.")] = None,
    facts: Annotated[
        Path | None, typer.Option(help="facts.json of the sample world. Default: that of the world in OUT.")
    ] = None,
    gpus: options.GpusFlag = None,
    tensor_parallel: options.TensorParallelFlag = 1,
    as_json: options.JsonFlag = False,
    set_: options.SetFlag = None,
) -> None:
    """Caption the same objects under several settings and compare.

    Every variant is a run in OUT/variants, all variants of a model go through one engine. The result is ablation.json,
    ablation.md (a table) and ablation.png in OUT. Run the same command again to resume.
    """
    import msgspec

    from capgen.ablation.design import flat, read_ablation
    from capgen.ablation.results import as_table
    from capgen.ablation.run import AblationRequest, run_ablation
    from capgen.dataset.layout import ABLATION_ENTRIES, RunLayout
    from capgen.dataset.lock import exclusive

    found = read_ablation(file)
    if objects is not None:
        found = found.model_copy(update={"objects": objects})
    world = RunLayout(out).world / "facts.json"

    def chosen(tables: Mapping[str, Any]) -> tuple[Settings, ModelName]:
        flags = dict(tables) if root is None else {**tables, "source.root": root}
        settings, model = settings_of(found.dataset, found.pipeline, flags, set_ or ())
        if settings.engine.name == "batchfile":
            raise UserError("engine batchfile cannot be compared: its answers come later", "choose another engine")
        return with_world(settings, out), model

    devices = ctx.ensure_object(Providers).devices(gpus, tensor_parallel, 1)
    with exclusive(out, ABLATION_ENTRIES):
        chosen(flat(found.set))
        truth = facts or (world if world.is_file() else None)
        request = AblationRequest(
            file,
            found,
            out,
            chosen,
            devices.gpus,
            truth,
            progress_terminal(),
            lambda line: note(line, stderr=as_json),
        )
        result = run_ablation(request)
    if as_json:
        typer.echo(json_text(msgspec.json.format(msgspec.json.encode(result)).decode()))
    else:
        echo(as_table(result))
        echo(f"written: {out / 'ablation.json'}, ablation.md and ablation.png beside it")
