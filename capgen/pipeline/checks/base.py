"""What a check is, how the checks of a pipeline file are built, and how they judge a caption."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, cast

from capgen.errors import UserError
from capgen.pipeline.checks import CHECKS
from capgen.registry import load


@dataclass(frozen=True, slots=True)
class Said:
    """A caption and what a check may know about it: why the engine stopped, and what the object is called."""

    caption: str
    finish_reason: str = "stop"
    category: str | None = None
    synonyms: tuple[str, ...] = ()


class Check(Protocol):
    """A frozen dataclass whose fields are the check's options, each with a default; calling it judges one caption."""

    final: ClassVar[bool]
    """Whether nothing more is worth saying of a caption that this check drops."""

    def __call__(self, said: Said) -> str | None:
        """One sentence for people on what is wrong with the caption; None where it passes."""
        ...


NamedChecks = tuple[tuple[str, Check], ...]


def build_checks(names: Sequence[str], options: Mapping[str, Mapping[str, Any]]) -> NamedChecks:
    """The checks of those registry names, in that order, each with its options.

    Raises:
        UnknownName: no check has such a name.
        UserError: a check is named twice, has no such option or not such a value, or options are given for a check
            that does not run.
    """
    for name, times in Counter(names).items():
        if times > 1:
            raise UserError(f"checks.names has {name!r} {times} times", "name each check once")
    for name in options:
        if name not in names:
            raise UserError(
                f"checks.options.{name} is for a check that does not run", f"add {name!r} to checks.names, or remove it"
            )
    return tuple((name, _build(name, options.get(name, {}))) for name in names)


def judge(checks: NamedChecks, said: Said) -> tuple[tuple[str, str], ...]:
    """Code and message of every check that drops the caption, in order; a final one ends the list."""
    found: list[tuple[str, str]] = []
    for code, check in checks:
        message = check(said)
        if message is not None:
            found.append((code, message))
            if check.final:
                break
    return tuple(found)


def _build(name: str, options: Mapping[str, Any]) -> Check:
    from pydantic import TypeAdapter, ValidationError

    kind = load("check", name, CHECKS)
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        raise UserError(f"checks.names: {name} is not a check", "a check is a frozen dataclass (see CONTRIBUTING.md)")
    known = [field.name for field in dataclasses.fields(kind)]
    for key in options:
        if key not in known:
            raise UserError(
                f"checks.options.{name}.{key} is no option of the check {name!r}",
                f"known: {', '.join(known)}" if known else "it has none",
            )
    try:
        return cast("Check", TypeAdapter(kind).validate_python(dict(options)))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(("checks.options", name, *map(str, first["loc"])))
        raise UserError(f"{key} = {first['input']!r}: {first['msg']}") from error
