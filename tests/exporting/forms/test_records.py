"""JSON Lines as datasets loads them, and WebDataset shards as the webdataset library and wids read them."""

from __future__ import annotations

import json
import tarfile

import datasets
import pytest

from capgen.dataset.row import ReleasedObject
from capgen.exporting.media import caption_of
from tests.exporting.releases import FRAMES, contents, exported, image_release, video_release


def test_every_object_is_a_line_and_boxes_have_the_scale_asked_for(tmp_path):
    exported(image_release(tmp_path), tmp_path / "dest", "jsonl", boxes="unit")
    rows = datasets.load_dataset(
        "json", data_files=str(tmp_path / "dest/train.jsonl"), split="train", cache_dir=str(tmp_path / "cache")
    )
    by_key = {row["key"]: row for row in rows}
    assert len(by_key) == 6
    assert by_key["tiny/train/1/10"]["caption"] is None
    assert by_key["tiny/train/1/10"]["dropped"] == "length"
    assert by_key["tiny/train/1/11"]["caption"] == "A tea_pot numbered 11."
    assert by_key["tiny/train/1/11"]["bbox"] == [pytest.approx([9 / 64, 4 / 48, 6 / 64, 9 / 48], abs=1e-6)]


def test_webdataset_gives_each_image_with_its_objects_and_captions(tmp_path):
    wds = pytest.importorskip("webdataset")
    exported(image_release(tmp_path), tmp_path / "dest", "webdataset")
    shard = str(tmp_path / "dest/train-000000.tar")
    samples = list(wds.WebDataset(shard, shardshuffle=False).decode("pil").to_tuple("jpg", "json", "txt"))
    assert [picture.size for picture, _, _ in samples] == [(64, 48)] * 4
    assert [len(record["objects"]) for _, record, _ in samples] == [2, 2, 0, 2]
    assert samples[0][2] == "A tea_pot numbered 11.\n"


def test_webdataset_gives_the_frames_of_a_video_in_one_sample(tmp_path):
    wds = pytest.importorskip("webdataset")
    exported(video_release(tmp_path), tmp_path / "dest", "webdataset")
    (first, _) = wds.WebDataset(str(tmp_path / "dest/train-000000.tar"), shardshuffle=False)
    assert sorted(key for key in first if key.endswith(".jpg")) == [f"{n:04d}.jpg" for n in range(FRAMES)]
    assert json.loads(first["json"])["media_id"] == "1"


def test_shards_are_closed_when_they_are_full_and_listed_with_their_sizes(tmp_path):
    wds = pytest.importorskip("webdataset")
    exported(image_release(tmp_path), tmp_path / "dest", "webdataset", shard_bytes=1)
    index = json.loads((tmp_path / "dest/train.index.json").read_text())
    assert [shard["nsamples"] for shard in index["shardlist"]] == [1, 1, 1, 1]
    for shard in index["shardlist"]:
        assert (tmp_path / "dest" / shard["url"]).stat().st_size == shard["filesize"]
    urls = [str(tmp_path / "dest" / shard["url"]) for shard in index["shardlist"]]
    found = [json.loads(sample["json"])["media_id"] for sample in wds.WebDataset(urls, shardshuffle=False)]
    assert found == ["1", "2", "3", "4"]


def test_pictures_in_tar_files_have_the_names_that_copies_would_have(tmp_path):
    out = image_release(tmp_path)
    exported(out, tmp_path / "tar", "jsonl", pictures="tar")
    exported(out, tmp_path / "copy", "jsonl", pictures="copy")
    with tarfile.open(tmp_path / "tar/images-train-000000.tar") as tar:
        found = {member.name: tar.extractfile(member).read() for member in tar}
    copies = {name: data for name, data in contents(tmp_path / "copy").items() if name.startswith("images/train/")}
    assert found == copies


def test_a_caption_that_is_marked_as_dropped_is_no_caption_of_an_export():
    alike = ReleasedObject(object_id="1", caption="a red box", dropped="not_distinct")
    kept = ReleasedObject(object_id="2", caption="a red box", dup_of="tiny/train/1/1")
    assert [caption_of(one) for one in (alike, kept)] == [None, "a red box"]
