"""Prompt files, ``prompts/<name>.toml``, as types, and the object's text. Data is never parsed as a template."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from math import ceil, floor
from pathlib import Path
from typing import Annotated, Literal, get_args

from jinja2 import StrictUndefined, Template, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from capgen.dataset.types import Box, Kind, Media, MediaObject
from capgen.encoding import read_text
from capgen.errors import UnknownName, UserError
from capgen.pipeline.rendering.frames import Choice
from capgen.pipeline.rendering.highlights import HIGHLIGHTS
from capgen.pipeline.rendering.highlights.base import Highlight
from capgen.pipeline.settings import Coordinates
from capgen.pipeline.view import Turn
from capgen.resources import resource

_LONGEST_NAME = 200  # characters of a category that a prompt repeats
_Count = Annotated[int, Field(ge=0, le=64)]


@dataclass(frozen=True, slots=True)
class Layout:
    """Which pictures a request shows: clean frames first, then as many marked ones, each through the highlights."""

    clean_frames: int
    clean_choice: Choice
    marked_frames: int
    marked_choice: Choice
    highlights: tuple[Highlight, ...]
    highlight: str
    """The names of the highlights, joined by ``+``: what a row's ``highlight`` column says."""
    close_up: bool
    """Whether marked pictures are cut out of their frames."""
    needs_mask: tuple[str, ...] = ()
    """The highlights among them that cannot do with a box alone."""


@dataclass(frozen=True, slots=True)
class Layouts:
    """The layout for images and the one for videos."""

    image: Layout
    video: Layout


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt file.

    Args:
        before: the fixed text before the pictures.
        object_template: the Jinja template of the text after the pictures.
        category: whether the model is told categories.
        sha256: of the file's text.
    """

    name: str
    system: str
    before: str
    object_template: str
    examples: tuple[Turn, ...]
    layout: Layouts
    category: bool
    sha256: str

    def layout_for(self, kind: Kind) -> Layout:
        """The layout for a kind of medium."""
        return self.layout.image if kind == "image" else self.layout.video

    def text(self, variables: Mapping[str, object]) -> str:
        """The object's text: the template filled in, trimmed.

        Raises:
            jinja2.TemplateError: the template names a variable that is not there.
        """
        return compiled(self.object_template).render(variables).strip()


@dataclass(frozen=True, slots=True)
class Place:
    """Where an object is on one marked frame, as templates see it.

    ``left``, ``top``, ``right``, ``bottom``: in the convention of ``render.coordinates``, rounded outwards: percent of
    the frame, thousandths or pixels of it as whole numbers, or 0 to 1 with three decimals.
    ``normalised``: always ``(left,top,right,bottom)`` from 0 to 1 with two decimals.
    ``area_percent``: the mask's share of the frame in percent, as text with two digits.
    ``frame``: the frame's number, from 1. ``color``: the name of the mark's colour, None where nothing is drawn.
    """

    left: int | str
    top: int | str
    right: int | str
    bottom: int | str
    normalised: str
    area_percent: str
    frame: int
    color: str | None = None


def place(
    box: Box,
    area: int,
    size: tuple[int, int],
    frame: int,
    color: str | None = None,
    *,
    coordinates: Coordinates = "percent",
    sent: tuple[int, int] | None = None,
) -> Place:
    """The place of a box (x, y, width, height) on a frame of ``size`` (width, height) pixels; ``frame`` from 0.

    Args:
        sent: width and height of the frame as the model sees it, for places in pixels; None is ``size``.
    """
    x, y, wide, high = box
    sides = x / size[0], y / size[1], (x + wide) / size[0], (y + high) / size[1]
    share = 100 * area / (size[0] * size[1])
    left, top, right, bottom = _scaled(sides, coordinates, sent or size)
    return Place(
        left=left,
        top=top,
        right=right,
        bottom=bottom,
        normalised="(" + ",".join(f"{side:.2f}" for side in sides) + ")",
        area_percent=f"{share:.0f}" if share >= 10 else f"{share:.2g}",
        frame=frame + 1,
        color=color,
    )


def _scaled(
    sides: tuple[float, float, float, float], coordinates: Coordinates, sent: tuple[int, int]
) -> tuple[int | str, ...]:
    """Left, top, right and bottom, given from 0 to 1, as numbers of a convention, rounded outwards."""
    whole = {"percent": (100, 100), "thousand": (1000, 1000), "unit": (1000, 1000), "pixel": sent}[coordinates]
    lower = [max(0, floor(side * most + 1e-9)) for side, most in zip(sides[:2], whole, strict=True)]
    upper = [min(most, ceil(side * most - 1e-9)) for side, most in zip(sides[2:], whole, strict=True)]
    numbers = (*lower, *upper)
    return tuple(f"{number / 1000:.3f}" for number in numbers) if coordinates == "unit" else numbers


@lru_cache(maxsize=4096)
def told(name: str) -> str:
    """A category as a prompt says it: one line of plain words, without what could pass for a chat's control token."""
    plain = "".join(c if c.isprintable() else " " for c in name[: 4 * _LONGEST_NAME])
    return " ".join(plain.translate({ord("_"): " ", ord("<"): " ", ord(">"): " "}).split())[:_LONGEST_NAME].strip()


def variables(
    prompt: Prompt, media: Media, obj: MediaObject, boxes: tuple[Place | None, ...], frames: tuple[int, ...]
) -> dict[str, object]:
    """What a template can say about an object.

    ``category`` (or None), ``synonyms``, ``others`` (the other categories of the medium): None and empty where the
    prompt does not tell categories. ``kind``, ``num_frames`` (of the medium), ``frames`` (numbers of the marked
    frames, from 1), ``boxes`` (a ``Place`` for each marked frame, None where the object is not on it).
    """
    category = told(obj.category) if prompt.category and obj.category else None
    others: dict[str, None] = {}
    if prompt.category:
        others = dict.fromkeys(told(o.category) for o in media.objects if o.category and o.category != obj.category)
    return {
        "category": category or None,
        "synonyms": tuple(told(s) for s in obj.synonyms if s != obj.category) if prompt.category else (),
        "others": tuple(name for name in others if name),
        "kind": media.kind,
        "num_frames": len(media.file_names),
        "frames": tuple(i + 1 for i in frames),
        "boxes": boxes,
    }


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Example(_Table):
    user: str
    assistant: str


class _HighlightTable(BaseModel):
    """A highlight with options: ``name``, and whatever fields that highlight has."""

    model_config = ConfigDict(extra="allow", frozen=True)
    name: str


class _LayoutTable(_Table):
    clean_frames: _Count
    clean_choice: Choice = "uniform"
    marked_frames: Annotated[int, Field(ge=1, le=64)]
    marked_choice: Choice
    highlights: tuple[str | _HighlightTable, ...]


class _LayoutsTable(_Table):
    image: _LayoutTable
    video: _LayoutTable


class _File(_Table):
    name: Annotated[str, Field(min_length=1)]
    system: str = ""
    before: str = ""
    object: str
    examples: tuple[_Example, ...] = ()
    layout: _LayoutsTable


def load_prompt(name: str, *, category: bool) -> Prompt:
    """The prompt of that name in ``prompts/``, or of that path, with everything in it checked.

    Raises:
        UserError: it does not exist, is not TOML, has unknown or missing keys, or its template does not render.
    """
    path = resource("prompts", name, ".toml")
    try:
        text = read_text(path)
        file = _File.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path} is not a TOML file: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise UserError(
            f"{path}: {key}: {first['msg']}", "see prompts/shared-crop_v1.toml for a prompt's keys"
        ) from None
    prompt = Prompt(
        name=file.name,
        system=file.system.strip(),
        before=file.before.strip(),
        object_template=file.object,
        examples=tuple(Turn(e.user.strip(), e.assistant.strip()) for e in file.examples),
        layout=Layouts(_layout(path, "image", file.layout.image), _layout(path, "video", file.layout.video)),
        category=category,
        sha256=hashlib.sha256(text.encode()).hexdigest(),
    )
    _try(path, prompt)
    return prompt


def with_highlights(prompt: Prompt, names: str) -> Prompt:
    """The prompt with other highlights, given by their names, joined by ``+``.

    Raises:
        UserError: there is no such highlight, or one that cuts pictures out does not come first.
    """

    def changed(kind: Kind) -> Layout:
        old = prompt.layout_for(kind)
        table = _LayoutTable(
            clean_frames=old.clean_frames,
            clean_choice=old.clean_choice,
            marked_frames=old.marked_frames,
            marked_choice=old.marked_choice,
            highlights=tuple(names.split("+")),
        )
        return _layout(Path(prompt.name), kind, table)

    return replace(prompt, layout=Layouts(changed("image"), changed("video")))


def _layout(path: Path, kind: Literal["image", "video"], table: _LayoutTable) -> Layout:
    specs = [_HighlightTable(name=h) if isinstance(h, str) else h for h in table.highlights]
    key = f"layout.{kind}.highlights"
    try:
        built: list[Highlight] = [
            HIGHLIGHTS.build(spec.name, spec.model_extra or {}, f"{path}: {key}.{spec.name}") for spec in specs
        ]
    except UnknownName as error:
        raise UserError(f"{path}: {key}: {error.what}", error.remedy) from None
    close_ups = [getattr(highlight, "close_up", False) for highlight in built]
    if any(close_ups[1:]):
        name = specs[close_ups.index(True, 1)].name
        raise UserError(f"{path}: {key}: {name} comes first", "the others draw on what it cuts out")
    return Layout(
        clean_frames=table.clean_frames,
        clean_choice=table.clean_choice,
        marked_frames=table.marked_frames,
        marked_choice=table.marked_choice,
        highlights=tuple(built),
        highlight="+".join(spec.name for spec in specs) or "none",
        close_up=any(close_ups),
        needs_mask=tuple(s.name for s, h in zip(specs, built, strict=True) if getattr(h, "needs_mask", False)),
    )


def _try(path: Path, prompt: Prompt) -> None:
    """Fill the template for all that can come, so that a mistake in it ends the run before its first request."""
    here = place((1.0, 2.0, 3.0, 4.0), 12, (10, 10), 0, "green")
    for kind in get_args(Kind):
        layout = prompt.layout_for(kind)
        cases: list[tuple[Place | None, ...]] = [(here,), (here,) * layout.marked_frames]
        if layout.marked_choice == "uniform" and layout.marked_frames > 1:
            cases.append((None, here))
        for boxes in cases:
            frames = tuple(range(1, len(boxes) + 1))
            common = {"synonyms": ("b",), "others": ("c",), "kind": kind, "num_frames": 9, "frames": frames}
            try:
                for category in ("a", None):
                    prompt.text({**common, "category": category, "boxes": boxes})
            except (TemplateError, TypeError, ValueError, ArithmeticError) as error:
                known = ", ".join(("category", *common, "boxes"))
                raise UserError(f"{path}: object, for kind {kind!r}: {error}", f"its variables: {known}") from None


@lru_cache(maxsize=64)
def compiled(template: str) -> Template:
    """The Jinja template of that text, in a sandbox that refuses unknown variables."""
    # Prompts are plain text for a model: escaping would only garble them.
    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
    return environment.from_string(template)
