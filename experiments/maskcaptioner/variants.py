"""The variants that are trained or evaluated, each with the claim that it tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MAIN: Final = "main"
LONGER: Final = "longer"
PACKAGED: Final = "captioner"


@dataclass(frozen=True, slots=True)
class Variant:
    """A training, or a model already trained that is evaluated in another way.

    Args:
        says: what is different from ``main``.
        claim: what ``main`` should do better, or equally well, if the paper is right; empty where there is none.
        scores: the scores that the claim is about, as paths in a measurement.
        data: whose captions: ``pipeline``, ``true`` or ``part-N``.
        set_: ``--set`` assignments.
        only_clips: no images; all steps are on clips.
        share: of the set's steps on images and on clips.
        start_from: the variant whose trained model this one goes on from.
        evaluates: the variant whose model this is, evaluated with ``options`` in its configuration.
        captions: whether the model writes captions.
    """

    says: str
    claim: str = ""
    scores: tuple[str, ...] = ()
    data: str = "pipeline"
    set_: tuple[str, ...] = ()
    only_clips: bool = False
    share: tuple[float, float] = (1.0, 1.0)
    start_from: str | None = None
    evaluates: str | None = None
    options: tuple[tuple[str, int], ...] = ()
    captions: bool = True


_NO_CAPTION_LOSS = ("stages.images.captions=false", "stages.clips.captions=false")
_HEAD_ONLY = ('stages.images.train=["caption_head"]', 'stages.clips.train=["caption_head"]')
_HEAD_LONGER = (
    'stages.clips.train=["caption_head"]',
    "stages.clips.lr=7e-4",
    'stages.clips.lr_factors={"caption_head.geometry"=20.0}',
)
"""Motion is told by the mask's geometry alone. At the rate of the rest those weights hardly left their start."""
_RATES = ("tracks.category.rate", "tracks.colour.rate", "tracks.texture.rate")

VARIANTS: Final[dict[str, Variant]] = {
    MAIN: Variant("images, then clips, on the pipeline's captions; all that the paper has"),
    LONGER: Variant(
        "main's model, trained on for three quarters as many steps of clips again",
        set_=("stages.clips.lr=5e-4",),
        share=(0.0, 0.75),
        start_from=MAIN,
    ),
    PACKAGED: Variant(
        "longer's model, its captioning head alone trained on, its segmenter as it was; what is packaged",
        set_=_HEAD_LONGER,
        share=(0.0, 2.0),
        start_from=LONGER,
    ),
    "no_images": Variant(
        "clips only, as many steps in all",
        "pretraining on images helps on videos",
        ("clean.CHOTA", "clean.DetA", "clean.CapA"),
        only_clips=True,
    ),
    "no_caption_loss": Variant(
        "no caption loss; the model is silent",
        "the caption loss helps the masks",
        ("clean.DetA", "clean.AssA", "clean.AP"),
        set_=_NO_CAPTION_LOSS,
        captions=False,
    ),
    "best_clip": Variant(
        "main's model, captions from the best clip alone instead of the mean over clips weighted by score",
        "weighted temporal aggregation helps the captions",
        ("clean.CapA", "tracks.motion.rate"),
        evaluates=MAIN,
        options=(("caption_clips", 1),),
    ),
    "captions_1_4": Variant(
        "a quarter of the captions, all of the masks",
        "more captions help",
        ("clean.CapA", *_RATES),
        data="part-4",
    ),
    "captions_1_16": Variant(
        "a sixteenth of the captions, all of the masks",
        "more captions help",
        ("clean.CapA", *_RATES),
        data="part-16",
    ),
    "frozen": Variant(
        "the captioning head alone, trained as long on the frozen segmenter of no_caption_loss",
        "joint training beats captions on a frozen segmenter",
        ("clean.CHOTA", "clean.CapA", *_RATES),
        set_=_HEAD_ONLY,
        start_from="no_caption_loss",
    ),
    "mask_absent": Variant(
        "the captioning head sees the whole picture",
        "the object's mask in the captioning head helps",
        ("clean.CapA", *_RATES),
        set_=('model.options.object_mask="absent"',),
    ),
    "mask_inverted": Variant(
        "the captioning head sees everything but the object, as in the released code",
        "the released code's inverted mask harms",
        ("clean.CapA", *_RATES),
        set_=('model.options.object_mask="inverted"',),
    ),
    "true_captions": Variant(
        "the same objects' captions corrected to the truth",
        "the pipeline's captions teach as much as true ones",
        ("clean.CapA", *_RATES),
        data="true",
    ),
}

FRACTIONS: Final[dict[str, int]] = {"captions_1_16": 16, "captions_1_4": 4, MAIN: 1}


def in_order(names: tuple[str, ...]) -> list[str]:
    """Variants so that each comes after the one whose model it needs; those needed come along.

    Raises:
        KeyError: there is no such variant.
    """
    found: dict[str, None] = {}
    for name in names:
        need = VARIANTS[name].start_from or VARIANTS[name].evaluates
        found |= dict.fromkeys([*(in_order((need,)) if need else ()), name])
    return list(found)


def steps_of(variant: Variant, steps: tuple[int, int]) -> tuple[int, int]:
    """A variant's own steps on images and on clips, in a set with so many."""
    images, clips = (0, sum(steps)) if variant.only_clips else steps
    return round(variant.share[0] * images), round(variant.share[1] * clips)


def assignments(variant: Variant, steps: tuple[int, int], seed: int) -> list[str]:
    """The ``--set`` assignments that make a training this variant's."""
    images, clips = steps_of(variant, steps)
    return [f"stages.images.steps={images}", f"stages.clips.steps={clips}", f"run.seed={seed}", *variant.set_]
