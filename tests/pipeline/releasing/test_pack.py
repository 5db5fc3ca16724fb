"""The release: what `datasets` loads, what the masks say, and that no accident of the run shows in it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import datasets
import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pycocotools import mask as coco

from capgen.dataset.plan import PlanRecord
from capgen.dataset.reader import read_media, read_plan
from capgen.dataset.release_record import read_release
from capgen.dataset.shards import write_candidates
from capgen.errors import LedgerError, MissingFile, UserError
from capgen.pipeline.planning.plan import write_plan, write_plan_json
from capgen.pipeline.releasing.embedded import embedded_picture
from capgen.pipeline.releasing.pack import pack
from capgen.pipeline.releasing.verify import verify
from capgen.pipeline.sources.images.lvis import Lvis
from capgen.pipeline.sources.videos.lvvis import LvVis
from tests.tiny_runs import CARD, FINGERPRINT, dropped, failed, plan_run, planned_image, rows_of, said, three_shards


@pytest.fixture
def load(tmp_path):
    """`datasets.load_dataset` with a cache of the test's own."""
    return lambda out, *args, **more: datasets.load_dataset(str(out), *args, cache_dir=str(tmp_path / "cache"), **more)


def spoil(row):
    """One object dropped, one failed; all others kept."""
    if row.object_id == "10":
        return dropped(row, "length", "refusal")
    return failed(row, "engine_failed") if row.object_id == "41" else row


@pytest.fixture
def out(tmp_path):
    three_shards(tmp_path / "out").commit(change=spoil).pack()
    return tmp_path / "out"


def test_captions_are_the_kept_rows_of_each_split(out, load):
    captions = load(out)
    assert {split: part["object_id"] for split, part in captions.items()} == {
        "train": ["11", "20", "21", "40"],
        "val": ["50", "51"],
    }
    row = captions["train"][0]
    assert row["caption"] == "A tea_pot numbered 11."
    assert (row["model"], row["prompt_tokens"], row["attempts"]) == ("tiny/model", 40, 1)
    assert not {"status", "reasons", "message", "request_sha256"} & set(row)


def test_media_has_every_image_with_every_object_and_why_it_has_no_caption(out, load):
    media = load(out, "media")["train"]
    assert media["media_id"] == ["1", "2", "3", "4"]
    told = {item["object_id"]: (item["caption"], item["dropped"]) for row in media for item in row["objects"]}
    assert told == {
        "10": (None, "length"),
        "11": ("A tea_pot numbered 11.", None),
        "20": ("A cup numbered 20.", None),
        "21": ("A tea_pot numbered 21.", None),
        "40": ("A cup numbered 40.", None),
        "41": (None, "engine_failed"),
    }
    assert media[2]["objects"] == []
    assert (media[0]["license"], media[0]["file_names"]) == ("4", ["1.jpg"])


@pytest.mark.parametrize("config", ["captions", "media"])
def test_streaming_reads_the_same_rows(out, load, config):
    for split in ("train", "val"):
        streamed = list(load(out, config, split=split, streaming=True))
        assert streamed == list(load(out, config, split=split))
        assert streamed


def test_a_split_without_captions_does_not_keep_the_others_from_loading(tmp_path, load):
    """`datasets` 5.2 loads no split without rows, so the card does not offer it; its file is there all the same."""
    run = three_shards(tmp_path / "out")
    release = run.commit(change=lambda row: dropped(row, "refusal") if row.split == "val" else row).pack()
    captions = load(run.out)
    assert {split: part.num_rows for split, part in captions.items()} == {"train": 6}
    empty = release.of("captions", "val")[0]
    assert datasets.Features.from_arrow_schema(pq.read_schema(run.out / empty.path)) == captions["train"].features
    assert load(run.out, "media", split="val")[0]["objects"][0]["dropped"] == "refusal"
    assert "No object of the split `val` has a caption" in (run.out / "README.md").read_text()
    assert verify(run.out).ok


def test_a_release_without_any_caption_still_loads_its_media_and_streams_nothing(tmp_path, load):
    run = three_shards(tmp_path / "out").commit(change=lambda row: failed(row, "engine_failed"))
    assert run.pack().counts.kept == 0
    assert list(load(run.out, split="train", streaming=True)) == []
    assert load(run.out, "media", split="train").num_rows == 4
    assert verify(run.out).ok


def test_split_names_that_datasets_would_refuse_are_spelt_in_its_way(tmp_path, load):
    run = plan_run(tmp_path / "out", [[planned_image("1", split="mini-train.v1")]]).commit()
    run.pack()
    captions = load(run.out)
    assert list(captions) == ["mini_train_v1"]
    assert captions["mini_train_v1"][0]["split"] == "mini-train.v1"


def test_embedded_pictures_decode(tmp_path, load):
    pixels = np.arange(48 * 64 * 3, dtype=np.uint8).reshape(48, 64, 3)
    for number in "12345":
        Image.fromarray(pixels + int(number)).save(tmp_path / f"{number}.jpg", format="PNG")
    run = three_shards(tmp_path / "out", root=str(tmp_path)).commit()
    (tmp_path / "4.jpg").unlink()
    release = run.pack(embed="media")
    media = load(run.out, "media", split="train")
    assert media.features["images"] == datasets.List(datasets.Image())
    assert (np.asarray(media[1]["images"][0]) == pixels + 2).all()
    assert media[3]["images"] == [None]
    assert release.missing_pictures == 1
    assert "1 frames were missing" in (run.out / "README.md").read_text()
    stored = media.cast_column("images", datasets.List(datasets.Image(decode=False)))
    assert stored[0]["images"] == [{"bytes": (tmp_path / "1.jpg").read_bytes(), "path": "1.jpg"}]
    streamed = next(iter(load(run.out, "media", split="val", streaming=True)))
    assert streamed["images"][0].size == (64, 48)


def test_row_groups_of_pictures_are_small(tmp_path):
    Image.new("RGB", (64, 48)).save(tmp_path / "1.jpg")
    media = [planned_image(str(number), objects=0, file_names=("1.jpg",)) for number in range(230)]
    release = plan_run(tmp_path / "out", [media[:150], media[150:]], str(tmp_path)).commit().pack(embed="media")
    metadata = pq.read_metadata(tmp_path / "out" / release.of("media", "train")[0].path)
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [100, 100, 30]


def test_pictures_that_are_all_missing_are_the_users_mistake_and_the_old_release_stays(tmp_path):
    run = three_shards(tmp_path / "out").commit()
    before = run.pack()
    with pytest.raises(MissingFile):
        run.pack(embed="media")
    assert read_release(run.out) == before


@pytest.mark.parametrize("name", ["../secret.jpg", "/etc/hostname", "a/../../secret.jpg", "nothing.jpg"])
def test_a_picture_is_read_from_its_root_only(tmp_path, name):
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    (tmp_path / "root" / "a").mkdir(parents=True)
    assert embedded_picture(str(tmp_path / "root"), name) is None


def repeat(row):
    return said(row, {"11": "A cup.", "21": "a CUP"}.get(row.object_id, "A cup."))


def test_a_repeated_caption_is_left_out_with_its_reason(tmp_path, load):
    """In image 1 both say the same, but of two categories; image 2 has two cups."""
    run = three_shards(tmp_path / "out")

    def change(row):
        cup = msgspec.structs.replace(row, category="cup", category_id=1)
        return repeat(cup if row.media_id == "2" else row)

    release = run.commit(change=change).pack()
    assert release.counts.dropped == {"duplicate": 1}
    assert load(run.out, split="train")["object_id"] == ["10", "11", "20", "40", "41"]
    of_two = load(run.out, "media", split="train")[1]["objects"]
    assert [(item["caption"], item["dropped"]) for item in of_two] == [("A cup.", None), (None, "duplicate")]
    verdicts = pq.read_table(run.out / "dedup.parquet").to_pylist()
    assert verdicts == [
        {
            "key": "tiny/train/2/21",
            "reasons": ["duplicate"],
            "message": "the same caption as tiny/train/2/20",
            "dup_of": "tiny/train/2/20",
            "similarity": 1.0,
        }
    ]
    assert run.pack(dedup=None).counts.kept == 8
    assert list(load(run.out, split="train", streaming=True))[3]["object_id"] == "21"


def tree(out: Path) -> dict[str, bytes]:
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.suffix != ".json"
    }


def test_the_order_in_which_shards_were_committed_does_not_show(tmp_path):
    one = three_shards(tmp_path / "one").commit(0, 1, 2)
    two = three_shards(tmp_path / "two").commit(2).commit(0).commit(1)
    one.pack()
    two.pack()
    assert tree(one.out) == tree(two.out)
    assert read_release(one.out) == read_release(two.out)


def test_an_interrupted_pack_does_not_show(tmp_path):
    one = three_shards(tmp_path / "one").commit()
    two = three_shards(tmp_path / "two").commit()

    def stop(done: int, _: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        two.pack(progress=stop)
    assert read_release(two.out) is None
    (two.out / "data.old.part").mkdir()
    (two.out / "candidates" / "00001.parquet.0a1b2c3d.part").write_bytes(b"PAR1")
    assert one.pack() == two.pack()
    assert tree(one.out) == tree(two.out)


def test_rows_find_their_objects_by_key_and_not_by_order(tmp_path):
    one = three_shards(tmp_path / "one").commit()
    two = three_shards(tmp_path / "two").commit(1, 2)
    rows = [row for media in two.shards[0] for row in rows_of(media)]
    write_candidates(reversed(rows), two.out, 0, {"fingerprint": FINGERPRINT})
    files = [release.files[:4] for release in (one.pack(), two.pack())]
    assert files[0] == files[1]


def test_a_release_of_the_same_inputs_is_left_alone(tmp_path):
    run = three_shards(tmp_path / "out").commit()
    run.pack()
    before = {path: path.stat().st_mtime_ns for path in run.out.rglob("*")}
    run.pack()
    assert {path: path.stat().st_mtime_ns for path in run.out.rglob("*")} == before


@pytest.mark.parametrize("config", ["captions", "media"])
def test_datasets_does_not_give_the_rows_of_an_older_release_in_the_same_folder(tmp_path, load, config):
    """It keeps what it has loaded by the folder and the card's first lines; `capgen retry` makes such a release."""
    run = three_shards(tmp_path / "out").commit()
    run.pack()
    before = {split: part.to_list() for split, part in load(run.out, config).items()}
    run.commit(change=spoil)
    run.pack()
    after = {split: part.to_list() for split, part in load(run.out, config).items()}
    fresh = datasets.load_dataset(str(run.out), config, cache_dir=str(tmp_path / "another"))
    assert after == {split: part.to_list() for split, part in fresh.items()} != before


@pytest.mark.parametrize("change", ["candidates", "file"])
def test_a_release_of_other_inputs_is_replaced_and_its_stale_files_removed(tmp_path, change):
    run = three_shards(tmp_path / "out").commit()
    run.pack()
    stale = run.out / "data" / "captions" / "train-00007-of-00008.parquet"
    stale.write_bytes(b"stale")
    if change == "candidates":
        run.commit(change=spoil)
    if change == "file":
        (run.out / "dedup.parquet").unlink()
    run.pack()
    assert not stale.exists()


def test_an_unfinished_run_is_not_packed(tmp_path):
    run = three_shards(tmp_path / "out").commit(0)
    with pytest.raises(UserError, match="2 of its 3 shards are not done"):
        run.pack()
    assert not (run.out / "data").exists()
    assert run.commit().pack().shards == 3


def test_candidates_that_are_not_those_of_the_plan_are_refused(tmp_path):
    run = three_shards(tmp_path / "out").commit()
    rows = [row for media in run.shards[0] for row in rows_of(media)]
    write_candidates(rows[:-1], run.out, 0, {"fingerprint": FINGERPRINT})
    with pytest.raises(LedgerError, match=r"00000\.parquet does not hold the objects that plan/00000\.jsonl plans"):
        run.pack()


def test_a_mistake_in_the_card_is_found_before_anything_is_packed(tmp_path):
    run = three_shards(tmp_path / "out").commit()
    (tmp_path / "mine.md").write_text("{{ oops }}")
    with pytest.raises(UserError, match="oops"):
        run.pack(card=replace(CARD, template=str(tmp_path / "mine.md")))
    assert not (run.out / "data.part").exists()


def real_run(source, out: Path):
    """A real plan, with the rows that a perfect engine would have left."""
    table = write_plan(source, out, shard_objects=30)
    write_plan_json(out, PlanRecord(version="2", fingerprint=FINGERPRINT, root=str(source.root), shards=table.shards))
    for entry in table.shards:
        rows = [row for media in read_media(out, entry) for row in rows_of(media)]
        write_candidates(rows, out, entry.index, {"fingerprint": FINGERPRINT})


def pack_real(out: Path, **options):
    return pack(out, read_plan(out), CARD, **options)


def assert_tight(row):
    """Box and area are those of the pixels."""
    for rle, box, area in zip(row["segmentation"], row["bbox"], row["area"], strict=True):
        ys, xs = np.nonzero(coco.decode(rle))
        assert box == [xs.min(), ys.min(), xs.max() - xs.min() + 1, ys.max() - ys.min() + 1]
        assert area == len(ys)


def test_masks_of_lvis_decode_to_those_of_the_source(shared, tmp_path, load):
    root = shared / "data" / "lvis_mini"
    real_run(Lvis(root=root, split="all", dataset="lvis"), tmp_path / "out")
    pack_real(tmp_path / "out", embed="media")
    captions = load(tmp_path / "out")
    assert {split: part.num_rows for split, part in captions.items()} == {"train": 70, "val": 23}
    for split, part in captions.items():
        body = json.loads((root / f"lvis_v1_{split}.json").read_text())
        sizes = {image["id"]: (image["height"], image["width"]) for image in body["images"]}
        source = {str(item["id"]): item for item in body["annotations"]}
        for row in part:
            item = source[row["object_id"]]
            expected = coco.decode(coco.merge(coco.frPyObjects(item["segmentation"], *sizes[item["image_id"]])))
            assert (coco.decode(row["segmentation"][0]) == expected).all()
            assert_tight(row)
    media = load(tmp_path / "out", "media")
    assert sum(len(row["objects"]) == 0 for part in media.values() for row in part) == 2
    for part in media.values():
        for row in part:
            assert row["images"][0].size == (row["width"], row["height"])


def test_masks_of_lv_vis_are_on_the_frames_that_show_the_object(shared, tmp_path, load):
    root = shared / "data" / "lv-vis_mini"
    real_run(LvVis(root=root, split="all", dataset="lv-vis"), tmp_path / "out")
    pack_real(tmp_path / "out")
    captions = load(tmp_path / "out", split="train")
    source = {str(item["id"]): item for item in json.loads((root / "train_instances.json").read_text())["annotations"]}
    assert sorted(captions["object_id"]) == sorted(source)
    for row in captions:
        masks = source[row["object_id"]]["segmentations"]
        assert row["frame_index"] == [i for i, rle in enumerate(masks) if rle and coco.area(rle)]
        for index, rle in zip(row["frame_index"], row["segmentation"], strict=True):
            assert (coco.decode(rle) == coco.decode(masks[index])).all()
        assert_tight(row)
