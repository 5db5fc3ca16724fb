"""A run as static files: the page as a browser shows it."""

from __future__ import annotations

import json
import re

import cv2
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from capgen.dataset.files import open_parquet, sha256_of
from capgen.dataset.layout import RunLayout
from capgen.errors import LedgerError, UserError
from capgen.pipeline.gallery.export import export_run
from capgen.pipeline.gallery.selection import Selection
from tests.browser import start
from tests.pipeline.gallery.serving import judge, judged
from tests.tiny_runs import dropped, plan_run, planned_image, said, three_shards


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = start(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


def export(out, folder, *, limit, root=None, query=""):
    return export_run(out, folder, limit=limit, selection=Selection.of_query(query), root=root)


def pictures(root, names):
    """White pictures of 64x48."""
    root.mkdir(exist_ok=True)
    for name in names:
        cv2.imwrite(str(root / name), np.full((48, 64, 3), 255, np.uint8))
    return root


@pytest.fixture
def run(tmp_path):
    root = pictures(tmp_path / "pictures", [f"{i}.jpg" for i in range(1, 6)])
    return three_shards(tmp_path / "out", str(root)).commit(change=judged)


def visible(browser):
    """The captions that are shown."""
    return browser.evaluate("[...document.querySelectorAll('li')].filter(i => i.offsetHeight).map(i => i.innerText)")


def test_every_object_is_listed_with_its_caption_status_and_reasons(run, tmp_path, browser):
    file = tmp_path / "page" / "index.html"
    assert export(run.out, file.parent, limit=100) == 4, "the image without objects is left out"
    browser.open(file)
    captions = visible(browser)
    assert len(captions) == 8
    assert captions[0] == '1\ncup · 10\n\nA <b>red</b> cup & "saucer".'
    assert captions[1] == "2\ntea_pot · 11 · dropped\n\nThe image shows a pot.\n\nmeta_talk length because of meta_talk"
    assert captions[2] == "1\ncup · 20 · failed\n\nno caption\n\nengine_stalled no answer"
    assert browser.evaluate("document.querySelector('output').value") == "8 of 8 objects, in 4 of 4"


def test_masks_lie_where_the_objects_are(run, tmp_path, browser):
    file = tmp_path / "page" / "index.html"
    export(run.out, file.parent, limit=100)
    browser.open(file)
    box = browser.evaluate(
        "(() => { const b = document.querySelectorAll('svg g path.line')[1].getBBox();"
        " return [b.x, b.y, b.width, b.height]; })()"
    )
    assert box == [9, 4, 5, 8], "the rectangle at 9, 4 of 6 x 9 pixels, from centre to centre of its edge's pixels"
    browser.wait_for("document.querySelector('img').naturalWidth > 0")  # pictures load when they come into view
    overlay, picture = (
        browser.evaluate(
            f"(() => {{ const b = document.querySelector('{tag}').getBoundingClientRect();"
            " return [b.x, b.y, b.width, b.height]; })()"
        )
        for tag in ("svg", "img")
    )
    assert overlay == picture
    assert picture[2] / picture[3] == pytest.approx(64 / 48, rel=0.01)


def test_the_mask_and_the_caption_light_up_together(run, tmp_path, browser):
    file = tmp_path / "page" / "index.html"
    export(run.out, file.parent, limit=100)
    browser.open(file)
    hot = "[...document.querySelectorAll('.hot')].map(e => e.tagName + e.dataset.n)"
    assert browser.evaluate(hot) == []
    browser.point_at("article li[data-n='2']")
    assert sorted(browser.evaluate(hot)) == ["LI2", "g2"]
    assert float(browser.evaluate("getComputedStyle(document.querySelector('g[data-n=\"1\"]')).opacity")) < 0.5
    browser.point_at("article g[data-n='1'] path")
    assert sorted(browser.evaluate(hot)) == ["LI1", "g1"]
    browser.point_at("h1")
    assert browser.evaluate(hot) == []


@pytest.mark.parametrize(
    ("fragment", "objects", "media"),
    [
        ("#status=dropped", 1, 1),
        ("#status=dropped&status=failed", 2, 2),
        ("#category=cup", 4, 4),
        ("#reason=length", 1, 1),
        ("#q=SAUCER+cup", 1, 1),
        ("#q=numbered+51", 1, 1),
        ("#q=nothing+such", 0, 0),
        ("", 8, 4),
    ],
)
def test_objects_are_filtered_by_what_the_address_says(run, tmp_path, browser, fragment, objects, media):
    file = tmp_path / "page" / "index.html"
    export(run.out, file.parent, limit=100)
    browser.open(file, fragment)
    assert len(visible(browser)) == objects
    assert browser.evaluate("document.querySelector('output').value") == f"{objects} of 8 objects, in {media} of 4"
    shown = "[...document.querySelectorAll('g')].filter(g => g.getBoundingClientRect().width).length"
    assert browser.evaluate(shown) == objects, "a mask goes with its caption"


def test_an_object_has_an_address_of_its_own(run, tmp_path, browser):
    file = tmp_path / "page" / "index.html"
    export(run.out, file.parent, limit=100)
    browser.open(file)
    browser.evaluate("document.querySelectorAll('li small a')[3].click()")
    address = browser.evaluate("location.hash")
    browser.open(file, address)
    assert browser.evaluate("document.activeElement.dataset.key") == "tiny/train/2/21"
    assert len(visible(browser)) == 8


def test_choosing_in_the_form_filters_and_is_remembered_in_the_address(run, tmp_path, browser):
    file = tmp_path / "page" / "index.html"
    export(run.out, file.parent, limit=100)
    browser.open(file)
    browser.evaluate("document.querySelector('input[value=kept]').click()")
    assert len(visible(browser)) == 2
    assert "status=dropped&status=failed" in browser.evaluate("location.hash")
    browser.evaluate("document.querySelector('input[name=masks]').click()")
    assert browser.evaluate("getComputedStyle(document.querySelector('g.dropped')).display") == "none"


def test_scores_of_the_judge_filter_and_order_the_exported_page(run, tmp_path, browser):
    judge(run.out, {"10": -0.1, "21": -2.0, "41": -3.0, "50": -0.3})
    run.commit(2, change=lambda row: said(row, "Another cup."))
    file = tmp_path / "page" / "index.html"
    export(run.out, file.parent, limit=100)
    browser.open(file)
    assert [text for text in visible(browser) if "judge (fit): stale" in text]
    names = "[...document.querySelectorAll('article')].filter(a => !a.hidden).map(a => a.querySelector('h2').innerText)"
    for fragment, wanted in (
        ("#judge=wrong", ["tiny/train/2", "tiny/train/4"]),
        ("#judge=stale", ["tiny/val/5"]),
        ("#min_score=-2.5", ["tiny/train/1", "tiny/train/2"]),
        ("#sort=worst", ["tiny/train/4", "tiny/train/2", "tiny/train/1", "tiny/val/5"]),
        ("#sort=best&judge=wrong", ["tiny/train/2", "tiny/train/4"]),
        ("", ["tiny/train/1", "tiny/train/2", "tiny/train/4", "tiny/val/5"]),
    ):
        browser.open(file, fragment)
        assert browser.evaluate(names) == wanted, fragment


def test_no_text_from_data_runs_or_loads_anything(tmp_path, browser):
    evil = "</script><script>document.title='hacked'</script><img src=x onerror=document.title='hacked'>\"'\x00\u202e"
    planned = planned_image("1")
    planned = msgspec.structs.replace(
        planned,
        objects=tuple(msgspec.structs.replace(one, category=f"http://example.com/{evil}") for one in planned.objects),
    )
    run = plan_run(tmp_path / "out", [[planned]], str(pictures(tmp_path / "pictures", ["1.jpg"])))
    run.commit(change=lambda row: dropped(said(row, evil), f"code{evil}".replace(" ", "")))
    file = tmp_path / "page" / "index.html"
    export(run.out, file.parent, limit=100)
    browser.open(file)
    assert browser.evaluate("document.title") == "out: captions"
    assert browser.evaluate("document.querySelectorAll('script').length") == 1
    assert "onerror=document" in visible(browser)[0]
    assert {url.partition(":")[0] for url in browser.requests} <= {"file", "data"}
    assert "\x00" not in file.read_text("utf-8")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_in_light_and_in_dark(run, tmp_path, browser, scheme):
    file = tmp_path / "page" / "index.html"
    export(run.out, file.parent, limit=100)
    browser("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    browser.open(file)

    def luminance(expression):
        numbers = re.findall(r"[\d.]+", browser.evaluate(expression))[:3]
        linear = [
            (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4) for c in (float(n) / 255 for n in numbers)
        ]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    ground = luminance("getComputedStyle(document.querySelector('form')).backgroundColor")
    assert (ground > 0.5) == (scheme == "light")
    for selector in ("li q", ".dropped .why", ".failed .why", "output"):
        ink = luminance(f"getComputedStyle(document.querySelector('{selector}')).color")
        contrast = (max(ink, ground) + 0.05) / (min(ink, ground) + 0.05)
        assert contrast > 3.5, f"{selector}: WCAG asks for 3 to 4.5"
    browser("Emulation.setEmulatedMedia", features=[])


def test_a_picture_that_is_not_there_says_so_and_the_captions_stay(run, tmp_path):
    (tmp_path / "pictures" / "1.jpg").unlink()
    (tmp_path / "pictures" / "2.jpg").write_bytes(b"no picture")
    file = tmp_path / "page" / "index.html"
    export(run.out, file.parent, limit=100)
    page = file.read_text("utf-8")
    assert "picture_missing: no file 1.jpg" in page
    assert "picture_unreadable: 2.jpg" in page
    assert page.count("<li ") == 8


def test_pictures_may_have_moved(run, tmp_path):
    (tmp_path / "pictures").rename(tmp_path / "elsewhere")
    file = tmp_path / "page" / "index.html"
    export(run.out, file.parent, limit=100)
    assert file.read_text("utf-8").count("<img") == 0
    export(run.out, file.parent, limit=100, root=tmp_path / "elsewhere")
    assert file.read_text("utf-8").count("<img") == 4


def test_a_caption_that_dedup_leaves_out_is_shown_as_dropped(tmp_path):
    root = pictures(tmp_path / "pictures", ["1.jpg"])
    run = plan_run(tmp_path / "out", [[planned_image("1", objects=3)]], str(root))
    run.commit(change=lambda row: said(row, "A white cup."))
    file = tmp_path / "page" / "index.html"
    export(run.out, file.parent, limit=1)
    assert "the same caption as" not in file.read_text("utf-8"), "nothing is released yet"
    run.pack()
    export(run.out, file.parent, limit=1)
    assert "<code>duplicate</code> the same caption as tiny/train/1/10" in file.read_text("utf-8")


def test_the_limit_is_spread_over_the_run(run, tmp_path):
    file = tmp_path / "page" / "index.html"
    assert export(run.out, file.parent, limit=2) == 2
    assert re.findall("<h2>(.*?)</h2>", file.read_text("utf-8")) == ["tiny/train/1", "tiny/train/4"]


def test_only_finished_shards_are_shown(tmp_path):
    run = three_shards(tmp_path / "out").commit(1)
    file = tmp_path / "page" / "index.html"
    assert export(run.out, file.parent, limit=9) == 1
    assert "1 of 3 shards" in file.read_text("utf-8")


def test_only_the_selection_is_exported(run, tmp_path, browser):
    assert export(run.out, tmp_path / "page", limit=100, query="status=dropped&status=failed") == 2
    browser.open(tmp_path / "page" / "index.html")
    assert browser.evaluate("document.querySelector('output').value") == "2 of 2 objects, in 2 of 2"
    assert len(list((tmp_path / "page" / "pictures").iterdir())) == 2
    with pytest.raises(UserError, match="no finished object fits"):
        export(run.out, tmp_path / "other", limit=100, query="q=nothing such")


def test_the_same_run_gives_the_same_page(run, tmp_path):
    for name in ("a", "b"):
        export(run.out, tmp_path / name, limit=100)
    assert (tmp_path / "a" / "index.html").read_bytes() == (tmp_path / "b" / "index.html").read_bytes()


def test_rows_of_a_medium_that_is_not_planned_are_one_line(tmp_path):
    """Whoever hands an OUT over may have changed its rows."""
    pictures(tmp_path / "pictures", ["1.jpg"])
    run = three_shards(tmp_path / "out", root=str(tmp_path / "pictures")).commit()
    file = RunLayout(run.out).candidates(0)
    table = pq.read_table(file)
    table = table.set_column(table.schema.get_field_index("media_id"), "media_id", pa.array(["9"] * table.num_rows))
    with open_parquet(file, table.schema) as writer:
        writer.write_table(table)
    manifest = RunLayout(run.out).manifest(0)
    told = json.loads(manifest.read_text()) | {"sha256": sha256_of(file), "bytes": file.stat().st_size}
    manifest.write_text(json.dumps(told))
    with pytest.raises(LedgerError, match="has rows of 'tiny/train/9', which is not planned"):
        export(run.out, tmp_path / "page", limit=9)


def test_mistakes_are_named_in_one_line(tmp_path, run):
    with pytest.raises(UserError, match=r"missing .*plan\.json"):
        export(tmp_path / "nothing", tmp_path / "a", limit=9)
    with pytest.raises(UserError, match="--limit 0"):
        export(run.out, tmp_path / "a", limit=0)
    with pytest.raises(UserError, match="no shard of"):
        export(three_shards(tmp_path / "fresh").out, tmp_path / "a", limit=9)
    (tmp_path / "file").write_text("here")
    with pytest.raises(UserError, match="cannot write"):
        export(run.out, tmp_path / "file", limit=9)
    (run.out / "plan" / "00000.jsonl").write_bytes(msgspec.json.encode(planned_image("7")) + b"\n")
    with pytest.raises(LedgerError):
        export(run.out, tmp_path / "a", limit=9)
    assert not list(tmp_path.glob("a/index.html*")), "no half page is left behind"


@pytest.mark.parametrize(("name", "dataset", "objects"), [("lvis_mini", "lvis", 93), ("lv-vis_mini", "lv-vis", 6)])
def test_a_run_on_real_pictures_is_shown(shared, tmp_path, browser, name, dataset, objects):
    from tests.pipeline.runs import echo_settings, session

    settings = echo_settings(shared / "data" / name, "engine.options.garbage_rate=0.3", dataset=dataset)
    session(settings, tmp_path / "out")
    file = tmp_path / "page" / "index.html"
    export(tmp_path / "out", file.parent, limit=100)
    browser.open(file)
    assert len(visible(browser)) == objects
    assert browser.evaluate("[...document.images].every(i => i.complete ? i.naturalWidth > 100 : i.loading == 'lazy')")
    assert browser.evaluate("document.querySelectorAll('.missing').length") == 0
    marked = browser.evaluate(
        "[...document.querySelectorAll('li')].filter("
        "i => i.closest('article').querySelector(`g[data-n='${i.dataset.n}']`)).length"
    )
    assert marked > 0.6 * objects, "in a clip an object may be off the frames that are shown"
