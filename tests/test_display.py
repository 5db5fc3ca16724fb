"""Text from data stays text on every surface: nothing moves the cursor, reorders, starts markup or sends anything."""

import io
import logging
import re
import unicodedata
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.table import Table

from capgen.display import PlainFormatter, html, html_head, markdown, markdown_with_code, mathless, plain, terminal

NASTY = [
    "\x1b[2J\x1b]0;owned\x07",
    "a\u202egpj.exe",
    "<script>alert(1)</script>",
    '"><meta http-equiv=refresh content="0;url=https://evil.example">',
    "<form action=https://evil.example><input name=password>",
    "[/b][red]red[/red] :smile:",
    "| a | b |\n|---|---|",
    "[click](javascript:alert(1)) ![x](https://evil.example/x.png)",
    "--- \n# heading",
    "$\\frac{1}{0}$ $x",
    "\ud800 lone",
    "line\r\noverwritten\rline",
    "{{ 7 * 7 }}",
]
TEXT = st.sampled_from(NASTY) | st.text(max_size=40) | st.lists(st.sampled_from(NASTY), max_size=3).map("".join)


class Tags(HTMLParser):
    """Collects the tags of a page and the text between them."""

    def __init__(self):
        super().__init__()
        self.tags, self.text = [], ""

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


@given(TEXT)
def test_plain_text_is_one_line_without_controls(text):
    shown = plain(text)
    assert "\n" not in shown
    assert all(unicodedata.category(letter) not in ("Cc", "Cs") for letter in shown)
    assert not re.search("[\u202a-\u202e\u2066-\u2069]", shown)


@given(TEXT)
def test_text_in_html_starts_no_tag_and_ends_no_attribute(text):
    page = Tags()
    page.feed(f'<p title="{html(text)}">{html(text)}</p>')
    assert [tag for tag, _ in page.tags] == ["p"]
    assert page.text == plain(text, lines=True)
    assert page.tags[0][1] == {"title": plain(text, lines=True)}


def test_a_page_may_load_send_and_navigate_nowhere():
    head = html_head("a <title>", style="p {}", script="void 0")
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', head)[1]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules["script-src"].startswith("'sha256-")
    assert "<title>a &lt;title&gt;</title>" in head


@given(TEXT)
def test_text_in_markdown_is_one_line_that_starts_no_markup(text):
    shown = markdown(text)
    assert "\n" not in shown
    assert "<" not in shown
    assert not re.search(r"(?<!\\)(?:\\\\)*[|`*\[]", shown)


def test_a_sentence_of_our_own_may_have_code_in_it():
    assert markdown_with_code("`a|b` or *c* (`d`)") == "`a\\|b` or \\*c\\* (`d`)"
    assert markdown_with_code("no code | at <all>") == markdown("no code | at <all>")


def test_a_reason_code_stays_as_it_is_in_a_table():
    assert markdown("engine_failed") == "engine_failed"


@given(TEXT)
def test_text_on_a_terminal_is_printed_letter_by_letter(text):
    out = io.StringIO()
    console = terminal(file=out)
    console.width = 500
    table = Table(show_header=False, box=None)
    table.add_row(text)
    console.print(text)
    console.print(table)
    assert "\x1b" not in out.getvalue()
    words = plain(text, lines=True).split()
    assert all(word in out.getvalue() for word in words)


def test_brackets_in_a_path_are_printed():
    out = io.StringIO()
    terminal(file=out).print("release: out [v2]/[/b]")
    assert out.getvalue() == "release: out [v2]/[/b]\n"


@pytest.mark.parametrize("text", NASTY)
def test_a_log_line_is_one_line(text):
    record = logging.LogRecord("capgen", logging.WARNING, __file__, 1, "server said: %s", (text,), None)
    line = PlainFormatter("capgen: %(message)s").format(record)
    assert "\n" not in line
    assert "\x1b" not in line


@settings(deadline=None)  # the first plot loads fonts
@given(TEXT)
def test_a_plot_draws_dollars_as_dollars(text):
    pytest.importorskip("matplotlib")
    from matplotlib.mathtext import MathTextParser
    from matplotlib.text import Text

    drawn = Text(0, 0, mathless(text))
    _, is_math = drawn._preprocess_math(mathless(text))
    assert not is_math or MathTextParser("agg").parse(mathless(text)) is None
