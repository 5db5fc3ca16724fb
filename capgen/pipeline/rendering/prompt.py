"""Prompt files, ``prompts/<name>.toml``, as types, and the object's text. Data is never parsed as a template."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, get_args

from jinja2 import StrictUndefined, Template, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from capgen.dataset.types import Kind, Media, MediaObject
from capgen.encoding import read_text
from capgen.errors import UnknownName, UserError
from capgen.pipeline.rendering.highlights import HIGHLIGHTS
from capgen.pipeline.rendering.highlights.base import Highlight
from capgen.pipeline.rendering.places import NumberedObject, Place, place, told
from capgen.pipeline.settings import FrameCount, FrameRule, PromptSettings
from capgen.pipeline.view import Turn
from capgen.resources import resource

_TOGETHER = 64  # objects of one request, at most


@dataclass(frozen=True, slots=True)
class Layout:
    """Which pictures a request shows: clean frames first, then as many marked ones, each through the highlights."""

    clean_frames: int
    clean_choice: FrameRule
    marked_frames: int
    marked_choice: FrameRule
    highlights: tuple[Highlight, ...]
    highlight: str
    """The names of the highlights, joined by ``+``: what a row's ``highlight`` column says."""
    close_up: bool
    """Whether marked pictures are cut out of their frames."""
    needs_mask: tuple[str, ...] = ()
    """The highlights among them that cannot do with a box alone."""
    objects_per_request: int = 1
    """Objects of a medium that one request is about at most; more than one are numbered, the answer is JSON."""


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


def variables(
    prompt: Prompt, media: Media, obj: MediaObject, boxes: tuple[Place | None, ...], frames: tuple[int, ...]
) -> dict[str, object]:
    """What a template can say about an object.

    ``category`` (or None), ``synonyms``, ``others`` (the other categories of the medium): None and empty where the
    prompt does not tell categories. ``kind``, ``num_frames`` (of the medium), ``frames`` (numbers of the marked
    frames, from 1), ``boxes`` (a ``Place`` for each marked frame, None where the object is not on it), ``objects`` (a
    ``NumberedObject`` for each object that the request is about).
    """
    category, synonyms = _named(prompt, obj)
    others: dict[str, None] = {}
    if prompt.category:
        others = dict.fromkeys(told(o.category) for o in media.objects if o.category and o.category != obj.category)
    return {
        "category": category,
        "synonyms": synonyms,
        "others": tuple(name for name in others if name),
        "kind": media.kind,
        "num_frames": len(media.file_names),
        "frames": tuple(i + 1 for i in frames),
        "boxes": boxes,
        "objects": (NumberedObject(1, category, synonyms, boxes),),
    }


def numbered_variables(
    prompt: Prompt,
    media: Media,
    objects: Sequence[MediaObject],
    boxes: Sequence[tuple[Place | None, ...]],
    frames: tuple[int, ...],
) -> dict[str, object]:
    """What a template can say of a request about several objects.

    ``objects``: a ``NumberedObject`` for each, in order. ``kind``, ``num_frames`` and ``frames`` as for one object.
    """
    named = [(*_named(prompt, obj), places) for obj, places in zip(objects, boxes, strict=True)]
    return {
        "objects": tuple(NumberedObject(number, *one) for number, one in enumerate(named, 1)),
        "kind": media.kind,
        "num_frames": len(media.file_names),
        "frames": tuple(i + 1 for i in frames),
    }


def _named(prompt: Prompt, obj: MediaObject) -> tuple[str | None, tuple[str, ...]]:
    """The category and its synonyms as the prompt tells them; None and empty where it does not."""
    if not prompt.category:
        return None, ()
    category = told(obj.category) if obj.category else None
    return category or None, tuple(told(s) for s in obj.synonyms if s != obj.category)


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
    objects_per_request: Annotated[int, Field(ge=1, le=_TOGETHER)] = 1
    clean_frames: FrameCount
    clean_choice: FrameRule = "uniform"
    marked_frames: Annotated[int, Field(ge=1, le=64)]
    marked_choice: FrameRule
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


def prompt_of(settings: PromptSettings) -> Prompt:
    """The prompt that the settings name, with what they have otherwise than its file.

    Raises:
        UserError: see ``load_prompt``; or a highlight does not exist or does not fit.
    """
    prompt = load_prompt(settings.name, category=settings.category)
    frames = settings.changes()
    marks = frames.pop("marks", None)
    if frames:
        image, video = (replace(prompt.layout_for(kind), **frames) for kind in get_args(Kind))
        prompt = replace(prompt, layout=Layouts(image, video))
        _try(Path(prompt.name), prompt)
    return with_marks(prompt, marks) if marks else prompt


def with_highlights(prompt: Prompt, names: str) -> Prompt:
    """The prompt with other highlights, given by their names, joined by ``+``.

    Raises:
        UserError: there is no such highlight, or one that cuts pictures out does not come first.
    """
    image, video = (_highlighted(prompt, kind, names.split("+")) for kind in get_args(Kind))
    return replace(prompt, layout=Layouts(image, video))


def with_marks(prompt: Prompt, names: str) -> Prompt:
    """The prompt with other marks, given by their names, joined by ``+``; what cuts pictures out stays first.

    Raises:
        UserError: there is no such highlight, or one of them does not fit.
    """
    given = names.split("+")
    image, video = (_highlighted(prompt, kind, given, keep=True) for kind in get_args(Kind))
    return replace(prompt, layout=Layouts(image, video))


def _highlighted(prompt: Prompt, kind: Kind, names: Sequence[str], *, keep: bool = False) -> Layout:
    """The layout with highlights of these names; ``keep``: behind the one that makes close-ups, if there is one."""
    old = prompt.layout_for(kind)
    cut = old.highlights[:1] if keep and old.close_up else ()
    specs = [_HighlightTable(name=name) for name in names]
    made = _highlights(Path(prompt.name), kind, specs, old.objects_per_request, cut)
    return replace(old, **made, highlight="+".join([*old.highlight.split("+")[: len(cut)], *names]))


def _layout(path: Path, kind: Kind, table: _LayoutTable) -> Layout:
    specs = [_HighlightTable(name=h) if isinstance(h, str) else h for h in table.highlights]
    return Layout(
        clean_frames=table.clean_frames,
        clean_choice=table.clean_choice,
        marked_frames=table.marked_frames,
        marked_choice=table.marked_choice,
        highlight="+".join(spec.name for spec in specs) or "none",
        objects_per_request=table.objects_per_request,
        **_highlights(path, kind, specs, table.objects_per_request),
    )


def _highlights(
    path: Path, kind: Kind, specs: Sequence[_HighlightTable], together: int, first: tuple[Highlight, ...] = ()
) -> dict[str, Any]:
    """The fields of a layout that follow from its highlights.

    Args:
        together: objects of a request.
        first: comes before those of ``specs``.

    Raises:
        UserError: one of them does not exist, or does not fit the others or the number of objects.
    """
    key = f"layout.{kind}.highlights"
    try:
        built: list[Highlight] = [
            HIGHLIGHTS.build(spec.name, spec.model_extra or {}, f"{path}: {key}.{spec.name}") for spec in specs
        ]
    except UnknownName as error:
        raise UserError(f"{path}: {key}: {error.what}", error.remedy) from None
    for place_of, (spec, highlight) in enumerate(zip(specs, built, strict=True), len(first)):
        if getattr(highlight, "close_up", False) and place_of:
            raise UserError(f"{path}: {key}: {spec.name} comes first", "the others draw on what it cuts out")
        if getattr(highlight, "close_up", False) and together > 1:
            raise UserError(f"{path}: {key}: {spec.name} shows one object alone", "set objects_per_request to 1")
        if getattr(highlight, "needs_number", False) and together == 1:
            raise UserError(f"{path}: {key}: {spec.name} needs numbers", "set objects_per_request to more than 1")
    everything = (*first, *built)
    return {
        "highlights": everything,
        "close_up": any(getattr(highlight, "close_up", False) for highlight in everything),
        "needs_mask": tuple(s.name for s, h in zip(specs, built, strict=True) if getattr(h, "needs_mask", False)),
    }


def _try(path: Path, prompt: Prompt) -> None:
    """Fill the template for all that can come, so that a mistake in it ends the run before its first request."""
    here = place((1.0, 2.0, 3.0, 4.0), 12, (10, 10), 0, "green")
    for kind in get_args(Kind):
        layout = prompt.layout_for(kind)
        cases: list[tuple[Place | None, ...]] = [(here,), (here,) * layout.marked_frames]
        if layout.marked_frames > 1 and (layout.marked_choice == "uniform" or layout.objects_per_request > 1):
            cases.append((None, here))
        for boxes in cases:
            frames = tuple(range(1, len(boxes) + 1))
            about = {"kind": kind, "num_frames": 9, "frames": frames}
            for category in ("a", None):
                common = about | {"objects": (NumberedObject(1, category, ("b",), boxes),)}
                if layout.objects_per_request == 1:
                    common |= {"synonyms": ("b",), "others": ("c",), "category": category, "boxes": boxes}
                try:
                    prompt.text(common)
                except (TemplateError, TypeError, ValueError, ArithmeticError) as error:
                    known = ", ".join(common)
                    raise UserError(f"{path}: object, for kind {kind!r}: {error}", f"its variables: {known}") from None


@lru_cache(maxsize=64)
def compiled(template: str) -> Template:
    """The Jinja template of that text, in a sandbox that refuses unknown variables."""
    # Prompts are plain text for a model: escaping would only garble them.
    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
    return environment.from_string(template)
