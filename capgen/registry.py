"""Plug-in tables: a name maps to ``"module:attribute"``, imported only when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from capgen.errors import UnknownName


def load(kind: str, name: str, table: Mapping[str, str]) -> Any:
    """The attribute that ``table`` registers under ``name``; a name with a colon is imported as it stands.

    Raises:
        UnknownName: ``name`` is neither registered nor of the form ``module:attribute``.
    """
    target = name if ":" in name else table.get(name)
    if target is None:
        raise UnknownName(kind, name, table)
    module, _, attribute = target.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except (ModuleNotFoundError, AttributeError) as error:
        if ":" in name:
            raise UnknownName(kind, name, table) from error
        raise
