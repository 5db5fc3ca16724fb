"""JSON files that do not fit into memory: the elements of their arrays, one at a time, with their place in the file.

A results file of a video benchmark is easily a gigabyte of run lengths. It is walked once to note where each element
lies; the elements of one video are read again when their turn comes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec
import numpy as np

from capgen.encoding import unmarked
from capgen.errors import MissingFile, UserError

_BLANK = re.compile(r"[ \t\r\n]*")
_CHUNK = 1 << 20


class _Keys(msgspec.Struct, gc=False):
    image_id: int | str | None = None
    video_id: int | str | None = None


_decode = json.JSONDecoder().raw_decode
_keys = msgspec.json.Decoder(list[_Keys]).decode
_raws = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Element(NamedTuple):
    """One element of an array: the array's key ("" for a top-level list), its bytes in the file, its value.

    ``value`` reads bytes as letters, which is wrong for what is beyond ASCII; ``exact`` is right and slower.
    """

    array: str
    offset: int
    length: int
    value: Any
    raw: str

    def exact(self) -> Any:
        """The value, read again as UTF-8."""
        return json.loads(self.raw.encode("latin-1"))

    def key(self, *names: str) -> Any:
        """The first of some members that the value, an object, has; None where it has none."""
        whole = self.value if isinstance(self.value, dict) else {}
        found = next((whole[name] for name in names if name in whole), None)
        if isinstance(found, str) and not found.isascii():
            exact = self.exact()
            return next(exact[name] for name in names if name in exact)
        return found


class ElementBatch(NamedTuple):
    """Many elements of an array, in order: their bytes in the file, their image's or video's id, the first itself."""

    array: str
    offsets: list[int]
    lengths: list[int]
    keys: list[int | str | None]
    first: bytes


class _Window:
    """A sliding piece of the file, a character a byte, so that positions in it are positions in the file."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file, self.path = file, path
        self.text, self.pos, self.base = "", 0, 0
        self._chunk, self._ended = _CHUNK, False

    def _more(self) -> bool:
        data = b"" if self._ended else self._file.read(self._chunk)
        self._ended = not data
        self.base += self.pos
        # Latin-1 gives one character a byte; the structure of JSON is ASCII, and strings are read again as UTF-8.
        self.text, self.pos = self.text[self.pos :] + data.decode("latin-1"), 0
        return not self._ended

    def skip_mark(self) -> None:
        """Step over a byte order mark of UTF-8 at the start of the file.

        Raises:
            UserError: the file is text of another encoding.
        """
        self._more()
        head = self.text[:4].encode("latin-1")
        self.pos = len(head) - len(unmarked(head, self.path))

    def peek(self) -> str:
        """The next character that is not blank; empty at the end of the file."""
        while True:
            match = _BLANK.match(self.text, self.pos)
            self.pos = match.end() if match else self.pos
            if self.pos < len(self.text):
                return self.text[self.pos]
            if not self._more():
                return ""

    def take(self, characters: str) -> str:
        """Step over one of ``characters``.

        Raises:
            UserError: the file has something else there.
        """
        found = self.peek()
        if not found or found not in characters:
            raise self.error()
        self.pos += 1
        return found

    def value(self, array: str = "") -> Element:
        """The value that begins here."""
        self.peek()
        while True:
            try:
                value, end = _decode(self.text, self.pos)
            except json.JSONDecodeError as error:
                self._chunk = max(_CHUNK, len(self.text))  # doubling keeps a long value linear
                if self._more():
                    continue
                raise self.error() from error
            except (ValueError, RecursionError) as error:
                raise unreadable(self.path, self.base + self.pos, error) from error
            if (end == len(self.text) or self.text[end] in ".eE+-") and self._more():
                continue  # a number may go on in the next piece
            element = Element(array, self.base + self.pos, end - self.pos, value, self.text[self.pos : end])
            self.pos, self._chunk = end, _CHUNK
            return element

    def batch(self, array: str) -> ElementBatch | None:
        """As many whole elements as lie in the window, of which only the ids are read; None where that is in doubt.

        They must be objects, each as far from the one before as the others.
        """
        self.peek()
        cut = self.text.rfind("}", self.pos, self.text.rfind("{", self.pos))
        if cut < 0:
            return None
        data = b"[" + self.text[self.pos : cut + 1].encode("latin-1") + b"]"
        try:
            keys, raws = _keys(data), _raws(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        lengths = np.array([memoryview(raw).nbytes for raw in raws])
        gap, rest = divmod(len(data) - 2 - int(lengths.sum()), max(1, len(raws) - 1))
        starts = 1 + np.cumsum(lengths + gap) - lengths - gap
        letters = np.frombuffer(data, np.uint8)
        if rest or (letters[starts] != ord("{")).any() or (letters[starts + lengths - 1] != ord("}")).any():
            return None
        offset = self.base + self.pos - 1
        self.pos = cut + 1
        found = [key.image_id if key.image_id is not None else key.video_id for key in keys]
        return ElementBatch(array, (starts + offset).tolist(), lengths.tolist(), found, bytes(raws[0]))

    def fill(self) -> None:
        """Read on where the window runs low."""
        if len(self.text) - self.pos < _CHUNK // 2:
            self._more()

    def error(self) -> UserError:
        """What to say of a file that is not JSON."""
        return UserError(
            f"{self.path} is not valid JSON near byte {self.base + self.pos}", "write it again, or download it again"
        )


def unreadable(path: Path, offset: int, error: Exception) -> UserError:
    """What to say of a file that cannot be decoded around a byte."""
    if isinstance(error, UnicodeDecodeError):
        return UserError(f"{path} is not UTF-8 near byte {offset}", "write it again as UTF-8")
    if isinstance(error, RecursionError):
        return UserError(f"{path} is nested too deeply near byte {offset}", "no annotation file is: write it again")
    if isinstance(error, json.JSONDecodeError):
        return UserError(f"{path} is not valid JSON near byte {offset}", "write it again, or download it again")
    return UserError(f"{path} has a number of too many digits near byte {offset}", "write it again")


def elements(path: Path, arrays: frozenset[str]) -> Iterator[Element]:
    """Every element of the named top-level arrays, one by one, as ``scan`` meets them."""
    return (one for one in scan(path, arrays, light=frozenset()) if isinstance(one, Element))


def scan(path: Path, arrays: frozenset[str], light: frozenset[str]) -> Iterator[Element | ElementBatch]:
    """Every element of the named top-level arrays, in the order of the file; a top-level list has the name "".

    Those of the arrays named in ``light`` come in batches, with nothing but their place and their id, where they can.

    Raises:
        MissingFile: there is no such file.
        UserError: the file is not JSON, or neither an object nor a list.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise MissingFile(path, "check the path") from error
    with file:
        window = _Window(file, path)
        window.skip_mark()
        start = window.peek()
        if start == "[":
            yield from _list(window, "", "" in light)
        elif start == "{":
            yield from _members(window, arrays, light)
        else:
            raise window.error()
        if window.peek():
            raise window.error()


def _list(window: _Window, name: str, light: bool) -> Iterator[Element | ElementBatch]:
    window.take("[")
    if window.peek() == "]":
        window.take("]")
        return
    while True:
        window.fill()
        many = window.batch(name) if light else None
        light = many is not None  # elements that are not of the simple form seldom come alone
        yield many or window.value(name)
        if window.take(",]") == "]":
            return


def _members(window: _Window, arrays: frozenset[str], light: frozenset[str]) -> Iterator[Element | ElementBatch]:
    window.take("{")
    if window.peek() == "}":
        window.take("}")
        return
    no_list = ""
    while True:
        if window.peek() != '"':
            raise window.error()
        name = str(window.value().value)
        window.take(":")
        if name in arrays and window.peek() == "[":
            yield from _list(window, name, name in light)
        elif window.value().value is not None and name in arrays:
            no_list = name
        if window.take(",}") == "}":
            break
    if no_list:
        raise UserError(f"{window.path}: {no_list} is not a list", f"write a list of {no_list}")
