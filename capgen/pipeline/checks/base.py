"""What a check is, how the checks of a pipeline file are built, and how they judge a caption."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol

from capgen.errors import UserError
from capgen.pipeline.checks import CHECKS


class CheckedCaption(NamedTuple):
    """A caption and what a check may know about it: why the engine stopped, and what the object is called.

    ``logprob_min``: how probable the model found the least probable of its content words; None where not known.
    """

    caption: str
    finish_reason: str = "stop"
    category: str | None = None
    synonyms: tuple[str, ...] = ()
    logprob_min: float | None = None


class Check(Protocol):
    """A frozen dataclass whose fields are the check's options, each with a default; calling it judges one caption."""

    final: ClassVar[bool]
    """Whether nothing more is worth saying of a caption that this check drops."""

    def __call__(self, said: CheckedCaption) -> str | None:
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
    return tuple((name, CHECKS.build(name, options.get(name, {}), f"checks.options.{name}")) for name in names)


def judge(checks: NamedChecks, said: CheckedCaption) -> tuple[tuple[str, str], ...]:
    """Code and message of every check that drops the caption, in order; a final one ends the list."""
    found: list[tuple[str, str]] = []
    for code, check in checks:
        message = check(said)
        if message is not None:
            found.append((code, message))
            if check.final:
                break
    return tuple(found)
