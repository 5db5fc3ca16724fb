"""A training file as types: ``pipelines/train/<name>.toml``, every key known, unknown ones refused.

Later wins: the file, flags, ``--set table.key=value``. Steps are optimizer steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from capgen.errors import UnknownName, UserError
from capgen.layered_toml import Positive, Share, merge, nested, read_toml, sentence
from capgen.resources import resource_dir

NotNegative = Annotated[int, Field(ge=0)]
Above = Annotated[float, Field(gt=0)]
Loss = Literal["dice", "bce", "l1", "giou", "cls", "obj", "lm"]


class TrainTable(BaseModel):
    """A table of a training file: frozen, and strict about its keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TrainModelSettings(TrainTable):
    """What is trained.

    ``preset``: the size of a new model: ``sample`` or ``base``.
    ``init``: a trained MaskCaptioner's folder or hub name to go on from; without it, a new model of ``preset``.
    ``segmenter``: a Mask2Former checkpoint that a new model starts from.
    ``options``: laid over the configuration, table by table (``--set model.options.losses.lm=2``).
    """

    preset: str = "sample"
    init: str | None = None
    segmenter: str | None = None
    options: dict[str, Any] = {}


class DataSettings(TrainTable):
    """Where clips come from.

    ``releases``: folders that capgen wrote (flag ``--data``, repeatable), images and videos alike.
    ``split``: which split of the releases is learnt from. ``limit``: take only the first so many media.
    ``benchmark``: vidstg, vln or bensmot; then ``releases`` are the folders that its files were unpacked in.
    ``pictures``: folders of the captioned datasets (flag ``--root``, repeatable), where a release neither holds its
    pictures nor was captioned by you here.
    ``follow_links``: whether pictures may be links out of their folder; by default they may, unless it lies in a run's.
    ``workers``: processes that decode; 0 decodes in threads beside the model. ``threads``: so many of them.
    ``prefetch``: batches that are read ahead.
    ``cache``: ``disk`` keeps decoded pictures and masks, not larger than training needs them, memory-mapped: for data
    that is seen often on few cores. ``cache_dir``: where; none is OUT/cache.
    ``repeat_threshold``: LVIS' repeat factor t; 0 sees every medium equally often.
    ``shuffle``: media held back at a time for shuffling.
    ``federated``: not every object of every class is annotated (LVIS, LV-VIS): only some classes count as absent.
    ``captions_min``: refuse a dataset in which fewer objects have a caption (0 allows none, for masks only).
    """

    releases: tuple[Path, ...] = ()
    benchmark: str | None = None
    split: str = "train"
    limit: Positive | None = None
    pictures: tuple[Path, ...] = ()
    follow_links: bool | None = None
    workers: NotNegative = 2
    threads: Positive = 1
    prefetch: Positive = 4
    cache: Literal["none", "disk"] = "none"
    cache_dir: Path | None = None
    repeat_threshold: Share = 0.0
    shuffle: Positive = 512
    federated: bool = False
    captions_min: NotNegative = 1

    @field_validator("pictures", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str | Path) else value


class AugmentSettings(TrainTable):
    """What may happen to a clip, the same to all of its frames. Colours are never changed: captions name them.

    ``height``, ``width``: of the canvas that every clip is cropped or padded to; None: the model's own, and where its
    pictures have one fixed size, they are stretched to it as at inference.
    ``scale``: range of the large-scale jitter; at 1 the picture just fits the canvas.
    ``flip``: probability of a horizontal flip, where the captions allow one.
    ``sizes``: what size words mean: ``world`` (a large house stays one), or ``picture``, under which a clip with such a
    word keeps its scale, but for ``size_slack``. ``size_slack``: the share by which its scale may differ then.
    ``min_visible``: an object of which the crop leaves less keeps its mask, but loses its caption.
    ``min_pixels``: an object of which less is left on every frame is left out.
    """

    height: Positive | None = None
    width: Positive | None = None
    scale: tuple[Above, Above] = (0.1, 2.0)
    flip: Share = 0.5
    sizes: Literal["world", "picture"] = "world"
    size_slack: Annotated[float, Field(ge=0, le=1)] = 0.1
    min_visible: Share = 0.5
    min_pixels: Positive = 16

    @model_validator(mode="after")
    def _ordered(self) -> AugmentSettings:
        if self.scale[0] > self.scale[1]:
            raise ValueError("scale has its larger bound first")
        return self


class ScheduleSettings(TrainTable):
    """The learning rate over a stage.

    ``name``: down by cosine, by steps, or not at all. ``warmup``: steps over which it goes linearly up at first.
    ``floor``: the share of the rate that ``cosine`` ends with. ``drops``: shares of the stage after which ``step``
    multiplies. ``factor``: by how much.
    """

    name: Literal["cosine", "step", "constant"] = "cosine"
    warmup: NotNegative = 100
    floor: Share = 0.01
    drops: tuple[Share, ...] = (0.9, 0.95)
    factor: Share = 0.1


class StageSettings(TrainTable):
    """One stage: its data, its length, what learns.

    ``steps``: 0 leaves the stage out. ``kind``: which media it sees. ``frames``: of a clip, None for the model's own.
    ``stride``: frames between two of a clip, drawn from this range. ``batch``: clips a process and pass;
    ``accumulate``: passes a step.
    ``lr``: the learning rate. ``schedule``: how it changes, see below.
    ``freeze``: modules that do not learn, such as ``segmenter``, ``segmenter.backbone`` or ``caption_head.language``;
    they are in evaluation mode. ``train``: only these learn instead: ``["caption_head"]`` tunes the captioning head on
    a frozen segmenter. ``captions``: whether the caption loss is computed.
    ``lr_factors``: multipliers by module name; the longest prefix counts.
    ``losses``: weights that differ from the model's own during this stage.
    """

    kind: Literal["image", "video", "any"] = "any"
    steps: NotNegative = 1000
    batch: Positive = 8
    accumulate: Positive = 1
    frames: Positive | None = None
    stride: tuple[Positive, Positive] = (1, 1)
    lr: Above = 1e-4
    schedule: ScheduleSettings = ScheduleSettings()
    freeze: tuple[str, ...] = ()
    train: tuple[str, ...] = ()
    captions: bool = True
    lr_factors: dict[str, Above] = {}
    losses: dict[Loss, Annotated[float, Field(ge=0)]] = {}


class OptimizerSettings(TrainTable):
    """AdamW.

    ``betas``: the decay rates of its two running means. ``weight_decay``: for all weights but norms, biases and
    embeddings. ``clip_norm``: the largest norm of all gradients together; 0 does not clip.
    """

    betas: tuple[Share, Share] = (0.9, 0.999)
    weight_decay: Annotated[float, Field(ge=0)] = 0.05
    clip_norm: Annotated[float, Field(ge=0)] = 0.01


class TrainRunSettings(TrainTable):
    """How a training runs; nothing here but ``seed`` and ``precision`` changes what is learnt.

    ``seed``: the seed of weights, order and augmentation. ``precision``: the numbers that are computed with.
    ``device``: ``auto`` is the GPU where there is one. ``checkpoint_every``: steps between two checkpoints.
    ``keep``: how many checkpoints stay.
    ``log_every``: steps between two lines of the log. ``tensorboard``: whether OUT/logs is written for TensorBoard.
    ``wandb``: whether numbers are sent to Weights & Biases, as its own ``WANDB_`` variables say.
    ``threads``: of PyTorch on a CPU; 0 leaves its default.
    """

    seed: int = 0
    precision: Literal["fp32", "bf16"] = "fp32"
    device: Literal["auto", "cpu"] = "auto"
    threads: NotNegative = 0
    checkpoint_every: Positive = 500
    keep: Positive = 2
    log_every: Positive = 10
    tensorboard: bool = True
    wandb: bool = False


class ValidationSettings(TrainTable):
    """Scores on the way.

    ``every``: steps between two validations; 0 is never. ``split``: which split of the data.
    ``media``: how many of its media are scored. ``threshold``: the score from which a track counts.
    ``max_tracks``: the most tracks of a video. ``pictures``: how many pictures are drawn.
    ``final``: whether the trained model is scored at the end.
    """

    every: NotNegative = 0
    split: str = "val"
    media: Positive = 20
    threshold: Share = 0.5
    max_tracks: Positive = 20
    pictures: NotNegative = 4
    final: bool = True


class TrainSettings(TrainTable):
    """Everything that decides what a training does.

    ``name``: what the training is called. ``stages``: one after the other, by name. ``model``, ``data``, ``augment``,
    ``optimizer``, ``run``, ``validation``: the tables.
    """

    name: str
    model: TrainModelSettings = TrainModelSettings()
    data: DataSettings = DataSettings()
    augment: AugmentSettings = AugmentSettings()
    optimizer: OptimizerSettings = OptimizerSettings()
    stages: dict[str, StageSettings]
    run: TrainRunSettings = TrainRunSettings()
    validation: ValidationSettings = ValidationSettings()

    @property
    def active(self) -> dict[str, StageSettings]:
        """The stages that have steps, in order."""
        return {name: stage for name, stage in self.stages.items() if stage.steps}

    @property
    def steps(self) -> int:
        """Steps of all stages."""
        return sum(stage.steps for stage in self.active.values())


def load_train_settings(file: str, overrides: Mapping[str, Any], assignments: Iterable[str] = ()) -> TrainSettings:
    """The settings of a training file, of flags, then of ``--set``.

    Args:
        file: a path, or the name of a file in ``pipelines/train/``; ``pipelines/train/sample.toml`` is found in an
            installed package, too.
        overrides: dotted keys with values, from flags; None values are left out.

    Raises:
        UnknownName: there is no such file, or a change is for a stage that the file does not have.
        UserError: a file is no TOML, a key is unknown or a value is of the wrong kind, or no stage has steps.
    """
    path = training_file(file)
    tables, changes = read_toml(path), nested(overrides, assignments)
    _check_stages(tables, changes)
    try:
        settings = TrainSettings.model_validate(merge(tables, changes))
    except ValidationError as error:
        raise UserError(
            f"{path.name}: {sentence(error, TrainSettings)}", "correct it in the file or with --set"
        ) from error
    if not settings.active:
        raise UserError(f"{path.name}: no stage has steps", "for example --set stages.NAME.steps=1000")
    return settings


def _check_stages(tables: Mapping[str, Any], changes: Mapping[str, Any]) -> None:
    """Refuse changes to a stage that the file does not have: they would make a new one, of default settings."""
    known, changed = tables.get("stages"), changes.get("stages")
    if isinstance(known, Mapping) and isinstance(changed, Mapping):
        for name in changed:
            if name not in known:
                raise UnknownName("stage", name, known)


def training_file(file: str) -> Path:
    """A path that exists, or the shipped file of that name.

    Raises:
        UnknownName: neither.
    """
    folder = resource_dir("pipelines") / "train"
    given = Path(file)
    shipped = folder / f"{given.stem if given.suffix == '.toml' else given.name}.toml"
    if given.is_file():
        return given
    if given.parent.as_posix() in (".", "pipelines/train") and shipped.is_file():
        return shipped
    raise UnknownName("training file", file, [path.stem for path in folder.glob("*.toml")])
