"""The ``capgen`` program: every verb, and the one place where an error becomes a line and an exit code."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import Abort, TyperException

from capgen import __version__
from capgen.cli import evaluation, maskcaptioner, models, pipeline, quality, reviews, sample
from capgen.cli.data import ablation, datasets, exchange, places, report, segment
from capgen.cli.providers import Providers
from capgen.cli.runs import doctor, resume
from capgen.display import PlainFormatter, StderrHandler, echo, plain
from capgen.errors import CapgenError
from capgen.pipeline.library_warnings import hide_library_warnings
from capgen.redaction import plain_addresses

_NO_ROOM = 2**20  # bytes

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)
for group in (
    pipeline,
    resume,
    doctor,
    report,
    models,
    quality,
    ablation,
    reviews,
    sample,
    maskcaptioner,
    datasets,
    exchange,
    segment,
):
    app.add_typer(group.app)
app.add_typer(evaluation.app, name="eval")


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False) -> None:
    """Caption the objects of images and videos; train and score models on them."""
    if version:
        typer.echo(f"capgen {__version__}")
        raise typer.Exit


def _complete_on_the_first_tab() -> None:
    """Have the script that ``--install-completion`` writes for zsh complete when it is loaded.

    Zsh loads it at the first TAB of each session; typer's own script only registers itself then, so that this TAB
    completes nothing.
    """
    from typer import _completion_shared as shared

    scripts: dict[str, str] = shared._completion_scripts
    if "$@" not in scripts["zsh"]:
        scripts["zsh"] += '\n[ -z "${CURRENT:-}" ] || %(complete_func)s "$@"\n'


def main(providers: Providers | None = None) -> None:
    """Run a verb; any error becomes one line on stderr: exit 2 for the user's, 3 for a broken ledger, 1 otherwise."""
    handler = StderrHandler()
    handler.setFormatter(PlainFormatter("capgen: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    hide_library_warnings()
    _complete_on_the_first_tab()
    try:
        code = app(standalone_mode=False, obj=providers or Providers())
        places.give_back()
        if code == 130:  # so typer tells of a Ctrl-C that no verb took
            _say("stopped; run the same command again", 130)
    except Abort as error:
        if isinstance(error.__cause__, EOFError):  # typer takes it for a Ctrl-D; a file that ends early is none
            code = _unforeseen(error.__cause__)
        else:
            code = _say("stopped; run the same command again to resume", 130)
    except TyperException as error:
        code = _say(error.format_message(), 2)
    except CapgenError as error:
        code = _say(str(error), error.exit_code)
    except KeyboardInterrupt:
        code = _say("stopped; what is done is kept, run the same command again to resume", 130)
    except Exception as error:
        if os.environ.get("CAPGEN_DEBUG"):
            raise
        code = _unforeseen(error)
    _leave(code if isinstance(code, int) else 0)


def _leave(code: int) -> None:
    """End the process with ``code``.

    CPython 3.11 remembers a KeyboardInterrupt that passed through ``exec`` of a string (dataclasses do that while they
    are imported), and would kill itself with SIGINT at its end although the interrupt was handled.
    """
    if code == 130:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _unforeseen(error: Exception) -> int:
    from capgen.dataset.files import disk_trouble, full_disk_behind
    from capgen.encoding import bad_name

    name = bad_name(error)
    if name is not None:
        return _say(f"the name {name} is not UTF-8, which files of a run must be; rename it", 2)
    error = full_disk_behind(error) or error
    if isinstance(error, PermissionError) and error.filename:  # to read or to write, which is not said
        remedy = "give yourself the right to read or write it, or name another"
        return _say(f"{error.filename}: {os.strerror(error.errno or 0)}; {remedy}", 2)
    if isinstance(error, OSError):
        trouble = disk_trouble(error, _folder_of(error))
        if trouble is not None:
            return _say(str(trouble), trouble.exit_code)
        if error.errno is not None:  # the system's own, such as a full process table: no mistake of this program
            where = f"{error.filename}: " if error.filename else ""
            return _say(f"{where}{os.strerror(error.errno)} (CAPGEN_DEBUG=1 shows where)", 1)
    first = (str(error).strip().splitlines() or [""])[0]
    return _say(f"{type(error).__name__}: {first} (a defect of capgen; CAPGEN_DEBUG=1 shows where)", 1)


def _folder_of(error: OSError) -> Path:
    """The folder that an error is about; without a name, a full one of those that libraries write to on their own."""
    if error.filename:
        named = Path(os.fsdecode(error.filename))
        return named if named.is_dir() else named.parent
    places = [tempfile.gettempdir(), str(Path.home()), str(Path.cwd())]
    return Path(next((place for place in places if shutil.disk_usage(place).free < _NO_ROOM), "the disk"))


def _say(line: str, code: int) -> int:
    echo(f"capgen: {plain(plain_addresses(line))}", stderr=True)
    return code


if __name__ == "__main__":
    main()
