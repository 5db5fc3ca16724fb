from __future__ import annotations

import base64
import re
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from capgen.dataset.types import Fault, MediaObject
from capgen.errors import UserError
from capgen.pipeline.pages.answers import PreviewAnswer
from capgen.pipeline.pages.preview import PreviewSample, preview_page
from capgen.pipeline.pages.request_page import PreviewItem, write_preview
from capgen.pipeline.rendering.render import picture
from capgen.pipeline.settings import Settings
from capgen.pipeline.view import Settled, Turn, View
from capgen.sample.write import write_world
from tests.pipeline.runs import echo_settings

HOSTILE = '<script>alert("x")</script><img src=x onerror=alert(1)>"\'&amp;{{7*7}}'


class Page(HTMLParser):
    """Tags, attributes and text as a browser would see them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.said = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.said += data


def thing(category: str, key: str = "lvis/val/1/1") -> MediaObject:
    return MediaObject(key, "1", 1, category, (), ("c",), ((0.0, 0.0, 1.0, 1.0),), (1,))


def view(text: str, key: str = "lvis/val/1/1") -> View:
    gradient = np.dstack([np.tile(np.arange(64, dtype=np.uint8) * 4, (32, 1))] * 3)
    parts = (f"before {text}", picture(gradient), f"after {text}")
    return View(key, f"system {text}", (Turn(f"ask {text}", f"say {text}"),), parts, text, (0,))


def test_nothing_from_data_becomes_markup(tmp_path):
    said = PreviewAnswer(Settled(key="k", request="", text=f"told {HOSTILE}"), ((HOSTILE, HOSTILE),))
    items = [
        PreviewItem(thing(HOSTILE, HOSTILE), view(HOSTILE, HOSTILE), [HOSTILE], said),
        PreviewItem(thing(HOSTILE), Fault("bad_mask", HOSTILE)),
    ]
    assert write_preview(items, tmp_path / "p.html", HOSTILE) == 2
    page = Page((tmp_path / "p.html").read_text(encoding="utf-8"))
    assert "script" not in page.tags
    assert page.tags.count("img") == 1
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    for word in ("system", "ask", "say", "before", "after", "told"):
        assert f"{word} {HOSTILE}" in page.said
    assert f"bad_mask, {HOSTILE}" in page.said


def test_the_page_needs_nothing_else_and_shows_the_pixels(tmp_path):
    write_preview([PreviewItem(thing("cup"), view("cup"))], tmp_path / "p.html", "t")
    text = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert [name for name, value in Page(text).attributes if name in {"src", "href"}] == ["src"]
    assert "http" not in text.replace("http-equiv", "")
    data = base64.b64decode(re.search(r"data:image/\w+;base64,([^\"]+)", text)[1])
    shown = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert shown.shape == (32, 64, 3)
    assert np.abs(shown[..., 0].astype(int) - np.arange(64) * 4).max() < 8


def test_the_parts_come_in_the_order_the_model_gets_them(tmp_path):
    write_preview([PreviewItem(thing("cup"), view("cup"))], tmp_path / "p.html", "t")
    text = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert text.index("system cup") < text.index("before cup") < text.index("<img") < text.index("after cup")


def test_text_that_no_file_can_hold_is_no_error(tmp_path):
    assert write_preview([PreviewItem(thing("\ud800"), view("\ud800"))], tmp_path / "p.html", "t") == 1


def test_what_all_requests_share_is_shown_once(tmp_path):
    one, other = view("cup"), view("cup", "lvis/val/1/2")
    alone = [PreviewItem(thing("cup"), one), PreviewItem(thing("cup"), other)]
    write_preview(alone, tmp_path / "p.html", "t")
    page = Page((tmp_path / "p.html").read_text(encoding="utf-8"))
    assert [page.said.count(text) for text in ("system cup", "ask cup", "before cup", "after cup")] == [1, 1, 1, 2]


class Letters:
    """Counts a token for each letter of the texts and ten for each picture."""

    how = "letters were counted"

    def prompt(self, view):
        return self.beginning(view, len(view.parts)) + 2

    def beginning(self, view, parts):
        texts = [view.system, *(part for part in view.parts[:parts] if isinstance(part, str))]
        return sum(map(len, texts)) + 10 * sum(not isinstance(part, str) for part in view.parts[:parts])

    def text(self, view):
        return f"<|begin|>{view.system}<|image|>"


def test_tokens_of_every_part_and_the_templates_text_are_said(tmp_path):
    write_preview([PreviewItem(thing("cup"), view("cup"), ["frame 3"])], tmp_path / "p.html", "t", Letters())
    page = Page((tmp_path / "p.html").read_text(encoding="utf-8"))
    for said in (
        "Shared by all requests, 20 tokens",
        "frame 3 · 64 x 32 · 10 tokens",
        "text · 9 tokens",
        "41 tokens in all; as the chat template writes it",
        "<|begin|>system cup<|image|>",
        "Tokens are counted by the model's own processor.",
    ):
        assert said in page.said


def test_frames_of_a_video_stand_side_by_side_with_their_numbers(tmp_path):
    world = tmp_path / "world"
    write_world(world, images=1, videos=1, seed=3)
    preview_page(echo_settings(world / "lv-vis", "source.limit=1", dataset="lv-vis"), tmp_path / "p.html")
    text = (tmp_path / "p.html").read_text(encoding="utf-8")
    (row,) = re.findall(r"<div class=frames>(.*?)</div>", text)
    numbers = re.findall(r"<figcaption>frame (\d+)(?:, marked)? · ", row)
    assert len(numbers) == row.count("<img") > 1
    assert ", marked" in row


def test_answers_stand_below_their_requests_with_what_the_checks_say(lvis_root, tmp_path):
    answers = tmp_path / "a.html", tmp_path / "b.html"
    preview_page(echo_settings(lvis_root, "source.limit=2"), answers[0], ask_gpus=0)
    preview_page(echo_settings(lvis_root, "source.limit=2", "engine.options.garbage_rate=1"), answers[1], ask_gpus=0)
    kept, dropped = (Page(file.read_text(encoding="utf-8")).said for file in answers)
    assert kept.count("kept; finish reason stop") == 2
    assert "dropped (" in dropped


def settings(root, limit: int) -> Settings:
    source = {"type": "lvis", "root": root, "split": "train", "limit": limit}
    card = {"template": "lvis", "title": "t", "license_source": "l"}
    body = {"name": "tiny", "dataset": "tiny", "kind": "image", "source": source, "model": {"id": "m"}, "card": card}
    return Settings.model_validate(body)


def test_a_pipelines_first_objects_are_shown_with_what_is_wrong_with_them(lvis_root, tmp_path):
    (lvis_root / "train2017" / f"{1:012d}.jpg").unlink()
    assert preview_page(settings(lvis_root, 5), tmp_path / "new" / "p.html") == 5
    page = Page((tmp_path / "new" / "p.html").read_text(encoding="utf-8"))
    assert page.tags.count("article") == 5
    assert page.tags.count("img") == 2 * 2
    assert page.said.count("picture_missing") == 3


def test_a_place_that_cannot_be_written_is_one_line(lvis_root, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="--out"):
        preview_page(settings(lvis_root, 1), tmp_path / "file" / "p.html")


def test_objects_are_chosen_by_key_category_and_seed(lvis_root, tmp_path):
    def keys(sample, limit=4):
        preview_page(settings(lvis_root, limit), tmp_path / "p.html", sample)
        return re.findall(r"<h2>(\S+/\S+)", (tmp_path / "p.html").read_text(encoding="utf-8"))

    everything = keys(None, 99)
    assert keys(PreviewSample(keys=frozenset(everything[7:8]))) == everything[7:8]
    cups = keys(PreviewSample(categories=frozenset({"cup"})), 99)
    assert 0 < len(cups) < len(everything)
    drawn = keys(PreviewSample(seed=1))
    assert drawn == keys(PreviewSample(seed=1)) != everything[:4]
    assert len(drawn) == 4
    assert drawn == [key for key in everything if key in drawn]
    with pytest.raises(UserError, match="no object has such a key"):
        keys(PreviewSample(keys=frozenset({"lvis/train/1/none"})))
