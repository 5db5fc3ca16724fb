"""``--quiet`` and ``--verbose`` of the verbs that work for long."""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any

import typer

from capgen.display import OutputLevel, printing
from capgen.errors import UserError

log = logging.getLogger(__name__)


def long_work(result: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a verb ``--quiet`` and ``--verbose``.

    Args:
        result: what the verb prints even if it is to be quiet.
    """
    quiet = Annotated[bool, typer.Option("--quiet", "-q", help=f"Print errors and {result}, nothing else.")]
    verbose = Annotated[
        bool, typer.Option("--verbose", "-v", help="Also print each step on stderr, with its time and its numbers.")
    ]
    flags = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=flag)
        for name, flag in (("quiet", quiet), ("verbose", verbose))
    ]

    def with_flags(verb: Callable[..., None]) -> Callable[..., None]:
        @wraps(verb)
        def leveled(*args: Any, quiet: bool = False, verbose: bool = False, **options: Any) -> None:
            with printing(_level(quiet=quiet, verbose=verbose)):
                begun = time.monotonic()
                verb(*args, **options)
                log.info("done in %.1f s", time.monotonic() - begun)

        signature = inspect.signature(verb, eval_str=True)
        parameters = [*signature.parameters.values(), *flags]
        leveled.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        return leveled

    return with_flags


def _level(*, quiet: bool, verbose: bool) -> OutputLevel:
    """The level that two flags ask for.

    Raises:
        UserError: both are given.
    """
    if quiet and verbose:
        raise UserError("--quiet and --verbose contradict each other", "give one of them")
    return OutputLevel.QUIET if quiet else OutputLevel.VERBOSE if verbose else OutputLevel.USUAL
