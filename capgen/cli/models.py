"""The verbs before a run: what is known of each family of models, what a run would use for one, and what it takes."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from capgen.cli import options
from capgen.cli.runs.output import long_work
from capgen.display import echo, plain, terminal
from capgen.text import duration

if TYPE_CHECKING:
    from capgen.pipeline.estimating.cost import RunEstimate
    from capgen.pipeline.planning.model_profiles import ModelProfile
    from capgen.pipeline.settings import Settings

app = typer.Typer(rich_markup_mode=None)


@app.command()
def models(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Hub name, model folder, or a family.")] = None,
    engine: Annotated[str, typer.Option(help="Engine that runs it.")] = "vllm",
    as_json: options.JsonFlag = False,
) -> None:
    """List the model families, or say what a run with one will use.

    Settings given with --set or in a pipeline file go over a family's.
    """
    import json

    if name is None:
        _list(as_json=as_json)
        return
    facts = _facts(name, engine)
    if as_json:
        typer.echo(json.dumps(facts, indent=1))
    else:
        echo("\n".join(f"{key + ':':<18} {plain(str(value))}" for key, value in facts.items()))


@app.command()
@long_work("the estimate")
def plan(
    dataset: options.DatasetFlag = None,
    pipeline: options.PipelineFlag = None,
    root: options.RootFlag = None,
    split: options.SplitFlag = None,
    model: options.ModelFlag = None,
    engine: options.EngineFlag = None,
    gpus: Annotated[int, typer.Option(help="Number of GPUs of the run; 0 is the CPU. They need not be here.")] = 1,
    tensor_parallel: options.TensorParallelFlag = 1,
    limit: Annotated[int | None, typer.Option(help="Maximum number of objects to caption.")] = None,
    probe: Annotated[int, typer.Option(help="Ask so many objects with one engine here and measure.", min=0)] = 0,
    rate: Annotated[float | None, typer.Option(help="Objects a second and engine, measured elsewhere.")] = None,
    price: Annotated[float | None, typer.Option(help="Price of an hour of one GPU, in any currency.")] = None,
    as_json: options.JsonFlag = False,
    set_: options.SetFlag = None,
) -> None:
    """Say what a run will take, before it is started.

    Requests, tokens, shards, disk, hours and price.

    Nothing is written, and without --probe no model is loaded. What was assumed is said.
    """
    import json

    from capgen.cli.settings import settings_of, with_world
    from capgen.errors import UserError
    from capgen.pipeline.estimating.cost import EstimateRequest, estimate_run

    if gpus < 0 or tensor_parallel < 1 or (gpus and gpus % tensor_parallel):
        raise UserError(f"--gpus {gpus} cannot be shared out by {tensor_parallel}", "--gpus is a multiple of it, or 0")
    if (rate is not None and rate <= 0) or (price is not None and price < 0):
        raise UserError("--rate and --price must be positive", "leave them out if they are not known")
    flags = {
        "source.root": root,
        "source.split": split,
        "source.limit": limit,
        "model.id": model,
        "engine.name": engine,
    }
    settings, name = settings_of(dataset, pipeline, flags, set_ or ())
    with TemporaryDirectory() as temporary:
        settings = with_world(settings, Path(temporary) / "run")
        found = estimate_run(settings, EstimateRequest(gpus, tensor_parallel, probe, rate, price))
    if as_json:
        typer.echo(json.dumps(found.as_json() | {"model": name.name}, indent=1))
    else:
        echo(estimate_text(found, name.name))


def estimate_text(found: RunEstimate, model: str) -> str:
    """The estimate as lines."""
    cannot = f" ({found.unaskable:,} objects cannot be asked for)" if found.unaskable else ""
    time = "not known"
    if found.hours is not None:
        many = "GPU" if found.gpus == 1 else "GPUs"
        where = f"{found.gpus} {many} ({_lasts(found.gpu_hours or 0.0, 1)} of GPUs)" if found.gpus else "the CPU"
        time = f"{_lasts(found.hours, 2)} on {where}, {found.objects_per_s:,.3g} objects/s"
    rows = {
        "dataset": f"{found.dataset}: {found.media:,} media, {found.objects:,} objects",
        "model": plain(model),
        "requests": f"{found.requests:,}{cannot}",
        "pictures": f"{found.pictures:,}",
        "prompts": f"{found.prompt_tokens:,} tokens, {found.cached_tokens:,} of them cached",
        "answers": f"{found.output_tokens:,} tokens",
        "shards": f"{found.shards:,}",
        "disk": f"{gib:,.2f} GiB" if (gib := found.disk_bytes / 2**30) >= 0.1 else f"{gib * 1024:,.2f} MiB",
        "time": time,
    }
    if found.price is not None:
        rows["price"] = f"{found.price:,.2f}" if found.price >= 1 else f"{found.price:.2g}"
    lines = [f"{name + ':':<10} {text}" for name, text in rows.items()]
    return "\n".join([*lines, "assumed:", *(f"- {plain(text)}" for text in found.assumptions)])


def _lasts(hours: float, places: int) -> str:
    """Hours with so many places; less than a tenth in minutes and seconds."""
    return f"{hours:,.{places}f} h" if hours >= 0.1 else duration(max(1.0, hours * 3600))


def _list(*, as_json: bool) -> None:
    import json

    from rich.table import Table

    from capgen.pipeline.planning.model_profiles import model_profiles

    profiles = model_profiles().values()
    if as_json:
        typer.echo(json.dumps([profile.model_dump(mode="json") for profile in profiles], indent=1))
        return
    table = Table(box=None, pad_edge=False)
    for column in ("family", "models", "licence", "places", "thinking"):
        table.add_column(column)
    for profile in profiles:
        thinking = "switched off" if profile.thinking == "switch" else "none"
        places = profile.render.coordinates or "percent"
        table.add_row(profile.name, profile.title, profile.licence, places, thinking)
    terminal().print(table)


def _facts(name: str, engine: str) -> dict[str, Any]:
    """What a run of ``lvis`` with this model would use, and why, in the order in which it is read."""
    from capgen.cli.settings import settings_of
    from capgen.pipeline.engines.base import build_engine
    from capgen.pipeline.planning.model_profiles import find_profile, model_profiles, profile_named
    from capgen.pipeline.planning.preflight import check_model_path

    family = model_profiles().get(name)
    flags = {"model.id": name, "engine.name": engine} | ({"model.profile": name} if family else {})
    settings, _ = settings_of("lvis", None, flags)
    build_engine(settings.engine)
    check_model_path(settings)
    profile = profile_named(settings.model.profile)
    if family:
        why = "it was named"
    else:
        found, why = find_profile(name)
        if found != profile:
            why = "the capgen.toml in its folder says so"
    facts: dict[str, Any] = {"profile": f"{settings.model.profile} ({why})"}
    facts |= _pictures(settings, profile) | _text(settings, profile, name)
    facts["engine"] = f"{engine}: {settings.engine.options}"
    facts |= _memory(settings, profile) if profile else {}
    return facts | (_terms(profile) if profile else {"licence": "not known: read the model's card"})


def _pictures(settings: Settings, profile: ModelProfile | None) -> dict[str, Any]:
    render = settings.render
    shape = "square" if render.square else f"multiples of {render.patch} pixels"
    facts: dict[str, Any] = {
        "pictures": f"{shape}; clean up to {render.clean_pixels:,} pixels, marked up to {render.marked_pixels:,}",
        "most pictures": settings.model.max_pictures or "no limit of its own is known; the engine vllm takes 16",
        "places": render.coordinates,
    }
    if profile is None:
        return facts
    from capgen.pipeline.rendering.highlights.base import Fit

    width, height = Fit(render.patch, render.clean_pixels, render.square).size(640, 480)
    count = profile.visual.count(width, height)
    facts["visual tokens"] = f"{count} for {width} x {height}, as 640 x 480 is sent" if count else "not predicted"
    facts["shared prefix"] = {
        "shared": "objects of a picture share its work",
        "coarse": "shared in large blocks only: a short prompt saves nothing",
        "none": "nothing is shared",
    }[profile.prefix]
    return facts


def _text(settings: Settings, profile: ModelProfile | None, name: str) -> dict[str, Any]:
    thinking = "none known"
    if profile is not None:
        told = settings.model.template
        switch = f"switched off by {told}" if told == profile.model.template else f"as the template is told: {told}"
        thinking = switch if profile.thinking == "switch" else "this family has none"
        if profile.thinks_always(name):
            thinking = "cannot be switched off: raise sampling.max_tokens"
    marks = [" ... ".join(pair) for pair in settings.model.reasoning]
    system = {"message": "a message of its own", "user": "opens the user's message"}[settings.render.system]
    return {"system text": system, "thinking": thinking, "reasoning marks": ", ".join(marks) or "the usual ones"}


def _memory(settings: Settings, profile: ModelProfile) -> dict[str, str]:
    """Memory of an engine by size, for the requests and lengths that this run's engine is told."""
    told = settings.engine.options
    requests, longest = int(told.get("max_num_seqs") or 256), int(told.get("max_model_len") or 4096)
    return {f"memory, {size}": needs.text(requests, longest) for size, needs in profile.memory.items()}


def _terms(profile: ModelProfile) -> dict[str, Any]:
    code = "; code of its own (model.trust_remote_code)" if profile.remote_code else ""
    if profile.remote_code_for:
        code = f"; {', '.join(profile.remote_code_for)} brings code of its own (model.trust_remote_code)"
    return {
        "needs": f"vLLM {profile.vllm} or later{code}",
        "licence": profile.licence,
        "captions": profile.captions,
        **{f"source, {key}": text for key, text in profile.sources.items()},
    }
