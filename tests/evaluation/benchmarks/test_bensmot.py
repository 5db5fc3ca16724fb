"""BenSMOT: each rule of the published conversion, and its caption scores of whole tracks."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from capgen.errors import MissingFile, UserError
from capgen.evaluation.benchmarks import BENCHMARKS
from capgen.evaluation.benchmarks.bensmot import BenSmot, read_captions
from capgen.evaluation.benchmarks.run import BenchmarkChoice, run_benchmark, track_captions
from capgen.evaluation.evaluate import Options
from capgen.evaluation.metrics.text.nltk_meteor import at_blanks, nltk_meteor, whole_sentence
from capgen.evaluation.metrics.track_captions import TrackCaptions
from capgen.evaluation.reading.files import PredictionFile, TruthFile, videos
from capgen.evaluation.reading.tracks import Detection, Notes, VideoTracks

CAPTIONS = "woman0: A woman in red sings.\nman0: A man plays the piano.\n"
ROWS = "1,1,5,5,10,20,1,-1\n2,1,6,5,10,20,1,-1\n1,2,30,5,10,20,1,-1\n3,2,32.5,5,10,20,1,-1\n"


def sequence(root, name="sing/abc_1", rows=ROWS, captions=CAPTIONS, pictures=(1, 2, 3)):
    folder = root / "test" / name
    (folder / "gt").mkdir(parents=True)
    (folder / "imgs").mkdir()
    (folder / "gt" / "gt.txt").write_text(rows)
    if captions:
        (folder / "instance_captions.txt").write_text(captions)
    for n in pictures:
        cv2.imwrite(str(folder / "imgs" / f"{n:03d}.jpg"), np.full((48, 64, 3), 20 * n, np.uint8))
    return root


def test_the_order_of_the_names_is_the_track_number(tmp_path):
    (clip,) = BenSmot(sequence(tmp_path)).clips()
    assert {one["track_id"]: one["caption"] for one in clip.annotations} == {
        1: "A woman in red sings.",
        2: "A man plays the piano.",
    }


@pytest.mark.parametrize("rows", ["", "\n \n"])
def test_a_video_without_people_has_no_boxes(tmp_path, rows):
    (clip,) = BenSmot(sequence(tmp_path, rows=rows)).clips()
    assert clip.annotations == ()


def test_a_name_that_comes_again_is_no_new_track(tmp_path):
    path = tmp_path / "c.txt"
    path.write_text("man1: One.\nman0: Two.\n\nman1: Three.\n")
    assert read_captions(path) == {"1": "One. Three.", "2": "Two."}
    path.write_text("no name here\n")
    with pytest.raises(UserError, match=r"c\.txt: line 1 has no name before a colon"):
        read_captions(path)


def test_a_frame_is_the_number_in_its_name_and_not_its_place(tmp_path):
    """Without picture 2, the box of frame 3 is on the second image."""
    (clip,) = BenSmot(sequence(tmp_path, pictures=(1, 3))).clips()
    assert clip.numbers == (1, 3)
    assert {(one["image_id"], one["track_id"]) for one in clip.annotations} == {(1, 1), (1, 2), (2, 2)}
    assert clip.size == (48, 64)
    np.testing.assert_allclose([p.mean() for p in clip.frames()], [20, 60], atol=2)


def test_combined_files_go_first_and_leave_out_what_one_of_them_lacks(tmp_path):
    root = sequence(sequence(tmp_path), "sing/other_1", captions=None)
    names = {"sing/abc_1": {"1": "From the file."}}
    for name in ("video_summary.json", "instance_captioin.json", "relation.json"):
        (root / name).write_text(json.dumps(names))
    (clip,) = BenSmot(root).clips()
    assert {one["track_id"]: one["caption"] for one in clip.annotations} == {1: "From the file.", 2: ""}


def test_sequences_are_numbered_in_the_order_of_their_names(tmp_path):
    clips = list(BenSmot(sequence(sequence(tmp_path, "b/x_1"), "a/y_1")).clips())
    assert [(clip.video_id, clip.name) for clip in clips] == [(0, "a/y_1"), (1, "b/x_1")]
    assert clips[1].image_ids == (4, 5, 6)


def test_without_pictures_the_frames_are_those_of_the_boxes(tmp_path):
    (clip,) = BenSmot(sequence(tmp_path, pictures=())).clips()
    assert clip.numbers == (1, 2, 3)


def test_parts_that_are_missing_are_named_with_their_source(tmp_path):
    with pytest.raises(MissingFile, match=r"test; BenSMOT comes from"):
        list(BenSmot(tmp_path).clips())
    with pytest.raises(MissingFile, match=r"instance_captions\.txt; BenSMOT comes from"):
        list(BenSmot(sequence(tmp_path, captions=None)).clips())
    with pytest.raises(UserError, match=r"gt\.txt is not in the MOTChallenge form"):
        list(BenSmot(sequence(tmp_path / "b", rows="1,2\n")).clips())


def test_sizes_are_counted(tmp_path):
    found = [fact.found for fact in BenSmot(sequence(tmp_path)).describe()]
    assert found == [1, 3, 2, 4, 2]


def test_a_perfect_prediction_end_to_end(tmp_path):
    root = sequence(tmp_path)
    (clip,) = BenSmot(root).clips()
    pred = tmp_path / "pred.json"
    pred.write_text(json.dumps([{**one, "score": 1.0} for one in clip.annotations]))
    options = Options(protocols=("official", "clean"), metrics=("cider",))
    result = run_benchmark(BenchmarkChoice("bensmot", root), options, tmp_path / "work", predictions=pred)
    assert result.scores[1].values["CHOTA"] == pytest.approx(1.0)
    scores = track_captions(result)
    assert scores["clean"]["CIDEr"] == pytest.approx(1.0)
    assert scores["official"]["BLEU"] == pytest.approx(1.0)
    assert (scores["official"]["METEOR"] is None) == any("NLTK" in note for note in result.notes)


def test_a_predictor_is_shown_every_clip(tmp_path):
    root = sequence(sequence(tmp_path), "sing/other_1")
    seen = []

    def predictor(clip):
        seen.append((clip.name, len(list(clip.frames()))))
        yield from ({**one, "score": 1.0} for one in clip.annotations)

    options = Options(metrics=())
    result = run_benchmark(
        BenchmarkChoice("bensmot", root), options, tmp_path / "work", model=tmp_path, opener=lambda folder: predictor
    )
    assert seen == [("sing/abc_1", 3), ("sing/other_1", 3)]
    assert result.scores[0].values["DetA"] == 1.0


def tracks(*rows):
    """Detections: track, frame, x, caption."""
    return tuple(Detection(f, t, 1, 1.0, text, (float(x), 0.0, 10.0, 10.0)) for t, f, x, text in rows)


def test_trap_a_track_is_paired_however_little_it_overlaps_and_twice_if_found_twice():
    truth = tracks((1, 0, 0, "a man sings"), (2, 0, 30, "a dog barks"))
    found = tracks((1, 0, 0, "a man sings"), (2, 0, 9, "a man sings"))
    video = VideoTracks(1, (48, 64), (1,), truth, found)
    official, clean = TrackCaptions("official"), TrackCaptions("clean")
    for run in (official, clean):
        run.add(video)
    assert official._pairs == [("a man sings", "a man sings")] * 2  # the dog that nobody found costs nothing
    assert clean._pairs == [("a man sings", "a man sings"), ("a dog barks", "")]
    assert clean.finish()["CIDEr"] == pytest.approx(0.5)


class Synonyms:
    """A thesaurus of one entry, asked as NLTK's WordNet is."""

    def synsets(self, word):
        return [self] if word == "guy" else []

    def lemmas(self):
        return [self]

    def name(self):
        return "man"


def test_trap_meteor_takes_the_sentence_for_one_word():
    """CaptionFormer hands a sentence over as one word, so that all of it is right or nothing; SMOT cuts words."""
    pairs = [("A man, sings.", "a man sings"), ("a man sings", "a guy singing"), ("a man sings", "a dog barks")]
    assert nltk_meteor(pairs, whole_sentence, Synonyms()) == pytest.approx([0.5, 0.0, 0.0], rel=1e-12)
    whole, close, far = nltk_meteor(pairs, at_blanks, Synonyms())
    assert whole == pytest.approx(1 - 0.5 / 27, rel=1e-12)  # three matches in one chunk
    assert close == pytest.approx(whole, rel=1e-12)  # "guy" is a synonym, "singing" has the stem
    assert 0 < far < 0.5


def test_a_predicted_track_without_any_box_is_paired_with_the_first_truth(tmp_path):
    """The public script takes the first of equal overlaps, and counts every track whatever its score."""
    track = {"video_id": 1, "category_id": 1}
    gt = {"videos": [{"id": 1, "height": 48, "width": 64, "length": 2, "file_names": ["0.jpg", "1.jpg"]}]}
    gt["categories"] = [{"id": 1, "name": "person"}]
    gt["annotations"] = [
        {**track, "id": 1, "bbox": [None, [0, 0, 9, 9]], "caption": "a man sings", "iscrowd": 0},
        {**track, "id": 2, "bbox": [[30, 0, 9, 9], None], "caption": "a dog barks", "iscrowd": 0},
    ]
    found = [
        {**track, "score": 0.01, "score_per_frame": [0.01, 0.01], "bbox": [[30, 0, 9, 9], None], "caption": "a dog"},
        {**track, "score": 0.02, "score_per_frame": [0.02, 0.02], "bbox": [None, None], "caption": "a tree"},
    ]
    paths = tmp_path / "gt.json", tmp_path / "pred.json"
    for path, document in zip(paths, (gt, found), strict=True):
        path.write_text(json.dumps(document))
    truth = TruthFile(paths[0])
    (video,) = videos(truth, PredictionFile(paths[1], truth), "box", Notes())
    run = TrackCaptions("official")
    run.add(video)
    assert run._pairs == [("a dog barks", "a dog"), ("a man sings", "a tree")]


def test_every_benchmark_has_its_published_threshold(tmp_path):
    for name in BENCHMARKS:
        assert BenchmarkChoice(name, tmp_path).reader("official").threshold == 0.0
