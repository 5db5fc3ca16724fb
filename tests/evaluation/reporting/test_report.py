"""The report: intervals, breakdowns, JSON, the page, and the commands."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from capgen.cli.evaluation import app
from capgen.cli.providers import Providers
from capgen.errors import UnknownName, UserError
from capgen.evaluation.benchmarks.run import BenchmarkChoice, run_benchmark
from capgen.evaluation.evaluate import Options, evaluate, metrics_of
from capgen.evaluation.metrics.breakdown import Group, by_category, by_size, size_of
from capgen.evaluation.metrics.chota import Scores
from capgen.evaluation.metrics.resampling.sums import intervals
from capgen.evaluation.reporting.dot_plot import dot_plot
from capgen.evaluation.reporting.page import track_score, write_page
from capgen.evaluation.reporting.report import as_json
from tests.evaluation.evalcases import SHARED, blob, box, random_scene, write

SQUARE = [10.0, 10.0, 20.0, 20.0]
MINI = SHARED / "data" / "lv-vis_mini"
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
KEYS = {"DetA", "AssA", "LocA", "HOTA", "CapA_cider", "CapA", "CHOTA", "HOTA_mean", "MOTA", "IDF1"}


def result(folder, truth, found, protocols=("official", "clean"), **more):
    gt, pred = write(folder, truth, found, **more)
    return evaluate(gt, pred, Options(protocols=protocols, metrics=("cider",)))


def test_the_json_has_the_contracts_keys(tmp_path):
    whole = as_json(result(tmp_path, *random_scene(1)))
    assert set(whole) == {"official", "clean"}
    for numbers in whole.values():
        assert set(numbers) >= KEYS
    alone = as_json(result(tmp_path, *random_scene(1), protocols=("clean",)), draws=50, categories=True)
    assert set(alone) >= KEYS | {"protocol", "iou", "threshold", "notes", "by_size", "by_category", "intervals"}
    json.dumps(alone, allow_nan=False)


def test_the_groups_of_a_breakdown_are_the_whole(tmp_path):
    """With one group for everything, each number is that of the whole."""
    truth, found = random_scene(5, videos=3)
    for scores in result(tmp_path, truth, found).scores:
        (group,) = by_category(scores, {})
        small, medium, large = by_size(scores)
        for name in ("DetA", "AssA", "LocA", "HOTA", "CapA", "CHOTA"):
            assert group.values[name] == pytest.approx(scores.values[name], rel=1e-5), name
            assert small.values[name] == pytest.approx(group.values[name], rel=1e-12), name
        assert (medium.tracks, large.tracks, large.values["DetA"]) == (0, 0, None)


def test_a_category_answers_for_its_own_tracks(tmp_path):
    categories = [{"id": 1, "name": "dog"}, {"id": 2, "name": "wall"}]
    truth = [box(0, 1, SQUARE, category_id=1), box(0, 2, [40.0, 20.0, 10.0, 10.0], category_id=2)]
    found = [truth[0], box(0, 3, [2.0, 40.0, 5.0, 5.0], category_id=2)]
    whole = result(tmp_path, truth, found, protocols=("clean",), categories=categories)
    groups = {group.name: group.values for group in by_category(whole.scores[0], whole.categories)}
    assert (groups["dog"]["DetA"], groups["wall"]["DetA"]) == (1.0, 0.0)


def test_base_and_novel_categories_have_their_own_chota(tmp_path):
    categories = [{"id": 5, "name": "dog", "partition": 1}, {"id": 9, "name": "wall", "partition": 2}]
    truth = [box(0, 1, SQUARE, category_id=5), box(0, 2, [40.0, 20.0, 10.0, 10.0], category_id=9)]
    found = [truth[0], box(0, 3, [2.0, 40.0, 5.0, 5.0], category_id=9)]
    whole = as_json(result(tmp_path, truth, found, protocols=("clean",), categories=categories))
    groups = whole["by_partition"]
    assert (groups["base"]["DetA"], groups["novel"]["DetA"]) == (1.0, 0.0)
    assert groups["base"]["CHOTA"] == pytest.approx(1.0)
    assert "by_partition" not in as_json(result(tmp_path, truth, found, protocols=("clean",)))


def test_sizes_are_split_at_128_and_256_squared():
    assert [size_of(area) for area in (0, 128**2 - 1, 128**2, 256**2 - 1, 256**2)] == [
        "small", "small", "medium", "medium", "large",
    ]  # fmt: skip


def test_intervals_hold_the_number_and_narrow_with_videos(tmp_path):
    """The same videos sixteen times over: a quarter of the width."""
    scores = result(tmp_path, *random_scene(2, videos=12), protocols=("clean",)).scores[0]
    few, many = (intervals(Scores("clean", {}, [], [], [], scores.videos * n, ("cider",)), draws=2000) for n in (1, 16))
    for name in KEYS:
        assert few[name].low <= scores.values[name] <= few[name].high, name
    ratio = (many["HOTA"].high - many["HOTA"].low) / (few["HOTA"].high - few["HOTA"].low)
    widened = (12 / 11) ** 0.5 * 2.201 / 1.96  # Student's t with 11 degrees of freedom, for the few alone
    assert ratio * widened == pytest.approx(0.25, abs=0.05)


def test_fewer_than_ten_videos_have_no_intervals_and_that_is_said(tmp_path):
    whole = result(tmp_path, *random_scene(3, videos=9), protocols=("clean",))
    assert intervals(whole.scores[0], draws=20) == {}
    assert "no confidence intervals: they need 10 videos" in as_json(whole, draws=20)["notes"]
    many = result(tmp_path, *random_scene(3, videos=10), protocols=("clean",))
    assert "CHOTA_cider" in intervals(many.scores[0], draws=20)


def test_a_track_found_on_no_frame_is_never_among_the_best(tmp_path):
    truth = [box(0, 1, SQUARE, "a red dog"), box(0, 2, [40.0, 20.0, 15.0, 20.0], "an old wall")]
    page = tmp_path / "page.html"
    write_page(result(tmp_path, truth, truth[:1], protocols=("clean",)), page)
    best, worst = page.read_text().split("worst tracks")
    assert "found on 1 of 1 frames" in best
    assert "found on 0 of 1 frames" not in best
    assert "found on 0 of 1 frames" in worst
    assert "pass --frames FOLDER" in best


def test_without_videos_there_are_no_intervals():
    assert intervals(Scores("clean", {}, [], [], [], [], ("cider",))) == {}


def test_the_best_tracks_are_those_found_whole_and_described_right(tmp_path):
    truth = [
        box(f, t, [10.0 + 20 * t, 10.0, 8.0, 8.0], f"a {w} dog")
        for t, w in enumerate(["red", "green"])
        for f in range(4)
    ]
    found = [{**one, "caption": "an old wall"} if one["track"] == 1 else one for one in truth]
    rows = {
        row.track: track_score(row) for row in result(tmp_path, truth, found, protocols=("clean",)).scores[0].truths
    }
    assert rows[0] == pytest.approx(1.0)
    assert rows[1] < 0.5


def test_the_page_shows_masks_and_both_captions(tmp_path):
    truth = [box(f, 1, None, "a <b>red</b> dog", segmentation=blob(10, 10, 20, 15)) for f in range(6)]
    found = [box(f, 1, None, "a green dog", segmentation=blob(12, 11, 20, 15)) for f in range(5)]
    gt, pred = write(tmp_path, truth, found)
    for f in range(6):
        (tmp_path / "1").mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / "1" / f"{f}.jpg"), np.full((48, 64, 3), 90, np.uint8))
    whole = evaluate(gt, pred, Options(iou="mask", metrics=("cider",)))
    page = tmp_path / "out" / "page.html"
    write_page(whole, page, frames=tmp_path)
    text = page.read_text(encoding="utf-8")
    assert "a &lt;b&gt;red&lt;/b&gt; dog" in text
    assert "a green dog" in text
    assert "found on 5 of 6 frames" in text
    sources = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', text)
    assert len(sources) == 4
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(sources[0]), np.uint8), cv2.IMREAD_COLOR).astype(int)
    green = (picture[..., 1] - picture[..., 2] > 60) & (picture[..., 1] > 120)
    pink = (picture[..., 2] - picture[..., 1] > 60) & (picture[..., 2] > 120)
    assert green.sum() > 50
    assert pink.sum() > 50
    assert "http" not in text.replace("http-equiv", "")
    assert "base-uri 'none'; form-action 'none'" in text


def test_the_page_has_the_intervals_of_the_json_beside_the_numbers(tmp_path):
    whole = result(tmp_path, *random_scene(2, videos=12), protocols=("clean",))
    page = tmp_path / "page.html"
    write_page(whole, page, tracks=1, draws=50)
    low, high = as_json(whole, draws=50)["intervals"]["CHOTA_cider"]
    value = whole.scores[0].values["CHOTA_cider"]
    text = page.read_text()
    assert f"<td>{100 * value:.2f} <small>[{100 * low:.1f}, {100 * high:.1f}]</small></td>" in text
    assert "from drawing the 12 videos again, 50 times" in text
    write_page(result(tmp_path, *random_scene(2), protocols=("clean",)), page, tracks=1, draws=50)
    assert "no confidence intervals: they need 10 videos" in page.read_text()


def test_the_page_plots_each_group_at_its_number(tmp_path):
    """Names are escaped and turn no text around; a group without truth has no line."""
    categories = [{"id": 1, "name": "<b>dog\u202e"}, {"id": 2, "name": "wall"}]
    truth = [box(0, 1, SQUARE, category_id=1), box(0, 2, [40.0, 20.0, 10.0, 10.0], category_id=2)]
    whole = result(tmp_path, truth, truth[:1], protocols=("clean",), categories=categories)
    page = tmp_path / "page.html"
    write_page(whole, page)
    text = page.read_text(encoding="utf-8")
    assert "&lt;b&gt;dog\ufffd (1)</text>" in text
    assert "\u202e" not in text
    assert re.search(r'class="s0" cx="650.0"[^>]*><title>&lt;b&gt;dog\ufffd: DetA 100.0<', text)
    assert re.search(r'class="s0" cx="190.0"[^>]*><title>wall: DetA 0.0<', text)
    assert "small (2)</text>" in text
    assert "large (0)" not in text


def test_a_plot_of_numbers_above_100_has_a_longer_scale():
    plot = dot_plot("sizes", [Group("small", 3, {"CapA": 2.5}), Group("large", 0, {"CapA": None})], [("CapA", "CapA")])
    assert plot.ticks[-1] == (650.0, "300")
    assert [row.name for row in plot.rows] == ["small (3)"]
    assert plot.rows[0].dots[0].x == pytest.approx(190 + 460 * 2.5 / 3, abs=0.1)
    assert dot_plot("nothing", [Group("large", 0, {"CapA": None})], [("CapA", "CapA")]) is None


def test_a_frame_that_is_missing_is_named(tmp_path):
    whole = result(tmp_path, *random_scene(1), protocols=("clean",))
    with pytest.raises(UserError, match=r"\.jpg is missing or no picture; pass the folder"):
        write_page(whole, tmp_path / "page.html", frames=tmp_path / "nowhere")


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")
def test_a_browser_shows_the_page(tmp_path):
    whole = result(tmp_path, *random_scene(1, frames=6))
    page, shot = tmp_path / "page.html", tmp_path / "shot.png"
    write_page(whole, page, tracks=2)
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1100,1400"]
    subprocess.run(
        [CHROMIUM, *flags, f"--user-data-dir={tmp_path / 'profile'}", f"--screenshot={shot}", page.as_uri()],
        check=True, capture_output=True, timeout=300,
    )  # fmt: skip
    seen = cv2.imread(str(shot)).astype(int)
    green = (seen[..., 1] - seen[..., 2] > 60) & (seen[..., 1] > 120)
    pink = (seen[..., 2] - seen[..., 1] > 60) & (seen[..., 2] > 120)
    assert seen.shape[:2] == (1400, 1100)
    assert green.sum() > 300
    assert pink.sum() > 300


def run(*arguments, obj=None):
    return CliRunner().invoke(app, [str(one) for one in arguments], obj=obj)


def test_tracks_prints_json_that_a_program_can_read(tmp_path):
    gt, pred = write(tmp_path, *random_scene(4))
    alone = run("tracks", "--gt", gt, "--pred", pred, "--metrics", "cider", "--json")
    assert alone.exit_code == 0, alone.output
    numbers = json.loads(alone.stdout)
    assert numbers["protocol"] == "clean"
    assert 0 < numbers["CHOTA"] < 1
    both = json.loads(
        run("tracks", "--gt", gt, "--pred", pred, "--metrics", "cider", "--protocol", "both", "--json").stdout
    )
    assert both["clean"] == numbers
    assert both["official"]["HOTA_mean"] == pytest.approx(numbers["HOTA_mean"], rel=1e-9)


def test_tracks_prints_both_protocols_side_by_side(tmp_path):
    gt, pred = write(tmp_path, *random_scene(4))
    out = run("tracks", "--gt", gt, "--pred", pred, "--metrics", "cider", "--protocol", "both", "--breakdown").stdout
    header = next(line for line in out.splitlines() if "official" in line)
    assert "clean" in header
    for name in ("CapA", "DetA", "AssA", "CHOTA", "HOTA_mean", "by category, clean", "by size of object, official"):
        assert name in out


def test_sizes_are_also_those_of_the_public_code(tmp_path):
    """Truths and predictions of a size among themselves: a box found a little too large is missed and wrong."""
    big = [0.0, 0.0, 200.0, 151.0]  # 30,200 px: medium
    small = [0.0, 0.0, 200.0, 149.0]  # 29,800 px
    gt, pred = write(
        tmp_path, [box(0, 1, big), box(1, 2, small)], [box(0, 1, small), box(1, 2, small)], size=(480, 640)
    )
    flags = ("--protocol", "official", "--metrics", "cider", "--breakdown")
    numbers = json.loads(run("tracks", "--gt", gt, "--pred", pred, *flags, "--json").stdout)
    sizes = numbers["by_public_size"]
    assert (sizes["small"]["TP"], sizes["small"]["FP"]) == (1, 1)
    assert (sizes["medium"]["TP"], sizes["medium"]["FN"], sizes["medium"]["CHOTA"]) == (0, 1, 0.0)
    assert sizes["large"]["HOTA"] == 0.0
    assert (numbers["TP"], numbers["FP"]) == (2, 0)
    out = run("tracks", "--gt", gt, "--pred", pred, *flags).stdout
    assert "matched anew" in out


def test_line_breaks_are_cut_as_captionformer_does_or_kept_as_scenic_does(tmp_path):
    truth = [box(0, 1, SQUARE, "a red dog runs fast"), box(0, 2, [40.0, 20.0, 15.0, 20.0], "an old wall of stone")]
    gt, pred = write(tmp_path, truth, [{**one, "caption": one["caption"].replace(" ", "\n", 1)} for one in truth])
    got = {}
    for rule in ("cut", "keep"):
        flags = ("--protocol", "official", "--metrics", "cider", "--line-breaks", rule, "--json")
        numbers = json.loads(run("tracks", "--gt", gt, "--pred", pred, *flags).stdout)
        got[rule] = numbers["CapA_cider"]
        assert any("2 matched captions have a line break" in note for note in numbers["notes"])
    assert got["keep"] == pytest.approx(10.0)  # the public code cuts words at any white space
    assert got["cut"] < 1.0


def test_a_benchmark_scores_above_its_published_threshold(tmp_path):
    folder = tmp_path / "test" / "sing" / "a_1" / "gt"
    folder.mkdir(parents=True)
    (folder / "gt.txt").write_text("1,1,5,5,10,20,1\n2,1,6,5,10,20,1\n")
    (folder.parent / "instance_captions.txt").write_text("man0: A man sings.\n")
    pred = tmp_path / "pred.json"
    found = {"category_id": 1, "track_id": 1, "score": 0.1, "caption": "A man sings."}
    found = [{**found, "image_id": f + 1, "bbox": [5 + f, 5, 10, 20]} for f in range(2)]
    pred.write_text(json.dumps(found))
    flags = ("benchmark", "bensmot", "--root", tmp_path, "--pred", pred, "--metrics", "none", "--json")
    numbers = json.loads(run(*flags).stdout)["official"]
    assert (numbers["threshold"], numbers["TP"]) == (0.0, 2)
    assert "scores above 0 count, as published; --threshold overrides" in numbers["notes"]
    assert json.loads(run(*flags, "--threshold", "0.5").stdout)["official"]["TP"] == 0


def test_a_negative_number_of_draws_and_a_threshold_of_nan_are_refused(tmp_path):
    gt, pred = write(tmp_path, *random_scene(4))
    for flags, what in (
        (("--bootstrap", "-5"), "--bootstrap -5 is negative"),
        (("--threshold", "nan"), "nan is no number"),
    ):
        done = run("tracks", "--gt", gt, "--pred", pred, *flags)
        assert isinstance(done.exception, UserError)
        assert what in str(done.exception)


def test_tracks_writes_numbers_and_page(tmp_path):
    gt, pred = write(tmp_path, *random_scene(4))
    numbers, page = tmp_path / "a" / "numbers.json", tmp_path / "b" / "page.html"
    done = run(
        "tracks", "--gt", gt, "--pred", pred, "--metrics", "none", "--out", numbers, "--html", page, "--bootstrap", 0
    )
    assert done.exit_code == 0, done.output
    assert "intervals" not in json.loads(numbers.read_text())
    assert page.read_text().startswith("<!doctype html>")


def test_a_file_that_one_protocol_refuses_ends_with_a_line_after_the_others_numbers(tmp_path):
    twice = [box(0, 1, SQUARE), box(0, 1, [40.0, 20.0, 10.0, 10.0])]
    gt, pred = write(tmp_path, [box(0, 1, SQUARE)], twice)
    done = run("tracks", "--gt", gt, "--pred", pred, "--metrics", "cider", "--protocol", "both", "--json")
    assert isinstance(done.exception, UserError)
    numbers = json.loads(done.stdout)
    assert numbers["official"]["TP"] == 1
    assert "a second time" in numbers["clean"]["error"]


@pytest.mark.parametrize("flags", [["--iou", "circle"], ["--protocol", "best"], ["--metrics", "bleurt"]])
def test_a_name_that_does_not_exist_is_named_with_those_that_do(tmp_path, flags):
    gt, pred = write(tmp_path, *random_scene(4))
    done = run("tracks", "--gt", gt, "--pred", pred, *flags)
    assert isinstance(done.exception, UnknownName)
    assert "known: " in str(done.exception)


def test_metrics_may_follow_one_flag(tmp_path):
    gt, pred = write(tmp_path, *random_scene(4))
    done = run("tracks", "--gt", gt, "--pred", pred, "--metrics", "cider", "spice", "--json")
    assert json.loads(done.stdout)["metrics"] == ["cider", "spice"]
    assert isinstance(run("tracks", "--gt", gt, "--pred", pred, "stray").exception, UnknownName)


def test_metrics_come_separately_or_with_commas():
    assert (
        metrics_of(["cider", "METEOR"])
        == metrics_of(["cider,meteor"])
        == metrics_of(["cider meteor"])
        == ("cider", "meteor")
    )
    assert metrics_of(["none"]) == ()


@pytest.mark.skipif(not MINI.is_dir(), reason="the real clips are not beside the project")
def test_a_benchmark_describes_and_scores_real_masks(tmp_path):
    told = run("benchmark", "lv-viscap", "--root", MINI, "--split", "train", "--describe", "--json")
    assert told.exit_code == 0, told.output
    facts = {fact["name"]: fact for fact in json.loads(told.stdout)}
    assert (facts["videos"]["found"], facts["videos"]["published"]) == (2, 3083)
    whole = json.loads((MINI / "train_instances.json").read_text())
    keys = ("video_id", "category_id", "segmentations")
    found = [{**{key: one[key] for key in keys}, "score": 0.9, "caption": ""} for one in whole["annotations"]]
    pred, page = tmp_path / "pred.json", tmp_path / "page.html"
    pred.write_text(json.dumps(found))
    shared = ["benchmark", "lv-viscap", "--root", MINI, "--split", "train", "--pred", pred, "--metrics", "none"]
    done = run(*shared, "--json", "--html", page, "--frames", MINI / "train" / "JPEGImages")
    assert done.exit_code == 0, done.output
    numbers = json.loads(done.stdout)
    assert numbers["clean"]["HOTA_mean"] == pytest.approx(1.0)
    assert numbers["official"]["AP"] == pytest.approx(1.0)
    assert page.read_text().count("<img") >= 6


def test_a_model_needs_somebody_who_opens_it(tmp_path):
    with pytest.raises(UserError, match="--model: nobody has said how a model is opened"):
        run_benchmark(BenchmarkChoice("bensmot", tmp_path), Options(), tmp_path, model=tmp_path)


def test_a_reading_that_there_is_not_is_named(tmp_path):
    done = run("benchmark", "vidstg", "--root", tmp_path, "--set", "overlap=middle")
    assert "--set overlap = 'middle': Input should be 'last' or 'first'" in str(done.exception)


def test_the_command_line_can_bring_a_model(tmp_path):
    folder = tmp_path / "test" / "sing" / "a_1" / "gt"
    folder.mkdir(parents=True)
    (folder / "gt.txt").write_text("1,1,5,5,10,20,1\n2,1,6,5,10,20,1\n")
    (folder.parent / "instance_captions.txt").write_text("man0: A man sings.\n")
    perfect = Providers(open_model=lambda folder: lambda clip: [{**one, "score": 1.0} for one in clip.annotations])
    flags = ("--root", tmp_path, "--model", tmp_path, "--metrics", "cider", "--json")
    done = run("benchmark", "bensmot", *flags, obj=perfect)
    assert done.exit_code == 0, done.output
    numbers = json.loads(done.stdout)
    assert numbers["clean"]["CHOTA"] == pytest.approx(1.0)
    assert numbers["track_captions"]["clean"]["CIDEr"] == pytest.approx(1.0)
