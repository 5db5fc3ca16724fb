"""A caption that is no plain sentence: markup, JSON, lists, special tokens, broken encodings, half a sentence."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from capgen.pipeline.checks.base import CheckedCaption
from capgen.pipeline.checks.vocabulary.english_words import is_english
from capgen.pipeline.checks.vocabulary.mojibake import mojibake
from capgen.pipeline.checks.vocabulary.plain_form import plain, watch
from capgen.pipeline.checks.vocabulary.quotations import without_readings

# Each repeat is bounded: searched in the caption as it is.
_SPECIAL = re.compile(
    # <|im_end|>, <｜end▁of▁sentence｜>, <end_of_utterance>, <eos>, <0x0A>, <unused12>, <image>
    r"\[g?MASK\]|(?<!\w)sop\s|<[|\uff5c][^<>|\uff5c]{1,40}[|\uff5c]>|</?(?:start|end|begin)_?of_?[a-z_]{1,20}>|<0x[0-9A-F]{2}>|<<\/?SYS>>"
    r"|</?(?:s|unk|pad|bos|eos|cls|sep|mask|image|img|picture|video|frame|audio|text|sys|turn|fim_[a-z]+|unused_?\d+|extra_id_\d+"
    r"|reserved_special_token_\d+|image_\d+|row_\d+_col_\d+|fake_token_around_image|global-img)>"
    r"|\[/s\]|\[/?(?:INST|SYS|IMG|CLS|SEP|PAD|UNK|EOS|BOS|MASK|IMAGE|TOOL_CALLS|AVAILABLE_TOOLS|EOT)\]"
    r"|\b(?:im_start|im_end|endoftext|eot_id|end_of_text|end_of_turn|end_of_utterance)\b"
    # any tag: <IMG_CONTEXT>, <end>, <|x|>; [b], [/b], [TOOL]
    r"|</?[|\uff5c\u2581]?[a-z][a-z0-9_|\uff5c\u2581-]{0,40}(?:\s[^<>]{0,80})?/?>|\[/?(?:b|i|u|s|url|img|quote|code|size|color|list|center|h\d)(?:=[^\]]{0,40})?\]"
    # (confidence: 0.93)
    r"|\b(?:confidence|score|probability|prob|iou|logit|certainty|conf)(?: score| level)?\s?[:=]\s?\d"
    r"|\b(?:confidence|probability|certainty)(?: score)? of \d|\b\d{1,3}\s?% (?:confidence|confident|sure|certain"
    r"|probability)"
    r"|\bconfidence\s?[:=]"
    # IMG_2041_kettle.jpg, www.x.org
    r"|\b[\w-]{2,60}\.(?:jpe?g|png|gif|webp|bmp|tiff?|mp4|mov|avi|json|txt|xml|html?|pdf|csv)\b"
    # cut@@ lery, print("…")
    r"|\w@@\s|\b(?:print|echo|return|console\.log|def|lambda|const|var)\s?\([\"']"
    # emoji
    r"|[\U0001f300-\U0001faff\u2705\u2714\u2728\u274c\u2b50\u26a0\ufe0f]"
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
_CODE = re.compile(r"\b(?:HTML|XML|CSS|code|markup|tags?)\b", re.IGNORECASE)
_TAG_OF_A_PAGE = re.compile(
    rf"</?(?:{_TAGS}|head|title|img|script|style|link|meta|button|input|form|main|section|nav|footer|header)/?>",
    re.IGNORECASE,
)
_STRUCTURE = re.compile(
    # {"caption": …}, ["…"], {'object': …}, caption="…"
    r"^\s{0,5}\(\s{0,3}[\"']|\{\{|\}\}|\$?\{[a-z_]{1,30}\}|%s\b|(?<!\S)/(?:no_?)?think\b"
    r"|^\s{0,5}[{\[]\s{0,5}[\"'{\[]|[\"'][A-Za-z_ ]{1,30}[\"']\s{0,3}:\s{0,3}[\"'\[{\d]|[\"'}\]]\s{0,5}[}\]]\s{0,5}$"
    r"|\b(?:caption|description|object|label|category|answer)\s?=\s?[\"']"
    # - one, * two, 1. three, a) four
    r"|^\s{0,5}(?:[-*\u2022\u25cf\u25aa\u2013]|\d{1,2}[.)]|[a-d]\))\s+\S"
    r"|(?:^|[\s:])1[.)]\s\S.{1,300}?\s2[.)]\s\S"
    # one caption, and another after a blank line; #cat #cute
    r"|\S\s{0,3}\n\s{0,3}\n\s{0,3}\S|#[a-z]\w{1,40}\s{1,3}#[a-z]",
    re.IGNORECASE | re.MULTILINE,
)
# Rabbit: white, small.
_LABEL = re.compile(r"^\s{0,3}[A-Za-z][a-z]{1,20}(?: [a-z]{1,20})?(?: \([^()]{1,40}\))?:\s+\S|^\s{0,3}#?\d{1,3}:\s+\S")
# red bus | street | day, violin_on_a_chair, [red] [bus], (a) one (b) two
_PARTS = re.compile(
    # colour - red; type - city bus;
    r"(?:\b[a-z ]{2,20}\s?[-\u2013=]\s[^;,]{1,30}[;,]\s){1,4}[a-z ]{2,20}\s?[-\u2013=]\s"
    r"|(?<!\w)\w{2,40}\s?/\s?\w[^/]{0,60}\s/\s\w|[.\w]\s/\s[^/]{1,200}\s/\s"
    r"|\w\s?\|\s?\w[^|]{0,100}\|\s?\w|\b[a-z]{1,20}_[a-z]{1,20}_[a-z]{1,20}|\[[^\[\]]{1,60}\],?\s{0,3}\["
    r"|\(?\ba\)\s\S.{1,300}?\s\(?b\)\s\S",
    re.IGNORECASE,
)
# Horse, white, paddock, grass: parts that no little word joins.
_LITTLE = re.compile(r"\b(?:a|an|the|with|of|in|on|and|is|are|its|his|her|at|by|to|for|from|has|that)\b", re.IGNORECASE)
_PARTING = re.compile(r"[,;]\s*")
# What no sentence ends with, whatever the engine says of its end.
_CUT = frozenset(
    """a an the and or of its their your our my which into onto with while whose between is are that who for from at by
    than because reading saying showing featuring displaying wearing if but plus about among has have was were being
    very""".split()  # noqa: SIM905
)
_OPEN_END = re.compile(r"(?:[,;:(&/+\u2013\u2014-]|\.\.\.|\u2026)\s{0,3}\Z|\([^()]{1,200}\Z")
# "with a long", "and its wooden": an adjective whose noun is missing.
_ADJECTIVES = (
    "small|large|big|tiny|huge|long|short|tall|wide|narrow|thin|thick|wooden|metallic|bright|shiny|smooth|rough|soft|"
    "fluffy|furry|striped|patterned|checkered|golden|curved|pointed|rectangular|circular|old|new|matching|"
    "sharp|heavy|colorful|colourful|pale|slightly|very"
)
_NO_NOUN = re.compile(rf"\b(?:an?|its|his|her|their|two|three|several|some) (?:[a-z-]+ )?(?:{_ADJECTIVES})\s{{0,3}}\Z")
# Words of three letters or fewer with which captions end; any other one is likely to be the start of a longer word.
_SHORT_ENDS = frozenset(
    """age air amp arm bag bar bay bed bib bin bow box boy bun bus bug bud cab can cap car cat cow cup cut dad day den
    dip dog dot dry ear egg end eye fan fin fir fly fog fox fur gap gas gum gym hat hay hem hen her hen hib him hip his
    hob hut ice ink it ivy jam jar jaw jet jug key kid lap leg lid lip lit log lot map mat men mom mop mud mug net nut
    oak off oil old on one out owl own oar pad pan paw pea peg pen pet pie pig pin pit pod pole pot pub rag ram red rib
    rim rod row rug run sea set ski sky sit six sun tab tag tail tan tap tea ten tie tin tip toe top toy tub two up
    us urn van vat vet wax way web wet wig zip zoo""".split()  # noqa: SIM905
)
_HALF = re.compile(r"\b(?:an?|several|many|two|three|four|its) [a-z]+ed\s{0,3}\Z")
_LAST_WORD = re.compile(r"(\w+)\s{0,3},?\s{0,3}\Z")
# What no English sentence says in a row.
_SALAD = re.compile(
    r"\b(a|an|the|of|is|are|and|with|its|by|from) \1\b"
    r"|\b(?:the|an) (?:of|and|or|is|are|on|in|by|with|at|to|for|from|which|that|a|an|the|its|his)\b(?! [A-Z])"
    r"|\ba (?:of|is|are|the|an|its|which|with|and|a)\b|\b(?:of|by|with|from|at) (?:of|by|with|is|are|and|which is)\b"
    r"|\b(?:and|or|with|of|the) *[.;]|\b(?:is|are) (?:is|are|of)\b"
)
_DOUBLE = re.compile(r",,|;;|(?<!\.)\.\.(?!\.)")
_LITTLE_WORDS = frozenset(
    """a an the of and or is are on in by with at to for from which that its""".split()  # noqa: SIM905
)
_MANY_LITTLE = 6  # words
_SALAD_HONEST = re.compile(r"\bin of\b|[\"\u201c']|\bof of\b")
_SHORT = 3  # letters
_LONG = 7  # blanks of a caption whose last word is looked up: it may be half a word
# Each of what the patterns find has one of these: asking for them first is quicker.
_SIGNS = "<>{}[]`*#?/|\\$_=&~\n%)@"
_SUSPICIOUS_WORDS = watch(frozenset(("confidence", "endoftext", "sop")))
_SUSPICIOUS = re.compile(
    rf"[{re.escape(_SIGNS)}\u2022\u25cf\u25aa\u2013\u2600-\u27bf\u2b50\ufe0f\uff5c\U0001f300-\U0001faff]"
)
_COLON = re.compile(r":\s?\d|[\"']\s{0,3}:")  # score: 7, "caption":
_NO_SIGNS = bytes(byte for byte in range(128) if chr(byte) not in _SIGNS)
_KINDS = (("a special token", _SPECIAL), ("markup", _MARKUP), ("a list or JSON", _STRUCTURE), ("a list", _PARTS))


@dataclass(frozen=True, slots=True)
class Format:
    """Drops what is no plain sentence: special tokens, markup, lists, JSON, mojibake, a sentence without its end.

    What a sign or a shirt reads, in quotation marks, may look like anything but mojibake.
    """

    final: ClassVar[bool] = False

    def __call__(self, said: CheckedCaption) -> str | None:
        """Quote the first piece that is no plain text."""
        if not plain(said.caption).sentence and (broken := _broken(said.caption)) is not None:
            return broken
        if (salad := _salad(said.caption)) is not None:
            return f"is no sentence: {salad!r}"
        if _are_words_alone(said.caption):
            return f"has a list: {said.caption.strip()[:60]!r}"
        return _no_text(without_readings(said.caption)) if _is_suspicious(said.caption) else None


def _broken(caption: str) -> str | None:
    """What no plain sentence has: broken characters, an end that is none, a label."""
    broken = mojibake(caption)
    if broken is not None:
        return f"has broken characters: {broken!r}"
    if (cut := _cut(caption)) is not None:
        return f"breaks off in the middle of a sentence: {cut!r}"
    label = _LABEL.search(without_readings(caption)) if ":" in caption else None
    return None if label is None else f"begins with a label: {label.group().strip()[:60]!r}"


def _is_suspicious(caption: str) -> bool:
    if plain(caption).sentence and "-" not in caption:
        return bool(plain(caption).lists & _SUSPICIOUS_WORDS)
    has_sign = caption.encode().translate(None, _NO_SIGNS) if caption.isascii() else _SUSPICIOUS.search(caption)
    return (
        bool(has_sign)
        or (":" in caption and _COLON.search(caption) is not None)
        or caption.lstrip()[:1] in "-123456789"
        or ("-" in caption and (" - " in caption or "--" in caption))
        or "1. " in caption
        or ".jp" in caption
        or ".png" in caption
        or bool(plain(caption).lists & _SUSPICIOUS_WORDS)
    )


def _no_text(caption: str) -> str | None:
    """Quote a special token, markup, a list or JSON; where a screen shows code, its tags are no markup."""
    if "<" in caption and _CODE.search(caption) is not None:
        caption = _TAG_OF_A_PAGE.sub(" ", caption)
    for kind, pattern in _KINDS:
        if found := pattern.search(caption):
            return f"has {kind}: {found.group().strip()[:60]!r}"
    return None


def _salad(caption: str) -> str | None:
    """Function words in an order that no sentence has."""
    if (",," in caption or ";;" in caption or ".." in caption) and (marks := _DOUBLE.search(caption)) is not None:
        return marks.group().strip()
    if len(_LITTLE_WORDS & plain(caption).words) < _MANY_LITTLE:
        return None
    found = _SALAD.search(caption)
    return None if found is None or _SALAD_HONEST.search(caption) is not None else found.group().strip()


def _cut(caption: str) -> str | None:
    """The last word, where no sentence ends with it."""
    if caption[-1:] == "." and caption[-3:] != "...":
        return None
    if (end := _OPEN_END.search(caption)) is not None:
        return end.group().strip()
    if (half := _HALF.search(caption[-60:]) or _NO_NOUN.search(caption[-60:])) is not None:
        return half.group().strip()
    last = _LAST_WORD.search(caption[-30:])
    if last is None:
        return None
    word = last[1]
    alone = len(word) == 1 and word.islower() and word != "s"
    if word.lower() in _CUT or alone or (word.islower() and caption.count(" ") > _LONG and _is_half(word, caption)):
        return last.group().strip()
    return None


def _is_half(word: str, caption: str) -> bool:
    """Whether the last word of a long caption without a full stop is no word, or a short one that ends no caption.

    Who writes in lower case may leave the full stop out; who begins with a capital does not.
    """
    if not is_english(word):
        return True
    return len(word) <= _SHORT and word not in _SHORT_ENDS and caption.lstrip()[:1].isupper()


def _are_words_alone(caption: str) -> bool:
    """Whether a caption is nothing but short parts between commas, four or more, or three between semicolons."""
    commas, semicolons = caption.count(","), caption.count(";")
    if commas < 3 and semicolons < 2:
        return False
    if semicolons < 3 and _LITTLE.search(caption):
        return False
    parts = _PARTING.split(caption.strip(" .,;"))
    return max(len(part.split()) for part in parts) <= 3
