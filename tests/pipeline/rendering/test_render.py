from __future__ import annotations

import json
import pickle
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from capgen import rle
from capgen.dataset.types import Fault, Media, MediaObject, object_key
from capgen.pipeline.rendering import render
from capgen.pipeline.rendering.prompt import load_prompt, prompt_of
from capgen.pipeline.rendering.render import Renderer, picture, render_media
from capgen.pipeline.settings import PromptSettings, RenderSettings
from capgen.pipeline.sources.images.lvis import Lvis
from capgen.pipeline.sources.reading.decode import decode_media
from capgen.pipeline.sources.videos.lvvis import LvVis
from capgen.pipeline.view import Picture, View, request_digest

HEIGHT, WIDTH = 240, 320
GREEN = (0, 255, 0)


def thing(number: int, frames: str = "x", category: str = "cup", fault: Fault | None = None) -> MediaObject:
    """An object that moves 12 pixels a frame and is seen on the frames marked `x`."""
    counts: list[str | None] = []
    for index, seen in enumerate(frames):
        bitmap = np.zeros((HEIGHT, WIDTH), dtype=bool)
        bitmap[60 : 100 + 10 * index, 40 + 12 * index + 20 * number : 80 + 12 * index + 20 * number] = True
        counts.append(rle.encode(bitmap) if seen == "x" else None)
    size = (HEIGHT, WIDTH)
    return MediaObject(
        key=object_key("d", "val", "1", str(number)),
        object_id=str(number),
        category_id=1,
        category=category,
        synonyms=(),
        counts=tuple(counts),
        boxes=tuple(rle.box(c, size) if c else None for c in counts),
        areas=tuple(rle.area(c, size) if c else None for c in counts),
        fault=fault,
    )


def pixels(index: int) -> np.ndarray:
    """The pixels of frame `index`, without any pure colour."""
    texture = np.random.default_rng(index).integers(0, 20, (HEIGHT // 8, WIDTH // 8, 3), dtype=np.uint8)
    return cv2.resize(texture, (WIDTH, HEIGHT)) + np.uint8(60 + 10 * index)


def medium(root: Path, *objects: MediaObject) -> Media:
    """A medium whose frames exist on disk, each of its own grey and with its own texture."""
    count = len(objects[0].counts) if objects else 1
    names = tuple(f"{i}.png" for i in range(count))
    for i, name in enumerate(names):
        cv2.imwrite(str(root / name), pixels(i))
    kind = "image" if count == 1 else "video"
    return Media(
        dataset="d",
        split="val",
        media_id="1",
        kind=kind,
        root=str(root),
        file_names=names,
        width=WIDTH,
        height=HEIGHT,
        objects=objects,
    )


def renderer(name: str = "shared-crop_v1", **settings) -> Renderer:
    return Renderer(RenderSettings(**settings), load_prompt(name, category=True))


def views(media: Media, using: Renderer, skip: frozenset[str] = frozenset()) -> list[View]:
    results = list(render_media(media, using, skip))
    assert all(isinstance(result, View) for result in results)
    return [result for result in results if isinstance(result, View)]


_listeners: list[Counter[int]] = []


def _heard(event: str, args: tuple[object, ...]) -> None:
    if _listeners and event == "open" and isinstance(args[0], str) and args[0].endswith(".png"):
        _listeners[-1][int(Path(args[0]).stem)] += 1


sys.addaudithook(_heard)


@pytest.fixture
def reads():
    """How often each frame's file is opened."""
    _listeners.append(Counter())
    yield _listeners[-1]
    _listeners.pop()


def test_the_parts_come_in_the_order_that_lets_objects_share_work(tmp_path):
    """Fixed text, clean picture, marked picture, object text: what objects share comes first."""
    media = medium(tmp_path, thing(0), thing(1, category="tea_pot"))
    using = renderer()
    first, second = views(media, using)
    assert [type(part) for part in first.parts] == [str, Picture, Picture, str]
    assert first.parts[0] == second.parts[0] == using.prompt.before
    assert first.parts[1] is second.parts[1]
    assert first.pictures[1].digest != second.pictures[1].digest
    assert first.parts[3] != second.parts[3]
    assert (first.system, first.category, second.category) == (using.prompt.system, "cup", "tea pot")
    assert [view.key for view in (first, second)] == [obj.key for obj in media.objects]
    assert "tea pot" in second.parts[3]


def test_the_system_text_opens_the_users_message_where_there_can_be_no_system_message(tmp_path):
    """Nothing else of a request changes; with examples it opens the first of them."""
    media = medium(tmp_path, thing(0), thing(1))
    usual = views(media, renderer())
    moved = views(media, renderer(system="user"))
    for before, after in zip(usual, moved, strict=True):
        assert after.system == ""
        assert after.parts == (f"{before.system}\n{before.parts[0]}", *before.parts[1:])
        assert request_digest(before, "") != request_digest(after, "")
    (numbered, _) = views(media, renderer("numbered_v1", system="user"))
    assert numbered.system == ""
    assert numbered.parts[0].startswith("You write captions for single objects")
    (shown, _) = views(media, renderer("paper_v1"))
    told = shown.with_system_in_user()
    assert (told.system, told.parts) == ("", shown.parts)
    assert told.examples[0].user == f"{shown.system}\n{shown.examples[0].user}"
    assert told.examples[1:] == shown.examples[1:]
    assert told.with_system_in_user() is told


def test_the_clean_picture_carries_no_mark_and_the_marked_one_does(tmp_path):
    (view,) = views(medium(tmp_path, thing(0)), renderer())
    clean, marked = view.pictures
    assert clean.pixels.max() < 80
    assert marked.pixels.max() > 200


def test_a_frame_is_decoded_once_for_all_objects(tmp_path, reads):
    media = medium(tmp_path, *(thing(n, "xxxxxx") for n in range(4)))
    assert len(views(media, renderer())) == 4
    assert reads
    assert set(reads.values()) == {1}


def test_only_the_frames_that_are_needed_are_read(tmp_path, reads):
    media = medium(tmp_path, thing(0, "......x."), thing(1, "........", fault=Fault("bad_mask", "")))
    using = renderer()
    list(render_media(media, using))
    assert set(reads) == {0, 2, 4, 6, 7}


def test_objects_that_are_answered_cost_nothing(tmp_path, reads):
    media = medium(tmp_path, thing(0), thing(1))
    keys = [obj.key for obj in media.objects]
    assert not list(render_media(media, renderer(), frozenset(keys)))
    assert not reads
    assert [view.key for view in views(media, renderer(), frozenset(keys[:1]))] == keys[1:]


def test_a_skipped_object_does_not_change_what_the_others_look_like(tmp_path):
    """A resumed run asks what an undisturbed one would have asked."""
    media = medium(tmp_path, *(thing(n, "xxx") for n in range(3)))
    whole, resumed = views(media, renderer()), views(media, renderer(), frozenset({media.objects[0].key}))
    assert [[p.digest for p in v.pictures] for v in whole[1:]] == [[p.digest for p in v.pictures] for v in resumed]
    assert [v.parts[-1] for v in whole[1:]] == [v.parts[-1] for v in resumed]


def test_a_medium_without_objects_is_not_even_read(tmp_path, reads):
    assert not list(render_media(medium(tmp_path), renderer()))
    assert not reads


def test_every_object_comes_back_once_as_a_view_or_with_its_fault(tmp_path):
    media = medium(tmp_path, thing(0), thing(1, ".", fault=Fault("bad_mask", "m")), thing(2, "."), thing(3))
    first, bad, empty, last = render_media(media, renderer())
    assert isinstance(first, View)
    assert bad == (media.objects[1], Fault("bad_mask", "m"))
    assert not isinstance(empty, View)
    assert (empty[0], empty[1].reason) == (media.objects[2], "empty_mask")
    assert isinstance(last, View)


def test_a_bad_picture_is_the_fault_of_all_its_objects_and_read_once(tmp_path, reads):
    media = medium(tmp_path, thing(0), thing(1))
    (tmp_path / "0.png").write_bytes(b"no picture")
    reads.clear()
    results = [result for result in render_media(media, renderer()) if not isinstance(result, View)]
    assert [(obj.key, fault.reason) for obj, fault in results] == [(o.key, "picture_unreadable") for o in media.objects]
    assert reads == {0: 1}


def test_a_bad_frame_is_the_fault_of_only_the_objects_that_need_it(tmp_path):
    media = medium(tmp_path, thing(0, ".x......"), thing(1, "...x...."))
    (tmp_path / "1.png").write_bytes(b"no picture")
    first, second = render_media(media, renderer())
    assert not isinstance(first, View)
    assert first[1].reason == "picture_unreadable"
    assert isinstance(second, View)


def test_a_video_shows_clean_frames_first_and_then_the_object_where_it_is_seen(tmp_path):
    (view,) = views(medium(tmp_path, thing(0, "..xxxxx.....")), renderer())
    assert len(view.pictures) == 6
    assert view.marked_frames == (2, 6)
    assert view.parts[-1].count("left") == 2


def test_pictures_are_whole_patches_within_their_budgets(tmp_path):
    using = renderer(patch=28, clean_pixels=200 * 200, marked_pixels=100 * 100)
    for clean, marked in (view.pictures for view in views(medium(tmp_path, thing(0), thing(1)), using)):
        for shown, budget in ((clean, 200 * 200), (marked, 100 * 100)):
            height, width = shown.pixels.shape[:2]
            assert height % 28 == width % 28 == 0
            assert height * width <= budget


def test_square_pictures_are_exactly_square(tmp_path):
    using = renderer(square=True, clean_pixels=96 * 96, marked_pixels=64 * 64)
    (view,) = views(medium(tmp_path, thing(0)), using)
    assert [p.pixels.shape for p in view.pictures] == [(96, 96, 3), (64, 64, 3)]


def test_the_papers_recipe_boxes_whole_frames_where_the_object_is_seen_and_leaves_the_others_plain(tmp_path):
    (view,) = views(medium(tmp_path, thing(0, "x" + "." * 9)), renderer("paper_v1"))
    assert len(view.pictures) == 4
    greens = [(p.pixels == GREEN).all(axis=-1).sum() for p in view.pictures]
    assert greens[0] > 0
    assert greens[1:] == [0, 0, 0]
    assert view.marked_frames == (0,)
    assert view.parts[-1].count("not visible") == 3
    assert len(view.examples) == 3


def test_whole_marked_frames_have_the_budget_of_clean_ones(tmp_path):
    """A box round something small on a small picture shows nothing."""
    (view,) = views(medium(tmp_path, thing(0)), renderer("paper_v1", clean_pixels=320 * 320, marked_pixels=96 * 96))
    assert view.pictures[0].pixels.shape == (256, 320, 3)


def test_a_digest_is_of_pixels_shape_and_render_version(monkeypatch):
    shown = np.arange(96, dtype=np.uint8).reshape(4, 8, 3)
    same = picture(shown).digest
    assert picture(shown.copy()).digest == same
    assert picture(shown.reshape(8, 4, 3)).digest != same
    changed = shown.copy()
    changed[3, 7, 2] ^= 1
    assert picture(changed).digest != same
    assert picture(shown[:, ::-1]).digest != same
    monkeypatch.setattr(render, "RENDER_VERSION", "other")
    assert picture(shown).digest != same


def test_a_renderer_travels_to_another_process_and_shows_the_same(tmp_path):
    media = medium(tmp_path, thing(0), thing(1))
    using = renderer()
    views(media, using)
    there = pickle.loads(pickle.dumps(using))
    assert [[p.digest for p in v.pictures] for v in views(media, there)] == [
        [p.digest for p in v.pictures] for v in views(media, using)
    ]


def test_threads_do_not_change_a_pixel(tmp_path):
    """Rendering runs in a thread pool beside the engine."""
    from concurrent.futures import ThreadPoolExecutor

    media = medium(tmp_path, *(thing(n, "xxxx") for n in range(4)))
    using = renderer()
    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(lambda _: [[p.digest for p in v.pictures] for v in views(media, using)], range(8)))
    assert all(run == runs[0] for run in runs)


def real(shared: Path) -> list[Media]:
    images, videos = shared / "data" / "lvis_mini", shared / "data" / "lv-vis_mini"
    return [
        *(decode_media(one, images) for one in Lvis(root=images, split="all").scan()),
        *(decode_media(one, videos) for one in LvVis(root=videos, split="train").scan()),
    ]


@pytest.mark.parametrize("name", ["shared-crop_v1", "paper_v1"])
@pytest.mark.parametrize("settings", [{}, {"square": True, "clean_pixels": 9216, "marked_pixels": 9216}])
def test_every_object_of_the_real_photographs_and_clips_is_shown(shared, name, settings):
    media = real(shared)
    using = renderer(name, **settings)
    shown = [view for one in media for view in views(one, using)]
    assert len(shown) == 99
    assert len({view.key for view in shown}) == 99
    for view in shown:
        assert all(p.pixels.shape[2] == 3 and p.pixels.dtype == np.uint8 for p in view.pictures)
        assert view.marked_frames


def test_the_marked_box_of_a_photograph_lies_round_the_released_box(shared):
    """What is drawn, mapped back to the photograph, is the box that the annotation file states."""
    released = {
        str(a["id"]): a["bbox"]
        for split in ("train", "val")
        for a in json.loads((shared / "data" / "lvis_mini" / f"lvis_v1_{split}.json").read_text())["annotations"]
    }
    using = renderer("paper_v1")
    for media in (one for one in real(shared) if one.kind == "image"):
        for obj, view in zip(media.objects, views(media, using), strict=True):
            (shown,) = view.pictures
            height, width = shown.pixels.shape[:2]
            rows, columns = np.nonzero((shown.pixels == GREEN).all(axis=-1))
            x, y, w, h = released[obj.object_id]
            drawn = (
                columns.min() * media.width / width,
                rows.min() * media.height / height,
                (columns.max() + 1) * media.width / width,
                (rows.max() + 1) * media.height / height,
            )
            slack = 5 * max(1, media.width / width)  # the line itself, and the rounding of polygons to pixels
            assert np.abs(np.array(drawn) - (x, y, x + w, y + h)).max() < slack


def test_the_same_settings_twice_are_one_renderer():
    assert renderer() == renderer()
    assert renderer() != renderer(patch=28)
    assert replace(renderer(), settings=RenderSettings(patch=28)) == renderer(patch=28)


def test_places_in_pixels_are_those_of_the_frame_that_the_model_sees(tmp_path):
    """The box of object 0 is x 40 to 80 and y 60 to 100 of 320 x 240; the clean picture is half as large."""
    media = medium(tmp_path, thing(0))
    using = renderer(coordinates="pixel", patch=16, clean_pixels=160 * 128)
    (view,) = views(media, using)
    height, width = view.pictures[0].pixels.shape[:2]
    assert (width, height) == (160, 128)
    assert "left 20, top 32, right 40, bottom 54" in view.parts[-1]
    (view,) = views(media, renderer(coordinates="thousand"))
    assert "left 125, top 250, right 250, bottom 417" in view.parts[-1]


def test_objects_of_one_request_have_the_same_pictures_and_their_own_numbers(tmp_path):
    """Also where some of them are not asked for now, as when a run is resumed."""
    media = medium(tmp_path, *(thing(number) for number in range(14)))
    every = views(media, renderer("numbered_v1"))
    assert [view.numbered.number for view in every] == [*range(1, 13), 1, 2]
    assert [view.numbered.count for view in every] == [12] * 12 + [2] * 2
    assert len({view.parts for view in every}) == 2
    assert every[13].numbered.first == every[12].key
    assert list(every[0].schema["properties"]) == [str(number) for number in range(1, 13)]
    assert "Object 12: left" in every[0].parts[-1]
    (last,) = views(media, renderer("numbered_v1"), frozenset(view.key for view in every[:-1]))
    assert last == every[-1]


def test_an_object_on_none_of_the_frames_of_its_request_fails_alone(tmp_path):
    media = medium(tmp_path, thing(0, "xxxxx...."), thing(1, "........x", category="dog"))
    using = Renderer(RenderSettings(), prompt_of(PromptSettings(name="numbered_v1", marked_frames=1)))
    first, second = render_media(media, using)
    assert first.numbered.count == 1
    assert second[1].reason == "not_shown"


def test_settings_change_marks_and_frames_and_close_ups_stay_close_ups():
    prompt = prompt_of(PromptSettings(marks="contour+tint", clean_frames=2, marked_choice="largest"))
    assert prompt.layout.image.highlight == "crop+contour+tint"
    assert prompt.layout.image.close_up
    assert prompt.layout.image.needs_mask == ("contour", "tint")
    assert (prompt.layout.video.clean_frames, prompt.layout.video.marked_choice) == (2, "largest")
    assert prompt.sha256 == load_prompt("shared-crop_v1", category=True).sha256
    assert prompt_of(PromptSettings()) == load_prompt("shared-crop_v1", category=True)
