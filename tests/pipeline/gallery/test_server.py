"""The gallery as people use it: a real server on loopback, looked at with a real browser."""

from __future__ import annotations

import json
import re
import time
from urllib.parse import quote, urlencode, urlsplit

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from capgen.pipeline.releasing.reviews import read_reviews
from tests.browser import start
from tests.pipeline.gallery.serving import judge, judged, page, pictures, served
from tests.pipeline.runs import echo_settings, session
from tests.tiny_runs import dropped, plan_run, planned_image, said, three_shards


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = start(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return three_shards(folder / "out", str(pictures(folder / "pictures"))).commit(change=judged)


@pytest.fixture(scope="module")
def address(run):
    with served(run.out) as found:
        yield found


def visible(browser):
    return browser.evaluate(
        "[...document.querySelectorAll('main li q')].filter(i => i.offsetHeight).map(i => i.innerText)"
    )


def test_every_object_is_listed_and_its_outline_lies_over_the_picture(address, browser):
    browser.open(address)
    assert browser.evaluate("document.querySelector('main output').value") == "8 objects"
    assert 'A <b>red</b> cup & "saucer".' in visible(browser)
    browser.wait_for("document.querySelectorAll('main svg path.line').length >= 2")
    overlay, picture = (
        browser.evaluate(f"JSON.stringify(document.querySelector('figure {tag}').getBoundingClientRect())")
        for tag in ("svg", "img")
    )
    assert overlay == picture
    assert "token" not in browser.evaluate("location.href"), "an address that is passed on does not let others in"


def test_nothing_is_drawn_inside_a_mask_until_it_is_asked_for(address, browser):
    browser.open(address)
    browser.wait_for("document.querySelectorAll('main svg path.line').length >= 2")
    style = "getComputedStyle(document.querySelector('main svg path.line')).fill"
    assert browser.evaluate(style) == "none"
    browser.evaluate("document.activeElement.blur()")
    browser.requests.clear()
    browser.press("f")
    assert browser.evaluate(style) != "none"
    browser.press("f")
    assert browser.evaluate(style) == "none"
    assert not [url for url in browser.requests if "/outlines" not in url], "nothing is fetched to fill a mask"


def test_the_mask_and_the_caption_light_up_together(address, browser):
    browser.open(address)
    browser.wait_for("document.querySelectorAll('main svg path.line').length >= 2")
    hot = "[...document.querySelectorAll('.hot')].map(e => e.tagName + e.dataset.n)"
    browser.point_at("main li[data-n='2']")
    assert sorted(browser.evaluate(hot)) == ["LI2", "g2"]
    browser.evaluate("document.querySelector('main li').focus()")
    browser.press("j")
    assert browser.evaluate("document.activeElement.dataset.n") == "2"


@pytest.mark.parametrize(
    ("query", "objects"),
    [
        ("status=dropped", 1),
        ("status=dropped&status=failed", 2),
        ("category=cup", 4),
        ("reason=length", 1),
        ("q=SAUCER+cup", 1),
        ("q=nothing+such", 0),
        ("split=val", 2),
        ("min_words=5&max_words=5&status=kept", 1),
        ("sort=random&seed=5", 8),
    ],
)
def test_every_filter_has_an_address(address, query, objects):
    status, _, body = page(address, f"/?{query}")
    assert status == 200
    assert f"<output>{objects} object" in body.decode()
    assert body.decode().count("<li ") == objects


def test_choosing_in_the_form_filters_and_goes_into_the_address(address, browser):
    browser.open(address)
    browser.evaluate("document.querySelector('input[value=dropped]').click()")
    browser.wait_for("document.querySelector('main output').value == '1 object'")
    assert browser.evaluate("location.search") == "?status=dropped"
    browser("Page.reload")
    browser.wait_for("document.readyState == 'complete' && document.querySelector('main output')?.value == '1 object'")
    assert browser.evaluate("document.querySelector('input[value=dropped]').checked")


def test_pages_follow_each_other(address, browser):
    browser.open(address.replace("/?", "/?size=3&"))
    assert len(browser.evaluate("[...document.querySelectorAll('main li')].map(i => i.innerText)")) == 3
    first = visible(browser)
    browser.evaluate("document.querySelector('a[rel=next]').click()")
    browser.wait_for("location.search.includes('page=2') && document.readyState == 'complete'")
    assert not set(first) & set(visible(browser))
    assert page(address, "/?size=3&page=99")[0] == 303


def test_a_random_sample_is_the_same_for_the_same_seed(address):
    def order(seed):
        return re.findall(r"key=([^\"]+)", page(address, f"/?sort=random&seed={seed}")[2].decode())

    assert order(1) == order(1) != order(2)
    assert sorted(order(1)) == sorted(order(2))


def test_an_object_has_a_page_with_its_facts_and_its_request(address, browser):
    browser.open(address)
    parts = urlsplit(address)
    browser.open(f"http://{parts.netloc}/object?key=tiny%2Ftrain%2F1%2F11")
    text = browser.evaluate("document.querySelector('section.details').innerText")
    assert "meta_talk, length" in text
    assert "prompt_sha256" in text
    browser.evaluate("document.querySelector('section.details summary').click()")
    browser.wait_for("!document.querySelector('section.details details').innerText.includes('loading')")
    assert "the request cannot be shown" in browser.evaluate(
        "document.querySelector('section.details details').innerText"
    )
    assert page(address, "/object?key=tiny%2Ftrain%2F1%2F99")[0] == 404


def test_what_people_say_is_written_down_and_shown(tmp_path, browser):
    run = three_shards(tmp_path / "out", str(pictures(tmp_path / "pictures"))).commit(change=judged)
    with served(run.out) as address:
        browser.open(address)
        browser.evaluate("document.querySelectorAll('main li')[0].querySelector('button[value=good]').click()")
        browser.wait_for("document.querySelector('main li .verdict.good')")
        browser.evaluate("document.querySelectorAll('main li')[1].focus()")
        browser.press("e")
        browser.wait_for("document.activeElement.tagName == 'TEXTAREA'")
        browser.evaluate("document.activeElement.value = ' A  tea pot <i>. '")
        browser.evaluate("document.activeElement.closest('details').querySelector('button').click()")
        browser.wait_for("document.querySelector('main li .verdict.edit')")
        assert browser.evaluate("document.querySelector('main li q.edited').innerText") == "A tea pot <i>."
        browser.evaluate("document.querySelectorAll('main li')[2].focus()")
        browser.press("b")
        browser.wait_for("document.activeElement.name == 'why'")
        browser.evaluate(
            "document.activeElement.value = 'no cup';"
            " document.activeElement.form.querySelector('button[value=bad]').click()"
        )
        browser.wait_for("document.querySelector('main li .verdict.bad')")
        found = read_reviews(run.out)
        assert {key: (one.verdict, one.why, one.caption, one.by) for key, one in found.items()} == {
            "tiny/train/1/10": ("good", None, None, "a tester"),
            "tiny/train/1/11": ("edit", None, "A tea pot <i>.", "a tester"),
            "tiny/train/2/20": ("bad", "no cup", None, "a tester"),
        }
        assert page(address, "/?review=any")[2].decode().count("<li ") == 3
        browser.evaluate("document.querySelector('main li button[value=none]').click()")
        browser.wait_for("!document.querySelector('main li .verdict.good')")
        assert "tiny/train/1/10" not in read_reviews(run.out)
        assert len((run.out / "reviews.jsonl").read_text().splitlines()) == 4, "nothing that was said is lost"
    with served(run.out) as address:
        assert page(address, "/?review=any")[2].decode().count("<li ") == 2, "it is there after a restart"


def test_the_judge_is_shown_and_chosen_in_the_form(tmp_path, browser):
    run = three_shards(tmp_path / "out", str(pictures(tmp_path / "pictures"))).commit(change=judged)
    judge(run.out, {"10": -0.1, "21": -2.0, "40": -0.3})
    run.commit(1, change=lambda row: said(row, "Another cup."))
    with served(run.out) as address:
        browser.open(address)
        told = browser.evaluate("[...document.querySelectorAll('main .judged')].map(i => i.innerText)")
        assert told == [
            "judge (fit): right, -0.10",
            "judge (fit): wrong, -2.00",
            "judge (fit): stale, of an earlier caption",
        ]
        browser.evaluate(
            "(s => { s.value = 'wrong'; s.dispatchEvent(new Event('change', {bubbles: true})); })"
            "(document.querySelector('select[name=judge]'))"
        )
        browser.wait_for("document.querySelector('main output').value == '1 object'")
        assert browser.evaluate("location.search") == "?judge=wrong"
        body = page(address, "/object?key=tiny%2Ftrain%2F4%2F40")[2].decode()
        assert "stale: it is of an earlier caption" in body
        order = re.findall(r'data-judge="(\w+)"', page(address, "/?sort=worst")[2].decode())
        assert order == ["wrong", "right", "stale"]


def test_shards_appear_while_the_run_goes_on(tmp_path, browser):
    run = three_shards(tmp_path / "out", str(pictures(tmp_path / "pictures")))
    with served(run.out) as address:
        browser.open(address)
        assert "Nothing is finished yet" in page(address)[2].decode()
        assert page(address, "/note?shards=0")[0] == 204
        run.commit(1, change=judged)
        for _ in range(100):
            body = page(address)[2].decode()
            if "<li " in body:
                break
            time.sleep(0.1)
        assert "1 of 3 shards" in body
        browser.wait_for("document.querySelectorAll('main li').length == 2")
        run.commit(0, change=judged)
        browser.wait_for("document.querySelector('#note a')")
        assert "2 of 3 shards" in browser.evaluate("document.querySelector('#note').innerText")
        assert browser.evaluate("document.querySelectorAll('main li').length") == 2, "nothing moves while people look"


def test_two_runs_are_shown_beside_each_other(tmp_path):
    root = str(pictures(tmp_path / "pictures"))
    one = three_shards(tmp_path / "one", root).commit(change=judged)
    two = three_shards(tmp_path / "two", root).commit(
        change=lambda row: said(row, "Another cup.") if row.object_id == "10" else judged(row)
    )
    with served(one.out, beside=two.out) as address:
        body = page(address, "/?differs=true")[2].decode()
        assert body.count("<li ") == 1
        assert "Another cup." in body


def test_a_video_plays_with_its_tracks(shared, tmp_path, browser):
    session(echo_settings(shared / "data" / "lv-vis_mini", dataset="lv-vis"), tmp_path / "out")
    with served(tmp_path / "out") as address:
        body = page(address)[2].decode()
        link = re.search(r'href="(/medium[^"]+)"', body)[1].replace("&amp;", "&")
        browser.open(address)
        browser.open(f"http://{urlsplit(address).netloc}{link}")
        browser.wait_for("document.querySelector('#where').value.startsWith('frame ')")
        first = browser.evaluate("document.querySelector('#where').value")
        browser.evaluate("document.querySelector('#fps').value = 30; document.querySelector('#play').click()")
        browser.wait_for(f"document.querySelector('#where').value != {json.dumps(first)}")
        browser.wait_for("document.querySelectorAll('.player svg path.line').length > 0")
        browser.evaluate("document.querySelector('#play').click()")
        assert browser.evaluate("document.querySelector('#play').textContent") == "play"


def test_strangers_are_turned_away(address):
    host = urlsplit(address).netloc
    assert page(address, cookie=False)[0] == 403, "no token"
    assert page(address, "/?token=wrong", cookie=False)[0] == 403
    assert page(address, headers={"Host": "evil.example"})[0] == 403, "a name that somebody pointed at this machine"
    form = urlencode({"key": "tiny/train/1/10", "verdict": "good"})
    for origin in ({}, {"Origin": "http://evil.example"}, {"Origin": "null"}):
        assert page(address, "/review", method="POST", body=form, headers=origin)[0] == 403
    assert page(address, "/review", method="POST", body="x" * 100_000, headers={"Origin": f"http://{host}"})[0] == 413
    status, headers, _ = page(address)
    assert status == 200
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize(
    "path",
    [
        "/static/../server.py",
        "/static/%2e%2e/server.py",
        "/picture?shard=0&name=../../etc&frame=0",
        "/picture?shard=0&name=tiny/train/1&frame=99",
        "/picture?shard=-1&name=x&frame=0",
        "/tracks?shard=7&name=x",
        "/medium?shard=0",
        "/plan.json",
    ],
)
def test_nothing_but_the_run_is_served(address, path):
    assert page(address, path)[0] == 404


def test_an_address_of_two_slashes_leads_to_no_other_server(address):
    token = urlsplit(address).query
    status, headers, _ = page(address, f"//evil.example/?{token}&q=a", cookie=False)
    assert (status, headers["location"]) == (303, "/evil.example/?q=a")
    name = quote("tiny/train/1")
    for odd in ("²", "٣", "9" * 5000, "-1"):
        assert page(address, f"/outlines?shard=0&name={name}&frame=0&n={quote(odd)}")[0] == 200
        assert page(address, f"/picture?shard=0&name={name}&frame={quote(odd)}")[0] == 404


@pytest.mark.parametrize("query", ["page=x", "nonsense=1", "status=odd", "q=" + "x" * 600, "seed=-1", "size=100000"])
def test_a_wrong_filter_is_said(address, query):
    status, _, body = page(address, f"/?{query}")
    assert status == 400
    assert "Traceback" not in body.decode()


def test_no_text_from_data_runs_or_loads_anything(tmp_path, browser):
    evil = "</script><script>document.title='hacked'</script><img src=x onerror=document.title='hacked'>"
    evil += "\"'{{7*7}}\x1b\u202e"
    planned = planned_image("1")
    planned = msgspec.structs.replace(
        planned,
        objects=tuple(msgspec.structs.replace(one, category=f"http://example.com/{evil}") for one in planned.objects),
    )
    run = plan_run(tmp_path / "out", [[planned]], str(pictures(tmp_path / "pictures")))
    run.commit(change=lambda row: dropped(said(row, evil), f"code{evil}".replace(" ", "")))
    scores = {"key": ["tiny/train/1/10"], "score": [0.5], "caption": [evil], "method": [evil], "verdict": [evil]}
    pq.write_table(pa.table(scores), run.out / "judge.parquet")
    with served(run.out) as address:
        browser.open(address)
        host = urlsplit(address).netloc
        key = browser.evaluate("document.querySelector('main li input[name=key]').value")
        for path in ("/", "/object?" + urlencode({"key": key}), "/?" + urlencode({"q": evil})):
            browser.open(f"http://{host}{path}")
            assert browser.evaluate("document.title") != "hacked"
            assert browser.evaluate("document.querySelectorAll('script').length") == 2
            assert all(urlsplit(url).netloc in ("", host) for url in browser.requests)
            text = browser.evaluate("document.body.innerText")
            assert "\x1b" not in text
            assert "49" not in text


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_pages_fit_narrow_windows_in_light_and_dark(address, browser, scheme, width):
    browser("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    browser("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=False)
    browser.open(address)
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    ground = browser.evaluate("getComputedStyle(document.querySelector('#filters')).backgroundColor")
    dark = sum(int(part) for part in re.findall(r"\d+", ground)[:3]) < 384
    assert dark == (scheme == "dark")
    browser("Emulation.setEmulatedMedia", features=[])
    browser("Emulation.clearDeviceMetricsOverride")


def test_what_a_screen_reader_needs_is_there(address, browser):
    browser.open(address)
    unlabelled = (
        "[...document.querySelectorAll('input:not([type=hidden]), select, textarea')]"
        ".filter(e => !e.labels?.length && !e.ariaLabel).length"
    )
    assert browser.evaluate(unlabelled) == 0
    assert browser.evaluate("document.documentElement.lang") == "en"
    assert browser.evaluate("[...document.images].every(i => i.alt)")
    assert browser.evaluate("document.querySelector('#results').getAttribute('aria-live')") == "polite"
