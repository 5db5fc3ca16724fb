"""The command says where the pictures are: a dataset that was moved is found again, a wrong folder is refused."""

import hashlib
import json
import shutil

import pytest

from capgen.dataset.layout import RunLayout
from capgen.dataset.plan import ModelName
from capgen.dataset.reader import read_media, read_plan
from capgen.dataset.release_record import read_release
from capgen.errors import LedgerError, UserError
from capgen.pipeline.gallery.export import export_run
from capgen.pipeline.planning.prepare import prepare
from capgen.pipeline.releasing.verify import verify
from tests.pipeline.runs import echo_settings, released, session


@pytest.fixture
def moved(lvis_root, tmp_path):
    """A run that has one shard left to do, and its dataset at another place; the release as it is to become."""
    out, _ = session(echo_settings(lvis_root), tmp_path / "out")
    whole = released(out)
    RunLayout(out).manifest(1).unlink()
    elsewhere = tmp_path / "disk2" / "lvis"
    elsewhere.parent.mkdir()
    lvis_root.rename(elsewhere)
    return out, elsewhere, whole


def without_pictures(root, place):
    """A folder with the annotations of a dataset and another one's pictures."""
    shutil.copytree(root, place)
    for picture in (place / "train2017").iterdir():
        picture.rename(picture.with_name(f"other-{picture.name}"))
    return place


def as_version_1(out):
    """Rewrite a plan that nothing was asked of as the previous version wrote it: a root in every line."""
    layout = RunLayout(out)
    plan = json.loads(layout.plan_json.read_bytes())
    root, limit = plan.pop("root"), plan.pop("limit")
    del plan["folders"]
    for entry in plan["shards"]:
        lines = [json.loads(line) for line in layout.plan_file(entry["file"]).read_bytes().splitlines()]
        for line in lines:
            folder = line.pop("folder", "")
            line["root"] = f"{root}/{folder}" if folder else root
        data = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        layout.plan_file(entry["file"]).write_bytes(data)
        entry["sha256"] = hashlib.sha256(data).hexdigest()
    parts = {**plan["parts"], "limit": limit}
    fingerprint = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    layout.plan_json.write_text(json.dumps({**plan, "version": "1", "parts": parts, "fingerprint": fingerprint}))


def test_no_line_of_a_plan_says_where_the_dataset_is_and_plan_json_says_it_once(lvis_root, tmp_path):
    prepare(echo_settings(lvis_root), tmp_path / "out", gpus=0, model=ModelName("none"))
    layout = RunLayout(tmp_path / "out")
    assert not any(str(lvis_root).encode() in file.read_bytes() for file in layout.plan_dir.iterdir())
    assert read_plan(layout.out).root == str(lvis_root)


def test_the_root_is_no_part_of_the_fingerprint(lvis_root, tmp_path):
    shutil.copytree(lvis_root, tmp_path / "copy")
    jobs = [
        prepare(echo_settings(root), tmp_path / f"out{number}", gpus=0, model=ModelName("none"))[0]
        for number, root in enumerate((lvis_root, tmp_path / "copy"))
    ]
    assert jobs[0].fingerprint == jobs[1].fingerprint


def test_a_run_goes_on_where_its_dataset_is_now(moved):
    out, elsewhere, whole = moved
    _, report = session(echo_settings(elsewhere), out)
    assert (report.kept, report.failed) == (15, {})
    assert released(out) == whole
    assert verify(out).ok


def test_a_retry_finds_the_dataset_where_it_is_now(lvis_root, tmp_path):
    (lvis_root / "train2017" / "000000000001.jpg").rename(tmp_path / "lost.jpg")
    out, report = session(echo_settings(lvis_root), tmp_path / "out")
    assert report.failed == {"picture_missing": 3}
    elsewhere = lvis_root.rename(tmp_path / "elsewhere")
    (tmp_path / "lost.jpg").rename(elsewhere / "train2017" / "000000000001.jpg")
    _, report = session(echo_settings(elsewhere), out, again=())
    assert (report.kept, report.failed) == (15, {})


def test_pictures_are_embedded_from_where_they_are_now(moved):
    out, elsewhere, _ = moved
    session(echo_settings(elsewhere), out, embed="media")
    release = read_release(out)
    assert (release.embed_media, release.missing_pictures) == (True, 0)


def test_a_root_without_the_planned_pictures_is_refused_at_once_with_both_roots(moved, lvis_root, tmp_path):
    out, elsewhere, _ = moved
    wrong = without_pictures(elsewhere, tmp_path / "wrong")
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file() and path.name != ".lock"}
    with pytest.raises(UserError, match=f"{wrong} does not hold .*they were in {lvis_root}; give .*--root") as error:
        session(echo_settings(wrong), out)
    assert "\n" not in str(error.value)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file() and path.name != ".lock"} == before


def test_a_finished_run_is_packed_again_although_its_pictures_are_gone(lvis_root, tmp_path):
    out, _ = session(echo_settings(lvis_root), tmp_path / "out")
    before = released(out)
    RunLayout(out).release_json.unlink()
    for picture in (lvis_root / "train2017").iterdir():
        picture.unlink()
    session(echo_settings(lvis_root), out)
    assert released(out) == before


def test_a_gallery_shows_the_pictures_where_they_are_now_and_refuses_a_wrong_folder(moved, lvis_root, tmp_path):
    out, elsewhere, _ = moved
    page = tmp_path / "page" / "index.html"
    export_run(out, page.parent, limit=9, root=elsewhere)
    assert "picture_missing" not in page.read_text()
    with pytest.raises(UserError, match=f"{tmp_path} does not hold .*they were in {lvis_root}"):
        export_run(out, page.parent, limit=9, root=tmp_path)


def test_an_out_of_the_previous_version_goes_on_wherever_its_dataset_is(lvis_root, tmp_path):
    whole = released(session(echo_settings(lvis_root), tmp_path / "whole")[0])
    out = tmp_path / "out"
    prepare(echo_settings(lvis_root), out, gpus=0, model=ModelName("none"))
    as_version_1(out)
    old = read_plan(out)
    elsewhere = lvis_root.rename(tmp_path / "elsewhere")
    _, report = session(echo_settings(elsewhere), out)
    assert report.kept == 15
    assert verify(out).ok
    assert read_plan(out) == old, "it keeps its plan and its fingerprint"
    parquet = {name: data for name, data in released(out).items() if name.endswith(".parquet")}
    assert parquet == {name: whole[name] for name in parquet}
    page = tmp_path / "page" / "index.html"
    export_run(out, page.parent, limit=9, root=elsewhere)
    assert "picture_missing" not in page.read_text()


def test_an_out_of_the_previous_version_whose_pictures_lie_below_the_root_is_read(tmp_path, lvis_root):
    (lvis_root / "coco").mkdir()
    (lvis_root / "train2017").rename(lvis_root / "coco" / "train2017")
    out = tmp_path / "out"
    prepare(echo_settings(lvis_root), out, gpus=0, model=ModelName("none"))
    new = [media for entry in read_plan(out).shards for media in read_media(out, entry)]
    as_version_1(out)
    plan = read_plan(out)
    old = [media for entry in plan.shards for media in read_media(out, entry, legacy_root=plan.legacy_root)]
    assert old == new
    assert {media.folder for media in old} == {"coco"}


@pytest.mark.parametrize("folder", ["../secrets", "/etc", "C:\\secrets"])
def test_a_plan_that_leaves_the_root_is_not_read(lvis_root, tmp_path, folder):
    """An OUT may come from a stranger."""
    prepare(echo_settings(lvis_root), tmp_path / "out", gpus=0, model=ModelName("none"))
    entry = read_plan(tmp_path / "out").shards[0]
    file = RunLayout(tmp_path / "out").plan_file(entry.file)
    lines = [json.dumps(json.loads(line) | {"folder": folder}) for line in file.read_text().splitlines()]
    file.write_text("\n".join(lines))
    with pytest.raises(LedgerError, match="outside of the dataset's root"):
        list(read_media(tmp_path / "out", entry))
