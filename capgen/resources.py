"""Where prompts, pipelines, ablations and data cards lie: at the top of a checkout, inside the package in a wheel."""

from __future__ import annotations

from pathlib import Path

from capgen.errors import UnknownName, UserError


def resource_dir(kind: str) -> Path:
    """The folder of ``prompts``, ``pipelines``, ``ablations`` or ``data_cards``.

    Raises:
        UserError: the installation is incomplete.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / "_data" / kind, package.parent / kind):
        if folder.is_dir():
            return folder
    raise UserError(f"this installation of capgen has no {kind}/ folder", "pip install --force-reinstall capgen")


def resource_names(kind: str, suffix: str) -> tuple[str, ...]:
    """The names of the shipped files of a kind, sorted.

    Raises:
        UserError: the installation is incomplete.
    """
    return tuple(sorted(path.name.removesuffix(suffix) for path in resource_dir(kind).glob(f"*{suffix}")))


def resource(kind: str, name: str, suffix: str) -> Path:
    """The file of that name, or ``name`` itself where it is a path that exists.

    Raises:
        UnknownName: neither a shipped name nor a file.
    """
    folder = resource_dir(kind)
    for candidate in (folder / f"{name}{suffix}", Path(name)):
        if candidate.is_file():
            return candidate
    raise UnknownName(f"file in {kind}/", name, resource_names(kind, suffix))
