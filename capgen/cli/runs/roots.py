"""Where the pictures of a run are: what its ``plan.json`` says counts only where this user put it there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from capgen.cli.data import places
from capgen.dataset.reader import find_plan, holds_media, release_folders
from capgen.display import plain
from capgen.errors import UserError


def picture_root(out: Path, given: Path | None, *, trusted: bool = False) -> Path | None:
    """The folder to look for pictures in; None is the one that ``plan.json`` names.

    An OUT may be a stranger's, and its plan may name any folder of this machine. Without ``--root`` that folder is
    read only where the user's own record of the run names it too, or where it lies in OUT itself.

    Args:
        given: ``--root``.
        trusted: ``--trust-out``.

    Raises:
        UserError: nobody but OUT says where its pictures are.
    """
    from capgen.pipeline.running.own_runs import own_run

    plan = find_plan(out)
    if given is not None or trusted or plan is None or plan.root is None:
        return given
    run = own_run(out)
    if run is not None and run.root_url is not None:
        return places.dataset_root(run.root_url)
    planned = Path(plan.root)
    if run is not None and run.root is not None:
        return None if planned == Path(run.root) else Path(run.root)
    if planned.is_absolute() and planned.resolve().is_relative_to(out.resolve()):
        return None
    raise UserError(
        f"{plain(str(out))} says that its pictures are in {plain(plan.root)}, and there is no record that you started "
        "this run here",
        "give their folder with --root",
    )


def release_root(out: Path, given: Sequence[Path]) -> Path | None:
    """The folder to look for a release's pictures in, as ``picture_root``; OUT itself where it holds them.

    Args:
        given: folders that the user named; of several, the first one that holds the release's pictures.

    Raises:
        UserError: none of several does, or nobody but OUT says where its pictures are.
    """
    wrong: UserError | None = None
    for folder in given if len(given) > 1 else ():
        try:
            release_folders(out, folder)
        except UserError as error:
            wrong = error
        else:
            return folder
    if wrong is not None:
        raise wrong
    try:
        return picture_root(out, next(iter(given), None))
    except UserError:
        if not holds_media(out):
            raise
        return out
