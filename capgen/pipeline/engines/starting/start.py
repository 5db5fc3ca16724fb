"""Starting an engine: whatever a library raises becomes one line with its cause and a remedy."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from capgen.errors import CapgenError, UserError
from capgen.pipeline.engines.base import Engine, EngineContext, EngineNotStarted, Session
from capgen.pipeline.engines.starting.causes import is_pointer, printed_cause, remedy_for, start_failure
from capgen.pipeline.engines.starting.output import Printed, copied_output, log_size, logged_since


async def start_engine(engine: Engine, context: EngineContext, log: Path | None = None) -> Session:
    """Start an engine in this process.

    Args:
        log: the file that this process and those that it starts already print to; without one the end of what they
            print meanwhile is kept.

    Raises:
        UserError: the model or the device is not there, or the like.
        EngineNotStarted: it failed in another way; errors of libraries often do not survive the way to a driver.
    """
    with _printed(engine, log) as printed:
        try:
            return await engine.start(context)
        except UserError as error:
            cause = printed_cause(printed()) if is_pointer(error.what) else None
            if cause is None:
                raise
            where = f"the last error in {log}" if log else "it printed"
            raise UserError(f"{error.what} ({where}: {cause})", remedy_for(cause) or error.remedy) from None
        except CapgenError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a library raises is told of
            if log is not None:
                traceback.print_exc()
            failure = start_failure(f"{type(error).__name__}: {error}", printed())
            where = f" (in {log})" if log else ""
            remedy = failure.remedy or ("look there" if log else "look at what it printed")
            raise EngineNotStarted(f"{failure.cause}{where}", remedy) from None


@contextmanager
def _printed(engine: Engine, log: Path | None) -> Iterator[Printed]:
    if log is not None:
        start = log_size(log)
        yield lambda: logged_since(log, start)
        return
    if not getattr(engine, "loads_model", False):  # it has no processes
        yield str
        return
    with copied_output() as printed:
        yield printed
