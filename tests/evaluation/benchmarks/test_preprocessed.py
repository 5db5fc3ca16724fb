"""CaptionFormer's preprocessed files: read where the original ones are not, with the numbers of the original ones."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from capgen.cli.main import app
from capgen.errors import MissingFile, UnknownName, UserError
from capgen.evaluation.benchmarks.bensmot import BenSmot
from capgen.evaluation.benchmarks.frame_selection import FrameChoice, select_frames
from capgen.evaluation.benchmarks.preprocessed import PreprocessedBenchmark
from capgen.evaluation.benchmarks.run import BenchmarkChoice, run_benchmark
from capgen.evaluation.benchmarks.vidstg import VidStg
from capgen.evaluation.benchmarks.vln import Vln
from capgen.evaluation.evaluate import Options
from tests.evaluation.benchmarks import test_bensmot, test_vidstg, test_vln
from tests.evaluation.evalcases import blob

OPTIONS = Options(protocols=("official", "clean"), metrics=("cider",))


def track_file(clips, categories=({"id": 1, "name": "object"},)):
    """Clips in the form of the preprocessed files: an annotation a track, captions and boxes by frame."""
    videos, annotations = [], []
    for clip in clips:
        height, width = clip.size
        places = {image: place for place, image in enumerate(clip.image_ids)}
        shape = {"height": height, "width": width, "length": len(places)}
        videos.append({"id": clip.video_id, **shape, "file_names": list(clip.file_names)})
        rows = {}
        for one in clip.annotations:
            empty = {"bbox": [None] * len(places), "areas": [0] * len(places), "caption": [""] * len(places)}
            row = rows.setdefault(
                one["track_id"],
                {"id": one["track_id"], "video_id": clip.video_id, "category_id": 1, "iscrowd": 0, **shape, **empty},
            )
            place = places[one["image_id"]]
            row["bbox"][place], row["caption"][place] = one["bbox"], one["caption"]
            if one.get("segmentation"):
                row.setdefault("segmentations", [None] * len(places))[place] = one["segmentation"]
        annotations += rows.values()
    return {"videos": videos, "annotations": annotations, "categories": list(categories)}


def as_coco(document):
    """The published conversion of a track file: an annotation a frame, images numbered from 1."""
    images, annotations = [], []
    for video in document["videos"]:
        for place in range(video["length"]):
            name = {"file_name": video["file_names"][place], "id": len(images) + 1, "video_id": video["id"]}
            images.append({**name, "height": video["height"], "width": video["width"]})
            own = [one for one in document["annotations"] if one["video_id"] == video["id"]]
            annotations += [
                {"id": len(annotations) + n, "image_id": len(images), "track_id": n, "iscrowd": 0, "category_id": 1,
                 "bbox": one["bbox"][place], "caption": one["caption"][place],
                 **({"segmentation": one["segmentations"][place]} if "segmentations" in one else {})}
                for n, one in enumerate(own)
                if one["bbox"][place] is not None
            ]  # fmt: skip
    return {"images": images, "annotations": annotations, "categories": document["categories"]}


def as_predictions(document, shift=3.0):
    """A model's results.json: an object a track, near the truth, one caption each."""
    return [
        {
            **{key: one[key] for key in ("video_id", "category_id", "bbox", "segmentations") if key in one},
            "bbox": [box and [box[0] + shift, *box[1:]] for box in one["bbox"]],
            "score": 0.9,
            "score_per_frame": [0.9] * one["length"],
            "caption": max(one["caption"], key=len) or "a wall",
        }
        for one in document["annotations"]
    ]


def vidstg_root(folder):
    records = [test_vidstg.record("7", 0, 12, "a dog runs."), test_vidstg.record("8", 4, 20, "a ball rolls.", target=1)]
    return test_vidstg.release(folder, records, [test_vidstg.vidor("7"), test_vidstg.vidor("8")])


def vln_root(folder):
    expressions = {"0": test_vln.expression(0, 11), "1": test_vln.expression(1, 12)}
    return test_vln.release(folder, expressions, [test_vln.obj(11, 5), test_vln.obj(12, 30, hidden=(1,))])


def bensmot_root(folder):
    return test_bensmot.sequence(folder)


CASES = {
    "vidstg": (vidstg_root, VidStg, "vidstg_max200f_val"),
    "vln": (vln_root, Vln, "vng_uvo_sparse_val_instances"),
    "bensmot": (bensmot_root, BenSmot, "test_instances"),
}


@pytest.mark.parametrize("form", ["track", "coco"])
@pytest.mark.parametrize("name", CASES)
def test_preprocessed_files_give_the_numbers_of_the_original_ones(tmp_path, name, form):
    make, reader, stem = CASES[name]
    original = make(tmp_path / "original")
    document = track_file(reader(original).clips())
    pred = tmp_path / "results.json"
    pred.write_text(json.dumps(as_predictions(document)))
    ready = tmp_path / "ready" / "annotations"
    ready.mkdir(parents=True)
    stem = f"{stem}_instances" if (name, form) == ("vidstg", "track") else stem
    path = ready / (f"{stem}_.json" if form == "track" else f"{stem}_coco_format.json")
    path.write_text(json.dumps(document if form == "track" else as_coco(document)))

    def values(root):
        result = run_benchmark(BenchmarkChoice(name, root), OPTIONS, tmp_path / "work", predictions=pred)
        return result, {s.protocol: s.values for s in result.scores}

    (first, expected), (second, got) = values(original), values(ready.parent)
    assert (first.videos, first.iou) == (second.videos, second.iou)
    assert f"the ground truth is {path.name}" in second.notes
    for protocol, numbers in expected.items():
        assert numbers["TP"] > 0
        for key in ("DetA", "AssA", "LocA", "HOTA", "HOTA_mean", "CapA", "CHOTA", "MOTA", "IDF1"):
            assert got[protocol][key] == pytest.approx(numbers[key], rel=1e-9), (protocol, key)


def test_which_files_are_read_can_be_chosen(tmp_path):
    root = vidstg_root(tmp_path)
    assert isinstance(BenchmarkChoice("vidstg", root).reader("official"), VidStg)
    with pytest.raises(MissingFile, match=r"vidstg_max200f_val_instances_\.json; .*CaptionFormer"):
        BenchmarkChoice("vidstg", root, options={"files": "preprocessed"}).reader("official")
    document = track_file(VidStg(root).clips())
    (root / "annotations" / "vidstg_max200f_val_instances_.json").write_text(json.dumps(document))
    assert isinstance(BenchmarkChoice("vidstg", root).reader("official"), VidStg)
    ready = BenchmarkChoice("vidstg", root, options={"files": "preprocessed"}).reader("official")
    assert isinstance(ready, PreprocessedBenchmark)
    assert {fact.name: fact.found for fact in ready.describe()} == {"videos": 2, "annotations": 4, "captions": 2}
    with pytest.raises(UnknownName, match="files"):
        BenchmarkChoice("vidstg", root, options={"files": "mine"}).reader("official")


def test_frames_of_preprocessed_files_are_found_by_their_names(tmp_path):
    import cv2

    document = track_file(VidStg(vidstg_root(tmp_path / "original")).clips())
    ready = tmp_path / "ready"
    (ready / "annotations").mkdir(parents=True)
    (ready / "annotations" / "vidstg_max200f_val_instances_.json").write_text(json.dumps(document))
    for video in document["videos"]:
        for name in video["file_names"]:
            path = ready / "video" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), np.full((48, 64, 3), 10 * int(path.stem), np.uint8))
    first, _ = BenchmarkChoice("vidstg", ready).reader("official").clips()
    assert first.numbers == tuple(range(1, 20, 2))
    np.testing.assert_allclose([p.mean() for p in first.frames()], [10 * n for n in first.numbers], atol=2)


def test_one_prediction_file_serves_both_readings_of_vidstgs_segments(tmp_path):
    """Found exactly inside the used segments, missed outside: the second reading is perfect, the first is not."""
    records = [
        test_vidstg.record("7", 0, 4, "a dog runs.", used=(0, 4)),
        test_vidstg.record("7", 12, 16, "a dog jumps.", used=(12, 16)),
    ]
    root = test_vidstg.release(tmp_path, records, [test_vidstg.vidor("7", tids=(0,))])
    (clip,) = VidStg(root).clips()
    (used,) = VidStg(root, segment="used").clips()
    far = [50.0, 1.0, 4.0, 4.0]
    by_frame = [
        {**one, "score": 1.0, "bbox": one["bbox"] if one["image_id"] in used.image_ids else far}
        for one in clip.annotations
    ]
    whole_track = {
        "video_id": 1, "category_id": 1, "score": 1.0, "score_per_frame": [1.0] * 10, "caption": "a dog runs.",
        "bbox": [one["bbox"] for one in by_frame],
    }  # fmt: skip
    for n, predictions in enumerate((by_frame, [whole_track])):
        pred = tmp_path / f"pred{n}.json"
        pred.write_text(json.dumps(predictions))
        found = {}
        for segment in ("whole", "used"):
            choice = BenchmarkChoice("vidstg", root, options={"segment": segment})
            result = run_benchmark(choice, OPTIONS, tmp_path / "work", predictions=pred)
            found[segment] = result.scores[1].values
            assert ("6 predictions lie on frames that are not evaluated" in result.notes) == (segment == "used")
        assert found["used"]["DetA"] == 1.0
        assert found["whole"]["DetA"] == 4 / 16


def test_predictions_on_the_longer_videos_of_vln_are_cut_to_the_annotated_frames(tmp_path):
    document = track_file(Vln(vln_root(tmp_path / "original")).clips())
    folder = tmp_path / "ready" / "annotations"
    folder.mkdir(parents=True)
    (folder / "vng_uvo_sparse_val_instances_.json").write_text(json.dumps(document))
    longer = {**document, "videos": [{**document["videos"][0], "length": 7, "sparse_frame_indices": [1, 3, 6]}]}
    (folder / "vng_uvo_sparse_val_extended_instances_.json").write_text(json.dumps(longer))
    found = as_predictions(document)
    for one in found:
        masks = iter(one.pop("segmentations"))
        one["segmentations"] = [next(masks) if n in (1, 3, 6) else blob(50, 1, 5, 5) for n in range(7)]
        for key in ("bbox", "score_per_frame"):
            del one[key]
    pred = tmp_path / "results.json"
    pred.write_text(json.dumps(found))
    result = run_benchmark(BenchmarkChoice("vln", tmp_path / "ready"), OPTIONS, tmp_path / "work", predictions=pred)
    assert [s.values["DetA"] for s in result.scores] == [1.0, 1.0]
    assert "8 predictions lie on frames that are not evaluated" in result.notes


def test_a_track_of_another_length_is_named(tmp_path):
    pred = tmp_path / "pred.json"
    pred.write_text(json.dumps([{"video_id": 1, "bbox": [None] * 5}]))
    with pytest.raises(UserError, match=r"predictions\[0\] has 5 entries for a video of 10 frames; give one"):
        select_frames(pred, tmp_path / "out.json", {1: FrameChoice(10, (0, 1))})


def test_the_command_reads_preprocessed_files(tmp_path):
    document = track_file(BenSmot(bensmot_root(tmp_path / "original")).clips())
    folder = tmp_path / "ready" / "annotations"
    folder.mkdir(parents=True)
    (folder / "test_instances_.json").write_text(json.dumps(document))
    pred = tmp_path / "results.json"
    pred.write_text(json.dumps(as_predictions(document, shift=0.0)))
    arguments = ["--root", tmp_path / "ready", "--pred", pred, "--metrics", "cider", "--json"]
    done = CliRunner().invoke(app, ["eval", "benchmark", "bensmot", *map(str, arguments)])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["clean"]["DetA"] == 1.0


@pytest.mark.parametrize(
    ("name", "file", "good", "bad", "said"),
    [
        ("vidstg", "val_annotations.json", '"vid"', '"video"', "val_annotations.json is not in the form"),
        ("vidstg", "7.json", '"trajectories"', '"boxes"', "7.json or VidSTG's annotations is not in the form"),
        ("vidstg", "7.json", '"fps": 10.0', '"fps": 0', "7.json or VidSTG's annotations is not in the form"),
        ("vidstg", "7.json", '"frame_count": 20', '"frame_count": 1e300', "frame_count 1000"),
        ("vln", "UVO_sparse_val_video.json", '"id": 11', '"id": [11]', "extra_masks.json is not in the form"),
        ("vln", "UVO_sparse_val_video.json", '"height": 48', '"height": "tall"', "video abc of "),
        ("vln", "meta_expressions.json", '"actor_idx"', '"index"', "video abc of "),
        ("vln", "meta_expressions.json", '"videos"', '"films"', "meta_expressions.json is not in the form"),
        ("vln", "meta_expressions.json", "{", "[" * 100_000, "meta_expressions.json is nested too deeply"),
        ("vidstg", "7.json", '"fps": 10.0', f'"fps": {"9" * 5000}', "7.json is not valid JSON (Exceeds"),
    ],
)
def test_a_value_of_a_wrong_kind_in_an_owners_file_is_one_line_with_the_file(tmp_path, name, file, good, bad, said):
    make, reader, _ = CASES[name]
    root = make(tmp_path)
    (path,) = root.rglob(file)
    assert good in path.read_text()
    path.write_text(path.read_text().replace(good, bad))
    with pytest.raises(UserError) as error:
        list(reader(root).clips())
    assert said in str(error.value)
    assert "\n" not in str(error.value)
