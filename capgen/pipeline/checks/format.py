"""A caption that is no plain sentence: markup, JSON, lists, special tokens, broken encodings, half a sentence."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from capgen.pipeline.checks.base import CheckedCaption
from capgen.pipeline.checks.vocabulary.mojibake import mojibake
from capgen.pipeline.checks.vocabulary.quotations import without_readings

# Each repeat is bounded: searched in the caption as it is.
_SPECIAL = re.compile(
    # <|im_end|>, <｜end▁of▁sentence｜>, <end_of_utterance>, <eos>, <0x0A>, <unused12>, <image>
    r"\[g?MASK\]|(?<!\w)sop\s|<[|\uff5c][^<>|\uff5c]{1,40}[|\uff5c]>|</?(?:start|end|begin)_?of_?[a-z_]{1,20}>|<0x[0-9A-F]{2}>|<<\/?SYS>>"
    r"|</?(?:s|unk|pad|bos|eos|cls|sep|mask|image|img|picture|video|frame|audio|text|sys|turn|fim_[a-z]+|unused_?\d+|extra_id_\d+"
    r"|reserved_special_token_\d+|image_\d+|row_\d+_col_\d+|fake_token_around_image|global-img)>"
    r"|\[/s\]|\[/?(?:INST|SYS|IMG|CLS|SEP|PAD|UNK|EOS|BOS|MASK|IMAGE|TOOL_CALLS|AVAILABLE_TOOLS|EOT)\]"
    r"|\b(?:im_start|im_end|endoftext|eot_id|end_of_text|end_of_turn|end_of_utterance)\b"
    r"|\[(?:end|end of (?:text|caption|description|response))\]",
    re.IGNORECASE,
)
_TAGS = "a|b|i|u|em|strong|p|br|hr|div|span|h[1-6]|ul|ol|li|table|tr|td|code|pre|small|sub|sup|font|html|body|xml|svg"
_MARKUP = re.compile(
    rf"</?(?:{_TAGS}|caption|answer|description|response|output|result|final|summary|object|sentence|think)(?:\s[^<>]{{0,80}})?/?>"
    r"|<([a-z_]{2,20})>[^<>]{1,300}</\1>|<!--|&(?:[a-z]{2,8}|#\d{1,5}|#x[0-9a-f]{1,5});"
    # **bold**, __bold__, *emphasis*, `code`, ## heading, [text](link), | a | b |, ---
    r"|\*\*|(?<!\w)__\w|(?<![\w*])\*[A-Za-z][^*\n]{0,60}\*(?![\w*])|```|`[^`\n]{1,80}`|~~\w"
    r"|^\s{0,5}#{1,6}\s|#{2,}|^\s{0,3}>\s|\\x[0-9a-f]{2}|\?{4,}|\]\([^()\s]{1,200}\)|!\[|^\s{0,3}\|.{1,200}\||^\s{0,3}(?:-{3,}|={3,}|\*{3,}|_{3,})\s{0,3}$"
    # \n and A as letters, \text{…}, $…$
    r"|(?<!\w)\\[nrt](?![a-z])|\\n(?=[A-Z\\]|$)|\\u[0-9a-f]{4}|\\(?:text|boxed|times|frac|mathrm|textbf|begin|end)\b|\$\\",
    re.IGNORECASE | re.MULTILINE,
)
_STRUCTURE = re.compile(
    # {"caption": …}, ["…"], {'object': …}, caption="…"
    r"^\s{0,5}[{\[]\s{0,5}[\"'{\[]|[\"'][A-Za-z_ ]{1,30}[\"']\s{0,3}:\s{0,3}[\"'\[{\d]|[\"'}\]]\s{0,5}[}\]]\s{0,5}$"
    r"|\b(?:caption|description|object|label|category|answer)\s?=\s?[\"']"
    # - one, * two, 1. three, a) four
    r"|^\s{0,5}(?:[-*\u2022\u25cf\u25aa\u2013]|\d{1,2}[.)]|[a-d]\))\s+\S"
    r"|(?:^|[\s:])1[.)]\s\S.{1,300}?\s2[.)]\s\S",
    re.IGNORECASE | re.MULTILINE,
)
# Rabbit: white, small.
_LABEL = re.compile(r"^\s{0,3}[A-Z][a-z]{1,20}(?: [a-z]{1,20})?:\s+\S")
# red bus | street | day, violin_on_a_chair, [red] [bus], (a) one (b) two
_PARTS = re.compile(
    # colour - red; type - city bus;
    r"(?:\b[a-z ]{2,20}\s?[-\u2013=]\s[^;,]{1,30}[;,]\s){1,4}[a-z ]{2,20}\s?[-\u2013=]\s"
    r"|\w{2,}\s?/\s?\w[^/]{0,60}\s/\s\w"
    r"|\w\s?\|\s?\w[^|]{0,100}\|\s?\w|\b[a-z]{1,20}_[a-z]{1,20}_[a-z]{1,20}|\[[^\[\]]{1,60}\],?\s{0,3}\["
    r"|\(?\ba\)\s\S.{1,300}?\s\(?b\)\s\S",
    re.IGNORECASE,
)
# Horse, white, paddock, grass: parts that no little word joins.
_LITTLE = re.compile(r"\b(?:a|an|the|with|of|in|on|and|is|are|its|his|her|at|by|to|for|from|has|that)\b", re.IGNORECASE)
_PARTING = re.compile(r"[,;]\s*")
# What no sentence ends with, whatever the engine says of its end.
_CUT = frozenset(
    "a an the and or of its their your our my which into onto with while whose between is are".split()  # noqa: SIM905
)
_LAST_WORD = re.compile(r"(\w+)\s{0,3},?\s{0,3}\Z")
_SUSPICIOUS = re.compile(
    r"[<>{}\[\]`*#?/|\\$_=&~\n\u2022\u25cf\u25aa\u2013!-]|\d[.)] |[\"']\s?:|[a-d]\)|end_?of|eot_id|^\s*\w+(?: \w+)?:\s"
)
_KINDS = (("a special token", _SPECIAL), ("markup", _MARKUP), ("a list or JSON", _STRUCTURE), ("a list", _PARTS))


@dataclass(frozen=True, slots=True)
class Format:
    """Drops what is no plain sentence: special tokens, markup, lists, JSON, mojibake, a sentence without its end.

    What a sign or a shirt reads, in quotation marks, may look like anything but mojibake.
    """

    final: ClassVar[bool] = False

    def __call__(self, said: CheckedCaption) -> str | None:
        """Quote the first piece that is no plain text."""
        broken = mojibake(said.caption)
        if broken is not None:
            return f"has broken characters: {broken!r}"
        if (cut := _cut(said.caption)) is not None:
            return f"breaks off in the middle of a sentence: {cut!r}"
        if ":" in said.caption and (label := _LABEL.search(without_readings(said.caption))):
            return f"begins with a label: {label.group().strip()[:60]!r}"
        if _are_words_alone(said.caption):
            return f"has a list: {said.caption.strip()[:60]!r}"
        return None if _SUSPICIOUS.search(said.caption) is None else _no_text(without_readings(said.caption))


def _no_text(caption: str) -> str | None:
    """Quote a special token, markup, a list or JSON."""
    for kind, pattern in _KINDS:
        if found := pattern.search(caption):
            return f"has {kind}: {found.group().strip()[:60]!r}"
    return None


def _cut(caption: str) -> str | None:
    """The last word, where no sentence ends with it."""
    if caption[-1:] == ".":
        return None
    last = _LAST_WORD.search(caption[-20:])
    return last.group().strip() if last is not None and last[1].lower() in _CUT else None


def _are_words_alone(caption: str) -> bool:
    """Whether a caption is nothing but short parts between commas, four or more, or three between semicolons."""
    commas, semicolons = caption.count(","), caption.count(";")
    if (commas < 3 and semicolons < 2) or _LITTLE.search(caption):
        return False
    parts = _PARTING.split(caption.strip(" .,;"))
    return max(len(part.split()) for part in parts) <= 3
