"""Masks for what has none: real architectures with random weights give files that the sources take."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask

from capgen.cli.data.segment import MaskCaptionerTracks, is_maskcaptioner
from capgen.dataset.files import DiskTrouble
from capgen.errors import MissingFile, UserError
from capgen.pipeline.sources.images.coco import Coco
from capgen.pipeline.sources.videos.youtube_vis import YoutubeVis
from capgen.segmenting import segment as segmenting
from capgen.segmenting.models import FoundMask, open_sam2, open_segmenter, without_repeats
from capgen.segmenting.propagation import Sam2Tracks, padded_mask, uncovered
from capgen.segmenting.segment import SegmentRequest, segment
from capgen.segmenting.tracks import linked
from tests.exporting.releases import film_release, write_picture
from tests.full_disks import full_at
from tests.segmenting import models


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Models this small are slower with more, by far on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {name: getattr(models, name)(folder / name) for name in ("sam", "sam2_video", "mask2former")}


def opened(folder, points=4):
    """The model, sure and stable enough whatever its random weights say."""
    least = -9.0 if "sam" in folder.name else 0.0
    return open_segmenter(str(folder), threshold=least, points=points, device="cpu", stability=0.0)


@pytest.fixture
def pictures(tmp_path):
    for number in range(3):
        write_picture(tmp_path / f"holiday/day{number % 2}/{number}.jpg", number)
    return tmp_path / "holiday"


@pytest.mark.parametrize("name", ["sam", "sam2_video", "mask2former"])
def test_pictures_become_a_coco_file_that_the_source_takes(tmp_path, pictures, folders, name):
    report = segment(SegmentRequest(pictures, tmp_path / "out", name), opened(folders[name]))
    assert (report.kind, report.media, report.left_out) == ("image", 3, 0)
    body = json.loads(report.file.read_text())
    assert report.objects == len(body["annotations"]) > 0
    for row in body["annotations"]:
        assert coco_mask.decode(row["segmentation"]).shape == (48, 64)
        assert coco_mask.toBbox(row["segmentation"]).tolist() == row["bbox"]
    assert ("categories" in body) == (name == "mask2former")
    planned = list(Coco(pictures, str(report.file.resolve())).scan())
    assert [one.file_names[0] for one in planned] == ["day0/0.jpg", "day0/2.jpg", "day1/1.jpg"]
    assert sum(len(one.objects) for one in planned) == report.objects


class OneMask:
    """Finds the upper half of every picture."""

    def __call__(self, pixels):
        mask = np.zeros(pixels.shape[:2], bool)
        mask[: len(mask) // 2] = True
        return [FoundMask(mask, 0.9)]


def test_a_full_disk_is_told_of_and_the_same_command_goes_on(tmp_path, pictures):
    request = SegmentRequest(pictures, tmp_path / "out", "one")
    with (
        full_at(10),
        pytest.raises(DiskTrouble, match=f"{tmp_path / 'out' / 'found'} cannot be written: File too large"),
    ):
        segment(request, OneMask())
    assert not (tmp_path / "out" / "train.json").exists()
    report = segment(request, OneMask())
    assert (report.media, report.left_out) == (3, 0)


def test_what_a_kill_left_is_gone_and_what_is_damaged_is_found_again(tmp_path, pictures):
    request = SegmentRequest(pictures, tmp_path / "out", "one")
    before = segment(request, OneMask()).file.read_bytes()
    first = sorted((tmp_path / "out" / "found").iterdir())[0]
    first.write_bytes(b"")
    for name in ("train.json.0a1b2c3d.part", f"found/{first.name}.0a1b2c3d.part"):
        (tmp_path / "out" / name).write_bytes(b"half of it")
    assert segment(request, OneMask()).file.read_bytes() == before
    assert not list((tmp_path / "out").rglob("*.part"))


def test_a_link_in_its_folder_leads_no_segmentation_elsewhere(tmp_path, pictures):
    (tmp_path / "victim").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "found").symlink_to(tmp_path / "victim")
    with pytest.raises(UserError, match="nothing is written through links"):
        segment(SegmentRequest(pictures, tmp_path / "out", "one"), OneMask())


@pytest.mark.parametrize("name", ["sam2_video", "mask2former"])
def test_videos_become_a_youtube_vis_file_that_the_source_takes(tmp_path, folders, name):
    film_release(tmp_path)
    request = SegmentRequest(tmp_path / "pictures", tmp_path / "segmented", name, every=2)
    report = segment(request, opened(folders[name]))
    assert (report.kind, report.media) == ("video", 1)
    body = json.loads(report.file.read_text())
    assert body["videos"][0]["frame_numbers"] == [0, 2, 4]
    assert report.objects > 0
    for row in body["annotations"]:
        assert len(row["segmentations"]) == len(row["bboxes"]) == 3
    (planned,) = YoutubeVis(tmp_path / "pictures", str(report.file.resolve())).scan()
    assert planned.file_names == ("clip.mp4#0", "clip.mp4#2", "clip.mp4#4")


def test_sam_2_follows_what_it_found_on_the_first_frame(tmp_path, folders):
    film_release(tmp_path)
    tracker = Sam2Tracks(open_sam2(str(folders["sam2_video"]), "cpu"), opened(folders["sam2_video"]), 3)
    report = segment(SegmentRequest(tmp_path / "pictures", tmp_path / "segmented", "sam2", every=2), tracker)
    body = json.loads(report.file.read_text())
    assert 0 < report.objects <= 3
    for row in body["annotations"]:
        assert len(row["segmentations"]) == 3
        assert all(coco_mask.decode(mask).shape == (48, 64) for mask in row["segmentations"] if mask)
    assert open_sam2(str(folders["sam"]), "cpu") is None


@dataclass
class Scripted:
    """A model of pictures that finds on each frame what was written down for it, and remembers where it looked."""

    found: list
    looked: list = field(default_factory=list)
    device: str = "cpu"
    side: int = 64

    def __call__(self, pixels):
        number = int(pixels[0, 0, 0])
        self.looked.append(number)
        return self.found[number]

    @property
    def frames(self):
        """Frames of a grey that is their number."""
        return [np.full((48, 64, 3), number, np.uint8) for number in range(len(self.found))]


def small_and_late(late, frames=6, appears=3):
    """What is found on each frame: a small object on all, and another one that appears later."""
    small = np.zeros((48, 64), bool)
    small[4:12, 4:12] = True
    return [[FoundMask(small, 0.9)] + [FoundMask(late, 0.8)] * (i >= appears) for i in range(frames)]


def test_sam_2_finds_an_object_that_appears_later_where_it_looks_again(folders):
    """The tiny model is made to lose every object at once, so that nothing covers the later one."""
    model = open_sam2(str(folders["sam2_video"]), "cpu")
    model.mask_decoder.pred_obj_score_head.proj_out.bias.data.fill_(-100.0)
    late = np.zeros((48, 64), bool)
    late[24:44, 40:60] = True
    found = small_and_late(late)
    first, again, few = Scripted(found), Scripted(found), Scripted(found)
    assert [sorted(one.counts) for one in Sam2Tracks(model, first, 5).tracks(first.frames)] == [[0]]
    assert first.looked == [0]
    tracks = Sam2Tracks(model, again, 5, redetect=2).tracks(again.frames)
    assert again.looked == [0, 2, 4]
    later = [one for one in tracks if 4 in one.counts and one.scores == [0.8]]
    shown = coco_mask.decode({"size": [48, 64], "counts": later[0].counts[4]}).astype(bool)
    assert np.count_nonzero(shown & late) / np.count_nonzero(shown | late) > 0.8
    assert len(Sam2Tracks(model, few, 1, redetect=2).tracks(few.frames)) == 1


def test_a_later_object_changes_nothing_of_those_that_were_followed_already(folders):
    model = open_sam2(str(folders["sam2_video"]), "cpu")
    alone = Scripted(small_and_late(np.zeros((48, 64), bool), appears=9))
    (before,) = Sam2Tracks(model, alone, 5).tracks(alone.frames)
    shown = coco_mask.decode({"size": [48, 64], "counts": before.counts[4]}).astype(bool)
    both = Scripted(small_and_late(~shown, appears=4))
    after, later = Sam2Tracks(model, both, 5, redetect=2).tracks(both.frames)
    assert min(later.counts) == 4
    assert after.counts == before.counts
    assert sorted(before.counts) == list(range(6))


def test_what_is_remembered_of_a_video_does_not_grow_with_it_and_decides_nothing(folders, monkeypatch):
    """The model looks back six frames, and fifteen for what an object is; transformers keeps all of everything."""
    model = open_sam2(str(folders["sam2_video"]), "cpu")
    found = small_and_late(np.ones((48, 64), bool), frames=18, appears=99)
    sessions = []

    def noted(self, pixels, start=Sam2Tracks._session):
        sessions.append(start(self, pixels))
        return sessions[-1]

    monkeypatch.setattr(Sam2Tracks, "_session", noted)
    (track,) = Sam2Tracks(model, script := Scripted(found), 5).tracks(script.frames)
    (kept,) = (one["non_cond_frame_outputs"] for one in sessions[0].output_dict_per_obj.values())
    assert sorted(kept) == list(range(2, 18))
    assert [number for number, one in kept.items() if "maskmem_features" in one] == list(range(11, 18))
    assert not any("high_res_masks" in one for one in kept.values())
    assert not sum(frame.numel() for frame in sessions[0].processed_frames.values())
    monkeypatch.setattr(Sam2Tracks, "_forget", lambda *_: None)
    (all_kept,) = Sam2Tracks(model, script := Scripted(found), 5).tracks(script.frames)
    assert track.counts == all_kept.counts
    assert len(track.counts) == 18


def test_only_what_mostly_lies_where_nothing_is_followed_is_new():
    def box(left, right):
        bitmap = np.zeros((10, 20), bool)
        bitmap[:, left:right] = True
        return bitmap

    masks = [
        FoundMask(box(0, 10), 0.9),
        FoundMask(box(8, 12), 0.8),
        FoundMask(box(9, 11), 0.7),
        FoundMask(box(6, 12), 0.6),
    ]
    assert [one.score for one in uncovered(masks, [box(0, 5), box(5, 10)])] == [0.8, 0.7]
    assert len(uncovered(masks, [])) == 4


def test_a_mask_lies_in_the_square_where_its_picture_does():
    bitmap = np.zeros((48, 64), bool)
    bitmap[24:48, 32:64] = True
    square = padded_mask(bitmap, 32)
    assert square[12:24, 16:].all()
    assert square.sum() == 12 * 16


def test_what_was_found_is_not_looked_for_again_and_other_settings_are(tmp_path, pictures, monkeypatch):
    looked = []

    def segmenter(pixels):
        if len(looked) == 2:
            raise KeyboardInterrupt
        looked.append(pixels)
        return [FoundMask(np.ones((48, 64), bool), 0.5)]

    request = SegmentRequest(pictures, tmp_path / "out", "m")
    with pytest.raises(KeyboardInterrupt):
        segment(request, segmenter)
    assert not (tmp_path / "out/train.json").exists()

    def whole(pixels):
        return [FoundMask(np.ones((48, 64), bool), 0.5)]

    times = []
    monkeypatch.setattr(
        segmenting, "read_picture", lambda *a, _of=segmenting.read_picture, **k: times.append(1) or _of(*a, **k)
    )
    segment(request, whole)
    assert len(times) == 1
    segment(SegmentRequest(pictures, tmp_path / "out", "m", threshold=0.9), whole)
    assert len(times) == 4
    segment(SegmentRequest(pictures, tmp_path / "out", "m", threshold=0.9, points=8), whole)
    assert len(times) == 7


@pytest.mark.parametrize("kept", [b"", b"[]", b'{"name": 1}', b'{"annotations": [{}]}', b"[" * 5000, b"\xff", None])
def test_what_somebody_else_left_as_found_is_found_anew(tmp_path, pictures, kept):
    """An output folder may be handed around as well."""
    request = SegmentRequest(pictures, tmp_path / "out", "m")
    wanted = segment(request, lambda _: [FoundMask(np.ones((48, 64), bool), 0.5)]).file.read_bytes()
    first, second, _ = sorted((tmp_path / "out" / "found").iterdir())
    first.write_bytes(second.read_bytes() if kept is None else kept)
    assert segment(request, lambda _: [FoundMask(np.ones((48, 64), bool), 0.5)]).file.read_bytes() == wanted


@pytest.mark.parametrize("name", ["found", "train.json"])
def test_links_in_the_output_folder_lead_no_write_elsewhere(tmp_path, pictures, name):
    (tmp_path / "out").mkdir()
    (tmp_path / "victim").mkdir()
    (tmp_path / "out" / name).symlink_to(tmp_path / "victim")
    with pytest.raises(UserError, match="nothing is written through links"):
        segment(SegmentRequest(pictures, tmp_path / "out", "m"), lambda _: [])
    assert not [*(tmp_path / "victim").iterdir()]


def test_a_damaged_picture_is_one_line_and_left_out(tmp_path, pictures):
    (pictures / "day0/0.jpg").write_bytes(b"no picture")
    lines = []
    report = segment(SegmentRequest(pictures, tmp_path / "out", "m"), lambda pixels: [], say=lines.append)
    assert (report.media, report.left_out) == (2, 1)
    assert len(lines) == 1
    assert lines[0].startswith("day0/0.jpg is left out: ")


def test_the_packaged_maskcaptioner_segments_pictures(tmp_path, pictures):
    assert is_maskcaptioner("sample")
    assert not is_maskcaptioner("facebook/sam2-hiera-tiny")
    shutil.rmtree(pictures / "day0")
    report = segment(SegmentRequest(pictures, tmp_path / "out", "sample"), MaskCaptionerTracks("sample", 0.0, 3, "cpu"))
    assert report.media == 1
    assert 0 < report.objects <= 3
    assert json.loads(report.file.read_text())["categories"]


def test_of_a_folder_with_both_the_videos_are_taken_and_the_pictures_are_counted_or_chosen(tmp_path):
    film_release(tmp_path)
    write_picture(tmp_path / "pictures/a.jpg")
    lines = []
    report = segment(SegmentRequest(tmp_path / "pictures", tmp_path / "out", "m"), lambda _: [], say=lines.append)
    assert (report.kind, report.media) == ("video", 1)
    (line,) = lines
    assert line.endswith("also holds 1 images, which are left out; --kind image takes them alone")
    chosen = SegmentRequest(tmp_path / "pictures", tmp_path / "out", "m", kind="image")
    assert segment(chosen, lambda _: []).media == 1
    (tmp_path / "pictures/a.jpg").unlink()
    with pytest.raises(UserError, match="holds no images"):
        segment(chosen, lambda _: [])


def test_an_object_keeps_its_track_while_it_moves_and_repeats_are_dropped():
    def square(x):
        bitmap = np.zeros((40, 40), bool)
        bitmap[5:15, x : x + 10] = True
        return bitmap

    far = np.zeros((40, 40), bool)
    far[30:38, 30:38] = True
    frames = [[FoundMask(square(2 * i), 0.9, "cat"), FoundMask(far, 0.8)] for i in range(4)]
    frames[2] = frames[2][:1]
    moving, still = linked(frames)
    assert (sorted(moving.counts), moving.category) == ([0, 1, 2, 3], "cat")
    assert sorted(still.counts) == [0, 1, 3]
    same = [FoundMask(square(0), 0.5), FoundMask(square(1), 0.9), FoundMask(far, 0.1)]
    assert [one.score for one in without_repeats(same)] == [0.9, 0.1]


def test_mistakes_are_one_line(tmp_path, pictures, folders):
    with pytest.raises(UserError, match="cannot be opened"):
        opened(tmp_path / "nowhere")
    from transformers import BertConfig

    BertConfig().save_pretrained(tmp_path / "bert")
    with pytest.raises(UserError, match="is a bert model, which finds no masks by itself"):
        opened(tmp_path / "bert")
    with pytest.raises(MissingFile):
        segment(SegmentRequest(tmp_path / "nothing", tmp_path / "out", "m"), lambda pixels: [])
    with pytest.raises(UserError, match="count from 1"):
        segment(SegmentRequest(pictures, tmp_path / "out", "m", every=0), lambda pixels: [])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="neither pictures nor videos"):
        segment(SegmentRequest(tmp_path / "empty", tmp_path / "out", "m"), lambda pixels: [])
