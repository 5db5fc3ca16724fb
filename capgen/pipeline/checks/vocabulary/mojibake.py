"""Text that was decoded with the wrong encoding, or lost characters on the way."""

from __future__ import annotations

import re

# What Windows-1252 shows for the bytes 0x80 to 0x9f.
_CP1252 = {byte: bytes((byte,)).decode("cp1252", "ignore") or chr(byte) for byte in range(0x80, 0xA0)}
_TO_BYTE = {character: byte for byte, character in _CP1252.items()} | {chr(byte): byte for byte in range(0x80, 0x100)}
_RUN = re.compile(f"[{re.escape(''.join(_TO_BYTE))}]{{2,24}}")
_LOST = re.compile(
    "\ufffd|\u00ef\u00bf\u00bd|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f]|[\ue000-\uf8ff]"
    # "à" and a blank after it, when its second byte 0xa0 was folded to an ordinary blank
    "|(?<=[a-z])\u00c3(?=\\s|$)|\u00c2(?=[\u00a0\u00b0\u00a3\u00a9\u00ae\u00b7])"
    "|\u00e2\u20ac|[\u0120\u2581][a-zA-Z]|[a-z]\u010a"
)


def mojibake(text: str) -> str | None:
    """The first piece of the text that is no text: lost characters, or UTF-8 read as Latin-1 or Windows-1252."""
    if text.isascii() and text.isprintable():
        return None
    lost = _LOST.search(text)
    if lost is not None:
        return lost.group()
    return next((run.group() for run in _RUN.finditer(text) if _is_utf8(run.group())), None)


def _is_utf8(run: str) -> bool:
    try:
        bytes(_TO_BYTE[character] for character in run).decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
