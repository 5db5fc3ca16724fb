"""VidSTG: each rule of the published conversion, and the readings where the files contradict each other."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from capgen.errors import MissingFile, UserError
from capgen.evaluation.benchmarks.run import BenchmarkChoice, run_benchmark
from capgen.evaluation.benchmarks.vidstg import VidStg, evaluated_frames
from capgen.evaluation.evaluate import Options


def record(vid, begin, end, text, target=0, used=(0, 100)):
    return {
        "vid": vid, "fps": 10.0, "frame_count": 20, "width": 64, "height": 48,
        "subject/objects": [{"tid": 0, "category": "dog"}, {"tid": 1, "category": "ball/sports_ball"}],
        "used_segment": {"begin_fid": used[0], "end_fid": used[1]},
        "temporal_gt": {"begin_fid": begin, "end_fid": end},
        "captions": [{"description": text, "type": "subject", "target_id": target}],
        "questions": [],
    }  # fmt: skip


def vidor(vid, frames=20, fps=10.0, tids=(0, 1), box=None):
    boxes = [
        [
            {"tid": t, "bbox": box or {"xmin": 2 + t, "ymin": 3, "xmax": 22 + t, "ymax": 33}, "generated": 0}
            for t in tids
        ]
        for _ in range(frames)
    ]
    about = {"video_id": vid, "video_path": f"0001/{vid}.mp4", "frame_count": frames, "fps": fps}
    return {**about, "width": 64, "height": 48, "trajectories": boxes}


def release(root, records, videos):
    (root / "annotations").mkdir(parents=True)
    (root / "annotations" / "val_annotations.json").write_text(json.dumps(records))
    folder = root / "vidor" / "annotations" / "training" / "0001"
    folder.mkdir(parents=True)
    for one in videos:
        (folder / f"{one['video_id']}.json").write_text(json.dumps(one))
    return root


def captions(clip, tid=0):
    """The caption of an object by frame number; absent where it has no box."""
    number = dict(zip(clip.image_ids, clip.numbers, strict=True))
    own = [one for one in clip.annotations if one["track_id"] % 100 == tid]
    return {number[one["image_id"]]: one["caption"] for one in own}


def test_five_frames_a_second_are_kept():
    assert evaluated_frames(30, 10.0) == list(range(0, 30, 2))
    assert evaluated_frames(30, 29.97) == [0, 6, 12, 18, 24]
    assert evaluated_frames(12, 15.0) == [0, 3, 6, 9]


def test_frames_are_thinned_to_200():
    kept = evaluated_frames(5395, 10.0)
    every = list(range(0, 5395, 2))
    assert len(kept) == 200
    assert kept == [every[(j * len(every)) // 200] for j in range(200)]


def test_fewer_than_five_frames_a_second_are_refused(tmp_path):
    root = release(tmp_path, [record("7", 0, 9, "a dog runs.")], [vidor("7", fps=4.0)])
    with pytest.raises(UserError, match=r"VidOR's video 7 has 4\.0 frames a second"):
        list(VidStg(root).clips())


def test_a_window_ends_before_its_last_frame(tmp_path):
    (clip,) = VidStg(release(tmp_path, [record("7", 4, 8, "a dog runs.")], [vidor("7")])).clips()
    assert {f for f, text in captions(clip).items() if text} == {4, 6}


def test_every_box_is_truth_and_only_the_described_one_has_a_caption(tmp_path):
    (clip,) = VidStg(release(tmp_path, [record("7", 0, 20, "a dog runs.")], [vidor("7")])).clips()
    assert set(captions(clip, 0).values()) == {"a dog runs."}
    assert set(captions(clip, 1).values()) == {""}
    assert clip.annotations[0]["bbox"] == [2.0, 3.0, 20.0, 30.0]


def test_videos_are_numbered_in_the_order_of_their_names_as_text(tmp_path):
    """ "10" comes before "9"; image and track ids follow the published formula."""
    root = release(tmp_path, [record(v, 0, 9, "a dog.") for v in ("9", "10")], [vidor("9"), vidor("10")])
    first, second = VidStg(root).clips()
    assert (first.name, first.video_id, second.name, second.video_id) == ("10", 1, "9", 2)
    assert second.image_ids[:2] == (2 * 6000, 2 * 6000 + 2)
    assert second.annotations[1]["track_id"] == 201


def test_of_overlapping_sentences_the_last_counts_or_the_first(tmp_path):
    root = release(tmp_path, [record("7", 0, 10, "first."), record("7", 4, 20, "second.")], [vidor("7")])
    (last,), (first,) = VidStg(root).clips(), VidStg(root, overlap="first").clips()
    assert captions(last)[6] == "second."
    assert captions(first)[6] == "first."
    assert captions(last)[2] == captions(first)[2] == "first."
    assert captions(first)[12] == "second."


def test_frames_are_those_of_the_whole_video_or_of_the_used_segments(tmp_path):
    records = [record("7", 0, 4, "a.", used=(0, 4)), record("7", 12, 16, "b.", used=(12, 16))]
    root = release(tmp_path, records, [vidor("7")])
    assert next(VidStg(root).clips()).numbers == tuple(range(0, 20, 2))
    assert next(VidStg(root, segment="used").clips()).numbers == (0, 2, 12, 14)


def test_a_box_of_zeros_is_padding(tmp_path):
    zeros = {"xmin": 0, "ymin": 0, "xmax": 0, "ymax": 0}
    (clip,) = VidStg(release(tmp_path, [record("7", 0, 9, "a dog.")], [vidor("7", box=zeros)])).clips()
    assert clip.annotations == ()


def test_parts_that_are_missing_are_named_with_their_source(tmp_path):
    with pytest.raises(MissingFile, match=r"val_annotations\.json; VidSTG's annotations come from"):
        list(VidStg(tmp_path / "nowhere").clips())
    root = release(tmp_path, [record("7", 0, 9, "a dog.")], [])
    with pytest.raises(MissingFile, match=r"7\.json; VidOR's annotations and videos come from"):
        list(VidStg(root).clips())
    assert any("VidOR is missing" in fact.name for fact in VidStg(root).describe())


def test_sizes_are_counted_and_compared(tmp_path):
    records = [record("7", 0, 10, "one two."), record("7", 4, 20, "three four."), record("8", 0, 3, "five.")]
    root = release(tmp_path, records, [vidor("7"), vidor("8")])
    facts = {fact.name: fact for fact in VidStg(root).describe()}
    found = {name: fact.found for name, fact in facts.items()}
    assert (found["videos"], found["records"], found["different sentences"]) == (2, 3, 3)
    assert (found["captioned tracks"], found["tracks with overlapping sentences"]) == (2, 1)
    assert found["captioned object-frames"] == 10 + 2
    assert (facts["videos"].published, facts["videos"].verdict) == (602, "differs")


def test_a_perfect_prediction_is_one_end_to_end(tmp_path):
    root = release(tmp_path, [record("7", 0, 20, "a dog runs.")], [vidor("7")])
    (clip,) = VidStg(root).clips()
    pred = tmp_path / "pred.json"
    pred.write_text(json.dumps([{**one, "score": 1.0} for one in clip.annotations]))
    result = run_benchmark(
        BenchmarkChoice("vidstg", root),
        Options(protocols=("official", "clean"), metrics=("cider",)),
        tmp_path / "work",
        predictions=pred,
    )
    assert result.iou == "box"
    assert [s.values["DetA"] for s in result.scores] == [1.0, 1.0]
    assert result.scores[1].values["CHOTA"] == pytest.approx(1.0)


def film(path, count=20):
    """A film whose frame n has the brightness 10 n."""
    av = pytest.importorskip("av")
    path.parent.mkdir(parents=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height = 64, 48
        for n in range(count):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 10 * n, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def test_frames_come_out_of_the_film(tmp_path):
    root = release(tmp_path, [record("7", 0, 9, "a dog.")], [vidor("7")])
    film(root / "vidor" / "videos" / "0001" / "7.mp4")
    (clip,) = VidStg(root).clips()
    levels = [picture.mean() for picture in clip.frames()]
    np.testing.assert_allclose(levels, [10 * n for n in clip.numbers], atol=3)
    assert next(clip.at([3])).shape == (48, 64, 3)
    with pytest.raises(UserError, match=r"7\.mp4 ends before its frame 99"):
        list(clip.at([99]))


def test_frames_come_out_of_folders_that_ffmpeg_numbers_from_one(tmp_path):
    root = release(tmp_path, [record("7", 0, 9, "a dog.")], [vidor("7")])
    folder = root / "frames" / "0001" / "7"
    folder.mkdir(parents=True)
    for n in range(20):
        cv2.imwrite(str(folder / f"{n + 1:04d}.jpg"), np.full((48, 64, 3), 10 * n, np.uint8))
    (clip,) = VidStg(root).clips()
    np.testing.assert_allclose([p.mean() for p in clip.frames()], [10 * n for n in clip.numbers], atol=2)


def test_without_pictures_the_clip_says_so(tmp_path):
    (clip,) = VidStg(release(tmp_path, [record("7", 0, 9, "a dog.")], [vidor("7")])).clips()
    with pytest.raises(UserError, match="video 7 has no pictures"):
        clip.frames()
