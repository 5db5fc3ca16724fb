"""Scores by models, on small random ones of real architectures: the numbers of the reference programs."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from capgen.cli.evaluation import app
from capgen.errors import UserError
from capgen.evaluation.region_captions.crops import RegionCrops
from capgen.evaluation.region_captions.model_scores.bert_score import bert_scores
from capgen.evaluation.region_captions.model_scores.clip_score import PREFIX, clip_scores
from capgen.evaluation.region_captions.model_scores.sentence_similarity import sentence_similarity
from capgen.evaluation.region_captions.texts import TextPair
from tests import tiny_models

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

PAIRS = [
    TextPair("1", "a red dog runs", ("a small red dog runs in rain", "the dog sits")),
    TextPair("2", "the cat sits on grass", ("the old stone wall",)),
    TextPair("3", "green wide grass.", ("green wide grass.",)),
    TextPair("4", "", ("a blue cat",)),
]
CLOSE = 1e-5  # float32, in batches of other sizes


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return str(tiny_models.build_bert(tmp_path_factory.mktemp("models") / "bert"))


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return str(tiny_models.build_clip(tmp_path_factory.mktemp("models") / "clip"))


@pytest.mark.parametrize("layer", [1, 2, None])
def test_bertscore_is_that_of_the_authors_package(bert, layer):
    reference = pytest.importorskip("bert_score")
    spoken = PAIRS[:3]
    wanted = reference.score(
        [pair.candidate for pair in spoken],
        [list(pair.references) for pair in spoken],
        model_type=bert,
        num_layers=layer or 3,
        batch_size=2,
    )
    found = bert_scores(bert, layer, PAIRS, "cpu")
    for name, values in zip(("precision", "recall", "f1"), wanted, strict=True):
        assert [getattr(one, name) for one in found[:3]] == pytest.approx(values.tolist(), abs=CLOSE)
    assert found[2].f1 == pytest.approx(1, abs=CLOSE)
    assert found[3].f1 == 0


def test_a_layer_that_the_model_has_not_is_named(bert):
    with pytest.raises(UserError, match=r"it has layers 1 to 3, not 4 \(--bert-layer\)"):
        bert_scores(bert, 4, PAIRS, "cpu")


def test_sentence_similarity_is_the_cosine_with_the_nearest_reference(bert):
    from transformers import AutoModel, AutoTokenizer

    pytest.importorskip("sentence_transformers")
    tokenizer, model = AutoTokenizer.from_pretrained(bert), AutoModel.from_pretrained(bert).eval()

    def vector(text):  # a plain encoder is pooled by the mean of its tokens
        with torch.inference_mode():
            return model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0)

    def cosine(a, b):
        return float(torch.cosine_similarity(vector(a), vector(b), dim=0))

    wanted = [max(cosine(pair.candidate, one) for one in pair.references) for pair in PAIRS[:3]]
    assert sentence_similarity(bert, PAIRS, "cpu") == pytest.approx([*wanted, 0.0], abs=CLOSE)


def scene(folder):
    """Two pictures: three regions with masks and a box, the fourth's mask over all of it."""
    rng = np.random.default_rng(3)
    for name in ("one.png", "two.png"):
        cv2.imwrite(str(folder / name), rng.integers(0, 255, (40, 60, 3), dtype=np.uint8))
    shapes = [
        {"image_id": 1, "segmentation": [[5, 5, 45, 5, 45, 20, 5, 20]]},
        {"image_id": 1, "bbox": [30, 2, 8, 30]},
        {"image_id": 2, "segmentation": {"size": [40, 60], "counts": [400, 30, 1970]}},
        {"image_id": 2, "segmentation": {"size": [40, 60], "counts": [0, 2400]}},
    ]
    body = {
        "images": [
            {"id": 1, "file_name": "one.png", "height": 40, "width": 60},
            {"id": 2, "file_name": "two.png", "height": 40, "width": 60},
        ],
        "annotations": [{"id": number, **shape} for number, shape in enumerate(shapes, 1)],
    }
    file = folder / "regions.json"
    file.write_text(json.dumps(body))
    return RegionCrops.open(file, folder)


def test_crops_are_square_and_show_the_object_alone(tmp_path):
    crops = scene(tmp_path)
    wide = crops.crop("1", (1, 2, 3))
    assert wide.shape == (40, 40, 3)
    source = crops.picture("1")
    top = (40 - 15) // 2
    np.testing.assert_array_equal(wide[top : top + 15], source[5:20, 5:45])
    assert (wide[:top] == (1, 2, 3)).all()
    thin = crops.crop("3", (9, 9, 9))  # one column of 30 pixels
    assert thin.shape == (30, 30, 3)
    assert (np.delete(thin, 14, axis=1) == 9).all()


def test_clipscore_is_that_of_its_paper_on_the_crops(tmp_path, clip):
    from transformers import AutoProcessor, CLIPModel

    crops = scene(tmp_path)
    model, processor = CLIPModel.from_pretrained(clip).eval(), AutoProcessor.from_pretrained(clip)
    mean = tuple(round(255 * value) for value in processor.image_processor.image_mean)

    def cosines(pair):
        texts = [PREFIX + text for text in (pair.candidate, *pair.references)]
        given = processor(
            text=texts, images=crops.crop(pair.key, mean), padding=True, truncation=True, max_length=12,
            return_tensors="pt",
        )  # fmt: skip
        with torch.inference_mode():
            out = model(**given)
            text = torch.nn.functional.normalize(out.text_embeds, dim=-1)
            scale = float(model.logit_scale.exp())
        return float(out.logits_per_text[0, 0]) / scale, float((text[1:] @ text[0]).max())

    wanted = [cosines(pair) for pair in PAIRS[:3]]
    clips = [2.5 * max(0.0, seen) for seen, _ in wanted]
    both = [2 * c * r / (c + r) if c and r > 0 else 0.0 for c, (_, r) in zip(clips, wanted, strict=True)]
    found = clip_scores(clip, PAIRS, crops.crop, "cpu")
    assert found.clip == pytest.approx([*clips, 0.0], abs=CLOSE)
    assert found.with_references == pytest.approx([*both, 0.0], abs=CLOSE)
    assert any(clips)
    assert found.cut == 0


def test_pixels_outside_the_mask_do_not_count(tmp_path, clip):
    crops = scene(tmp_path)
    before = clip_scores(clip, PAIRS[:1], crops.crop, "cpu")
    picture = cv2.imread(str(tmp_path / "one.png"))
    inside = crops.mask("1")
    picture[~inside] = 255 - picture[~inside]
    cv2.imwrite(str(tmp_path / "one.png"), picture)
    after = clip_scores(clip, PAIRS[:1], scene_again(crops).crop, "cpu")
    assert after.clip == before.clip


def scene_again(crops):
    return RegionCrops.open(crops.file, crops.folder)


def test_texts_that_are_too_long_are_counted_and_references_may_be_missing(tmp_path, clip):
    crops = scene(tmp_path)
    long = [TextPair("1", "a red dog runs in the rain on the grass of the old stone wall", ())]
    found = clip_scores(clip, long, crops.crop, "cpu")
    assert (found.cut, found.with_references) == (1, None)


@pytest.mark.parametrize(
    ("annotation", "what"),
    [
        ({"id": 1, "image_id": 1}, "annotation 1 has neither a segmentation nor a bbox"),
        ({"id": 1, "image_id": 1, "segmentation": {"size": [9, 9], "counts": "x"}}, "no mask of its picture"),
        ({"id": 1, "image_id": 1, "bbox": [100, 100, 5, 5]}, "the mask of region 1 is empty"),
    ],
)
def test_a_region_without_a_usable_mask_is_named(tmp_path, annotation, what):
    scene(tmp_path)
    file = tmp_path / "regions.json"
    body = json.loads(file.read_text())
    file.write_text(json.dumps(body | {"annotations": [annotation]}))
    with pytest.raises(UserError, match=what):
        RegionCrops.open(file, tmp_path).crop("1", (0, 0, 0))


def test_the_command_prints_scores_of_models_and_their_names(tmp_path, bert, clip):
    scene(tmp_path)
    (tmp_path / "gt.json").write_text(json.dumps({pair.key: pair.references for pair in PAIRS}))
    (tmp_path / "pred.json").write_text(json.dumps({pair.key: pair.candidate for pair in PAIRS}))
    flags = ["captions", "--gt", tmp_path / "gt.json", "--pred", tmp_path / "pred.json", "--metrics", "rouge"]
    flags += ["--sentence-model", bert, "--bert-model", bert, "--device", "cpu"]
    flags += ["--clip-model", clip, "--regions", tmp_path / "regions.json", "--images", tmp_path, "--json"]
    done = CliRunner().invoke(app, [str(one) for one in flags], catch_exceptions=False)
    found = json.loads(done.stdout)
    assert set(found["values"]) == {
        *("rouge", "sentence_similarity", "clipscore", "refclipscore"),
        *("bertscore_precision", "bertscore_recall", "bertscore_f1"),
    }
    assert found["models"] == {"sentence": bert, "bertscore": bert, "clipscore": clip}
    without = [
        one for one in flags if one not in ("--sentence-model", "--bert-model", bert, "--gt", tmp_path / "gt.json")
    ]
    found = json.loads(CliRunner().invoke(app, [str(one) for one in without], catch_exceptions=False).stdout)
    assert found["values"]["clipscore"] is not None
    assert found["values"]["refclipscore"] is None


def test_a_model_that_is_none_ends_in_one_line(tmp_path):
    with pytest.raises(UserError, match=r"--bert-model .*nowhere"):
        bert_scores(str(tmp_path / "nowhere"), None, PAIRS, "cpu")
    with pytest.raises(UserError, match="give --clip-model, --regions, --images"):
        CliRunner().invoke(app, ["captions", "--pred", "x.json", "--clip-model", "x"], catch_exceptions=False)
