"""Commands in documents: all have flags that exist, and the marked ones are run, after those of the quick start."""

import contextlib
import re
import shlex
import shutil
from pathlib import Path

import pytest
import typer
from typer.exceptions import TyperException

from capgen.cli.main import app
from capgen.cli.providers import Providers
from capgen.pipeline.running.session import Devices

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    ROOT / "README.md",
    *sorted(page for page in (ROOT / "docs").glob("*.md") if page.name not in ("decisions.md", "commands.md")),
]
BLOCK = re.compile(r"(?:^<!-- test: (?P<mark>[^\n]*) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```", re.M | re.S)
PROGRAM = re.compile(r"^(?:\.venv/bin/)?capgen |^accelerate launch -m capgen\.cli ")
SYNOPSIS = re.compile(r"[\[\]|…]|\b(FORM|NAME|SPLIT)\b|://my-")
"""What a line has that shows a form or somebody's bucket, and is no command to be typed."""


def commands(text):
    """The capgen commands of a block of code, as lists of words without the program's name."""
    for line in text.replace("\\\n", " ").splitlines():
        if PROGRAM.match(line):
            yield shlex.split(PROGRAM.sub("", line, count=1), comments=True)


def blocks(page):
    return [match.groupdict() for match in BLOCK.finditer(page.read_text("utf-8"))]


def is_form(line):
    return bool(SYNOPSIS.search(line.split("  #")[0].split("'")[0]))


def all_commands(*, forms=False):
    """The commands of all pages that can be typed, or the forms of commands."""
    for page in PAGES:
        for block in blocks(page):
            if block["language"] in ("sh", "bash", ""):
                lines = [line for line in block["text"].splitlines() if is_form(line) == forms]
                for words in commands("\n".join(lines)):
                    yield pytest.param(words, id=f"{page.name}: {' '.join(words)[:60]}")


def command_of(words):
    """The command that words name, its name, and its arguments."""
    command, name = typer.main.get_command(app), "capgen"
    while getattr(command, "commands", None):
        assert words, f"{name} lacks a verb"
        assert words[0] in command.commands, f"{name} has no {words[0]}"
        name, words, command = words[0], words[1:], command.commands[words[0]]
    return command, name, words


@pytest.mark.parametrize("words", [*all_commands()])
def test_a_command_in_a_document_has_flags_that_exist(words):
    command, name, words = command_of(words)
    try:
        command.make_context(name, list(words))
    except TyperException as error:
        pytest.fail(f"capgen {name}: {error.format_message()}")


@pytest.mark.parametrize("words", [*all_commands(forms=True)])
def test_a_form_of_a_command_names_flags_that_exist(words):
    command, name, words = command_of(words)
    known = {flag for option in command.params for flag in (*option.opts, *option.secondary_opts)}
    named = {word.strip("[]|").partition("=")[0] for word in words if word.strip("[").startswith("--")}
    assert named <= known, f"capgen {name} has no {named - known}"


START = ROOT / "docs" / "quickstart.md"
MARKED = [page for page in PAGES if page != START and any(block["mark"] for block in blocks(page))]


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    """A folder in which somebody has gone through the quick start."""
    folder = tmp_path_factory.mktemp("started")
    with contextlib.chdir(folder):
        run_marked(START)
    return folder


@pytest.mark.parametrize("page", MARKED, ids=lambda page: page.name)
def test_the_marked_commands_of_a_page_run(page, started, tmp_path):
    kept = shutil.copytree(started, tmp_path / "kept")
    try:
        with contextlib.chdir(started):  # not in a copy: of a run that has moved nobody knows who started it
            run_marked(page)
    finally:
        shutil.rmtree(started)
        shutil.move(kept, started)


def test_the_quick_start_leaves_what_it_says(started):
    assert (started / "out" / "try" / "report" / "report.html").is_file()
    assert (started / "out" / "pages" / "index.html").is_file()


def run_marked(page):
    """Run a page's marked commands in this folder, without Ray."""
    for block in blocks(page):
        mark = block["mark"] or ""
        if mark.startswith("file "):
            Path(mark.removeprefix("file ")).write_text(block["text"])
        elif mark == "run":
            for words in commands(block["text"]):
                providers = Providers(devices=lambda *_: Devices(ray=False))
                code = app(list(words), standalone_mode=False, obj=providers)
                assert not code, f"capgen {shlex.join(words)} ended with {code}"


def test_what_is_marked_is_known():
    marks = {block["mark"] for page in PAGES for block in blocks(page) if block["mark"]}
    assert marks == {"run", "file my_prompt.toml", "file mine.toml"}
