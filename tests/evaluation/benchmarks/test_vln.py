"""Video Localized Narratives: each rule of the published conversion."""

from __future__ import annotations

import json

import pytest

from capgen.errors import MissingFile, UserError
from capgen.evaluation.benchmarks.run import BenchmarkChoice, run_benchmark
from capgen.evaluation.benchmarks.vln import Vln
from capgen.evaluation.evaluate import Options
from tests.evaluation.evalcases import blob

FAR = 2**60


def expression(actor, obj, end=8):
    return {"narrative_actor_idx": actor, "noun_phrase_start_idx": 0, "noun_phrase_end_idx": end, "obj_id": obj}


def obj(id_, x, boxes=True, hidden=()):
    masks = [None if f in hidden else blob(x, 5, 10, 10) for f in range(3)]
    one = {"id": id_, "video_id": 4, "segmentations": masks, "height": 48, "width": 64}
    return {**one, "bboxes": [None if f in hidden else [x, 5, 10, 10] for f in range(3)]} if boxes else one


def release(root, expressions, objects, extra=(), actors=None):
    actors = actors or [
        (0, "man", "A man walks."),
        (1, "dog", "A dog runs after the man."),
        (2, "background", "A park."),
    ]
    narratives = [{"actor_idx": i, "actor_name": n, "description": d} for i, n, d in actors]
    files = {
        "UVO_VNG/meta_expressions/sparse_val/meta_expressions.json": {
            "videos": {"abc": {"frames": [], "actor_narratives": narratives, "expressions": expressions}}
        },
        "UVO_VNG/extra_masks/sparse_val/extra_masks.json": {"videos": [], "annotations": list(extra)},
        "UVOv1.0/VideoSparseSet/UVO_sparse_val_video.json": {
            "videos": [
                {
                    "id": 4,
                    "ytid": "abc",
                    "width": 64,
                    "height": 48,
                    "file_names": [f"abc/{n}.png" for n in (30, 60, 90)],
                }
            ],
            "annotations": list(objects),
        },
    }
    for name, document in files.items():
        path = root / name
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(document))
    return root


def by_track(clip):
    return {one["track_id"]: one["caption"] for one in clip.annotations}


def test_three_annotated_frames_are_the_video(tmp_path):
    (clip,) = Vln(release(tmp_path, {"0": expression(0, 11)}, [obj(11, 5)])).clips()
    assert clip.numbers == (30, 60, 90)
    assert clip.image_ids == (12, 13, 14)
    assert len(clip.annotations) == 3


def test_the_first_expression_of_an_actor_is_its_object_in_the_order_of_text(tmp_path):
    """ "10" sorts before "2": the tenth expression is the actor's first."""
    expressions = {"2": expression(0, 11), "10": expression(0, 12), "3": expression(1, 13)}
    (clip,) = Vln(release(tmp_path, expressions, [obj(11, 5), obj(12, 20), obj(13, 40)])).clips()
    assert by_track(clip) == {2: "A man walks.", 3: "A dog runs after the man."}


def test_a_noun_phrase_that_ends_late_has_no_caption(tmp_path):
    """Within five characters after the length of the name, the end included; a later expression does not help."""
    for end, caption in ((8, "A man walks."), (9, "")):
        root = release(tmp_path / str(end), {"0": expression(0, 11, end), "1": expression(0, 11, 3)}, [obj(11, 5)])
        (clip,) = Vln(root).clips()
        assert by_track(clip) == {1: caption}


def test_the_background_is_an_object_without_caption(tmp_path):
    (clip,) = Vln(release(tmp_path, {"0": expression(2, 11)}, [obj(11, 5)])).clips()
    assert by_track(clip) == {1: ""}


def test_ids_beyond_doubles_stay_apart(tmp_path):
    """Two ids that are one double: their ranks are the track ids, over UVO's and the extra objects together."""
    root = release(
        tmp_path, {"0": expression(0, FAR + 1), "1": expression(1, FAR)}, [obj(FAR, 5)], [obj(FAR + 1, 30, boxes=False)]
    )
    (clip,) = Vln(root).clips()
    assert by_track(clip) == {2: "A man walks.", 1: "A dog runs after the man."}
    own = next(one for one in clip.annotations if one["track_id"] == 2)
    assert own["bbox"] == [30.0, 5.0, 10.0, 10.0]  # an extra object has its box from its mask


def test_an_object_out_of_view_is_on_no_frame(tmp_path):
    (clip,) = Vln(release(tmp_path, {"0": expression(0, 11)}, [obj(11, 5, hidden=(1,))])).clips()
    assert [one["image_id"] for one in clip.annotations] == [12, 14]


def test_an_object_that_two_actors_name_is_one_truth_on_masks_and_two_on_boxes(tmp_path):
    """CaptionFormer merges by track id and keeps the last caption; scenic writes both; clean keeps the first."""
    root = release(tmp_path, {"0": expression(0, 11), "1": expression(1, 11)}, [obj(11, 5)])
    (masks,), (boxes,) = Vln(root).clips(), Vln(root, compare="box").clips()
    (clean,) = Vln(root, reading="clean").clips()
    assert [one["caption"] for one in masks.annotations] == ["A dog runs after the man."] * 3
    assert [one["caption"] for one in boxes.annotations] == ["A man walks.", "A dog runs after the man."] * 3
    assert [one["caption"] for one in clean.annotations] == ["A man walks."] * 3
    counted = {fact.name: fact.found for fact in Vln(root, compare="box").describe()}
    assert counted["objects that two actors name, on a frame"] == 3


def test_an_empty_caption_does_not_replace_another(tmp_path):
    root = release(tmp_path, {"0": expression(0, 11), "1": expression(1, 11, end=40)}, [obj(11, 5)])
    (clip,) = Vln(root).clips()
    assert by_track(clip) == {1: "A man walks."}


@pytest.mark.parametrize("compare", ["mask", "box"])
def test_a_box_of_zeros_ends_its_frame(tmp_path, compare):
    """Both published conversions take it for padding: the object and those after it are not on the frame."""
    empty = {**obj(12, 5, boxes=False), "segmentations": [blob(0, 0, 0, 0), blob(5, 5, 10, 10), blob(5, 5, 10, 10)]}
    expressions = {"0": expression(0, 11), "1": expression(1, 12), "2": expression(2, 13)}
    root = release(tmp_path, expressions, [obj(11, 5), obj(13, 40)], [empty])
    (official,), (clean,) = Vln(root, compare=compare).clips(), Vln(root, reading="clean", compare=compare).clips()
    assert [one["track_id"] for one in official.annotations] == [1, 1, 2, 3, 1, 2, 3]
    assert len(clean.annotations) == 9


def test_both_protocols_have_their_own_reading_end_to_end(tmp_path):
    root = release(tmp_path, {"0": expression(0, 11), "1": expression(1, 11)}, [obj(11, 5)])
    (clip,) = Vln(root, reading="clean").clips()
    pred = tmp_path / "pred.json"
    pred.write_text(json.dumps([{**one, "score": 1.0} for one in clip.annotations]))
    for iou, missed in ((None, 0), ("box", 3)):
        options = Options(iou=iou, protocols=("official", "clean"), metrics=("cider",))
        result = run_benchmark(BenchmarkChoice("vln", root), options, tmp_path / "work", predictions=pred)
        official, clean = (scores.values for scores in result.scores)
        assert result.iou == (iou or "mask")
        assert (official["FN"], clean["FN"]) == (missed, 0)
        assert clean["CHOTA"] == pytest.approx(1.0)


def test_parts_that_are_missing_are_named_with_their_source(tmp_path):
    with pytest.raises(MissingFile, match=r"meta_expressions\.json; the narrative grounding annotations come from"):
        list(Vln(tmp_path).clips())
    root = release(tmp_path, {"0": expression(0, 99)}, [obj(11, 5)])
    with pytest.raises(UserError, match=r"video abc names the object 99, which UVO has not"):
        list(Vln(root).clips())


def test_the_number_of_videos_is_compared(tmp_path):
    fact = Vln(release(tmp_path, {"0": expression(0, 11)}, [obj(11, 5)])).describe()[0]
    assert (fact.published, fact.found, fact.verdict) == (2451, 1, "differs")
