"""An export appears whole or not at all, goes on where it was stopped, and lets nothing of a stranger's OUT out."""

from __future__ import annotations

import dataclasses
import shutil
import tarfile

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from capgen.dataset.schema import MEDIA
from capgen.errors import LedgerError, MissingFile, UnknownName, UserError
from capgen.exporting import FORMATS
from capgen.exporting import export as export_module
from capgen.exporting.forms.records import WebDataset
from capgen.images import read_picture
from tests.exporting.releases import contents, exported, film_release, image_release, video_release
from tests.tiny_runs import record_release

FORMS = tuple(FORMATS)


class Stopped(BaseException):
    """As a kill would end it."""


@dataclasses.dataclass(frozen=True)
class Stopping:
    """A form whose writer is stopped after some media."""

    inner: object
    after: int

    def pictures_in(self, kind):
        return self.inner.pictures_in(kind)

    def described(self):
        return dataclasses.asdict(self.inner)

    def writer(self, split):
        writer = self.inner.writer(split)
        add, left = writer.add, [self.after]

        def counted(media):
            if left[0] == 0:
                raise Stopped
            left[0] -= 1
            add(media)

        class Counted:
            skip, finish = staticmethod(writer.skip), staticmethod(writer.finish)
            add = staticmethod(counted)

        return Counted()


@pytest.mark.parametrize(
    ("to", "pictures"), [*((to, "reference") for to in FORMS), ("jsonl", "copy"), ("coco", "tar"), ("llava", "tar")]
)
def test_an_export_that_was_stopped_goes_on_and_gives_the_same_bytes(tmp_path, monkeypatch, to, pictures):
    monkeypatch.setattr(export_module, "_CHECKPOINT", 1)
    out = image_release(tmp_path)
    exported(out, tmp_path / "whole", to, pictures=pictures)
    form = FORMATS.build(to, {}, "option ")
    for after in (1, 1, 1):
        request = export_module.ExportRequest(out, tmp_path / "parts", to, Stopping(form, after), pictures)
        with pytest.raises(Stopped):
            export_module.export_release(request)
        assert not (tmp_path / "parts").exists()
        for path in (tmp_path / "parts.part").rglob("*"):
            if path.is_file() and path.parent.name in ("pieces", "grown"):
                with path.open("ab") as file:
                    file.write(b"half a line")
    exported(out, tmp_path / "parts", to, pictures=pictures)
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")
    assert not (tmp_path / "parts.part").exists()


def test_the_same_command_again_finds_its_export_and_another_is_refused(tmp_path):
    out = image_release(tmp_path)
    assert not exported(out, tmp_path / "dest", "coco").already
    before = contents(tmp_path / "dest")
    report = exported(out, tmp_path / "dest", "coco")
    assert report.already
    assert report.counts["captions"] == 6
    with pytest.raises(UserError, match="is not empty"):
        exported(out, tmp_path / "dest", "jsonl")
    assert contents(tmp_path / "dest") == before


@pytest.mark.parametrize("to", FORMS)
def test_two_exports_of_one_release_have_the_same_bytes(tmp_path, to):
    out = video_release(tmp_path)
    exported(out, tmp_path / "a", to)
    exported(out, tmp_path / "b", to)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_a_link_in_the_place_of_dest_is_refused(tmp_path):
    out = image_release(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "dest").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="symbolic link"):
        exported(out, tmp_path / "dest", "coco")
    assert not any((tmp_path / "elsewhere").iterdir())


def test_what_an_export_left_that_was_killed_in_its_last_step_is_gone_after_the_next(tmp_path):
    out = image_release(tmp_path)
    exported(out, tmp_path / "dest", "coco")
    left = tmp_path / "dest.part"
    left.mkdir()
    (left / ".lock").touch()
    assert not exported(out, tmp_path / "dest", "coco").already
    assert not left.exists()
    left.mkdir()
    (left / "mine.txt").touch()
    assert exported(out, tmp_path / "dest", "coco").already
    assert (left / "mine.txt").exists(), "what no export wrote stays"


def test_an_export_that_was_killed_while_it_noted_its_progress_goes_on(tmp_path):
    out = image_release(tmp_path)
    (tmp_path / "dest.part").mkdir()
    (tmp_path / "dest.part/progress.json.0a1b2c3d.part").write_text('{"digest"')
    exported(out, tmp_path / "dest", "coco")
    exported(out, tmp_path / "other", "coco")
    assert contents(tmp_path / "dest") == contents(tmp_path / "other")
    assert not (tmp_path / "dest.part").exists()


def test_a_folder_that_is_no_unfinished_export_is_left_alone(tmp_path):
    out = image_release(tmp_path)
    (tmp_path / "dest.part").mkdir()
    (tmp_path / "dest.part/mine.txt").write_text("mine")
    with pytest.raises(UserError, match=r"no unfinished export: it holds mine\.txt"):
        exported(out, tmp_path / "dest", "coco")
    assert (tmp_path / "dest.part/mine.txt").read_text() == "mine"


def test_pictures_that_are_gone_are_counted_and_an_export_without_any_is_none(tmp_path):
    out = image_release(tmp_path)
    (tmp_path / "pictures/train2017/2.jpg").unlink()
    report = exported(out, tmp_path / "dest", "coco", pictures="copy")
    assert "1 pictures are missing" in report.text()
    shutil.rmtree(tmp_path / "pictures")
    with pytest.raises(MissingFile, match="every picture"):
        exported(out, tmp_path / "again", "coco", pictures="copy")
    assert not (tmp_path / "again").exists()


def change_media(out, change) -> None:
    """Rewrite the media of split train as somebody with bad intentions might."""
    (file,) = (out / "data/media").glob("train-*.parquet")
    rows = pq.read_table(file).to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, MEDIA), file)
    record_release(out)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: rows[0].update(file_names=["../../secret.jpg"]), "outside of the pictures' folder"),
        (lambda rows: rows[0].update(file_names=["/etc/passwd"]), "outside of the pictures' folder"),
        (lambda rows: rows[0].update(split="../up"), "says that it is of split"),
        (lambda rows: rows[0].update(width=0), "its size is 0x48"),
        (lambda rows: rows[0]["objects"][0]["segmentation"][0].update(counts="zzzz"), "run lengths"),
        (lambda rows: rows[0]["objects"][0]["segmentation"][0].update(size=[9, 9]), "another size"),
        (lambda rows: rows[0]["objects"][0].update(frame_index=[7]), "on frames that it has not"),
    ],
)
@pytest.mark.parametrize("to", ["coco", "webdataset"])
def test_a_tampered_release_is_one_line_and_nothing_is_written(tmp_path, change, said, to):
    out = image_release(tmp_path)
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    change_media(out, change)
    with pytest.raises(LedgerError, match=said):
        exported(out, tmp_path / "dest", to, pictures="copy")
    assert not (tmp_path / "dest").exists()


def test_a_release_of_other_bytes_than_its_record_says_is_not_exported(tmp_path):
    out = image_release(tmp_path)
    file = next((out / "data" / "media").glob("*.parquet"))
    whole = bytearray(file.read_bytes())
    whole[len(whole) // 2] ^= 1
    file.write_bytes(whole)
    with pytest.raises(LedgerError, match=r"is not the file that release\.json records"):
        exported(out, tmp_path / "dest", "coco")
    assert not (tmp_path / "dest").exists()


def test_what_is_no_picture_by_its_content_is_not_copied(tmp_path):
    out = image_release(tmp_path)
    (tmp_path / "pictures/train2017/1.jpg").write_text("root:x:0:0")
    exported(out, tmp_path / "dest", "coco", pictures="copy")
    assert not (tmp_path / "dest/images/train/train2017/1.jpg").exists()


def test_mistakes_are_said_in_one_line(tmp_path):
    out = image_release(tmp_path)
    with pytest.raises(UnknownName, match="did you mean 'coco'"):
        exported(out, tmp_path / "dest", "cocoo")
    with pytest.raises(UserError, match="option boxes: the export form 'coco' has no such option"):
        exported(out, tmp_path / "dest", "coco", boxes="unit")
    with pytest.raises(MissingFile):
        exported(tmp_path / "nowhere", tmp_path / "dest", "coco")
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingFile, match="finished `capgen run`"):
        exported(tmp_path / "empty", tmp_path / "dest", "coco")


def test_shard_size_is_part_of_what_an_export_is(tmp_path):
    out = image_release(tmp_path)
    exported(out, tmp_path / "dest", "webdataset")
    with pytest.raises(UserError, match="is not empty"):
        exported(out, tmp_path / "dest", "webdataset", shard_bytes=10)
    record = msgspec.json.decode((tmp_path / "dest/export.json").read_bytes())
    assert record["options"] == {"form": "webdataset", "pictures": "reference"} | dataclasses.asdict(WebDataset())


@pytest.mark.parametrize("to", ["coco", "jsonl", "llava", "pixelrefer", "webdataset"])
def test_frames_of_a_video_file_become_pictures_where_they_are_copied(tmp_path, to):
    out = film_release(tmp_path)
    assert "frames lie in video files" in exported(out, tmp_path / "named", "coco").text()
    exported(out, tmp_path / "dest", to, pictures="copy")
    if to == "webdataset":
        with tarfile.open(tmp_path / "dest/train-000000.tar") as tar:
            pictures = [tar.extractfile(member).read() for member in tar if member.name.endswith(".jpg")]
    else:
        found = contents(tmp_path / "dest")
        pictures = [found[f"images/train/clip.mp4/{number:06d}.jpg"] for number in (0, 2, 4)]
    assert len(pictures) == 3
    for picture, grey in zip(pictures, (40, 120, 200), strict=True):
        pixels = read_picture(picture)
        assert pixels.shape == (48, 64, 3)
        assert abs(float(pixels.mean()) - grey) < 6
