"""A caption in which the model declines, apologises, or says that it cannot tell."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from capgen.pipeline.checks.base import CheckedCaption
from capgen.pipeline.checks.vocabulary import phrases
from capgen.pipeline.checks.vocabulary.plain_form import plain, watch

_VOCABULARY = {
    "CANNOT": "can't cannot couldn't won't don't unable",
    "TELL": """determine identify describe provide tell recognize recognise discern generate ascertain assist comply
        caption create verify confirm answer""",
    "SEE": "image picture photo video object details detail content",
    "HARD": "difficult hard impossible challenging",
    # What a shirt, card or sign reads is no refusal.
    "QUOTED": """read reads reading say says saying text word words written printed lettering message titled""",
    "INFO": "information detail details context data resolution",
}
_phrase = partial(phrases.phrase, vocabulary=_VOCABULARY)

_PHRASES = (
    _phrase("i'm|we're|so|very sorry", not_after="QUOTED"),
    _phrase("i|we am|are sorry", not_after="QUOTED"),
    _phrase("sorry but|i|i'm|about|for", not_after="QUOTED"),
    _phrase(". sorry no|this|there|we|unable|that|the"),
    _phrase("i|we apologize|apologise", not_after="QUOTED"),
    _phrase("my apologies"),
    _phrase("i CANNOT", not_after="QUOTED"),
    _phrase("i can not"),
    _phrase("i could|will|do|must not|decline"),
    _phrase("i'm|i am? not|unable|sure !afraid", not_after="QUOTED"),
    _phrase("unable|able|possible|impossible|way|failed to TELL", not_before="time"),
    _phrase("is|it's _? HARD to TELL|say !from|apart", not_before="time"),
    _phrase("this|your|the request|question|prompt|query CANNOT|is|was|could|violates|may"),
    _phrase("insufficient|inadequate to|detail|details|information|data|resolution|evidence|context|visibility"),
    _phrase("CANNOT|not be _? determined|identified|described|recognized|recognised|discerned|provided"),
    _phrase("cannot|can't|couldn't _? TELL", not_after="QUOTED", not_before="time"),
    _phrase("can|could not _? TELL", not_after="QUOTED", not_before="time"),
    _phrase("as a|an large? ai|artificial|language|assistant !company|startup|firm|team|lab", not_after="QUOTED"),
    _phrase("ai|language model|assistant !airplane|train|car|referee|coach|s", not_after="QUOTED"),
    _phrase("insufficient visual? INFO"),
    _phrase("not|isn't|without enough visual? INFO"),
    _phrase("enough visual? INFO !to", not_after="QUOTED"),
    _phrase("enough visual? INFO to accurately? TELL"),
    _phrase("no|limited|without visual? INFO to|about|is|are|was|available|provided|regarding"),
    _phrase("more visual? INFO to|is|are|needed|required|please|would|regarding"),
    _phrase("more visual? INFO about the|this image|picture|object|video|scene"),
    _phrase(
        "there is|are|appears|seems to? be? no visible|clear|discernible|such|identifiable? SEE|subject|item|objects"
    ),
    _phrase(
        "no visible|clear|discernible|identifiable? object|image|subject is|was|can|could|visible|present|provided"
    ),
    _phrase("please|you _? provide|upload|share|send|clarify|specify|attach", not_after="QUOTED asking asks visitors"),
    _phrase("SEE|it is|was|has|are not been? visible|provided|shown|available|identifiable|clear"),
    _phrase("SEE is|are missing|unavailable"),
    _phrase("is|are|it's|SEE|appears too small|blurry|blurred|dark|far|unclear|distant _* to _? TELL|make"),
    _phrase("is|are|it's|SEE|appears too small|blurry|blurred|dark|far|unclear|distant _* to _? see !over|above|out"),
    _phrase(". too dark|blurry|blurred|small|far|unclear|pixelated|distant|low _? to TELL|see|make"),
    _phrase("violates|violate|against _* policy|policies|guidelines"),
    _phrase(". n/a|none|null|nil|unknown|undefined|error|unidentifiable|unclear ."),
    _phrase("SEE|subject|item cannot|can't be _? seen|shown|found"),
    _phrase(". unfortunately"),
    _phrase(". no object|objects found|visible|detected|present|shown|seen"),
    _phrase("no caption|description is|was|can? available|possible|provided|needed|given"),
    _phrase(". no caption|description can"),
    _phrase(". nothing is|was|to|can visible|seen|describe|shown|be|see"),
    _phrase(
        "nothing recognisable|recognizable|identifiable|discernible as|of|in|here|to", not_after="abstract painting"
    ),
    _phrase("remain|remains|stays unknown|unclear|undetermined|indeterminate|uncertain"),
    _phrase("it|it's is? unclear|uncertain|unknown what|which|whether|if"),
    _phrase(
        "isn't|aren't|not entirely|quite|completely? clear|certain|sure|obvious|possible what|which|whether|if|how|to"
    ),
    _phrase("there does|do|doesn't|don't not? appear|seem to be"),
    _phrase("requested|specified|described|mentioned|referenced object|item|subject|category is|does|isn't|cannot"),
    _phrase(
        "SEE|object|objects|item|subject|category not visible|found|detected|present|available|clear|identifiable|seen"
    ),
    _phrase(". n|not|no a|applicable|caption|description|object ."),
    # What the model is not sure of.
    _phrase(". seems|appears|looks|likely|probably|possibly|resembles to|like|a|an|some|it"),
    _phrase("this|it|that may|might|could be a|an|the|some"),
    _phrase(". something like|resembling|similar|that"),
    _phrase("object|thing|shape|item|figure|something that|which resembles|looks|appears|seems"),
    _phrase("may|might|could or may|might|could not"),
    _phrase(
        "unidentifiable|unidentified|unclear|indistinct|ambiguous|unrecognizable|unrecognisable|undefined|vague "
        "object|shape|thing|figure|item|form|structure"
    ),
    _phrase("maybe|perhaps|possibly|potentially|probably a|an !s|few"),
    _phrase("no sign|signs|trace|evidence|hint|glimpse of"),
    _phrase("out of shot|frame ."),
    _phrase("not something i|we|that|to"),
    _phrase(". for privacy|safety|legal|security reasons"),
    _phrase(
        ". possibly|maybe|perhaps|probably|presumably|potentially|conceivably|likely|apparently "
        "a|an|the|some|this|it|one|two|part|just|something|someone"
    ),
    _phrase(
        ". not|hard|difficult|impossible|tough entirely|quite|very|completely|totally|really? sure|certain|clear|to"
    ),
    _phrase("am|is|i'm|be|being not? sure|certain what|which|whether|if|about|of|.", not_after="QUOTED"),
    _phrase(
        "hard|difficult|impossible|tough|tricky to be|make|say|tell|know|judge|discern|identify",
        not_before="apart time from",
    ),
    _phrase("not|hardly|barely possible|enough to be|say|tell|know"),
    _phrase(
        "it's|it|is|this unclear|uncertain|ambiguous|indistinct|unidentifiable|debatable "
        ".|what|if|whether|which|from|how"
    ),
    _phrase(". what|something looks|appears|seems|might|may|could to|like|be"),
    _phrase("looks|seems|appears like? it|to could|might|may be"),
    _phrase("some|a kind|sort|type of _ _? or _"),
    _phrase("a|an|of some kind|sort|type ."),
    _phrase("either a|an _ _? or a|an !half"),
    _phrase("or possibly|maybe|perhaps|potentially|something a|an|some|similar|else"),
    _phrase(". nothing resembling|like|similar|matching|that|in|can|here|of"),
    _phrase(". without a|an|any|the visible|clear|discernible|identifiable"),
    _phrase("nothing|anything|not|cannot can|could? be described|captioned|identified|recognised|recognized"),
    _phrase("and|so|thus|therefore cannot|can't|couldn't be seen|described|identified|made"),
    _phrase("withheld|redacted|undisclosed|anonymised|anonymized"),
    _phrase("protect|respect|preserve|safeguard|reveal|disclose _? _? identity|privacy|anonymity"),
    _phrase("must|shall|ought be|have|not|include|mention|avoid|stay|remain|to|describe", not_after="QUOTED"),
    _phrase(". might|may|could|can be"),
    _phrase("was|were|been|is|are requested|queried|expected|prompted|mislabelled|mislabeled|misidentified|mistaken"),
    _phrase("what it|this|that really|actually|truly is"),
    _phrase("tagged|labelled|labeled|listed|given as a|an|the _ though|but|yet|however|although"),
    _phrase("this was|were"),
    _phrase("honestly|frankly|admittedly|arguably|conceivably|presumably|supposedly|ostensibly|evidently"),
    _phrase(". or|nor|but|yet _* _"),
    _phrase("devoid of _ .|_"),
    _phrase(
        "content|request|caption|output|response filtered|blocked|removed|moderated|flagged|unavailable|suppressed"
    ),
    _phrase(". regrettably|sadly|alas|apologies"),
    _phrase("makes|making|renders a|any|the description|caption|answer|identification impossible|difficult|unreliable"),
    _phrase("isn't|aren't|not in the|this|any shot|frame|picture|view|image|photo|scene"),
    _phrase(
        "too small|blurry|blurred|dark|far|distant|unclear and|or|to _? to? be|describe|identify|tell|make|see|caption"
    ),
    _phrase("detected|undetected", not_after="smoke metal motion"),
    _phrase(
        ". contrary|despite|notwithstanding|regardless|against to|of? the|this|its|your "
        "label|prompt|request|category|caption|name|title"
    ),
    _phrase("one|you would|might expect"),
    _phrase("nothing other than|but|except|besides", not_after="wearing wears"),
    _phrase("could|may|might be _ _? _? or"),
    _phrase(". no|zero _ _? here|there|detected|found|visible|in"),
    _phrase(
        "none|neither|not of|one|any|a _? _? _? _? _? is|are|shows|show|contains|contain|matches|match|depicts|looks"
    ),
    _phrase(
        "cannot|can't|couldn't|could|unable|impossible|failed|fail not? to? be? _? "
        "see|find|found|locate|located|spot|detect|detected|observe|observed|discern|distinguish",
        not_after="QUOTED",
        not_before="time",
    ),
    _phrase(  # "its head cannot be seen" tells of the object
        "cannot|can't|couldn't|could not? be? _? seen|spotted",
        not_after="QUOTED its his her their whose",
        not_before="time",
    ),
    _phrase("does|do|did not _? appear|show|contain|include|depict|seem|exist|match|correspond !on|to|up"),
    _phrase("doesn't|don't|didn't _? appear|contain|include|depict|seem|exist|match|correspond !on|up"),
    _phrase(
        "looks|look|looked|seems|appears like|to a|an|be _? _? _? but|though|although|however it|could|may|might|i"
    ),
    _phrase("may|might|could just|also|well|actually|instead? be just|only|something|another|actually|simply"),
    _phrase("may|might|could just|also|well|actually|instead be a|an|the|some"),
    _phrase(
        ". no|none|nothing|neither|nowhere|nobody|no one _? _? is|are|was|in|of|to|here|there|exists|appears|visible|"
        "found|detected|present|seen|shown|can|could|matching|like "
        "!sign|allowed",
        not_before="sign sticker label permitted allowed",
    ),
    _phrase(
        "completely|fully|entirely|totally hidden|obscured|occluded|covered|invisible .|and|from|by|in",
        not_unnamed="behind",
    ),
)
_BOOK = phrases.PhraseBook(_PHRASES)
# The default model also knows Chinese, and falls back on it; in the form that `plain` leaves.
_CHINESE = (
    "抱歉",
    "对不起",
    "對不起",
    "我无法",
    "我無法",
    "无法确定",
    "无法识别",
    "无法描述",
    "无法提供",
    "无法判断",
    "无法看清",
)


_GONE = "visible|seen|found|detected|present|shown|identified|identifiable|discernible|there|in view"
# "No giraffe visible", at the start of the caption whatever the category; "there is no giraffe" where one was asked
# for.
_NONE_SEEN = re.compile(rf"^ \. no (?:[^ .]{{1,30}} ){{1,3}}?(?:is |are |can be |could be )?(?:clearly )?(?:{_GONE}) ")
_DENIED = re.compile(
    r" (?:no|zero|0|without an?|without any|not any) (?:visible |clear |such |actual |identifiable "
    r"|discernible )?NAME (?!allowed|is allowed|crossing)"
    r"| NAME (?:(?:is|are|was|were) not |isn't |aren't |cannot be |can't be |could not be |not )"
    rf"(?:[^ .]{{1,12}} )?(?:{_GONE}) "
    r"| NAME (?:does not|doesn't|do not|don't) (?:appear|seem|show|exist) (?:in|to|up|on|at|here|\.)"
    r"| the NAME (?:is|are) (?:missing|absent|gone|nowhere|lacking) (?:\.|from|in)"
    r"| (?:isn't|aren't|is not|are not|there's not) (?:a|an|any|the) NAME "
    r"| (?:not|don't|doesn't|didn't|cannot|can't) "
    r"(?:appear to be|seem to be|look like|resemble|contain|show|include|see|find|depict|have|wear|hold|carry"
    r"|feature|display) "
    r"(?:a |an |any |the )?NAME "
    r"| the (?:requested|specified|mentioned|described|referenced) NAME "
    r"| (?:rather than|instead of|and not|not) (?:a|an|the) NAME \. "
)
_DENIALS = watch(
    frozenset(
        """zero 0 without missing absent gone nowhere lacking no not isn't aren't cannot can't don't doesn't didn't
        there's rather instead requested specified mentioned described referenced""".split()  # noqa: SIM905
    )
)
_TELLING = _BOOK.telltale | _DENIALS


def _denial(said: CheckedCaption) -> str | None:
    """Where the caption says that the object is not there."""
    heard = plain(said.caption)
    if not heard.lists & _DENIALS:
        return None
    found = _NONE_SEEN.search(heard.text) or phrases.around_name(said, _DENIED, _DENIALS)
    return None if found is None else found.group().strip(" .")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Drops apologies, refusals, "cannot be determined" and "no giraffe visible", but not what a sign reads."""

    final: ClassVar[bool] = False

    def __call__(self, said: CheckedCaption) -> str | None:
        """Quote the refusal."""
        if said.caption.isascii() and not plain(said.caption).lists & _TELLING:  # most captions
            return None
        found = _BOOK.first(said) or _denial(said)
        if found is None and not said.caption.isascii():
            text = plain(said.caption).text
            found = next((word for word in _CHINESE if word in text), None)
        return None if found is None else f"refuses: {found!r}"
