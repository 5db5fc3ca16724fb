"""The pages that are made from the code are those of the code, and no reason code is without a meaning."""

import ast
import sys
from pathlib import Path

import pytest

from capgen.pipeline.checks import CHECKS
from capgen.pipeline.reasons import LEFT_OUT, REASONS

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from reference_pages import PAGES  # noqa: E402

FAULTS = ("Fault", "PictureFault")
CODE_CONSTANTS = ("DUPLICATE", "TOO_OFTEN", "FLAGGED", "NOT_DISTINCT", "REFUSED", "NO_CAPTION")


@pytest.mark.parametrize("name", PAGES)
def test_the_committed_page_is_what_the_code_says(name):
    assert (ROOT / "docs" / name).read_text("utf-8") == PAGES[name]().rstrip("\n") + "\n", (
        "make it anew: python scripts/reference_pages.py"
    )


def codes_in(tree):
    """The literal codes of a module: of faults, of settled requests, of planned objects, and in constants."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            told = [keyword.value for keyword in node.keywords if keyword.arg in ("fault", "reason")]
            told += node.args[:1] if name in FAULTS else []
            yield from (one.value for one in told if isinstance(one, ast.Constant) and isinstance(one.value, str))
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            names = [getattr(target, "id", "") for target in node.targets]
            yield from (node.value.value for name in names if name in CODE_CONSTANTS)


def test_every_reason_code_of_the_code_has_a_meaning_and_a_remedy():
    files = [file for folder in ("pipeline", "dataset", "videos") for file in (ROOT / "capgen" / folder).rglob("*.py")]
    found = {
        code
        for file in [*files, ROOT / "capgen" / "images.py"]
        for code in codes_in(ast.parse(file.read_text("utf-8")))
        if code
    }
    assert len(found) > 20
    assert found - set(CHECKS) <= set(REASONS)
    assert all(one.meaning and one.example and one.remedy for one in REASONS.values())
    assert not set(REASONS) & (set(CHECKS) | set(LEFT_OUT))
