"""What commands write into pages, tables and folders: for one process at a time, in one step, all of it or none."""

import os

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest

from capgen.cli.main import app
from capgen.cli.providers import Providers
from capgen.dataset.files import DiskTrouble
from capgen.dataset.layout import RunLayout, lock_of
from capgen.dataset.lock import InUse, exclusive_file
from capgen.errors import LedgerError
from capgen.pipeline.gallery.export import export_gallery, export_run
from capgen.pipeline.gallery.media_store import MediaStore
from capgen.pipeline.gallery.row_index import RowIndex
from capgen.pipeline.gallery.selection import Selection
from capgen.pipeline.releasing.reviews import append_reviews, read_reviews, review
from capgen.pipeline.running.status import run_status
from tests.full_disks import full_at
from tests.tiny_runs import three_shards


@pytest.fixture
def out(tmp_path):
    root = tmp_path / "pictures"
    root.mkdir()
    for number in range(1, 6):
        cv2.imwrite(str(root / f"{number}.jpg"), np.full((48, 64, 3), 40 * number, np.uint8))
    return three_shards(tmp_path / "out", str(root)).commit().out


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("held", "command"),
    [
        ("page/index.html", "gallery {out} --root {tmp}/pictures --export {tmp}/page"),
        ("report/report.html", "report {out} --to {tmp}/report"),
        ("tool/images", "reviews {out} --root {tmp}/pictures --to cvat --folder {tmp}/tool"),
        ("scores.json", "eval captions --judged {tmp}/none --out {tmp}/scores.json"),
        ("world/unfinished.json", "sample {tmp}/world --images 1 --videos 0"),
    ],
)
def test_two_processes_on_one_output_are_refused(out, tmp_path, held, command):
    with exclusive_file(tmp_path / held), pytest.raises(InUse, match=f"is in use by process {os.getpid()} on "):
        app(command.format(out=out, tmp=tmp_path).split(), standalone_mode=False, obj=Providers())
    assert not lock_of(tmp_path / held).exists()


def test_a_page_that_was_there_shows_what_it_showed_until_the_next_is_whole(out, tmp_path):
    page = tmp_path / "page"
    shown = export_run(out, page, limit=9)
    before = contents(page)
    for number in range(1, 6):
        cv2.imwrite(str(tmp_path / "pictures" / f"{number}.jpg"), np.full((48, 64, 3), 200 + number, np.uint8))
    index = RowIndex(out)
    index.refresh()
    store = MediaStore(out, index.plan, None)
    full = f"{page}.* cannot be written: File too large; make room there"
    with full_at(500), pytest.raises(DiskTrouble, match=full):
        export_gallery(index, store, Selection(), page, limit=9)
    index.close()
    assert before.items() <= contents(page).items()
    assert export_run(out, page, limit=9) == shown
    after = contents(page)
    assert len(after) == len(before)
    assert not before.keys() & after.keys() - {"index.html"}, "pictures that nothing shows any more are gone"


def test_a_review_is_added_whole_or_not_at_all(out):
    file = RunLayout(out).reviews
    append_reviews(out, [review("a", "good", "me")])
    with full_at(file.stat().st_size + 20), pytest.raises(DiskTrouble, match=f"{out} cannot be written"):
        append_reviews(out, [review("b", "good", "me")])
    assert read_reviews(out).keys() == {"a"}
    with file.open("a") as lines:
        lines.write('{"key": "cut off by a ki')
    append_reviews(out, [review("c", "good", "me")])
    assert read_reviews(out).keys() == {"a", "c"}


def test_status_and_gallery_name_a_finished_shard_whose_file_was_changed(out, tmp_path):
    file = RunLayout(out).candidates(0)
    table = pq.read_table(file)
    pq.write_table(table.drop_columns(["caption"]), file)
    assert f"damaged: {file}: its Parquet file differs from its manifest" in run_status(out).text()
    for index in (1, 2):
        RunLayout(out).candidates(index).unlink()
    with pytest.raises(LedgerError, match=f"{file}: its Parquet file differs from its manifest; the same `capgen run`"):
        export_run(out, tmp_path / "page", limit=9)
