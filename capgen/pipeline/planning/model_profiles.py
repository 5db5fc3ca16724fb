"""What differs between families of vision-language models: ``pipelines/models/<family>.toml``.

A profile is chosen by the model's own ``config.json`` (its architecture), where that cannot be read by the model's
name, or by ``model.profile``. A model folder may add to it with a ``capgen.toml`` of its own, but only what is about
pictures and text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from math import ceil, floor, inf, sqrt
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from capgen.errors import UnknownName, UserError
from capgen.layered_toml import read_toml, sentence
from capgen.pipeline.settings import Coordinates, Patch, PixelCount, Table
from capgen.resources import resource_dir

FOLDER_FILE = "capgen.toml"
"""A model folder may hold this file: what its pictures and its text need otherwise than the profile says."""

NO_PROFILE = "none"

STEP_TOKENS = 8192
"""Tokens that vLLM computes in one step on a GPU of 70 GiB and more."""

USUAL_TOKENS = 1024
"""More than the prompt of one object of LVIS takes with most families."""

_GIB = 2**30
_KIND = "pipelines/models"
_LARGEST_CONFIG = 4 * 2**20


class VisualTokens(Table):
    """How many tokens a picture becomes.

    ``rule``: ``patches`` (one for each ``side`` x ``side`` pixels, and ``per_row`` for each row), ``tiles`` (``tokens``
    for a picture of exactly ``side`` x ``side``), ``fixed`` (``tokens`` for any picture), ``budget`` (any picture is
    scaled to at most ``tokens`` squares of ``side``), ``crops`` (the whole picture at ``tokens``, then overlapping
    crops of ``side`` pixels, each of which adds ``window`` pixels to the others, at most ``most_crops`` of them, with
    one token for each ``cell`` x ``cell`` pixels and ``per_row`` for each row), ``unknown``.
    ``extra``: tokens around each picture. ``fewest_pixels``, ``most_pixels``: the processor resizes what lies outside.
    """

    rule: Literal["patches", "tiles", "fixed", "budget", "crops", "unknown"]
    side: int = 0
    tokens: int = 0
    window: int = 0
    cell: int = 1
    most_crops: int = 1
    per_row: int = 0
    extra: int = 0
    fewest_pixels: int = 0
    most_pixels: int = 2**62

    def count(self, width: int, height: int) -> int | None:
        """Tokens of a picture without those around it; None where that is not known."""
        if self.rule == "fixed":
            return self.tokens
        if self.rule == "tiles":
            return self.tokens if (width, height) == (self.side, self.side) else None
        if self.rule == "budget":
            scale = sqrt(self.tokens * self.side**2 / (width * height))
            across, down = (max(1, floor(scale * pixels / self.side)) for pixels in (width, height))
            return min(self.tokens, across * down)
        if self.rule == "patches":
            across, down = self._grid(width, height)
            return across * down + self.per_row * down
        if self.rule == "crops":
            across, down = (
                ceil((crops * self.window + self._overlap) / self.cell) for crops in self._crops(width, height)
            )
            return self.tokens + (across + self.per_row) * down
        return None

    @property
    def _overlap(self) -> int:
        """Pixels of a crop that belong to its neighbours."""
        return self.side - self.window

    def _crops(self, width: int, height: int) -> tuple[int, int]:
        """Crops across and down: those for which a picture is enlarged least, else shrunk least, the fewest of equals.

        A picture that is narrower than the overlap is one crop.
        """
        wide, high = width - self._overlap, height - self._overlap
        if min(wide, high) < 0:
            return 1, 1
        most = range(1, self.most_crops + 1)
        grids = [(across, down) for across in most for down in most if across * down <= self.most_crops]
        grids.sort(key=lambda grid: (grid[0] * grid[1], grid[1]))
        scale = {grid: min(_scale(grid[0] * self.window, wide), _scale(grid[1] * self.window, high)) for grid in grids}
        enlarged = [grid for grid in grids if scale[grid] >= 1]
        return min(enlarged, key=scale.__getitem__) if enlarged else max(grids, key=scale.__getitem__)

    def _grid(self, width: int, height: int) -> tuple[int, int]:
        """Patches across and down, after the processor has resized a picture outside its bounds."""
        across, down = (max(1, round(pixels / self.side)) for pixels in (width, height))
        pixels = across * down * self.side**2
        if pixels < self.fewest_pixels:
            scale = sqrt(self.fewest_pixels / (width * height)) / self.side
            return ceil(width * scale), ceil(height * scale)
        if pixels > self.most_pixels:
            scale = sqrt(self.most_pixels / (width * height)) / self.side
            return max(1, floor(width * scale)), max(1, floor(height * scale))
        return across, down


def _scale(target: int, pixels: int) -> float:
    return target / pixels if pixels else inf


class _Render(Table):
    """What a profile may say of pictures, and of where the system text stands."""

    patch: Patch | None = None
    clean_pixels: PixelCount | None = None
    marked_pixels: PixelCount | None = None
    square: bool | None = None
    margin: float | None = None
    coordinates: Coordinates | None = None
    system: Literal["message", "user"] | None = None


class _Text(Table):
    """What a profile may say of text."""

    template: dict[str, Any] | None = None
    reasoning: tuple[tuple[str, str], ...] | None = None
    max_pictures: int | None = None


class CachedLayers(Table):
    """Layers of one kind that keep keys and values: how many, their heads, numbers a head, and tokens of a window."""

    layers: int
    kv: int
    head: int
    window: int = 0

    def gib(self, tokens: int) -> float:
        """GiB for the tokens of one request, at two bytes a number; a layer with a window keeps no more than that."""
        return 4 * self.layers * self.kv * self.head * (min(tokens, self.window) if self.window else tokens) / _GIB


class EngineMemory(Table):
    """What an engine of one size of a family needs, computed from what its ``config.json`` publishes.

    ``weights``: GiB at two bytes a parameter, or as published where they are stored otherwise. ``attention``: layers
    with a cache; empty where nobody has read the configuration. ``hidden``, ``mlp``, ``vocab``: widths of the language
    model, from which the numbers of one step are counted. Not counted: the picture encoder's step, CUDA graphs, states
    of linear attention.
    """

    weights: float
    attention: tuple[CachedLayers, ...] = ()
    hidden: int = 0
    mlp: int = 0
    vocab: int = 0

    def cache(self, tokens: int) -> float:
        """GiB of keys and values of one request."""
        return sum(kind.gib(tokens) for kind in self.attention)

    def step(self, requests: int) -> float:
        """GiB of a step's numbers: both branches of the widest layer, and the logits twice in 32 bits."""
        return (STEP_TOKENS * 4 * (self.hidden + self.mlp) + requests * self.vocab * 8) / _GIB

    def least(self, requests: int, longest: int) -> float:
        """GiB without which an engine does not start: weights, a step, and the cache of the longest request."""
        return self.weights + self.step(requests) + self.cache(longest)

    def full(self, requests: int) -> float:
        """GiB with which all ``requests`` have their ``USUAL_TOKENS`` cached, none shared."""
        return self.weights + self.step(requests) + requests * self.cache(USUAL_TOKENS)

    def text(self, requests: int, longest: int) -> str:
        """All of it in a line."""
        if not self.attention:
            return f"{self.weights:g} GiB of weights; the cache is not computed, its configuration was not read"
        return (
            f"{self.weights:g} GiB of weights; at least {self.least(requests, longest):.3g} GiB with a step and one "
            f"request of {longest:,} tokens; {self.full(requests):.3g} GiB with {requests} of {USUAL_TOKENS:,} tokens"
        )


class ModelProfile(BaseModel):
    """A family of models.

    Args:
        name: the file's.
        architectures: of ``config.json``; ``vision``: the kind of its vision tower, where architectures are shared.
        names: regular expressions of names, for servers and models that are not here.
        always_thinks: expressions of names whose reasoning cannot be switched off.
        remote_code: whether the model's folder brings code that must be allowed; ``remote_code_for``: architectures.
        vllm: the oldest version that was looked at.
        thinking: ``none``, or ``switch`` where the template's arguments switch it off.
        prefix: how the objects of a picture share work: ``shared``, ``coarse`` (large blocks), ``none``.
        captions: what captions made with it may be used for.
        engines: options by engine. memory: of an engine, by size. sources: of the facts, with dates.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    title: str
    architectures: tuple[str, ...]
    vision: str | None = None
    names: tuple[str, ...] = ()
    always_thinks: tuple[str, ...] = ()
    remote_code: bool = False
    remote_code_for: tuple[str, ...] = ()
    vllm: str
    thinking: Literal["none", "switch"]
    prefix: Literal["shared", "coarse", "none"]
    licence: str
    captions: str
    render: _Render = _Render()
    model: _Text = _Text()
    visual: VisualTokens
    engines: dict[str, dict[str, Any]] = {}
    memory: dict[str, EngineMemory] = {}
    sources: dict[str, str]

    def tables(self, engine: str) -> dict[str, Any]:
        """The profile as tables of a pipeline file, for a run with an engine."""
        found = {name: getattr(self, name).model_dump(exclude_none=True) for name in ("render", "model")}
        return found | {"engine": {"name": engine, "options": self.engines.get(engine, {})}}

    def thinks_always(self, model: str) -> bool:
        """Whether a model of this name reasons before it answers and has no switch."""
        return any(re.search(pattern, model.lower()) for pattern in self.always_thinks)


class ModelFolderFile(Table):
    """``capgen.toml`` of a model folder: pictures and text, nothing else. A folder may come from a stranger."""

    profile: str | None = None
    render: _Render = _Render()
    model: _Text = _Text()


@lru_cache(maxsize=1)
def model_profiles() -> dict[str, ModelProfile]:
    """Every shipped profile by name.

    Raises:
        UserError: a file is damaged.
    """
    return {file.stem: _read(file) for file in sorted(resource_dir(_KIND).glob("*.toml"))}


def profile_named(name: str) -> ModelProfile | None:
    """The profile of that name; None for ``none``.

    Raises:
        UnknownName: there is none.
    """
    if name == NO_PROFILE:
        return None
    known = model_profiles()
    if name not in known:
        raise UnknownName("model profile", name, (*known, NO_PROFILE))
    return known[name]


def find_profile(model: str, revision: str | None = None) -> tuple[ModelProfile | None, str]:
    """The profile of a model, and why it is that one.

    Args:
        model: a folder, a name on the hub whose ``config.json`` may lie in the local cache, or a server's name for it.
    """
    config = read_config(model, revision)
    if config is None:
        for profile in model_profiles().values():
            if any(re.search(pattern, model.lower()) for pattern in profile.names):
                return profile, "its name; its config.json is not here"
        return None, "no config.json of it is here, and no profile knows its name"
    found = [str(one)[:120] for one in _listed(config.get("architectures"))]
    vision = config.get("vision_config")
    tower = vision.get("model_type") if isinstance(vision, Mapping) else None
    for profile in model_profiles().values():
        if set(found) & set(profile.architectures) and _same_tower(profile, tower, found):
            return profile, f"the architecture {found[0]} in its config.json"
    return None, f"no profile knows the architecture {', '.join(found) or 'of its config.json'}"


def folder_file(model: str) -> ModelFolderFile:
    """What a model folder's own ``capgen.toml`` says; nothing where there is none.

    Raises:
        UserError: it is no TOML, or sets what a model folder may not decide.
    """
    file = Path(model) / FOLDER_FILE
    if not file.is_file():
        return ModelFolderFile()
    if file.stat().st_size > _LARGEST_CONFIG:
        raise UserError(f"{file} has more than {_LARGEST_CONFIG >> 20} MiB, which no such file needs", "shorten it")
    try:
        return ModelFolderFile.model_validate(read_toml(file))
    except ValidationError as error:
        raise UserError(
            f"{file}: {sentence(error, ModelFolderFile)}",
            "a model folder decides pictures and text alone ([render], [model] template, reasoning and max_pictures, "
            "profile); give anything else on the command line with --set",
        ) from None


def read_config(model: str, revision: str | None = None) -> dict[str, Any] | None:
    """``config.json`` of a folder, or of a hub name from the local cache; None where there is none that can be read."""
    folder = Path(model)
    file: Path | None = folder / "config.json"
    if not folder.is_dir():
        file = _cached(model, revision)
    try:
        if file is None or not file.is_file() or file.stat().st_size > _LARGEST_CONFIG:
            return None
        config = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return config if isinstance(config, dict) else None


def _cached(model: str, revision: str | None) -> Path | None:
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", model):
        return None
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return None
    try:
        found = try_to_load_from_cache(model, "config.json", revision=revision)
    except ValueError:  # of this form, but no name of the hub, as ./folder is
        return None
    return Path(found) if isinstance(found, str) else None


def _read(file: Path) -> ModelProfile:
    try:
        return ModelProfile.model_validate({**read_toml(file), "name": file.stem})
    except ValidationError as error:
        raise UserError(f"{file}: {sentence(error, ModelProfile)}", "correct the file") from error


def _same_tower(profile: ModelProfile, tower: Any, found: list[str]) -> bool:
    """Whether a shared architecture (``Llava``) is this family's; an architecture of its own always is."""
    shared = "LlavaForConditionalGeneration" in found
    return not (shared and profile.vision) or profile.vision == tower


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
