"""What else objects of LVIS's categories are rightly called: the table ``called.tsv``, written by hand."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_TABLE = Path(__file__).resolve().parent / "called.tsv"


@cache
def _rows() -> dict[str, frozenset[str]]:
    lines = [line.split("\t") for line in _TABLE.read_text("utf-8").splitlines() if not line.startswith("#")]
    return {name: frozenset(word.replace("_", " ") for word in words.split()) for name, words in lines}


def called(category: str) -> frozenset[str]:
    """The further nouns for a category, by its name as LVIS writes it; words of a compound have blanks between them."""
    return _rows().get(category, frozenset())
