"""What readers of COCO-like files share: where a split's file is, ids as text, categories, names that cannot climb."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from capgen.dataset.types import Fault
from capgen.errors import MissingFile, UserError, did_you_mean

IdKey = int | str

MAX_SIDE = 65_535
MAX_PIXELS = 2**29

_MAX_NAME = 200
_MAX_SYNONYMS = 20
_MAX_PATH = 1_000
_MAX_PART = 255

_MAX_ID_BITS = 330
_ID = re.compile(r"[\w.:@+~-]{1,100}")
_NUMBER = re.compile(r"0|-?[1-9][0-9]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")
_DRIVE = re.compile(r"[A-Za-z]:")


class CategoryRow(msgspec.Struct, gc=False):
    """A row of ``categories``."""

    id: Any = None
    name: Any = None
    synonyms: Any = None
    isthing: Any = None


@dataclass(frozen=True, slots=True)
class SourceCategory:
    """A category: ``name`` as the dataset spells it, on one line, at most 200 characters.

    ``stuff``: the dataset says that it is no countable thing, such as sky or grass.
    """

    id: int | None
    name: str
    synonyms: tuple[str, ...]
    stuff: bool = False


def id_key(value: object) -> IdKey | None:
    """What two spellings of one id have in common: 12, 12.0 and "12" are 12; ``str`` of it stands in keys.

    An id is a whole number of any size or a text of at most 100 letters, digits and ``.:@+~_-``; None for the rest.
    """
    if type(value) is int:  # nearly always: a million of them in a file
        return value if value.bit_length() <= _MAX_ID_BITS else None
    if isinstance(value, float) and value.is_integer() and abs(value) <= 2**53:
        return int(value)
    if isinstance(value, str) and _ID.fullmatch(value):
        return int(value) if _NUMBER.fullmatch(value) else value
    return None


def code(value: object) -> str | None:
    """An id as text, or None where it is none."""
    key = id_key(value)
    return None if key is None else str(key)


def line(text: str, limit: int = _MAX_NAME) -> str:
    """The text on one line, without control characters, at most ``limit`` characters."""
    if len(text) <= limit and text.isascii() and text.isprintable() and " " not in text:
        return text
    return " ".join(_CONTROL.sub(" ", text[: 20 * limit]).split())[:limit].strip()


def brief(value: object) -> str:
    """What stood in the file, short enough for a message."""
    return line(repr(value)[:200], 60)


def count(value: object) -> int | None:
    """A positive whole number, or None."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def size_fault(width: object, height: object) -> Fault | None:
    """``bad_size`` unless both are whole numbers of pixels that a picture can have."""
    columns, rows = count(width), count(height)
    if columns and rows and max(columns, rows) <= MAX_SIDE and columns * rows <= MAX_PIXELS:
        return None
    return Fault("bad_size", f"its size is {brief(width)} x {brief(height)}, which no picture has")


def safe_name(name: str) -> str | None:
    """A file name with forward slashes, or None where it is absolute, climbs with ``..`` or cannot be a name.

    Only the text is looked at: a link that somebody laid below the root is followed.
    """
    if len(name) <= _MAX_PART and _PLAIN_NAME.fullmatch(name):
        return name
    parts = name.replace("\\", "/").split("/")
    if not parts[0] or _DRIVE.match(parts[0]) or ".." in parts or "\0" in name or len(name) > _MAX_PATH:
        return None
    parts = [part for part in parts if part not in ("", ".")]
    if not parts or any(len(part.encode()) > _MAX_PART for part in parts):
        return None
    return "/".join(parts)


def path_fault(name: object) -> Fault:
    """``bad_path`` for what ``safe_name`` refused."""
    return Fault("bad_path", f"its file name {brief(name)} is not a relative path below the root")


def read_categories(rows: Iterable[CategoryRow | None]) -> dict[IdKey, SourceCategory]:
    """Categories by id; a row without id or name is left out, and so is an id with two different names."""
    found: dict[IdKey, SourceCategory] = {}
    ambiguous: set[IdKey] = set()
    for row in rows:
        key = id_key(row.id) if row else None
        name = line(row.name) if row and isinstance(row.name, str) else ""
        if row is None or key is None or not name:
            continue
        if key in found and found[key].name != name:
            ambiguous.add(key)
        found.setdefault(key, SourceCategory(int64(row.id), name, _synonyms(row.synonyms), row.isthing in (0, "0")))
    return {key: category for key, category in found.items() if key not in ambiguous}


def _synonyms(value: object) -> tuple[str, ...]:
    items = value[:_MAX_SYNONYMS] if isinstance(value, list) else ()
    return tuple(filter(None, (line(item) for item in items if isinstance(item, str))))


def int64(value: object) -> int | None:
    """A whole number that a column of 64 bits holds, or None."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63 else None


def annotation_files(
    root: Path, split: str, usual: Sequence[str], candidates: Callable[[str], Sequence[Path]], affixes: re.Pattern[str]
) -> dict[str, Path]:
    """The annotation file of each split asked for, by the split's label in keys, in the order asked for.

    Args:
        split: names, or paths of .json files (absolute or below ``root``), with commas; ``all`` is every one of
            ``usual`` whose file exists.
        candidates: where the file of a named split may lie, best first.
        affixes: what is cut from a path's stem to get its label.

    Raises:
        UserError: a file is missing, or ``split`` makes no sense.
    """
    if not root.is_dir():
        raise MissingFile(root, "--root must name the folder that holds the dataset")
    found: dict[str, Path] = {}
    for name in dict.fromkeys(name.strip() for name in split.split(",")):
        if name.lower() == "all":
            _add_usual(found, usual, candidates, root)
        elif name.endswith(".json"):
            _add(found, label(affixes.sub("", Path(name).stem)), root / name)
        elif re.fullmatch(r"[\w.-]+", name):
            _add(found, label(name), _first(name, usual, candidates, root))
        else:
            raise UserError(
                f"--split {split!r} is not a list of splits", f"give all, {', '.join(usual)}, or a .json file"
            )
    return found


def split_names(root: Path, files: Sequence[str]) -> tuple[str, ...]:
    """The splits whose files lie below the root under one of the names, ``{}`` in them the split; train first."""
    found: set[str] = set()
    for file in files:
        before, _, after = file.partition("{}")
        for path in root.glob(file.replace("{}", "*")):
            found.add(path.relative_to(root).as_posix()[len(before) : -len(after)])
    return tuple(sorted(found, key=lambda name: (not name.startswith("train"), name)))


def _add_usual(
    found: dict[str, Path], usual: Sequence[str], candidates: Callable[[str], Sequence[Path]], root: Path
) -> None:
    existing = {name: path for name in usual for path in reversed(candidates(name)) if path.is_file()}
    if not existing:
        raise _missing(candidates(usual[0]), root)
    for name in usual:
        if name in existing:
            _add(found, name, existing[name])


def _add(found: dict[str, Path], split: str, path: Path) -> None:
    if split.lower() == "all":
        raise UserError(
            f"--split: {path.name} would make a split called {split!r}, which for `datasets` means every split",
            "rename the file or link it under another name",
        )
    if found.setdefault(split, path) != path:
        raise UserError(f"--split names two files for the split {split!r}: {found[split]} and {path}", "run them apart")


def _first(name: str, usual: Sequence[str], candidates: Callable[[str], Sequence[Path]], root: Path) -> Path:
    existing = [path for path in candidates(name) if path.is_file()]
    if not existing:
        raise _missing(candidates(name), root, did_you_mean(name, (*usual, "all")))
    return existing[0]


def _missing(candidates: Sequence[Path], root: Path, hint: str = "") -> MissingFile:
    others = ", ".join(str(path.relative_to(root)) for path in candidates[1:])
    present = sorted(path.name for path in root.glob("*.json"))[:5]
    beside = f"; the folder holds {', '.join(present)}: --split takes a file name too" if present else ""
    return MissingFile(candidates[0], f"--root must hold it (or {others}){beside}{hint}")


def label(text: str) -> str:
    """A split's name as keys and ``datasets`` can hold it: letters, digits and _."""
    return re.sub(r"\W+", "_", text).strip("_") or "data"
