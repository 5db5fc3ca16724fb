"""A pipeline file as types: ``pipelines/<name>.toml``, every key known, unknown ones refused.

Order of precedence, later wins: the pipeline file, the profile of the model's family (``pipelines/models/``), the model
folder's own ``capgen.toml`` (picture sizes it was trained on, for example), flags, ``--set table.key=value``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from capgen.dataset.release_record import DedupRules
from capgen.images import MAX_PIXELS
from capgen.layered_toml import Positive, Share
from capgen.redaction import secret_place

Coordinates = Literal["percent", "unit", "thousand", "pixel"]


class Table(BaseModel):
    """A table of a pipeline file: frozen, and strict about its keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class WorldSettings(Table):
    """The sample world that is drawn where no root is given.

    ``images``, ``videos``: how many are drawn. ``seed``: the same seed gives the same bytes.
    """

    images: Annotated[int, Field(ge=0)] = 0
    videos: Annotated[int, Field(ge=0)] = 0
    seed: int = 0


class SourceSettings(Table):
    """Which objects are captioned.

    ``type``: a registered source. ``root``: the folder of the dataset, as its owner releases it (flag ``--root``).
    ``split``: a name, several with commas, ``all``, or a path of an annotation file (flag ``--split``).
    ``world``: the sample world that is drawn where no root is given.
    ``follow_links``: whether pictures may be symbolic links that lead out of ``root``; by default they may unless the
    root lies in the folder of a run.
    ``min_area``: objects with fewer pixels on every frame are left out and counted.
    ``options``: the source's own fields beside ``root``, ``split`` and ``dataset``; a key of the table that is none of
    those above is one of them: ``source.crowds`` is ``source.options.crowds``.
    """

    type: str
    root: Path | None = None
    split: str = "all"
    limit: Positive | None = Field(None, description="plan only the first so many objects")
    world: WorldSettings | None = None
    follow_links: bool | None = None
    min_area: Positive | None = None
    options: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _own_options(cls, table: Any) -> Any:
        if not isinstance(table, dict):
            return table
        own = {key: value for key, value in table.items() if key not in cls.model_fields}
        kept = {key: value for key, value in table.items() if key in cls.model_fields}
        options = kept.get("options", {})
        return kept | {"options": {**options, **own}} if own and isinstance(options, dict) else table


Patch = Annotated[int, Field(ge=1, le=1024)]
PixelCount = Annotated[int, Field(ge=1, le=MAX_PIXELS)]
"""Of a picture that a model is shown; a model folder from a stranger may say it, too."""


class RenderSettings(Table):
    """How large the pictures are that the model sees.

    ``patch``: width and height become multiples of it (28 for Qwen2.5-VL, 32 for Qwen3-VL).
    ``clean_pixels``, ``marked_pixels``: the most pixels (width x height) of a clean frame and of a marked picture.
    ``square``: every picture becomes exactly square with side sqrt(pixels) (models with one fixed input size).
    ``margin``: context of the crop on each side, in box widths and heights (1 is DAM's focal rule).
    ``pieces``: ``largest`` shows only the largest connected piece of each mask, so that stray specks inflate no box
    and no crop; masks in the release stay the source's, and the column ``shown`` says what was shown.
    ``coordinates``: how prompts say places: ``percent`` of the frame, ``unit`` (0 to 1), ``thousand`` (0 to 1000) or
    ``pixel`` of the frame as it is sent. Models read best what they were trained on.
    ``system``: where the prompt's system text stands: in a ``message`` of its own, or at the start of the ``user``'s,
    for models whose chat template refuses system messages.
    """

    patch: Patch = 32
    clean_pixels: PixelCount = 448 * 448
    marked_pixels: PixelCount = 320 * 320
    square: bool = False
    margin: Annotated[float, Field(ge=0, le=10)] = 1.0
    coordinates: Coordinates = "percent"
    pieces: Literal["all", "largest"] = "all"
    system: Literal["message", "user"] = "message"


FrameRule = Literal["uniform", "visible", "largest"]
FrameCount = Annotated[int, Field(ge=0, le=64)]


class PromptSettings(Table):
    """What the model is asked.

    ``name``: of a file in ``prompts/``, or a path of one's own. ``category``: whether the model is told the object's
    category.
    ``marks``: highlights that draw, joined by ``+``, instead of the prompt's own; close-ups stay close-ups.
    ``clean_frames``, ``clean_choice``, ``marked_frames``, ``marked_choice``: instead of the prompt's own.
    """

    name: str = "shared-crop_v1"
    category: bool = True
    marks: str | None = None
    clean_frames: FrameCount | None = None
    clean_choice: FrameRule | None = None
    marked_frames: Annotated[int, Field(ge=1, le=64)] | None = None
    marked_choice: FrameRule | None = None

    def changes(self) -> dict[str, Any]:
        """What is otherwise than the prompt's file says."""
        return self.model_dump(exclude={"name", "category"}, exclude_none=True)


class ModelSettings(Table):
    """Which model answers.

    ``id``: a hub name, a folder, or ``embedded`` (flag ``--model``). ``revision``: pins a hub name.
    ``template``: arguments of the model's chat template (``enable_thinking = false``), whatever engine fills it in.
    ``reasoning``: pairs of texts that begin and end reasoning inside an answer, beside the usual ones.
    ``max_pictures``: the most pictures that one request may hold.
    ``profile``: the name of a profile, ``none``, or ``auto``, for which the chosen name stands here in the end.
    ``trust_remote_code``: run Python code that the model's folder brings. Only the command line may allow that.
    """

    id: str
    revision: str | None = None
    template: dict[str, Any] = {}
    reasoning: tuple[tuple[str, str], ...] = ()
    max_pictures: Positive | None = None
    profile: str = "auto"
    trust_remote_code: bool = False


class EngineSettings(Table):
    """What runs the model.

    ``name``: a registered engine (flag ``--engine``). ``options``: the engine's own, see below.
    """

    name: str = "vllm"
    options: dict[str, Any] = {}

    @field_validator("options")
    @classmethod
    def _without_secrets(cls, options: dict[str, Any]) -> dict[str, Any]:
        """Refuse keys and passwords: settings are recorded in ``plan.json``. Addresses are the engine's to check."""
        checked = {name: value for name, value in options.items() if name not in {"base_urls", "api_key_env"}}
        place = secret_place(checked)
        if place is None:
            return options
        raise PydanticCustomError(
            "secret",
            "{place} may be a key or a password, and settings are recorded in OUT; put the key into an environment "
            "variable and name that with engine.options.api_key_env",
            {"place": place},
        )


class SamplingSettings(Table):
    """How tokens are chosen; greedily by default.

    ``temperature``: 0 always takes the most probable token. ``top_p``: the share of probability that tokens are drawn
    from. ``max_tokens``: the most tokens of an answer; one that is cut off there is dropped. ``seed``: the seed of the
    draws, which a row's ``seed`` column says.
    """

    temperature: Annotated[float, Field(ge=0)] = 0.0
    top_p: Share = 1.0
    max_tokens: Positive = 96
    seed: int = 0


class RunSettings(Table):
    """How work is cut and watched.

    ``shard_objects``: objects a shard holds, about. ``attempts``: how often a request that failed is asked in all.
    ``stall_s``: an engine that finishes nothing for so long is killed. ``max_failed``: share of the objects that may
    fail before a run counts as failed; with 1 a run is also not stopped because its first objects all fail alike.
    """

    shard_objects: Positive = 2000
    attempts: Positive = 3
    stall_s: Annotated[float, Field(gt=0)] = 600.0
    max_failed: Share = 0.1


class CheckSettings(Table):
    """Which checks judge a caption, in order, and their options by name.

    ``names``: a caption that one of them refuses is dropped. ``advisory``: what these say is a reason to ask again,
    not to drop; ``capgen lint`` names it too. ``options``: the options of each check, by its name, see below.
    """

    names: tuple[str, ...] = (
        "empty",
        "not_stopped",
        "refusal",
        "marker_leak",
        "meta_talk",
        "thinking",
        "coordinates",
        "format",
        "language",
        "length",
        "repetition",
    )
    advisory: tuple[str, ...] = ("wrong_category",)

    @property
    def all_names(self) -> tuple[str, ...]:
        """The checks that drop, then those that only advise."""
        return (*self.names, *(name for name in self.advisory if name not in self.names))

    options: dict[str, dict[str, Any]] = {}


Criterion = Literal["passes", "no_advice", "logprob_min", "logprob_mean", "first", "last"]


class TryAgain(Table):
    """How an object is asked once more.

    ``temperature``: None is that of ``sampling``. ``seed``: None is another one for each step. ``tell``: whether the
    request says what was wrong, or names the neighbours, in the words of ``prompts/remarks/``. ``prompt``: another
    prompt file. ``highlight``: other highlights than the prompt's, joined by ``+``. ``category``: whether the model is
    told the object's category; None as ``prompt.category`` says.
    """

    temperature: Annotated[float, Field(ge=0)] | None = None
    seed: int | None = None
    tell: bool = True
    prompt: str | None = None
    highlight: str | None = None
    category: bool | None = None


class TriesSettings(Table):
    """Second tries: a caption that a check refuses, or advises against, is asked for again, step by step.

    ``again``: the steps; none is no second try. ``reasons``: the codes that are a reason to ask again; none is every
    code. ``prefer``: which of the answers is released: by the first criterion that tells them apart (``passes``: no
    check drops it; ``no_advice``; the larger ``logprob_min`` or ``logprob_mean``; ``first`` or ``last``), else the
    earlier one. ``remarks``: the file of ``prompts/remarks/``.
    """

    again: tuple[TryAgain, ...] = ()
    reasons: tuple[str, ...] = ()
    prefer: tuple[Criterion, ...] = ("passes", "no_advice", "logprob_min")
    remarks: str = "default_v1"


class DistinctSettings(Table):
    """Objects of one category in one image or video whose captions do not tell them apart.

    ``enabled``: whether they are looked for and asked again.
    ``fit``: whether captions are compared by their probabilities too, not by their words alone: one that the model
    finds more probable for another object's pictures than for its own does not tell them apart. It costs a prompt for
    the object and one for each of up to three neighbours.
    ``again``: how they are asked again, step by step. ``keep``: where a caption goes that still tells no difference:
    ``media`` (into the released media alone, its object marked ``not_distinct``), ``both`` (released as any other) or
    ``none``.
    """

    enabled: bool = False
    fit: bool = False
    again: tuple[TryAgain, ...] = (TryAgain(),)
    keep: Literal["media", "both", "none"] = "media"


class DedupSettings(Table):
    """Which captions count as said before of their category, and whether the release leaves them out.

    ``enabled``: without it, repeated captions are neither left out nor marked.
    ``near``: Jaccard similarity of word shingles from which two captions say nearly the same; 1 takes equal ones alone.
    ``shingle``: words of a shingle.
    ``scope``: ``medium`` leaves a caption out where the earlier one is of the same image or video, ``release`` wherever
    it is. With both, the column ``dup_of`` marks the captions that stay.
    ``per_sentence``: how often one sentence may stand for one category in the whole release.
    """

    enabled: bool = True
    near: Annotated[float, Field(ge=0.5, le=1)] = 0.8
    shingle: Annotated[int, Field(ge=1, le=8)] = 3
    scope: Literal["medium", "release"] = "medium"
    per_sentence: Positive | None = None

    def rules(self) -> DedupRules | None:
        """The rules as a release records them; None where nothing is left out or marked."""
        if not self.enabled:
            return None
        return DedupRules(near=self.near, shingle=self.shingle, scope=self.scope, per_sentence=self.per_sentence)


class CardSettings(Table):
    """What the data card says.

    ``template``: of a file in ``data_cards/``, or a path of one's own. ``title``: the dataset's title.
    ``license_source``: a sentence on the licence of pictures and annotations. ``license_captions``: the Hub's name of
    the licence under which the captions are released.
    """

    template: str
    title: str
    license_source: str
    license_captions: str = "cc-by-4.0"


class JudgeSettings(Table):
    """Whether a judge looks at the captions of a finished run; see ``capgen judge``.

    ``method``: ``fit``, ``yes_no`` or ``confidence``; ``none`` judges nothing.
    ``threshold``: score (natural logarithm) from which a caption counts as right.
    ``contrast``: other objects of the picture against which ``fit`` holds a caption at most.
    ``category``: whether ``fit`` tells the model the object's category; where the run's prompt does not, it asks both
    ways.
    ``again``: whether captions that it finds wrong are asked for once more, and the release is made anew.
    """

    method: Literal["none", "fit", "yes_no", "confidence"] = "none"
    threshold: float = -1.0
    contrast: Annotated[int, Field(ge=0)] = 3
    category: bool = True
    again: bool = False


class Settings(Table):
    """Everything that decides what a run's rows say.

    ``name``: what the pipeline is called. ``dataset``: the first part of every key. ``kind``: what one medium is.
    ``source``, ``render``, ``prompt``, ``model``, ``engine``, ``sampling``, ``run``, ``checks``, ``tries``,
    ``distinct``, ``dedup``, ``judge``, ``card``: the tables.
    """

    name: str
    dataset: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")]
    kind: Literal["image", "video"]
    source: SourceSettings
    render: RenderSettings = RenderSettings()
    prompt: PromptSettings = PromptSettings()
    model: ModelSettings
    engine: EngineSettings = EngineSettings()
    sampling: SamplingSettings = SamplingSettings()
    run: RunSettings = RunSettings()
    checks: CheckSettings = CheckSettings()
    tries: TriesSettings = TriesSettings()
    distinct: DistinctSettings = DistinctSettings()
    dedup: DedupSettings = DedupSettings()
    judge: JudgeSettings = JudgeSettings()
    card: CardSettings
