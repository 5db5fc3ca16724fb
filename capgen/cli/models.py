"""The verb about models: what is known of each family, and what a run would use for one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from capgen.cli import options
from capgen.display import echo, plain, terminal

if TYPE_CHECKING:
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
    from capgen.pipeline.planning.config import load_settings
    from capgen.pipeline.planning.model_profiles import find_profile, model_profiles, profile_named

    family = model_profiles().get(name)
    flags = {"model.id": name, "engine.name": engine} | ({"model.profile": name} if family else {})
    settings = load_settings("lvis", flags)
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
    return facts | (_terms(profile) if profile else {"licence": "not known: read the model's card"})


def _pictures(settings: Settings, profile: ModelProfile | None) -> dict[str, Any]:
    render = settings.render
    shape = "square" if render.square else f"multiples of {render.patch} pixels"
    facts: dict[str, Any] = {
        "pictures": f"{shape}; clean up to {render.clean_pixels:,} pixels, marked up to {render.marked_pixels:,}",
        "most pictures": settings.model.max_pictures or "as the engine allows",
        "places": render.coordinates,
    }
    if profile is None:
        return facts
    from math import isqrt

    side = isqrt(render.clean_pixels)
    size = (side, side) if render.square else (640 // render.patch * render.patch, 480 // render.patch * render.patch)
    count = profile.visual.count(*size)
    facts["visual tokens"] = f"{count} for {size[0]} x {size[1]}" if count else "not predicted"
    facts["shared prefix"] = {
        "shared": "objects of a picture share its work",
        "coarse": "shared in large blocks only: a short prompt saves nothing",
        "none": "nothing is shared",
    }[profile.prefix]
    return facts


def _text(settings: Settings, profile: ModelProfile | None, name: str) -> dict[str, Any]:
    thinking = "none known"
    if profile is not None:
        switch = f"switched off by {settings.model.template}"
        thinking = switch if profile.thinking == "switch" else "this family has none"
        if profile.thinks_always(name):
            thinking = "cannot be switched off: raise sampling.max_tokens"
    marks = [" ... ".join(pair) for pair in settings.model.reasoning]
    return {"thinking": thinking, "reasoning marks": ", ".join(marks) or "the usual ones"}


def _terms(profile: ModelProfile) -> dict[str, Any]:
    code = profile.remote_code or profile.remote_code_for
    return {
        "needs": f"vLLM {profile.vllm} or later" + ("; code of its own (model.trust_remote_code)" if code else ""),
        "memory": "; ".join(f"{size}: {text}" for size, text in profile.memory.items()),
        "licence": profile.licence,
        "captions": profile.captions,
        **{f"source, {key}": text for key, text in profile.sources.items()},
    }
