"""Pictures are looked for where the user says, or this user's own record of the run, never where OUT alone says."""

import json
import shutil
from dataclasses import replace

import pytest

from capgen.cli.main import app
from capgen.cli.providers import Providers
from capgen.cli.runs.roots import picture_root
from capgen.cli.training import Seams, parts_of
from capgen.dataset.layout import RunLayout
from capgen.dataset.reader import read_plan
from capgen.errors import LedgerError, UserError
from capgen.maskcaptioner.data.pictures import read_frames
from capgen.maskcaptioner.settings import load_train_settings
from capgen.pipeline.releasing.pack import pack
from capgen.pipeline.running.session import Devices
from tests.exporting.releases import image_release
from tests.pipeline.runs import echo_settings, session
from tests.tiny_runs import CARD


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    """A state folder of the test's own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def capgen(*arguments):
    providers = replace(Providers(), devices=lambda *_: Devices(ray=False))
    return app([str(one) for one in arguments], standalone_mode=False, obj=providers)


def own(lvis_root, tmp_path):
    """A run that this user has started."""
    flags = ("--dataset", "lvis", "--root", lvis_root, "--engine", "echo", "--out", tmp_path / "mine")
    capgen("run", *flags)
    return tmp_path / "mine"


@pytest.mark.parametrize(
    "command",
    [
        ("gallery", "--export", "page"),
        ("retry", "--reason", "empty"),
        ("judge", "--method", "fit"),
        ("reviews", "--to", "cvat", "--folder", "tasks"),
        ("export", "copy", "--to", "coco", "--pictures", "copy"),
        ("export", "copy", "--to", "webdataset"),
    ],
)
def test_a_plan_of_somebody_elses_does_not_say_which_folder_is_read(lvis_root, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    out, _ = session(echo_settings(lvis_root), tmp_path / "out")
    before = sorted(tmp_path.rglob("*"))
    verb, *more = command
    with pytest.raises(UserError, match="there is no record that you started this run here; give their folder") as said:
        capgen(verb, out, *more)
    assert str(lvis_root) in str(said.value)
    assert sorted(tmp_path.rglob("*")) == before, "nothing is written"


def test_the_folder_is_read_once_the_user_names_it_or_trusts_out(lvis_root, tmp_path):
    out, _ = session(echo_settings(lvis_root), tmp_path / "out")
    capgen("gallery", out, "--root", lvis_root, "--export", tmp_path / "page")
    assert len([*(tmp_path / "page" / "pictures").iterdir()]) == 5
    capgen("retry", out, "--key", "lvis/train/1/100", "--trust-out")
    assert json.loads(RunLayout(out).report_json.read_text())["retried"]


def test_a_run_of_ones_own_needs_no_root_and_what_its_plan_says_since_counts_no_more(lvis_root, tmp_path):
    out = own(lvis_root, tmp_path)
    assert picture_root(out, None) is None
    plan = json.loads(RunLayout(out).plan_json.read_text())
    RunLayout(out).plan_json.write_text(json.dumps(plan | {"root": "/home/victim"}))
    assert picture_root(out, None) == lvis_root.resolve()
    shutil.copytree(out, tmp_path / "copy")
    with pytest.raises(UserError, match="/home/victim"):
        picture_root(tmp_path / "copy", None)


def test_pictures_in_out_itself_are_its_own_and_links_are_no_way_out(lvis_root, tmp_path):
    out, _ = session(echo_settings(lvis_root), tmp_path / "out")
    plan = json.loads(RunLayout(out).plan_json.read_text())
    shutil.copytree(lvis_root, out / "world")
    (out / "away").symlink_to(lvis_root)
    for root, allowed in ((out / "world", True), (out / "away", False), (out / ".." / "lvis", False)):
        RunLayout(out).plan_json.write_text(json.dumps(plan | {"root": str(root)}))
        if allowed:
            assert picture_root(out, None) is None
        else:
            with pytest.raises(UserError, match="no record"):
                picture_root(out, None)


def test_an_export_that_only_names_pictures_needs_no_folder(tmp_path):
    out = image_release(tmp_path)
    capgen("export", out, tmp_path / "coco", "--to", "coco")
    assert json.loads((tmp_path / "coco" / "export.json").read_text())["counts"]["captions"]


def test_pictures_that_lie_in_the_release_need_no_folder_and_none_is_read(tmp_path):
    out = image_release(tmp_path)
    run_plan, root = read_plan(out), tmp_path / "pictures"
    RunLayout(out).release_json.unlink()
    pack(out, run_plan, CARD, embed="media", root=root)
    (root / "train2017" / "1.jpg").unlink()
    capgen("export", out, tmp_path / "copy", "--to", "coco", "--pictures", "copy")
    assert len([*(tmp_path / "copy").rglob("*.jpg")]) == 5


def learnt_pictures(*outs, **data):
    """The first picture of each medium that ``capgen train`` would read."""
    flags = {f"data.{name}": value for name, value in data.items()}
    settings = load_train_settings("sample", {"data.releases": [str(out) for out in outs], **flags})
    parts = parts_of(settings, "train", None, Seams())
    return [read_frames(part.medium(row()), [0], (1, 1))[0] for part in parts for row in part.rows()]


def test_a_training_reads_no_folder_that_a_strangers_plan_names(lvis_root, tmp_path):
    out, _ = session(echo_settings(lvis_root), tmp_path / "out")
    with pytest.raises(UserError, match="there is no record that you started this run here; give their folder with --"):
        learnt_pictures(out)
    pictures = learnt_pictures(out, pictures=str(lvis_root))
    assert len(learnt_pictures(own(lvis_root, tmp_path))) == len(pictures) > 1
    other = shutil.copytree(lvis_root, tmp_path / "other")
    second, _ = session(echo_settings(other), tmp_path / "second")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert len(learnt_pictures(out, second, pictures=[str(empty), str(lvis_root)])) == 2 * len(pictures)
    with pytest.raises(UserError, match=f"{empty} does not hold the pictures of {out}"):
        learnt_pictures(out, pictures=[str(tmp_path), str(empty)])


def test_a_training_needs_no_folder_where_the_release_holds_its_pictures(lvis_root, tmp_path):
    out, _ = session(echo_settings(lvis_root), tmp_path / "out", embed="media")
    plan = json.loads(RunLayout(out).plan_json.read_text())
    RunLayout(out).plan_json.write_text(json.dumps(plan | {"root": "/home/victim"}))
    assert learnt_pictures(out)


def test_a_training_follows_links_as_a_gallery_does(lvis_root, tmp_path):
    out, _ = session(echo_settings(lvis_root), tmp_path / "out")
    for picture in [*lvis_root.rglob("*.jpg")]:
        picture.rename(tmp_path / f"elsewhere-{picture.name}")
        picture.symlink_to(tmp_path / f"elsewhere-{picture.name}")
    found = learnt_pictures(out, pictures=str(lvis_root))
    with pytest.raises(UserError, match="is a link out of the root folder, which only --follow-links allows"):
        learnt_pictures(out, pictures=str(lvis_root), follow_links=False)
    shutil.copytree(lvis_root, out / "world", symlinks=True)
    with pytest.raises(UserError, match="is a link out of the root folder"):
        learnt_pictures(out, pictures=str(out / "world"))
    assert len(learnt_pictures(out, pictures=str(out / "world"), follow_links=True)) == len(found)


@pytest.mark.parametrize("folder", ["../elsewhere", "/home/victim", "train2017/../../elsewhere"])
def test_a_plan_names_no_folder_outside_of_the_root_that_the_user_gives(lvis_root, tmp_path, folder):
    """An export copied pictures from there."""
    out, _ = session(echo_settings(lvis_root), tmp_path / "out")
    shutil.copytree(lvis_root / "train2017", tmp_path / "elsewhere")
    plan = json.loads(RunLayout(out).plan_json.read_text())
    folders = {name: [folder] for name in plan["folders"]}
    RunLayout(out).plan_json.write_text(json.dumps(plan | {"folders": folders}))
    for command in (lambda: learnt_pictures(out, pictures=str(lvis_root)), lambda: capgen("status", out)):
        with pytest.raises(LedgerError, match="outside of the dataset's root"):
            command()
    with pytest.raises(LedgerError, match="outside of the dataset's root"):
        capgen("export", out, tmp_path / "copy", "--to", "coco", "--pictures", "copy", "--root", lvis_root)
    assert not (tmp_path / "copy").exists()


def test_an_import_is_ones_own(tmp_path):
    out = image_release(tmp_path)
    capgen("export", out, tmp_path / "dest", "--to", "official", "--pictures", "copy", "--root", tmp_path / "pictures")
    capgen("import", tmp_path / "dest", "--out", tmp_path / "back")
    capgen("gallery", tmp_path / "back", "--export", tmp_path / "page")
    with pytest.raises(UserError, match="imported captions: nothing was asked"):
        capgen("resume", tmp_path / "back")
