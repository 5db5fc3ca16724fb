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

import msgspec
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from capgen.ablation.measures import VariantMeasures
from capgen.ablation.results import AblationResult, as_table, write_result
from capgen.cli.main import app
from capgen.cli.providers import Providers
from capgen.display import PlainFormatter
from capgen.errors import LedgerError, MissingFile, UserError
from capgen.evaluation.evaluate import Options, evaluate
from capgen.evaluation.reporting.page import write_page
from capgen.report.write import write_report
from tests.evaluation.evalcases import box, write
from tests.test_display import NASTY
from tests.tiny_runs import dropped, failed, three_shards

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


def check_page(text):
    page = Page(text)
    assert not page.tags & {"script", "form", "iframe", "img src=x", "object", "embed", "base", "input", "link"}
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
