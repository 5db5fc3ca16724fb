"""From any input to tracks.json and pictures, by a stream that knows the answer."""

import json
import logging

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from capgen.errors import UserError
from capgen.evaluation.evaluate import Options, evaluate
from capgen.maskcaptioner.drawing.draw import Painter, Style, colour, film_style
from capgen.maskcaptioner.drawing.legend import WARNING, Legend
from capgen.maskcaptioner.drawing.sheet import WIDTH as SHEET
from capgen.maskcaptioner.drawing.sheet import chosen
from capgen.maskcaptioner.drawing.text import font, wrap
from capgen.maskcaptioner.drawing.video_writer import Annotator, VideoWriter
from capgen.maskcaptioner.inference.frames import open_frames
from capgen.maskcaptioner.inference.track import Track
from capgen.maskcaptioner.predict import clips, detections, predict
from tests.maskcaptioner.films import HEIGHT, WIDTH, Knowing, frame, square, track, write_video


def run(source, out, *tracks, clip_frames=5, **options):
    return predict(source, Knowing(*tracks), out, clip_frames=clip_frames, info={"model": "knowing"}, **options)


@pytest.fixture
def video(tmp_path):
    return open_frames(write_video(tmp_path / "in.mp4", 12, fps=8))


def test_the_model_sees_every_frame_once_clip_by_clip(video, tmp_path):
    stream = Knowing()
    found, _ = predict(video, stream, tmp_path / "out", clip_frames=5, info={})
    assert [len(clip) for clip in stream.clips] == [5, 5, 2]
    assert (found.frames, found.size) == (12, (HEIGHT, WIDTH))


def test_the_file_of_tracks_says_where_each_track_is_on_each_frame(video, tmp_path):
    seen = track(frames=[2, 3, 7])
    _, files = run(video, tmp_path / "out", seen)
    made = json.loads(files.tracks.read_text())
    (clip,), (one,) = made["videos"], made["annotations"]
    assert (clip["length"], clip["width"], clip["height"], clip["fps"]) == (12, WIDTH, HEIGHT, 8)
    assert clip["frame_numbers"] == list(range(12))
    assert made["categories"] == [{"id": 3, "name": "square"}]
    assert (one["category_id"], one["category"], one["score"]) == (3, "square", 0.75)
    assert one["caption"] == "a red square that moves to the right"
    assert [i for i, shape in enumerate(one["segmentations"]) if shape] == [2, 3, 7]
    assert one["segmentations"][7] == square(7)
    assert one["bboxes"][3] == [10, 20, 12, 12]
    assert one["areas"][2] == 144
    assert one["areas"][0] is one["bboxes"][0] is None


def test_frame_numbers_count_in_the_input(tmp_path):
    source = open_frames(write_video(tmp_path / "in.mp4", 12, fps=8), every=5)
    _, files = run(source, tmp_path / "out")
    assert json.loads(files.tracks.read_text())["videos"][0]["frame_numbers"] == [0, 5, 10]


def truth(path, tracks, by_track):
    """Ground truth of one video of 12 frames, in either of the forms that the evaluator reads."""
    categories = [{"id": 3, "name": "square"}]
    if by_track:
        videos = [
            {"id": 9, "width": WIDTH, "height": HEIGHT, "length": 12, "file_names": [f"{i}.jpg" for i in range(12)]}
        ]
        annotations = [
            {"id": n, "video_id": 9, "category_id": 3, "caption": one.caption, "iscrowd": 0}
            | {"segmentations": [square(i) if i in one.frames else None for i in range(12)]}
            | {"bboxes": [[4 + 2 * i, 20, 12, 12] if i in one.frames else None for i in range(12)]}
            | {"areas": [144 if i in one.frames else None for i in range(12)]}
            for n, one in enumerate(tracks, 1)
        ]
        path.write_text(json.dumps({"videos": videos, "annotations": annotations, "categories": categories}))
        return path
    images = [
        {"id": 100 + i, "video_id": 9, "width": WIDTH, "height": HEIGHT, "file_name": f"{i}.jpg"} for i in range(12)
    ]
    annotations = [
        {"id": 1000 * n + i, "image_id": 100 + i, "track_id": n, "category_id": 3, "caption": one.caption, "iscrowd": 0}
        | {"segmentation": square(i), "bbox": [4 + 2 * i, 20, 12, 12], "area": 144}
        for n, one in enumerate(tracks, 1)
        for i in one.frames
    ]
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return path


@pytest.mark.parametrize("iou", ["mask", "box"])
@pytest.mark.parametrize("frames", [range(12), range(6)])
def test_the_evaluator_reads_the_file_as_it_stands(video, tmp_path, iou, frames):
    _, files = run(video, tmp_path / "out", track(frames=frames), video_id=9)
    gt = truth(tmp_path / "gt.json", [track()], by_track=True)
    values = evaluate(gt, files.tracks, Options(iou=iou, threshold=0.5, metrics=("cider",))).scores[0].values
    assert values["DetA"] == pytest.approx(len(frames) / 12)
    assert values["AssA"] == pytest.approx(len(frames) / 12)


def test_results_by_frame_score_as_the_tracks_they_come_from(tmp_path):
    rows = list(detections(track(frames=range(6)), [100 + i for i in range(12)]))
    (tmp_path / "pred.json").write_text(json.dumps(rows))
    gt = truth(tmp_path / "gt.json", [track()], by_track=False)
    for iou in ("mask", "box"):
        options = Options(iou=iou, threshold=0.5, metrics=("cider",))
        assert evaluate(gt, tmp_path / "pred.json", options).scores[0].values["DetA"] == pytest.approx(0.5)


def decoded(path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return stream, [one.to_ndarray(format="rgb24") for one in container.decode(stream)]


def test_the_film_has_every_frame_at_the_speed_of_the_input_with_marks_that_follow(video, tmp_path):
    _, files = run(video, tmp_path / "out", track(frames=range(6)))
    stream, frames = decoded(files.annotated)
    assert (len(frames), float(stream.average_rate), stream.codec_context.name) == (12, 8, "h264")
    scale = film_style(HEIGHT, WIDTH).width / WIDTH
    for index, picture in enumerate(frames):
        row, left = round(26 * scale), round((4 + 2 * index) * scale)
        middle = picture[row, round((10 + 2 * index) * scale)].astype(int)
        assert np.allclose(middle, (230, 30, 30), atol=30), index
        edge = picture[row, left - 6 : left + 7].astype(int)
        assert (np.abs(edge - colour(0)).sum(1).min() < 120) == (index < 6), index


def test_the_film_keeps_the_colours_that_players_show(tmp_path):
    shades = [(250, 20, 20), (20, 220, 40), (30, 60, 240), (128, 128, 128), (250, 240, 20)]
    picture = np.repeat(np.repeat(np.array(shades, np.uint8)[None], 64, 0), 64, 1)
    with VideoWriter(tmp_path / "a.mp4", 5) as film:
        film.add(picture)
    with av.open(str(tmp_path / "a.mp4")) as container:
        one = next(container.decode(video=0))
        again = one.reformat(format="rgb24", src_colorspace="ITU709").to_ndarray()
    for number, shade in enumerate(shades):
        assert np.allclose(again[32, 64 * number + 32], shade, atol=8), shade


@pytest.mark.parametrize("fps", [0.2, 6.0, 23.976, 59.94, 119.88, 240])
def test_any_speed_can_be_written(tmp_path, fps):
    with VideoWriter(tmp_path / "a.mp4", fps) as film:
        for index in range(3):
            film.add(frame(index))
    stream, frames = decoded(tmp_path / "a.mp4")
    assert len(frames) == 3
    assert float(stream.average_rate) == pytest.approx(fps, rel=1e-3)


def fail_after_one_frame(path):
    with VideoWriter(path, 6) as film:
        film.add(frame(0))
        raise UserError("the input changed")


def test_a_film_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(UserError, match="changed"):
        fail_after_one_frame(tmp_path / "a.mp4")
    assert list(tmp_path.iterdir()) == []


def test_a_picture_gets_a_picture_with_all_captions(tmp_path):
    Image.fromarray(frame(0)).save(tmp_path / "a.png")
    tracks = [track(n, [0], f"caption number {n} of a long list that goes on") for n in range(1, 20)]
    _, files = run(open_frames(tmp_path / "a.png"), tmp_path / "out", *tracks)
    assert files.annotated.name == "annotated.png"
    style = film_style(HEIGHT, WIDTH)
    with Image.open(files.annotated) as image:
        assert image.width == style.width
        assert image.height > 1.5 * style.height
    made = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert made == [".lock", "annotated.png", "sheet.png", "tracks.json"]


def test_nothing_found_is_an_empty_list_and_a_plain_film(video, tmp_path):
    _, files = run(video, tmp_path / "out")
    assert json.loads(files.tracks.read_text())["annotations"] == []
    _, frames = decoded(files.annotated)
    style = film_style(HEIGHT, WIDTH)
    assert (len(frames), frames[0].shape) == (12, (style.height, style.width, 3))


def test_boxes_alone_are_drawn_and_written(video, tmp_path):
    _, files = run(video, tmp_path / "out", track(masks=None, category=None, category_id=None, caption=None))
    (one,) = json.loads(files.tracks.read_text())["annotations"]
    assert "segmentations" not in one
    assert (one["caption"], one["category_id"], one["areas"][0]) == (None, None, 144)
    painted = Painter([track(masks=None)], Style(WIDTH * 8, HEIGHT * 8)).paint(frame(0), 0)
    assert np.allclose(painted[26 * 8, 4 * 8], colour(0), atol=20)
    assert np.abs(painted[26 * 8, 15 * 8].astype(int) - (230, 30, 30)).max() < 60


def test_a_file_that_lost_its_end_is_told(tmp_path, caplog):
    path = tmp_path / "a.mp4"
    write_video(tmp_path / "whole.mp4", 24)
    with (
        av.open(str(tmp_path / "whole.mp4")) as source,
        av.open(str(path), "w", options={"movflags": "faststart"}) as to,
    ):
        copy = to.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = copy
                to.mux(packet)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.7)])
    with caplog.at_level(logging.WARNING):
        found, _ = run(open_frames(path), tmp_path / "out")
    assert 0 < found.frames < 24
    assert f"should have 24 frames, but only {found.frames} can be read" in caplog.text


def test_a_folder_in_the_place_of_a_file_is_said(video, tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(UserError, match="is a file"):
        run(video, tmp_path / "out")


def test_frames_that_disappear_between_the_walks_are_said(tmp_path):
    for index in range(4):
        Image.fromarray(frame(index)).save(tmp_path / f"{index}.png")

    class Deleting(Knowing):
        def finish(self):
            Image.fromarray(frame(0)[:-2]).save(tmp_path / "2.png")
            return super().finish()

    with pytest.raises(UserError, match=r"2\.png is 64x46 pixels"):
        predict(open_frames(tmp_path), Deleting(), tmp_path / "out", clip_frames=2, info={})
    assert not (tmp_path / "out" / "annotated.mp4").exists()


def test_outlines_leave_the_pixels_inside_masks_as_they_are_unless_filling_is_asked_for():
    picture = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    style = Style(WIDTH * 8, HEIGHT * 8)
    source = cv2.resize(picture, (style.width, style.height), interpolation=cv2.INTER_CUBIC)
    x, y, width, height = (8 * side for side in track(1, [0]).boxes[0])
    edge = style.line + 5 + 8  # the outline, and a pixel of the source: enlarged masks have smooth edges
    inside = np.s_[int(y + edge) : int(y + height - edge), int(x + edge) : int(x + width - edge)]
    assert np.array_equal(Painter([track(1, [0])], style).paint(picture, 0)[inside], source[inside])
    assert not np.array_equal(Painter([track(1, [0])], style, fill=True).paint(picture, 0)[inside], source[inside])


def test_a_colour_stays_with_its_track_and_no_two_are_alike():
    shades = np.array([colour(rank) for rank in range(40)], int)
    apart = np.abs(shades[:, None] - shades[None]).sum(-1) + 999 * np.eye(40, dtype=int)
    assert apart[:12, :12].min() > 60
    assert apart.min() > 0


@pytest.mark.parametrize("box", [(200.0, 200.0, 60.0, 60.0), (0.0, 0.0, 640.0, 480.0)])
def test_tags_do_not_hide_one_another_where_there_is_room(box):
    painter = Painter([track(n, [0]) for n in range(1, 7)], Style(640, 480))
    spots = []
    for rank in range(6):
        spots.append((*painter._spot(rank, box, 80, 20, spots), 80, 20))
    for i, a in enumerate(spots):
        assert 0 <= a[0] <= 560
        assert 0 <= a[1] <= 460
        for b in spots[i + 1 :]:
            assert a[0] + 80 <= b[0] or b[0] + 80 <= a[0] or a[1] + 20 <= b[1] or b[1] + 20 <= a[1]


def test_a_tag_stays_above_its_object_when_nothing_is_in_its_way():
    painter = Painter([track(1, [0])], Style(640, 480))
    x, y = painter._spot(0, (345.3, 226.7, 11.9, 22.2), 61, 19, [])
    assert (x, y + 19) == (345, pytest.approx(224, abs=3))


def test_long_captions_are_cut_with_an_ellipsis_and_never_wider_than_the_column():
    face = font(14)
    lines = wrap("word " * 60 + "Donaudampfschifffahrtselektrizitaetenhauptbetriebswerk" * 3, face, 200, 3)
    assert len(lines) == 3
    assert lines[-1].endswith("…")
    assert all(face.getlength(line) <= 200 for line in lines)
    assert wrap("two words", face, 200, 3) == ["two words"]


def test_captions_of_objects_out_of_sight_are_faint():
    legend = Legend([track(n, [0]) for n in range(1, 3)], 640, 14)
    bright, dim = (legend.draw([0, 1], legend.height(2), dim=faint) for faint in ((), {0, 1}))
    assert bright.max() > 200
    assert dim.max() < 120


def test_the_film_keeps_its_size_and_shows_captions_of_what_is_in_sight_when_not_all_fit():
    early = [track(n, [0], f"early {n}") for n in range(1, 15)]
    late = [track(n, [1], f"late {n}") for n in range(15, 29)]
    annotate = Annotator([*early, *late], (HEIGHT, WIDTH))
    first, second = annotate(frame(0), 0), annotate(frame(1), 1)
    assert first.shape == second.shape
    panel = film_style(HEIGHT, WIDTH).height
    chip = (np.abs(first[panel:].astype(int) - np.array(colour(0))).sum(-1) < 12).sum()
    gone = (np.abs(second[panel:].astype(int) - np.array(colour(0))).sum(-1) < 12).sum()
    assert chip > 200
    assert gone == 0


def test_the_frames_of_the_sheet_are_evenly_spread():
    assert chosen(4) == [0, 1, 2, 3]
    assert chosen(90) == [5, 15, 25, 35, 45, 55, 65, 75, 85]
    assert chosen(1) == [0]


def test_the_sheet_shows_marks_and_captions(video, tmp_path):
    _, files = run(video, tmp_path / "out", track())
    with Image.open(files.sheet) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    assert pixels.shape[1] == SHEET
    chip = np.abs(pixels - np.array(colour(0))).sum(-1) < 12
    assert chip[-110:].sum() > 200  # the chip beside the caption
    assert chip[:-110].sum() > 200  # contours on the frames


def test_a_track_whose_lists_differ_in_length_is_refused():
    with pytest.raises(ValueError, match="must agree"):
        Track(1, None, None, 0.5, None, [0, 1], [(0.0, 0.0, 1.0, 1.0)], None)


def test_a_clip_is_never_longer_than_asked():
    assert [len(clip) for clip in clips(iter([frame(0)] * 7), 3)] == [3, 3, 1]


def test_a_warning_stands_under_every_frame_and_on_the_sheet(video, tmp_path):
    _, plain = run(video, tmp_path / "plain", track(frames=range(6)))
    info = {"model": "knowing", "note": "it knows nothing of these pictures"}
    _, warned = predict(video, Knowing(track(frames=range(6))), tmp_path / "warned", clip_frames=5, info=info)
    assert json.loads(warned.tracks.read_text())["info"]["note"] == info["note"]
    heights = [decoded(files.annotated)[1][0].shape[0] for files in (plain, warned)]
    for index in (0, -1):
        strip = decoded(warned.annotated)[1][index][heights[0] :].astype(int)
        assert strip.shape[0] == heights[1] - heights[0] > 10
        assert (np.abs(strip - WARNING).max(-1) < 60).any(), "letters in the colour of warnings"
    sheets = [np.asarray(Image.open(files.sheet).convert("RGB")) for files in (plain, warned)]
    assert sheets[1].shape[0] > sheets[0].shape[0]


def test_class_and_caption_that_disagree_are_marked_in_the_file_and_in_the_list(video, tmp_path):
    doubtful = track(caption_category="circle")
    _, files = run(video, tmp_path / "out", doubtful)
    (one,) = json.loads(files.tracks.read_text())["annotations"]
    assert (one["category"], one["caption_category"]) == ("square", "circle")
    rows = [Legend([entry], 480, 16).rows[0] for entry in (doubtful, track())]
    assert (rows[0] != rows[1]).any()
    assert "caption_category" not in next(iter(detections(track(), list(range(12)))))
