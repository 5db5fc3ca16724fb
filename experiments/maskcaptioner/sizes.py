"""How large the experiments are: worlds, steps and settings by ``--size``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

TRAIN_SEED: Final = 2_000_000
TEST_SEED: Final = 930_000


@dataclass(frozen=True, slots=True)
class Size:
    """One size of all experiments.

    Args:
        images, videos: of the world that is learnt from; a fifth of them is for validation.
        test_videos: of the world that is only tested on.
        backbone: steps of the backbone that all start from, on close-ups and then on pictures.
        steps: of the optimizer, on images and then on clips.
        seeds: the trainings of each variant.
        set_: ``--set`` assignments of every training.
        engine: what captions the world; None is the pipeline file's own, the embedded captioner on vLLM.
    """

    images: int
    videos: int
    test_videos: int
    backbone: tuple[int, int]
    steps: tuple[int, int]
    seeds: tuple[int, ...]
    set_: tuple[str, ...] = ()
    engine: str | None = None


_TINY = (
    "model.options.segmenter.hidden_dim=32",
    "model.options.segmenter.feature_size=32",
    "model.options.segmenter.mask_feature_size=32",
    "model.options.segmenter.num_attention_heads=2",
    "model.options.segmenter.num_queries=6",
    "model.options.segmenter.decoder_layers=2",
    "model.options.losses.points=64",
    "model.options.picture.height=64",
    "model.options.picture.width=96",
    "stages.images.batch=2",
    "stages.clips.batch=2",
    "run.tensorboard=false",
    "run.checkpoint_every=1",
    "run.log_every=1",
    "data.cache=none",
    "validation.every=0",
    "validation.final=false",
)

_RATES: Final = ('stages.images.lr_factors={"segmenter.mask2former.pixel_level_module"=0.25}', "stages.clips.lr=7e-4")
"""What the backbone knows must outlive the first steps of a decoder that knows nothing; later everything learns."""

SIZES: Final[dict[str, Size]] = {
    "tiny": Size(4, 3, 2, (1, 1), (2, 2), (0,), _TINY, engine="echo"),
    "cpu": Size(2400, 400, 100, (1500, 300), (1500, 2500), (0,), ("run.checkpoint_every=100", *_RATES)),
    "gpu": Size(
        24000,
        4000,
        400,
        (6000, 2000),
        (20000, 30000),
        (0, 1, 2),
        ("stages.images.batch=32", "stages.clips.batch=16", "data.workers=12", *_RATES),
    ),
}
"""``tiny`` only proves that everything runs; its numbers mean nothing."""
