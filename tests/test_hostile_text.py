"""Hostile text in every field, on every page, card, table, plot, log and terminal line: it stays text."""

import csv
import io
import json
import logging
import re
import tempfile
import unicodedata
from contextlib import redirect_stderr, redirect_stdout
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from capgen.ablation.measures import VariantMeasures
from capgen.ablation.results import AblationResult, as_table, write_result
from capgen.cli.main import app
from capgen.cli.providers import Providers
from capgen.dataset.layout import RunLayout
from capgen.dataset.reader import read_rows
from capgen.dataset.types import Fault
from capgen.display import PlainFormatter, json_text, terminal
from capgen.errors import LedgerError, MissingFile, UserError
from capgen.evaluation.evaluate import Options, evaluate
from capgen.evaluation.reporting.page import write_page
from capgen.exporting import FORMATS
from capgen.pipeline.gallery.exact_request import ExactRequests, RecordedRequests
from capgen.pipeline.gallery.export import export_run
from capgen.pipeline.gallery.media_store import MediaStore
from capgen.pipeline.gallery.row_index import RowIndex
from capgen.pipeline.gallery.selection import Selection
from capgen.pipeline.gallery.server import Gallery, gallery_app
from capgen.pipeline.pages.answers import PreviewAnswer
from capgen.pipeline.pages.request_page import PreviewItem, write_preview
from capgen.pipeline.reviewing.exchange import send
from capgen.pipeline.running.nodes import doctor
from capgen.pipeline.running.progress import ProgressDisplay
from capgen.pipeline.view import Settled
from capgen.report.write import write_report
from tests.evaluation.evalcases import box, write
from tests.exporting.releases import exported, write_picture
from tests.pipeline.pages.test_preview import thing, view
from tests.test_display import NASTY
from tests.tiny_runs import dropped, failed, plan_run, planned_image, three_shards

CANARIES = ("<script", "<form", "<meta http-equiv=refresh", "<img", "<iframe")
MORE = [
    "</style><script>alert(1)</script>",
    "' onload='alert(1)",
    "\x9b31m\x07\x08",
    "---\nlicense: other\ndata_files: ['https://evil.example/x.parquet']\n---",
    "- - -\n|||\n```html\n<img src=x>\n```",
    "{{ 7777777 * 7 }}{% for i in x %}",
    "%s %n {0.__class__} ${HOME} `id`",
    "\u202egnp.\u2066evil",
    "<https://evil.example> [x][y]\n\n[y]: https://evil.example",
]
TEXT = st.lists(st.sampled_from(NASTY + MORE) | st.text(max_size=30), min_size=1, max_size=3).map("".join)
FEW = settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck))


class Page(HTMLParser):
    """The tags, addresses and text of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.links, self.text = set(), set(), ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.links |= {value for name, value in attrs if name in ("href", "src", "action", "xlink:href")}
        assert not [name for name, _ in attrs if name.startswith("on")], attrs

    def handle_data(self, data):
        self.text += data


def check_plain(text):
    """No control and no mark that reorders."""
    strange = [c for c in text if unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t"]
    assert not strange, strange
    assert not re.search("[\u202a-\u202e\u2066-\u2069]", text)


def check_page(text, own=frozenset()):
    """Nothing but what the page has itself, of which ``own`` are tags that others have not."""
    page = Page(text)
    strange = page.tags & {"script", "form", "iframe", "img src=x", "object", "embed", "base", "input", "link"}
    assert strange <= own
    assert all(not link or link.startswith(("#", "data:image/")) for link in page.links), page.links
    assert text.count("<meta http-equiv") == 1, "the policy alone"
    assert "54444439" not in text
    check_plain(text)


def check_markdown(text):
    assert not [canary for canary in CANARIES if canary in text.lower()]
    assert not re.search(r"(?<!\\)!?\]\(\s*(?:javascript|https?://evil)", text)
    assert "54444439" not in text
    check_plain(text)


def hostile(text):
    """Rows whose every text is hostile: kept, dropped and failed ones."""

    def change(row):
        row = msgspec.structs.replace(
            row, category=text, model=text, caption=text, message=text, engine=text, prompt=text, highlight=text
        )
        if row.object_id == "10":
            return msgspec.structs.replace(dropped(row, "length"), message=text)
        return msgspec.structs.replace(failed(row, "engine_failed"), message=text) if row.object_id == "41" else row

    return change


def said(*arguments):
    """What a command prints, or its one line."""
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(out):
        try:
            app([str(one) for one in arguments], standalone_mode=False, obj=Providers())
        except (UserError, LedgerError, MissingFile) as error:
            out.write(str(error))
    return out.getvalue()


@FEW
@given(TEXT)
def test_card_report_and_terminal_show_text_as_text(text):
    text = text.encode("utf-8", "replace").decode()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        three_shards(out).commit(change=hostile(text)).pack()
        card = (out / "README.md").read_text()
        head = card.split("---\n", 2)[1]
        assert set(yaml.safe_load(head)) <= {
            *("annotations_creators", "configs", "language", "license", "pretty_name", "size_categories", "tags"),
            *("task_categories", "source_datasets", "dataset_info", "task_ids", "license_name", "license_link"),
        }
        assert "evil.example" not in head
        check_markdown(card.split("---\n", 2)[2])
        page, _ = write_report(out)
        check_page(page.read_text())
        check_markdown(page.with_name("report.md").read_text())
        json.loads(page.with_name("figures.json").read_bytes())
        for command in (("status",), ("verify",), ("report",), ("lint",), ("reviews",)):
            check_plain(said(*command, out))


@FEW
@given(TEXT)
def test_the_page_and_the_table_of_an_evaluation_show_text_as_text(text):
    with tempfile.TemporaryDirectory() as folder:
        truth = [box(f, 1, [4.0, 4.0, 9.0, 9.0], text.encode("utf-8", "replace").decode()) for f in range(2)]
        gt, pred = write(Path(folder), truth, truth, categories=[{"id": 1, "name": truth[0]["caption"]}])
        result = evaluate(gt, pred, Options(protocols=("clean",), metrics=("cider",)))
        write_page(result, Path(folder) / "page.html", tracks=1)
        check_page((Path(folder) / "page.html").read_text())
        check_plain(
            said("eval", "tracks", "--gt", gt, "--pred", pred, "--metrics", "none", "--bootstrap", "0", "--breakdown")
        )


@FEW
@given(TEXT)
def test_errors_and_logs_are_one_line(text):
    name = text.replace("/", "_").replace("\0", "_").encode("utf-8", "replace").decode()[:80] or "x"
    for command in (
        ("status", name),
        ("eval", "tracks", "--gt", name, "--pred", name),
        ("predict", name, "--out", name),
    ):
        assert len(said(*command).replace(name, "").strip().splitlines()) <= 1
    record = logging.LogRecord("capgen", logging.WARNING, __file__, 1, "server: %s", (text,), None)
    line = PlainFormatter("capgen: %(message)s").format(record)
    assert "\n" not in line
    check_plain(line)


@FEW
@given(TEXT)
def test_doctor_shows_names_addresses_and_the_environment_as_text_and_without_passwords(text):
    name = text.replace("/", "_").replace("\0", "_").encode("utf-8", "replace").decode()[:80] or "x"
    secret = "hunter2hunter2"
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr("capgen.pipeline.running.nodes.doctor.ENGINE_LIBRARIES", {})
        patch.setenv("RAY_ADDRESS", f"ray://user:{secret}@{name}:10001")
        patch.setenv("HTTP_PROXY", f"http://user:{secret}@{name}")
        patch.setenv("CUDA_VISIBLE_DEVICES", name)
        long = Path(folder, "x" * 300)
        bucket = f"s3://user:{secret}@{name}/out"
        for out, root in ((Path(folder, name, "out"), Path(folder, name)), (bucket, f"memory://{name}"), (long, long)):
            words = ("doctor", "--engine", "transformers", "--model", f"m{name}", "--out", out, "--root", root)
            told, as_json = (said(*words, "--gpus", name, *more) for more in ((), ("--json",)))
            assert all(line.startswith(("ok    ", "note  ", "fault ")) for line in told.splitlines()[:-1])
            for one in (told, as_json, *(one["found"] + one["remedy"] for one in json.loads(as_json)["checks"])):
                check_plain(one)
                assert secret not in one
    for one in doctor.machine_results([doctor.ClusterNode("1", text, 2)], {text: f"{text}: {text}"}):
        check_plain(one.cleaned().line())
        assert "\n" not in one.cleaned().line()


@FEW
@given(TEXT)
def test_the_table_and_the_plot_of_an_ablation_show_text_as_text(text):
    text = text.encode("utf-8", "replace").decode()
    told = {"values": {text: text}, "folder": text, "model": text, "prompt": text, "highlight": text}
    numbers = dict.fromkeys(("objects", "kept", "leaks", "invented", "labelled"), 1)
    shares = dict.fromkeys(("right", "low", "high", "logprob_min", "logprob_mean", "fit", "objects_per_s"), 0.5)
    tokens = {f"{name}_tokens": 1.0 for name in ("prompt", "cached", "computed", "output")}
    one = VariantMeasures(**told, **numbers, **shares, **tokens, reasons={text: 1}, attributes={"category": 0.5})
    result = AblationResult(file=text, source=text, objects=1, facts=text, planned=1, engines=1, variants=(one,))
    check_markdown(as_table(result))
    pytest.importorskip("matplotlib")
    with tempfile.TemporaryDirectory() as folder:
        write_result(Path(folder), result)
        assert (Path(folder) / "ablation.png").stat().st_size > 1000


@FEW
@given(TEXT)
def test_plots_and_drawn_pictures_take_any_text(text):
    pytest.importorskip("matplotlib")
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    from capgen.maskcaptioner.drawing.legend import Legend
    from capgen.maskcaptioner.training.logs import loss_figure, read_csv
    from tests.maskcaptioner.films import track

    figure = loss_figure(
        [{"step": "1", "loss": "2", "stage": text}, {"step": "2", "loss": "1", "stage": text}], [], text
    )
    drawn = io.StringIO()
    FigureCanvasSVG(figure).print_svg(drawn)
    check_plain(drawn.getvalue())
    assert "<script" not in drawn.getvalue()
    assert Legend([track(1, [0], text, category=text)], 320, 14).rows[0].shape[2] == 3
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "steps.csv"
        with file.open("w", encoding="utf-8", errors="replace", newline="") as out:
            csv.DictWriter(out, ["stage"]).writerow({"stage": text})
        assert isinstance(read_csv(file), list)


def check_gallery(text, scripts):
    """Nothing on a page of the gallery was put there by text: what it loads, sends and runs is its own."""
    page = Page(text)
    assert not page.tags & {"iframe", "object", "embed", "base"}
    own = ("/", "#", "data:image/", "data:,", "pictures/")
    assert all(not link or (link.startswith(own) and not link.startswith("//")) for link in page.links), page.links
    assert text.count("<script") == scripts
    assert "http-equiv=refresh" not in text
    assert "54444439" not in text
    check_plain(text)


@FEW
@given(TEXT)
def test_the_gallery_shows_text_as_text_on_every_page(text):
    from starlette.testclient import TestClient

    text = text.encode("utf-8", "replace").decode()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        run = plan_run(out, [[planned_image(f"1{text}")]], root=text.replace("\0", ""))
        run.commit(change=lambda row: dropped(hostile(text)(row), text))
        index = RowIndex(out)
        index.refresh()
        store = MediaStore(out, index.plan)
        requests = ExactRequests(store, RecordedRequests(index.plan.settings))
        app = gallery_app(Gallery(index, store, requests, text), token="t", hosts=["testserver"])
        client = TestClient(app, cookies={"capgen-testserver": "t"})
        ((shard, medium),) = index.media(Selection(), 1)
        key = index.of_medium(medium)[0].key
        place = {"shard": shard, "name": medium}
        for path, params, scripts in (
            ("/", {}, 2),
            ("/", {"q": text[:99]}, 2),
            ("/", {"category": text, "reason": text}, 2),
            ("/object", {"key": key}, 2),
            ("/object", {"key": text}, 2),
            ("/medium", place, 2),
            ("/request", {"key": key}, 0),
            ("/picture", place | {"frame": 0}, 0),
            ("/outlines", place | {"frame": 0}, 0),
        ):
            check_gallery(client.get(path, params=params).text, scripts)
        form = {"key": key, "verdict": "edit", "caption": text, "why": text}
        check_gallery(client.post("/review", data=form, headers={"Origin": "http://testserver"}).text, 2)
        index.close()
        export_run(out, Path(folder) / "page", limit=3)
        exported = (Path(folder) / "page" / "index.html").read_text()
        check_gallery(exported, 1)
        assert exported.count("<meta http-equiv") == 1


@FEW
@given(TEXT)
def test_a_preview_a_calibration_and_a_judges_table_show_text_as_text(text):
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "preview.html"
        answer = PreviewAnswer(Settled(key=text, request="", text=text), ((text, text),))
        shown = PreviewItem(thing(text, text), view(text, text), [text], answer)
        write_preview([shown, PreviewItem(thing(text), Fault("bad_mask", text))], page, text)
        check_page(page.read_text(), own={"input"})
        assert page.read_text().count("<input") == 1
        out = Path(folder) / "out"
        plain_text = text.encode("utf-8", "replace").decode()
        change = hostile(plain_text)
        three_shards(out).commit(change=lambda row: msgspec.structs.replace(change(row), logprob_min=-0.5)).pack()
        keys = [row.key for row in read_rows(RunLayout(out).candidates(0)) if row.status == "kept"]
        labels = Path(folder) / "labels.jsonl"
        labels.write_text("".join(json.dumps({"key": key, "right": True}) + "\n" for key in keys))
        drawn = Path(folder) / "curve.svg"
        check_plain(said("calibrate", out, "--labels", labels, "--plot", drawn, "--json"))
        check_plain(drawn.read_text())
        assert "<script" not in drawn.read_text()
        table = {name: [plain_text] * len(keys) for name in ("method", "verdict", "caption")}
        table |= {"key": keys, "score": [0.5] * len(keys)}
        pq.write_table(pa.table(table), RunLayout(out).judge)
        check_plain(said("report", out, "--json"))
        check_page((out / "report" / "report.html").read_text())
        check_markdown((out / "report" / "report.md").read_text())


@FEW
@given(TEXT)
def test_exports_and_files_for_annotation_tools_hold_text_as_values(text):
    text = text.encode("utf-8", "replace").decode()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(1, 6):
            write_picture(Path(folder) / "pictures" / f"{number}.jpg")
        run = three_shards(Path(folder) / "out", str(Path(folder) / "pictures")).commit(change=hostile(text))
        run.pack()
        for to in FORMATS:
            try:
                exported(run.out, Path(folder) / to, to)
            except UserError as error:  # a form of videos, or one that copies pictures
                check_plain(" ".join(str(error).split()))
                continue
            for file in (Path(folder) / to).rglob("*.json*"):
                lines = file.read_bytes().split(b"\n") if file.suffix == ".jsonl" else [file.read_bytes()]
                assert all(json.loads(line) is not None for line in lines if line)
        for tool, name in (("cvat", "annotations.xml"), ("label-studio", "tasks.json")):
            send(run.out, tool, Path(folder) / tool, Selection())
            data = (Path(folder) / tool / name).read_bytes()
            read = ET.fromstring(data) if tool == "cvat" else json.loads(data)
            assert len(read) > 1


@given(TEXT)
def test_json_on_a_terminal_is_the_same_json_without_controls(text):
    written = json.dumps([text], ensure_ascii=False)
    shown = json_text(written)
    assert json.loads(shown) == [text]
    assert not re.search("[\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]", shown)


@given(TEXT)
def test_a_line_beside_a_spinner_or_a_bar_is_text(text):
    """Rich reads markup beside a spinner whatever the console says, and ended the command at ``[/b]``."""
    out = io.StringIO()
    console = terminal(file=out)
    shown = console.status(text)
    shown.update(text)
    console.print(shown.renderable)
    live = io.StringIO()
    with ProgressDisplay(Console(file=live, force_terminal=True)) as display:
        display.steps(text)(1, 2)
    for told in (out.getvalue(), live.getvalue()):
        assert "\x1b]0;" not in told
        assert not re.search("[\u202a-\u202e\u2066-\u2069]", told)


@FEW
@given(TEXT)
def test_no_text_makes_a_line_of_its_own_on_a_terminal(text):
    """A reason with a line break said below its count that a ledger closes which does not."""
    forged = f"{text}\nok: the ledger closes\n  released".encode("utf-8", "replace").decode()
    with tempfile.TemporaryDirectory() as folder:
        for name, reason in (("one", "length"), ("two", forged)):
            run = three_shards(Path(folder) / name)
            run.commit(change=lambda row, reason=reason: dropped(row, reason) if row.object_id == "10" else row)
        for command in ("status", "verify"):
            lines = [said(command, Path(folder) / name).splitlines() for name in ("one", "two")]
            assert len(lines[0]) == len(lines[1])
            assert not [line for line in lines[1] if line.startswith(("ok: the ledger closes", "  released"))]
