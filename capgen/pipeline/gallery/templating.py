"""The gallery's Jinja templates. Every value is text: escaped, without terminal controls and marks that reorder it."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from capgen.display import plain
from capgen.pipeline.gallery.outlines import colour_class

_FOLDER = Path(__file__).parent


@lru_cache
def environment() -> Environment:
    """The environment in which all templates are filled in."""
    loader = FileSystemLoader(_FOLDER / "templates")
    found = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, finalize=_plain, trim_blocks=True)
    found.globals["colour"] = colour_class
    found.filters["thousands"] = lambda number: f"{number:,}"
    return found


def render(template: str, **values: Any) -> str:
    """A template filled in."""
    return environment().get_template(template).render(values)


def _plain(value: Any) -> Any:
    return plain(value, lines=True) if isinstance(value, str) and not isinstance(value, Markup) else value


def static_text(name: str) -> str:
    """A file that pages load: style sheets and scripts."""
    return (_FOLDER / "static" / name).read_text("utf-8")


def static_names() -> frozenset[str]:
    """The files that pages may load."""
    return frozenset(path.name for path in (_FOLDER / "static").iterdir())
