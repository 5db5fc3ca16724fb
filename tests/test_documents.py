"""Documents say what is true of the repository: the files they name exist, pictures made by a script are up to date."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(page.relative_to(ROOT).as_posix() for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
OURS = (
    "capgen/",
    "tests/",
    "experiments/",
    "benchmarks/",
    "scripts/",
    "docs/",
    "pipelines/",
    "prompts/",
    "data_cards/",
)
HISTORY = ("docs/decisions.md", "CHANGELOG.md")
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
CODE = re.compile(r"`([\w./-]+)`")


def named(text: str) -> set[str]:
    """The paths of the repository that a page names in code."""
    return {path for path in CODE.findall(text) if path.startswith(OURS)}


@pytest.mark.parametrize("page", [page for page in PAGES if page not in HISTORY])
def test_a_path_that_a_page_names_is_there(page):
    paths = named((ROOT / page).read_text("utf-8"))
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_a_relative_link_leads_to_a_file(page):
    links = {link for link in LINK.findall((ROOT / page).read_text("utf-8")) if "://" not in link}
    assert [link for link in sorted(links) if not ((ROOT / page).parent / link).exists()] == []


def test_the_scrape_configuration_is_one_that_prometheus_reads():
    (block,) = re.findall(
        r"^```yaml\n(.*?)^```", (ROOT / "docs" / "cluster.md").read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    (job,) = yaml.safe_load(block)["scrape_configs"]
    assert set(job) == {"job_name", "scrape_interval", "static_configs"}
    targets = [target for one in job["static_configs"] for target in one["targets"]]
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+", target) for target in targets), "as --metrics-port is served"


def texts_of_the_code():
    """Every piece of text in the package's sources, in which adjacent literals are one, as one long text."""
    found = []
    for file in (ROOT / "capgen").rglob("*.py"):
        nodes = ast.walk(ast.parse(file.read_text("utf-8")))
        values = (node.value for node in nodes if isinstance(node, ast.Constant))
        found += [" ".join(value.split()) for value in values if isinstance(value, str)]
    return "\n".join(found)


def test_messages_in_troubleshooting_are_those_of_the_code():
    said = texts_of_the_code()
    page = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
    quoted = re.findall(r"^\| (?:\.\.\. )?`([^`]+)`(?:, `([^`]+)`)? \|", page, re.MULTILINE)
    messages = [message for pair in quoted for message in pair if message]
    assert len(messages) > 20
    for message in messages:
        # what stands between names, numbers and dots that a message fills in
        pieces = re.split(r"(?<![a-z-])(?:DIR|FILE|OUT|NAME|REASON|N|M|\d+)(?![a-z])|\.\.\.|[()]", message)
        longest = max((piece.strip(" ;:,") for piece in pieces), key=len)
        assert longest in said, f"{message!r}: no message of capgen has {longest!r}"


def test_the_picture_of_the_packages_shows_the_contracts_that_are_checked(tmp_path):
    made = tmp_path / "architecture.svg"
    subprocess.run([sys.executable, ROOT / "scripts" / "architecture_picture.py", made], check=True)
    assert made.read_text("utf-8") == (ROOT / "docs" / "architecture.svg").read_text("utf-8"), (
        "make it anew: python scripts/architecture_picture.py docs/architecture.svg"
    )
