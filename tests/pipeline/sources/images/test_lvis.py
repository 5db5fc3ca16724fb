from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capgen.dataset.plan import PlannedMedia
from capgen.errors import MissingFile, UserError
from capgen.pipeline.sources.images.lvis import Lvis
from capgen.pipeline.sources.reading.decode import decode_media
from tests.conftest import write_lvis
from tests.pipeline.sources.files import SHARED, check_accounts, damaged, lvis, lvis_root, lvvis, mutated, put, reasons


def scan(root: Path, split: str = "all") -> list[PlannedMedia]:
    return list(Lvis(root, split).scan())


def scanned(root: Path, data: object) -> list[PlannedMedia]:
    return scan(lvis_root(root, data))


def test_pictures_of_both_folders_are_found_by_the_last_two_parts_of_coco_url(tmp_path: Path) -> None:
    media = scanned(tmp_path, lvis())
    assert [medium.file_names for medium in media] == [
        ("train2017/000000000001.jpg",),
        ("val2017/000000000002.jpg",),
        ("train2017/000000000003.jpg",),
    ]
    assert {(medium.folder, medium.width, medium.height, medium.kind) for medium in media} == {("", 8, 6, "image")}


def test_objects_come_with_their_image_in_the_order_of_the_file(tmp_path: Path) -> None:
    media = scanned(tmp_path, lvis())
    assert [[item.object_id for item in medium.objects] for medium in media] == [["11", "13"], ["12"], []]
    item = media[0].objects[0]
    assert (item.category_id, item.category, item.synonyms) == (1, "alarm_clock", ("alarm_clock", "alarm"))
    assert json.loads(bytes(item.segmentation)) == lvis()["annotations"][0]["segmentation"]
    assert set(reasons(media).values()) == {None}


def test_url_and_licence_of_the_picture_are_kept(tmp_path: Path) -> None:
    medium = scanned(tmp_path, lvis())[0]
    assert (medium.coco_url, medium.license) == ("http://images.cocodataset.org/train2017/000000000001.jpg", "4")


@pytest.mark.parametrize(
    ("file_name", "coco_url", "expected"),
    [
        ("COCO_val2014_000000266409.jpg", "http://x.org/val2017/000000266409.jpg", "val2017/000000266409.jpg"),
        ("train2017/000000000001.jpg", None, "train2017/000000000001.jpg"),
        ("train2017/000000000001.jpg", "http://x.org/val2017/000000000001.jpg", "train2017/000000000001.jpg"),
        ("000000000001.jpg", "http://x.org/val2017/000000000001.jpg", "val2017/000000000001.jpg"),
        ("000000000009.jpg", None, "000000000009.jpg"),
        (None, "http://x.org/val2017/000000000001.jpg", "val2017/000000000001.jpg"),
    ],
)
def test_every_form_of_a_name_is_understood(tmp_path: Path, file_name: str, coco_url: str, expected: str) -> None:
    data = lvis()
    data["images"][0] |= {"file_name": file_name, "coco_url": coco_url}
    assert scanned(tmp_path, data)[0].file_names == (expected,)


def test_a_name_without_a_folder_is_looked_for_in_the_folders_of_coco(tmp_path: Path) -> None:
    data = lvis()
    data["images"][0] |= {"file_name": "000000000009.jpg", "coco_url": None}
    lvis_root(tmp_path, data)
    (tmp_path / "val2017" / "000000000009.jpg").touch()
    assert scan(tmp_path)[0].folder == "val2017"


@pytest.mark.parametrize("base", ["", "coco", "images", "coco/images"])
@pytest.mark.parametrize("folder", ["", "annotations", "lvis"])
@pytest.mark.parametrize("name", ["lvis_v1_val.json", "lvis_v0.5_val.json", "lvis_val.json"])
def test_files_are_found_where_the_releases_put_them(tmp_path: Path, base: str, folder: str, name: str) -> None:
    put(tmp_path / folder, name, lvis())
    (tmp_path / base / "train2017").mkdir(parents=True)
    medium = scan(tmp_path, "val")[0]
    assert (medium.split, medium.folder) == ("val", base)


def test_all_is_train_then_val_and_only_what_is_there(tmp_path: Path) -> None:
    lvis_root(tmp_path, lvis(), "lvis_v1_val.json")
    assert {medium.split for medium in scan(tmp_path)} == {"val"}
    lvis_root(tmp_path, lvis(), "lvis_v1_train.json")
    assert [medium.split for medium in scan(tmp_path)] == ["train"] * 3 + ["val"] * 3
    assert [medium.split for medium in scan(tmp_path, "val, train")] == ["val"] * 3 + ["train"] * 3
    assert Lvis(tmp_path).files == (tmp_path / "lvis_v1_train.json", tmp_path / "lvis_v1_val.json")


def test_a_split_may_be_a_file(tmp_path: Path) -> None:
    lvis_root(tmp_path, lvis(), "some/lvis_v1_minival-5.json")
    assert {medium.split for medium in scan(tmp_path, "some/lvis_v1_minival-5.json")} == {"minival_5"}
    absolute = tmp_path / "some/lvis_v1_minival-5.json"
    assert len(scan(tmp_path, str(absolute))) == 3


def test_two_files_of_one_split_are_refused_because_their_keys_would_meet(tmp_path: Path) -> None:
    lvis_root(tmp_path, lvis(), "a/lvis_v1_val.json")
    lvis_root(tmp_path, lvis(), "b/lvis_v1_val.json")
    with pytest.raises(UserError, match="two files for the split 'val'"):
        scan(tmp_path, "a/lvis_v1_val.json,b/lvis_v1_val.json")


@pytest.mark.parametrize("split", ["", "train,,val", "../val", "a b"])
def test_a_split_that_is_none_is_refused(tmp_path: Path, split: str) -> None:
    with pytest.raises(UserError, match="is not a list of splits"):
        scan(lvis_root(tmp_path, lvis()), split)


def test_what_is_missing_is_said_in_one_line_with_the_expected_path(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match=f"missing {tmp_path}/nowhere"):
        scan(tmp_path / "nowhere")
    with pytest.raises(MissingFile, match=f"missing {tmp_path}/lvis_v1_train.json"):
        scan(tmp_path)
    put(tmp_path, "lvis_val_100.json", lvis())
    with pytest.raises(MissingFile, match=f"missing {tmp_path}/lvis_v1_val.json.*lvis_val_100.json") as error:
        scan(tmp_path, "val")
    assert "\n" not in str(error.value)
    with pytest.raises(MissingFile, match=f"missing {tmp_path}/train2017.*coco/"):
        scan(tmp_path, "val_100")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (json.dumps(lvis()).encode()[:-40], "is not valid JSON"),
        (json.dumps(lvis()).encode("utf-16"), "is UTF-16 text; save it as UTF-8"),
        (json.dumps(lvis()).encode().replace(b"wallet", b"wall\xff"), "is not UTF-8 text"),
        (json.dumps(lvis()).encode() + b"}", "is not valid JSON"),
        (b"\x1f\x8b\x08\x00", "is not UTF-8 text"),
        (b"<html>", "is not valid JSON"),
        (b'{"images": ' + b"[" * 100_000, "nests too deeply"),
        ([{"image_id": 1, "caption": "a"}], "is not an LVIS file: its top level is a list"),
        (7, "its top level is a number"),
        ({}, "it has no list 'images' but no key at all"),
        (lvvis(), "it has no list 'images' but 'videos'.*use --dataset lv-vis"),
        (lvis() | {"images": {"1": {}}}, "'images' is an object, not a list"),
        (lvis() | {"annotations": {"11": {}}}, "'annotations' is an object, not a list"),
        (lvis() | {"categories": None}, "it has no list 'categories'"),
    ],
)
def test_a_file_of_another_kind_ends_in_one_line_that_names_it(tmp_path: Path, data: object, said: str) -> None:
    with pytest.raises(UserError, match=f"lvis_v1_train.json.*{said}|{said}") as error:
        scanned(tmp_path, data)
    assert "\n" not in str(error.value)
    assert "lvis_v1_train.json" in str(error.value)


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    assert len(scanned(tmp_path, b"\xef\xbb\xbf" + json.dumps(lvis()).encode())) == 3


def test_images_alone_are_a_split_without_objects(tmp_path: Path) -> None:
    assert [medium.objects for medium in scanned(tmp_path, {"images": lvis()["images"]})] == [(), (), ()]


def test_a_second_annotation_of_one_id_is_kept_under_another_name_with_a_reason(tmp_path: Path) -> None:
    data = lvis()
    data["annotations"] += [data["annotations"][0], {**data["annotations"][0], "id": "11"}]
    assert reasons(scanned(tmp_path, data)) == {
        "1/11": None, "1/13": None, "1/11~2": "duplicate_id", "1/11~3": "duplicate_id", "2/12": None,
    }  # fmt: skip


def test_one_id_in_two_images_is_no_duplicate(tmp_path: Path) -> None:
    data = lvis()
    data["annotations"][1]["id"] = 11
    assert reasons(scanned(tmp_path, data)) == {"1/11": None, "1/13": None, "2/11": None}


def test_unknown_categories_and_images_are_accounted_for(tmp_path: Path) -> None:
    data = lvis()
    data["annotations"][0]["category_id"] = 99
    data["annotations"][1]["image_id"] = 404
    data["annotations"][2]["image_id"] = None
    media = scanned(tmp_path, data)
    assert reasons(media) == {"1/11": "unknown_category", "404/12": "unknown_media", "no-id/13": "unknown_media"}
    assert (media[0].objects[0].category_id, media[0].objects[0].category) == (99, None)
    assert (media[3].file_names, media[3].width, media[3].height) == ((), 0, 0)


def test_ids_beyond_2_to_the_53_lose_no_digit(tmp_path: Path) -> None:
    data, big = lvis(), 2**63 + 12345678901
    data["images"][0]["id"] = data["annotations"][0]["image_id"] = big
    data["annotations"][0]["id"] = 2**53 + 1
    assert f"{big}/{2**53 + 1}" in reasons(scanned(tmp_path, data))


@pytest.mark.parametrize("bad", [None, True, [], {}, 1.5, "", "a/b", "x" * 101, float("nan")])
def test_an_id_that_cannot_stand_in_a_key_is_a_reason(tmp_path: Path, bad: object) -> None:
    data = lvis()
    data["annotations"][0]["id"] = bad
    assert reasons(scanned(tmp_path, data))["1/no-id"] == "bad_id"


@pytest.mark.parametrize("same", [12.0, "12"])
def test_other_spellings_of_an_id_meet(tmp_path: Path, same: object) -> None:
    data = lvis()
    data["images"][1]["id"] = 12
    data["annotations"][1]["image_id"] = same
    assert reasons(scanned(tmp_path, data))["12/12"] is None


def test_an_entry_that_is_no_annotation_costs_only_itself(tmp_path: Path) -> None:
    data = lvis()
    data["annotations"][1:1] = [None, 7, "x", []]
    found = reasons(scanned(tmp_path, data))
    assert list(found.values()).count("bad_annotation") == 4
    assert {key: found[key] for key in ("1/11", "1/13", "2/12")} == {"1/11": None, "1/13": None, "2/12": None}


@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "../secret.jpg", "train2017/../../x.jpg", "..\\..\\x.jpg", "C:\\x.jpg", "a\0.jpg", "x" * 300, "."],
)
def test_a_name_that_climbs_or_cannot_be_is_refused_and_its_file_never_named(tmp_path: Path, name: str) -> None:
    data = lvis()
    data["images"][0]["file_name"] = name
    media = scanned(tmp_path, data)
    assert media[0].file_names == ()
    assert reasons(media) == {"1/11": "bad_path", "1/13": "bad_path", "2/12": None}
    assert "\0" not in (media[0].objects[0].message or "")


def test_a_coco_url_cannot_climb_either(tmp_path: Path) -> None:
    data = lvis()
    data["images"][0]["coco_url"] = "http://x.org/../secret.jpg"
    assert reasons(scanned(tmp_path, data))["1/11"] == "bad_path"


def test_a_link_that_the_user_laid_below_the_root_is_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "disk2" / "coco-train"
    elsewhere.mkdir(parents=True)
    put(tmp_path / "root", "lvis_v1_train.json", lvis())
    (tmp_path / "root" / "train2017").symlink_to(elsewhere)
    assert scan(tmp_path / "root")[0].file_names == ("train2017/000000000001.jpg",)


@pytest.mark.parametrize(
    "size", [(0, 6), (-1, 6), (None, 6), ("8", 6), (8.5, 6), (10**9, 6), (65535, 65535), (True, 6)]
)
def test_a_size_that_no_picture_has_is_a_reason(tmp_path: Path, size: tuple[Any, Any]) -> None:
    data = lvis()
    data["images"][0] |= {"width": size[0], "height": size[1]}
    media = scanned(tmp_path, data)
    assert reasons(media)["1/11"] == "bad_size"
    assert (media[0].width, media[0].height) == (0, 0)


def test_an_image_that_is_listed_twice_is_planned_once(tmp_path: Path) -> None:
    data = lvis()
    data["images"].append(dict(data["images"][0]))
    media = scanned(tmp_path, data)
    assert [medium.media_id for medium in media] == ["1", "2", "3"]
    assert set(reasons(media).values()) == {None}
    data["images"][-1]["width"] = 9
    assert reasons(scanned(tmp_path, data)) == {"1/11": "duplicate_media", "1/13": "duplicate_media", "2/12": None}


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ("{{ 7 * 7 }}", "{{ 7 * 7 }}"),
        ("sea\nlion\r\n\tcub", "sea lion cub"),
        ("x" * 10_000, "x" * 200),
        ("\x00\x1b[31mred", "[31mred"),
    ],
)
def test_a_category_is_data_on_one_line_of_bearable_length(tmp_path: Path, name: str, kept: str) -> None:
    data = lvis()
    data["categories"][0] |= {"name": name, "synonyms": [name, 7, None] * 50}
    item = scanned(tmp_path, data)[0].objects[0]
    assert item.category == kept
    assert set(item.synonyms) == {kept}
    assert len(item.synonyms) <= 20


def test_a_category_of_two_names_or_of_none_is_unknown(tmp_path: Path) -> None:
    data = lvis()
    data["categories"].append({"id": 1, "name": "something_else"})
    data["categories"][1]["name"] = " "
    assert set(reasons(scanned(tmp_path, data)).values()) == {"unknown_category"}


def test_nan_in_one_mask_costs_only_that_object(tmp_path: Path) -> None:
    data = lvis()
    data["annotations"][0]["segmentation"] = [[float("nan"), 1, 2, 3, float("-inf"), 5]]
    data["categories"][0]["name"] = "NaN"
    media = scanned(tmp_path, data)
    assert [item.fault and item.fault.reason for item in decode_media(media[0], "").objects] == ["bad_mask", None]
    assert media[0].objects[0].category == "NaN"


@pytest.mark.skipif(not SHARED.is_dir(), reason="no ../shared")
def test_the_thirteen_real_photographs_have_93_objects() -> None:
    media = scan(SHARED / "lvis_mini")
    assert (len(media), sum(len(medium.objects) for medium in media)) == (13, 93)
    assert sum(not medium.objects for medium in media) == 2
    assert all((SHARED / "lvis_mini" / medium.folder / medium.file_names[0]).is_file() for medium in media)
    assert set(reasons(media).values()) == {None}


@pytest.mark.skipif(not SHARED.is_dir(), reason="no ../shared")
def test_a_file_of_the_older_form_is_read(tmp_path: Path) -> None:
    (tmp_path / "val2017").mkdir()
    media = scan(tmp_path, str((SHARED / "lvis_val_100" / "lvis_val_100.json").resolve()))
    assert (len(media), sum(len(medium.objects) for medium in media), media[0].split) == (100, 977, "val_100")
    assert media[0].file_names == ("val2017/000000266409.jpg",)


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_whatever_stands_in_the_file_every_annotation_is_accounted_for(data: st.DataObject) -> None:
    check_accounts(Lvis, lvis_root, json.dumps(data.draw(mutated(lvis()))).encode())


@settings(deadline=None, max_examples=150)
@given(damaged(lvis()))
def test_a_damaged_file_is_refused_or_accounted_for(text: bytes) -> None:
    check_accounts(Lvis, lvis_root, text)


@pytest.mark.parametrize("label", ["all", "All", "ALL"])
def test_no_split_is_called_all(tmp_path: Path, label: str) -> None:
    """``datasets`` reads ``all`` as every split, so that a release with such a split could not be loaded."""
    root = write_lvis(tmp_path / "lvis")
    (root / f"lvis_v1_{label}.json").write_bytes((root / "lvis_v1_train.json").read_bytes())
    with pytest.raises(UserError, match=f"a split called '{label}'.*rename the file"):
        Lvis(root, split=f"lvis_v1_{label}.json").files  # noqa: B018 - reading it is the check
    assert Lvis(root, split=label).files == Lvis(root).files


def test_a_misspelt_split_is_answered_with_the_right_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'train'"):
        Lvis(write_lvis(tmp_path / "lvis"), split="tran").files  # noqa: B018 - reading it is the check


@pytest.mark.parametrize("base", ["", "coco/"])
def test_a_picture_that_lies_in_the_other_folder_than_coco_url_says_is_found(tmp_path: Path, base: str) -> None:
    lvis_root(tmp_path / base, lvis())
    (tmp_path / base / "val2017" / "000000000001.jpg").touch()
    put(tmp_path, "lvis_v1_train.json", lvis())
    first, second, _ = scan(tmp_path)
    assert (first.folder, first.file_names) == (f"{base}val2017", ("000000000001.jpg",))
    assert (second.folder, second.file_names) == (base.rstrip("/"), ("val2017/000000000002.jpg",))


def test_a_crowd_is_left_out_and_counted_or_kept(tmp_path):
    data = lvis()
    data["annotations"][0]["iscrowd"] = 1
    root = lvis_root(tmp_path, data)
    found = list(Lvis(root).scan())
    assert (sum(len(media.objects) for media in found), found[0].left_out) == (2, {"crowd": 1})
    assert sum(len(media.objects) for media in Lvis(root, crowds="keep").scan()) == 3
