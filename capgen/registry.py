"""Plug-ins by name: those that capgen brings itself, and those of other installed packages (Python entry points).

A plug-in is a frozen dataclass: its fields are its options. It is imported only when its name is asked for, so a
package that is broken or slow harms nobody who does not use it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import lru_cache
from importlib import import_module, metadata
from typing import Any

from capgen.errors import UnknownName, UserError, did_you_mean, first_line

_OURS = "capgen"


@dataclass(frozen=True, slots=True)
class Registry:
    """The plug-ins of one kind; iterating gives their names, capgen's own first.

    Args:
        kind: what messages call one of them, for example ``engine``.
        group: the entry point group in which other packages register theirs, for example ``capgen.engines``.
        own: ``"module:attribute"`` by name.
    """

    kind: str
    group: str
    own: Mapping[str, str]

    def __iter__(self) -> Iterator[str]:
        others = {point.name for point in _entry_points(tuple(sys.path)).get(self.group, ())}
        return iter([*self.own, *sorted(others - set(self.own))])

    def __len__(self) -> int:
        return len(tuple(iter(self)))

    def __contains__(self, name: object) -> bool:
        return name in tuple(iter(self))

    def load(self, name: str) -> Any:
        """The class that is registered under ``name``; a name with a colon is imported as ``module:attribute``.

        Raises:
            UnknownName: nobody registers ``name``, or there is no such module or attribute.
            UserError: two packages register it, or the package that does cannot be imported.
        """
        if ":" in name:
            return self._imported(name)
        others = [point for point in _entry_points(tuple(sys.path)).get(self.group, ()) if point.name == name]
        owners = [_OURS] * (name in self.own) + [_package(point) for point in others]
        if len(owners) > 1:
            raise UserError(
                f"the {self.kind} {name!r} is registered by {' and by '.join(owners)}",
                "uninstall all but one of them, or give module:attribute instead of the name",
            )
        if name in self.own:
            module, _, attribute = self.own[name].partition(":")
            return getattr(import_module(module), attribute)
        if others:
            return self._of_package(others[0])
        raise UnknownName(self.kind, name, self)

    def build(self, name: str, options: Mapping[str, Any], where: str) -> Any:
        """An instance of the plug-in with ``options`` as its fields, their values checked against the fields' types.

        Args:
            where: what messages put before an option's name: its table (``engine.options``), or a flag with a blank.

        Raises:
            UnknownName: there is no such plug-in.
            UserError: it cannot be imported, has no such option, or refuses a value.
        """
        from pydantic import TypeAdapter, ValidationError
        from pydantic.errors import PydanticUserError

        known = self.options(name)
        before = where if where.endswith(" ") else f"{where}."
        for option in options:
            if option not in known:
                raise UserError(
                    f"{before}{option}: the {self.kind} {name!r} has no such option{did_you_mean(option, known)}",
                    f"known: {', '.join(known) or 'none'}",
                )
        try:
            return TypeAdapter(self.load(name)).validate_python(dict(options))
        except ValidationError as error:
            first = error.errors()[0]
            key = before + ".".join(map(str, first["loc"])) if first["loc"] else where.strip()
            given = f" = {first['input']!r:.80}" if first["loc"] and first["type"] != "missing" else ""
            message = str(first["msg"]).removeprefix("Value error, ")
            raise UserError(f"{key}{given}: {message}", f"see the options of the {self.kind} {name!r}") from error
        except (PydanticUserError, TypeError, NameError) as error:
            what = f"the {self.kind} {name!r} cannot be built ({type(error).__name__}: {first_line(error)})"
            raise UserError(what, "its fields need types that pydantic knows") from error

    def options(self, name: str) -> tuple[str, ...]:
        """The names of a plug-in's options.

        Raises:
            UnknownName: there is no such plug-in.
            UserError: it is not a dataclass, or cannot be imported.
        """
        kind = self.load(name)
        if not (isinstance(kind, type) and is_dataclass(kind)):
            raise UserError(f"the {self.kind} {name!r} is not a dataclass", "CONTRIBUTING.md says how to write one")
        return tuple(field.name for field in fields(kind) if field.init)

    def _imported(self, name: str) -> Any:
        module, _, attribute = name.partition(":")
        try:
            return getattr(import_module(module), attribute)
        except (ModuleNotFoundError, AttributeError, ValueError) as error:
            raise UnknownName(self.kind, name, self) from error

    def _of_package(self, point: metadata.EntryPoint) -> Any:
        try:
            return point.load()
        except Exception as error:
            why = f"{type(error).__name__}: {first_line(error)}"
            what = f"the {self.kind} {point.name!r} of {_package(point)} cannot be imported ({why})"
            raise UserError(what, "mend or uninstall that package") from error


@lru_cache(maxsize=8)
def _entry_points(path: tuple[str, ...]) -> dict[str, list[metadata.EntryPoint]]:
    """What installed packages register in capgen's groups, by group; ``path`` is ``sys.path``.

    Only files that speak of capgen are parsed; one that cannot be read or parsed registers nothing.
    """
    del path  # only the key of the cache
    found: dict[str, list[metadata.EntryPoint]] = {}
    seen: set[str] = set()
    for package in metadata.distributions():
        try:
            if f"{_OURS}." not in (package.read_text("entry_points.txt") or ""):
                continue
            name = package.metadata["Name"]
            points = [point for point in package.entry_points if point.group.startswith(f"{_OURS}.")]
        except (OSError, TypeError, ValueError, AttributeError, KeyError):
            continue
        if name not in seen:
            seen.add(name)
            for point in points:
                found.setdefault(point.group, []).append(point)
    return found


def _package(point: metadata.EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else point.value
