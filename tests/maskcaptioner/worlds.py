"""Releases of a tiny sample world, and a training file for a model of a few thousand parameters."""

from __future__ import annotations

from pathlib import Path

from capgen.pipeline.running.own_runs import note_import
from capgen.sample.write import write_world
from tests.pipeline.runs import echo_settings, session

TINY = """
name = "tiny"
[model.options]
picture = { height = 64, width = 64 }
clip_frames = 2
losses = { points = 64 }
[model.options.segmenter]
hidden_dim = 16
feature_size = 32
mask_feature_size = 32
encoder_feedforward_dim = 16
dim_feedforward = 16
encoder_layers = 1
decoder_layers = 2
num_attention_heads = 2
num_queries = 8
backbone_config = { embedding_size = 8, hidden_sizes = [8, 8, 16, 16], depths = [1, 1, 1, 1] }
[model.options.caption]
learned_queries = 2
[model.options.caption.qformer]
hidden_size = 16
encoder_hidden_size = 16
num_hidden_layers = 1
num_attention_heads = 2
intermediate_size = 16
[model.options.caption.language_model]
hidden_size = 16
intermediate_size = 16
num_hidden_layers = 1
num_attention_heads = 2
num_key_value_heads = 2
[data]
workers = 0
prefetch = 2
shuffle = 4
[augment]
scale = [0.6, 1.5]
[stages.images]
kind = "image"
frames = 1
steps = 2
batch = 2
schedule = { warmup = 1 }
[stages.clips]
kind = "video"
stride = [1, 3]
steps = 4
batch = 1
accumulate = 2
freeze = ["segmenter.mask2former.pixel_level_module.encoder"]
schedule = { warmup = 1 }
[run]
device = "cpu"
threads = 1
checkpoint_every = 1
keep = 100
log_every = 1
tensorboard = false
[validation]
final = false
media = 1
"""


def make_releases(folder: Path) -> tuple[Path, Path]:
    """OUT of 6 pictures and OUT of 2 videos, captioned by the engine that needs no model and recorded as one's own."""
    world = folder / "world"
    write_world(world, images=6, videos=3, seed=1)
    outs = []
    for dataset, name in (("lvis", "images"), ("lv-vis", "videos")):
        out = folder / name
        session(
            echo_settings(world / dataset, "source.split=train", dataset=dataset),
            out,
            embed="media" if name == "images" else None,
        )
        note_import(out)
        outs.append(out)
    return outs[0], outs[1]


def training_file(folder: Path) -> Path:
    """The tiny training file."""
    path = folder / "tiny.toml"
    path.write_text(TINY)
    return path
