"""Starting an engine: whatever a library raises becomes one line with its cause and a remedy."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from capgen.errors import CapgenError, UserError
from capgen.pipeline.engines.base import Engine, EngineContext, EngineNotStarted, Session
from capgen.pipeline.engines.starting.causes import is_pointer, printed_cause, remedy_for, start_failure
from capgen.pipeline.engines.starting.output import EngineOutput, LoggedOutput, copied_output


async def start_engine(engine: Engine, context: EngineContext, log: Path | None = None) -> Session:
    """Start an engine in this process.

    Args:
        log: the file that this process and those that it starts already print to; without one it is copied to
            stderr, errors that have a remedy aside: they are told in the one that is raised.

    Raises:
        UserError: the model or the device is not there, or the like.
        EngineNotStarted: it failed in another way; errors of libraries often do not survive the way to a driver.
    """
    with _output(engine, log) as output:
        try:
            return await engine.start(context)
        except UserError as error:
            cause = printed_cause(output.text()) if is_pointer(error.what) else None
            if cause is None:
                raise
            where = f"the last error in {log}" if log else "it printed"
            raise UserError(f"{error.what} ({where}: {cause})", remedy_for(cause) or error.remedy) from None
        except CapgenError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a library raises is told of
            if log is not None:
                traceback.print_exc()
            raise _not_started(error, output, log) from None


def _not_started(error: Exception, output: EngineOutput, log: Path | None) -> EngineNotStarted:
    failure = start_failure(f"{type(error).__name__}: {error}", output.text())
    if failure.remedy is not None:
        output.drop()
    where = f" (in {log})" if log else ""
    remedy = failure.remedy or ("look there" if log else "look at what it printed")
    return EngineNotStarted(f"{failure.cause}{where}", remedy, failure.lasting)


@contextmanager
def _output(engine: Engine, log: Path | None) -> Iterator[EngineOutput]:
    if log is not None:
        yield LoggedOutput(log)
    elif getattr(engine, "loads_model", False):
        with copied_output() as output:
            yield output
    else:  # it has no processes
        yield LoggedOutput(Path(os.devnull))
