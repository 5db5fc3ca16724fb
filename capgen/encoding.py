"""Text files from anywhere: UTF-8 with or without a byte order mark; every other encoding is named in one line."""

from __future__ import annotations

import codecs
import os
import re
from pathlib import Path, PurePosixPath, PureWindowsPath

from capgen.errors import MissingFile, UserError

_OTHERS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",  # after UTF-32, whose mark begins with the same bytes
    codecs.BOM_UTF16_BE: "UTF-16",
}
_REMEDY = "save it as UTF-8"
_NOT_FINITE = re.compile(rb'"(?:[^"\\]++|\\.)*+"|-?Infinity|NaN', re.DOTALL)


def unmarked(data: bytes, name: Path | str) -> bytes:
    """UTF-8 bytes without a byte order mark; ``name`` is what errors call them.

    Raises:
        UserError: the mark of another encoding stands in front.
    """
    for mark, encoding in _OTHERS.items():
        if data.startswith(mark):
            raise UserError(f"{name} is {encoding} text", _REMEDY)
    return data.removeprefix(codecs.BOM_UTF8)


def decode(data: bytes, name: Path | str) -> str:
    """UTF-8 bytes as text, without a byte order mark.

    Raises:
        UserError: they are text of another encoding, or no text.
    """
    text = unmarked(data, name)
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        what = f"{name} is not UTF-8 text (line {line} has the byte 0x{text[error.start]:02x})"
        raise UserError(what, f"{_REMEDY}; it may be Windows-1252") from None


def read_text(path: Path, remedy: str = "") -> str:
    """The text of a file, its lines ended by ``\\n`` alone.

    Args:
        remedy: what to do where it cannot be read; in general words where none is given.

    Raises:
        MissingFile: there is no such file.
        UserError: it cannot be read, or is not UTF-8.
    """
    return decode(read_bytes(path, remedy), path).replace("\r\n", "\n")


def read_bytes(path: Path, remedy: str = "") -> bytes:
    """The bytes of a UTF-8 file without a byte order mark, for decoders of JSON that take bytes.

    Args:
        remedy: see ``read_text``.

    Raises:
        MissingFile: there is no such file.
        UserError: it cannot be read, or has the mark of another encoding.
    """
    try:
        return unmarked(path.read_bytes(), path)
    except FileNotFoundError:
        raise MissingFile(path, remedy or "check the path") from None
    except OSError as error:
        raise UserError(
            f"cannot read {path}: {error.strerror or error}", remedy or "check the file and its permissions"
        ) from None


def finite_json(data: bytes) -> bytes:
    """JSON whose ``NaN`` and ``Infinity``, which Python writes and no other reader takes, are null."""
    if b"NaN" not in data and b"Infinity" not in data:
        return data
    return _NOT_FINITE.sub(lambda match: match[0] if match[0].startswith(b'"') else b"null", data)


def is_below(name: str) -> bool:
    """Whether a name from data stays below the folder that it is relative to, on any system."""
    windows = PureWindowsPath(name)
    outside = windows.drive or windows.root or PurePosixPath(name).is_absolute() or ".." in windows.parts
    return bool(name) and "\0" not in name and not outside


def leads_below(path: Path, bounds: str | Path) -> bool:
    """Whether a path is in a folder once its links are followed; False where they go round in circles."""
    try:
        return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(bounds))
    except OSError:
        return False


def check_name(path: Path) -> None:
    """Refuse a file or folder whose name is not UTF-8: Parquet, JSON and Ray could not say it.

    Raises:
        UserError: it is not.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise UserError(f"the name {bad_name(error)} is not UTF-8, which files of a run must be", "rename it") from None


def bad_name(error: Exception) -> str | None:
    """The name that is no UTF-8 and could therefore not be written; None where the error is another.

    Python holds the bytes of such a name as lone surrogates from U+DC80 to U+DCFF; they are shown as ``\\xff``.
    """
    if not isinstance(error, UnicodeEncodeError) or not "\udc80" <= error.object[error.start] <= "\udcff":
        return None
    before, after = error.object[: error.start], error.object[error.start :]
    begin = max(before.rfind(letter) for letter in '"\n,')
    name = before[begin + 1 :][-200:] + re.split(r'["\n,]', after, maxsplit=1)[0][:200]
    return repr(os.fsencode(name))[2:-1]
