"""The backbone that the experiments start from."""

import json

import numpy as np
import pytest
import torch
from transformers import Mask2FormerModel

from capgen.cli.training import Seams, parts_of
from capgen.maskcaptioner.settings import load_train_settings
from experiments.maskcaptioner.backbone import pooled, train_backbone, vocabulary
from experiments.maskcaptioner.closeups import SIDE, cut, draws
from experiments.maskcaptioner.sizes import SIZES
from tests.maskcaptioner.worlds import make_releases


@pytest.fixture(scope="module")
def releases(tmp_path_factory):
    return make_releases(tmp_path_factory.mktemp("releases"))


@pytest.fixture(scope="module")
def parts(releases):
    settings = load_train_settings("sample", {"data.releases": [str(path) for path in releases]})
    return parts_of(settings, "train", None, Seams())


def test_a_close_up_shows_its_object_in_the_middle(parts):
    closeups = cut(parts)
    objects = sum(len(part.medium(row()).masklets) for part in parts for row in part.rows())
    assert len(closeups) == objects > 5
    assert closeups.pictures_NHWC.shape == (objects, SIDE, SIDE, 4)
    masks = closeups.pictures_NHWC[..., 3] > 127
    rows = [np.flatnonzero(mask.any(1)) for mask in masks]
    centres = np.array([(row[0] + row[-1]) / 2 for row in rows])
    assert np.abs(centres - SIDE / 2).max() < SIDE / 8
    assert all(mask.any() for mask in masks)


def test_draws_are_of_one_size_and_come_from_the_seed(parts):
    closeups = cut(parts)
    first, again = (next(draws(closeups, 4, np.random.default_rng(3))) for _ in range(2))
    torch.testing.assert_close(first.pixels_NCHW, again.pixels_NCHW, atol=1e-5, rtol=1e-4)
    assert first.captions == again.captions
    assert first.pixels_NCHW.shape[-2:] == first.masks_NHW.shape[-2:]
    assert first.masks_NHW.flatten(1).any(1).all()


def test_features_are_averaged_under_the_mask_alone():
    maps = torch.zeros(1, 2, 4, 4)
    maps[0, 0, :2] = 3.0
    maps[0, 1, 2:] = 5.0
    masks = torch.zeros(2, 8, 8, dtype=torch.bool)
    masks[0, :4] = masks[1, 4:] = True
    assert pooled(maps, [masks]).tolist() == [[3.0, 0.0], [0.0, 5.0]]


def test_words_that_all_captions_have_tell_nothing():
    assert vocabulary(iter(["a red cup", "a blue cup", "a red bowl", "a green cup"])) == [
        "blue",
        "bowl",
        "green",
        "red",
    ]


def test_a_backbone_is_trained_once_and_opens_as_a_mask2former(releases, tmp_path):
    said = []
    folder = train_backbone(tmp_path, releases[:1], SIZES["tiny"].set_, (2, 2), "cpu", said.append)
    record = json.loads((tmp_path / "backbone.json").read_bytes())
    assert [row["phase"] for row in record["log"]] == ["close-ups", "pictures"]
    assert all(np.isfinite(row["loss"]) for row in record["log"])
    assert len(said) == 2
    loaded = Mask2FormerModel.from_pretrained(folder)
    assert loaded.config.num_queries == 6
    assert train_backbone(tmp_path, releases[:1], SIZES["tiny"].set_, (2, 2), "cpu", said.append) == folder
    assert len(said) == 2, "it is not trained again"
