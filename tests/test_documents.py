"""Documents say what is true of the repository: the files they name exist, pictures made by a script are up to date."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

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


def test_the_picture_of_the_packages_shows_the_contracts_that_are_checked(tmp_path):
    made = tmp_path / "architecture.svg"
    subprocess.run([sys.executable, ROOT / "scripts" / "architecture_picture.py", made], check=True)
    assert made.read_text("utf-8") == (ROOT / "docs" / "architecture.svg").read_text("utf-8"), (
        "make it anew: python scripts/architecture_picture.py docs/architecture.svg"
    )
