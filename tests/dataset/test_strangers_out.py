"""An OUT that somebody else made: its entries lead no write elsewhere and no read into something without an end."""

import os
import shutil
import socket

import pytest

from capgen.cli.main import app
from capgen.cli.providers import Providers
from capgen.dataset.layout import RunLayout, picture_bounds, refuse_links
from capgen.dataset.lock import exclusive
from capgen.dataset.reader import find_plan
from capgen.errors import CapgenError, LedgerError, UserError
from tests.pipeline.runs import echo_settings, session
from tests.tiny_runs import three_shards

FILES = (".lock", "plan.json", "README.md", "release.json", "report.json", "dedup.parquet", "reviews.jsonl")
FILES += ("source.json", "calibration.json", "calibration.png", "judge.parquet")
FOLDERS = ("plan", "journal", "candidates", "logs", "data", "batch", "world", "report", "sessions", "judge")
BELOW = (
    "judge/0123456789abcdef.jsonl",
    "sessions/0001.json",
    "report/report.html",
    "plan/00000.jsonl",
    "journal/00000/0001-a.jsonl",
    "candidates/00000.json",
    "logs/engine-00.log",
)
PARTS = ("data.part", "plan.part", "data.old.part", "release.json.0a1b2c3d.part", "dedup.parquet.part")


@pytest.mark.parametrize("name", [*FILES, *FOLDERS, *BELOW, *PARTS, "data/captions/train-00000-of-00001.parquet"])
def test_nothing_is_written_where_an_entry_is_a_link(tmp_path, name):
    out, victim = tmp_path / "out", tmp_path / "victim"
    victim.mkdir() if name in FOLDERS else victim.write_text("precious")
    place = out / name
    place.parent.mkdir(parents=True)
    place.symlink_to(victim)
    with pytest.raises(UserError, match="symbolic link") as refused, exclusive(out):
        pass
    assert str(place) in str(refused.value)
    assert str(victim) in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1
    assert not [*victim.iterdir()] if name in FOLDERS else victim.read_text() == "precious"


@pytest.mark.parametrize("name", [*FILES, *BELOW, "data/media/train-00000-of-00001.parquet"])
@pytest.mark.parametrize("reading", [False, True])
def test_a_pipe_or_a_socket_is_refused_before_it_is_opened(tmp_path, name, reading, monkeypatch):
    place = tmp_path / name
    place.parent.mkdir(parents=True, exist_ok=True)
    if reading:
        os.mkfifo(place)
    else:
        monkeypatch.chdir(place.parent)  # the address of a socket is short
        socket.socket(socket.AF_UNIX).bind(place.name)
    with pytest.raises(UserError, match="not a file"):
        refuse_links(tmp_path, reading=reading)


@pytest.mark.parametrize("name", FILES)
def test_a_folder_where_a_file_belongs_is_one_line(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(UserError, match="is a folder where a file belongs"):
        find_plan(tmp_path)


def test_other_names_in_out_are_the_users_own(tmp_path):
    (tmp_path / "notes").symlink_to("/etc")
    with exclusive(tmp_path):
        pass


def test_a_release_in_a_cache_is_made_of_links_and_can_be_read(tmp_path):
    run = three_shards(tmp_path / "blobs")
    (tmp_path / "out").mkdir()
    for file in run.out.iterdir():
        (tmp_path / "out" / file.name).symlink_to(file)
    assert find_plan(tmp_path / "out") == find_plan(run.out)


def capgen(*arguments):
    app(list(map(str, arguments)), standalone_mode=False, obj=Providers())


@pytest.mark.parametrize("command", [("gallery",), ("retry", "--gpus", "0"), ("judge", "--method", "confidence")])
def test_commands_that_write_name_the_link(lvis_root, tmp_path, command):
    out, _ = session(echo_settings(lvis_root), tmp_path / "out")
    victim = tmp_path / "victim"
    victim.write_text("precious")
    RunLayout(out).reviews.symlink_to(victim)
    with pytest.raises(UserError, match=r"reviews\.jsonl is a symbolic link"):
        capgen(*command, out)
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("command", ["status", "verify", "gallery", "lint", "retry"])
def test_commands_that_read_do_not_wait_for_a_pipe(tmp_path, command):
    run = three_shards(tmp_path / "out").commit()
    for name in ("plan.json", "candidates/00001.parquet"):
        shutil.copytree(run.out, other := tmp_path / name.replace("/", "-"))
        (other / name).unlink()
        os.mkfifo(other / name)
        with pytest.raises(UserError, match="not a file"):
            capgen(command, other)


@pytest.mark.parametrize("name", ["../../victim.jsonl", "/etc/passwd", "a/b.jsonl", "", "a\\u0000b.jsonl"])
def test_a_plan_whose_shards_lie_elsewhere_is_refused(tmp_path, name):
    run = three_shards(tmp_path / "out")
    file = RunLayout(run.out).plan_json
    file.write_text(file.read_text().replace("00001.jsonl", name))
    with pytest.raises(LedgerError, match="outside of its folder"):
        find_plan(run.out)


def test_links_among_pictures_are_bounded_in_a_run_and_where_the_user_says_so(tmp_path):
    run = three_shards(tmp_path / "out")
    (run.out / "pictures").mkdir()
    (run.out / "away").symlink_to(tmp_path)
    (tmp_path / "images").mkdir()
    assert picture_bounds(tmp_path / "images", None) is None
    assert picture_bounds(tmp_path / "images", False) == tmp_path / "images"
    assert picture_bounds(run.out / "pictures", None) == run.out
    assert picture_bounds(run.out / "away", None) == run.out
    assert picture_bounds(run.out / "pictures", True) is None


@pytest.mark.parametrize("name", ["plan.json", "plan/00000.jsonl", "candidates/00000.json", "release.json"])
@pytest.mark.parametrize("command", ["status", "verify", "report"])
def test_json_that_nests_too_deeply_is_damage_like_any_other(tmp_path, command, name):
    run = three_shards(tmp_path / "out").commit()
    run.pack()
    (run.out / name).write_text('{"version": ' + "[" * 100_000)
    try:
        capgen(command, run.out)
    except CapgenError as error:
        told = str(error)
    else:
        told = "what is not read does not matter"
    assert len(told.splitlines()) == 1


@pytest.mark.parametrize("name", ["candidates/00000.json", "plan/00000.jsonl", "candidates/00000.parquet"])
def test_a_folder_or_a_link_to_itself_deep_in_out_is_named(tmp_path, name):
    run = three_shards(tmp_path / "out").commit()
    (run.out / name).unlink()
    (run.out / name).mkdir()
    with pytest.raises(UserError, match="is a folder where a file belongs"):
        find_plan(run.out)
    (run.out / name).rmdir()
    (run.out / name).symlink_to(run.out / name)
    with pytest.raises(UserError, match="cannot be looked at: Too many levels"):
        find_plan(run.out)
