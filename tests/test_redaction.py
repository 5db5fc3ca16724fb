"""Keys and passwords are found in other people's sentences, however they are written there."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capgen.display import PlainFormatter
from capgen.redaction import LONGEST_MESSAGE, holds_secret, message, redact, shown_url

KEY = "q7Zt-91xPfLw0vRk_Yb3"


@pytest.mark.parametrize(
    "told",
    [
        f"wrong key {KEY}",
        f"wrong key {KEY[:14]}... (cut off)",
        f"the key ends with {KEY[-11:]}",
        f"key: {KEY.upper()}",
        " ".join(KEY),
        "\n".join(KEY[i : i + 4] for i in range(0, len(KEY), 4)),
        f"first half {KEY[:10]} second half {KEY[10:]}",
        f"{'x' * (LONGEST_MESSAGE - 10)}{KEY}",
        f"Authorization: Bearer {KEY}",
    ],
)
def test_a_key_is_not_shown_whole_or_in_parts(told):
    shown = message(told, (KEY,))
    letters = "".join(letter for letter in shown.casefold() if letter.isalnum())
    core = "".join(letter for letter in KEY.casefold() if letter.isalnum())
    assert not [core[i : i + 5] for i in range(len(core) - 4) if core[i : i + 5] in letters], shown


@given(st.text(max_size=40), st.integers(0, len(KEY) - 8), st.integers(8, len(KEY)), st.text(max_size=40))
def test_eight_letters_of_a_key_never_survive(before, start, length, after):
    part = KEY[start : start + length]
    assert part not in redact(before + part + after, (KEY,)) or len([c for c in part if c.isalnum()]) < 5


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("see https://user:pw@host:8000/v1/models?key=abc#x now", "see https://host:8000/v1/models now"),
        ("user:pw@host:8000/v1 is down", "host:8000/v1 is down"),
        ("http://pw@host/v1", "http://host/v1"),
        ("/v1beta/models?api_key=abcdef&alt=json", "/v1beta/models?api_key=***&alt=json"),
        ("Incorrect API key provided: sk-proj-abcdef123456.", "Incorrect API key provided: ***"),
        ("Incorrect API key: abcd********wxyz", "Incorrect API key: ***"),
        ("At 12:30 a cup stood at 4:3, a@b", "At 12:30 a cup stood at 4:3, a@b"),
    ],
)
def test_addresses_and_what_looks_like_a_key(told, shown):
    assert redact(told) == shown


@pytest.mark.parametrize(
    ("url", "shown", "secret"),
    [
        ("http://host:8000/v1", "http://host:8000/v1", False),
        ("host:8000/v1", "host:8000/v1", False),
        ("http://u:p@host/v1", "http://host/v1", True),
        ("u:p@host/v1", "host/v1", True),
        ("http://u:p@w/d@host/v1?a=b#c", "http://w/d@host/v1", True),
        ("s3://bucket/folder?versionId=1", "s3://bucket/folder", True),
    ],
)
def test_an_address_is_shown_without_what_it_hides(url, shown, secret):
    assert shown_url(url) == shown
    assert holds_secret(url) is secret


def test_a_message_is_one_line_of_bounded_length():
    shown = message("a\n\tb" + "c" * 100_000)
    assert shown.startswith("a bc")
    assert len(shown) == LONGEST_MESSAGE


def test_a_log_line_shows_addresses_without_their_passwords():
    record = logging.LogRecord("x", logging.WARNING, "", 0, "%s does not answer", ("http://u:pw@host/v1?key=a",), None)
    assert PlainFormatter("%(message)s").format(record) == "http://host/v1 does not answer"
