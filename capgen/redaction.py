"""What must not be shown: passwords and queries of URLs, and keys in what a server says about them.

A server may repeat a key whole, cut off, with stars in it or letter by letter. Messages are cleaned before they are cut
to length, because half a key is no longer found.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

HIDDEN = "***"
LONGEST_MESSAGE = 2000
"""Characters of a message that are kept."""

_LONGEST_READ = 65_536
_SHORT = 8
"""Letters and digits that a key must have so that its parts are looked for."""
_PART = 5
"""Letters and digits in a row that a text has in common with a key, so that they count as a part of it."""

# Every repetition is bounded, so that no text takes longer than its length says.
_SCHEME = r"[a-z][a-z0-9+.-]{0,30}:"
_USER = re.compile(
    rf"(?<![\w.+-])((?:{_SCHEME})?//)?[^\s/@:'\"<>]{{1,256}}:[^\s/@'\"<>]{{1,512}}@(?=[\w\[])", re.IGNORECASE
)
_USER_ALONE = re.compile(rf"((?:{_SCHEME})?//)[^\s/@'\"<>]{{1,512}}@", re.IGNORECASE)
_QUERY = re.compile(rf"({_SCHEME}//[^\s?#'\"<>]{{0,2048}})[?#][^\s'\"<>]*", re.IGNORECASE)
_PARAMETER = re.compile(
    r"([?&;](?:[\w-]{0,64}(?:key|token|secret|password|passwd|signature|credential)[\w-]{0,64}|sig)=)[^\s&'\"<>]+",
    re.IGNORECASE,
)
_KEYS = (
    re.compile(r"\b(?:sk|pk|rk|hf|gsk|xai|nvapi|glpat|ghp|gho|pat)[-_][A-Za-z0-9_*.-]{6,}"),
    re.compile(r"\bAIza[0-9A-Za-z_-]{16,}"),
    re.compile(r"(?<=\bBearer )[^\s'\",]{4,}", re.IGNORECASE),
    re.compile(r"\b[\w-]{2,256}\*{3,256}[\w*-]*|\*{3,256}[\w-]{2,}"),
)
"""Forms of keys that many services use, and of keys that a server has starred out itself."""

_SECRET_NAME = re.compile(
    r"(?:(?:.*[_-])?(?:api|access|auth|private|secret|subscription|hf)[_-]?(?:key|token)|token|bearer|cookie"
    r"|(?:.*[_-])?(?:secret|password|passwd|authorization|credentials?))",
    re.IGNORECASE,
)
_SECRET_VALUE = re.compile(
    r"(?:sk|pk|rk|hf|gsk|xai|nvapi|glpat|ghp|gho|pat)[-_](?=[\w-]*\d)[\w-]{16,}"
    r"|AIza[\w-]{16,}|(?:Bearer|Basic) \S{4,}.*",
    re.IGNORECASE,
)
_SECRET_VARIABLE = re.compile(r"(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD)S?(?:$|_)", re.IGNORECASE)
_REPEATED = 12
"""Letters and digits of a key in a row that no caption has by chance."""


def shown_url(url: str) -> str:
    """An address without user, password, query and fragment; also one without a scheme."""
    place = re.split(r"[?#]", url, maxsplit=1)[0]
    scheme, mark, rest = place.rpartition("//")
    host, slash, path = rest.partition("/")
    return f"{scheme}{mark}{host.rpartition('@')[2]}{slash}{path}"


def holds_secret(url: str) -> bool:
    """Whether an address has a user, a password, a query or a fragment."""
    try:
        parts = urlsplit(url if "//" in url else f"//{url}")
    except ValueError:
        return True
    return bool("@" in parts.netloc or parts.query or parts.fragment)


def secret_place(value: Any, place: str = "") -> str | None:
    """Where a key or a password stands in a setting; None where none is recognised.

    One is recognised by the name that it stands under (``api_key``, ``Authorization``), by its form (``sk-...``,
    ``Bearer ...``, ``user:password@host``), and where it is the value of a variable of the environment such as
    ``MY_API_KEY``.

    Args:
        place: the dotted key of the value.
    """
    if isinstance(value, Mapping):
        found = (secret_place(inner, f"{place}.{name}" if place else str(name)) for name, inner in value.items())
        return next((one for one in found if one is not None), None)
    if isinstance(value, list | tuple):
        return next((place for inner in value if secret_place(inner, place) is not None), None)
    return place if isinstance(value, str) and value and _is_secret(place.rpartition(".")[2], value) else None


def _is_secret(name: str, value: str) -> bool:
    if _SECRET_NAME.fullmatch(name) or _SECRET_VALUE.fullmatch(value.strip()):
        return True
    if any(form.search(value) for form in (_USER, _USER_ALONE, _PARAMETER)):
        return True
    known = (held for variable, held in os.environ.items() if _SECRET_VARIABLE.search(variable))
    return any(len(held) >= _REPEATED and held in value for held in known)


def repeats(text: str, secret: str) -> bool:
    """Whether a text has a key in it, or twelve of its letters and digits in a row, whatever stands between them."""
    core = _core(secret)
    if len(core) < _REPEATED:
        return len(secret) >= _SHORT and secret in text
    letters = _core(text)
    return any(core[i : i + _REPEATED] in letters for i in range(len(core) - _REPEATED + 1))


def plain_addresses(text: str) -> str:
    """The text with every address in it without user, password, query and fragment."""
    return _QUERY.sub(r"\1", _USER_ALONE.sub(r"\1", _USER.sub(r"\1", text)))


def redact(text: str, secrets: Sequence[str] = ()) -> str:
    """The text without ``secrets``, whole or in parts, without what looks like a key, and with plain addresses.

    Args:
        secrets: keys that are known; a short one (fewer than eight letters and digits) is found whole only.
    """
    text = text[:_LONGEST_READ]
    for secret in secrets:
        text = _without(text, secret)
    text = plain_addresses(text)
    text = _PARAMETER.sub(rf"\1{HIDDEN}", text)
    for form in _KEYS:
        text = form.sub(HIDDEN, text)
    return text


def message(text: str, secrets: Sequence[str] = ()) -> str:
    """Somebody else's sentence as a message of ours: one line, redacted, then cut to ``LONGEST_MESSAGE`` characters."""
    line = " ".join(redact(text, secrets).split())
    return line if len(line) <= LONGEST_MESSAGE else line[: LONGEST_MESSAGE - 1] + "…"


def _without(text: str, secret: str) -> str:
    """The text with every part of the secret starred out, whatever stands between its letters."""
    if len(secret) < 4:
        return text
    text = text.replace(secret, HIDDEN)
    core = _core(secret)
    if len(core) < _SHORT:
        return text
    parts = {core[i : i + _PART] for i in range(len(core) - _PART + 1)}
    places = [i for i, letter in enumerate(text) if letter.isalnum()]
    letters = "".join(_folded(text[i]) for i in places)
    hidden: set[int] = set()
    for i in range(len(letters) - _PART + 1):
        if letters[i : i + _PART] in parts:
            hidden.update(range(i, i + _PART))
    spans = list(_runs(sorted(hidden)))
    for first, last in reversed(spans):
        text = text[: places[first]] + HIDDEN + text[places[last] + 1 :]
    return text


def _core(text: str) -> str:
    return "".join(letter for letter in text.casefold() if letter.isalnum())


def _folded(letter: str) -> str:
    folded = letter.casefold()
    return folded if len(folded) == 1 else letter


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """The first and the last of each run of numbers that follow each other."""
    start = 0
    for i, number in enumerate(numbers):
        if i + 1 == len(numbers) or numbers[i + 1] != number + 1:
            yield numbers[start], number
            start = i + 1
