"""Telltale phrases, written as rows of word lists, and what makes one innocent.

A phrase is words with blanks between them::

    outlined in|by|with a|the? LINE* COLOUR|BOX

``a|b``: one of these words; ``LINE``: one of the vocabulary's words of that name; ``_``: any word; ``x?``: once or not
at all; ``x*``: up to three times; ``.``: the start or end of a sentence; ``!a|b``: the next word is none of these;
``@box``: a word that the object itself may be called by. Nothing repeats without bound, so a search is linear in the
length of the caption.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from capgen.pipeline.checks.base import Said
from capgen.text import normal, words

Vocabulary = Mapping[str, str]
Families = Mapping[str, frozenset[str]]

# Curly and modifier apostrophes, the prime and the backtick; hyphens and underscores part words.
_FOLD = str.maketrans(dict.fromkeys("\u2018\u2019\u02bc\u2032`", "'") | dict.fromkeys("-\u2010\u2011_", " "))
_SENTENCE_END = re.compile(r"[.!?:;\n\u3002\uff01\uff1f\uff1a]")
_ASIDE = re.compile(r"\([^()]{0,80}\)")
_TOKEN = re.compile(r"(?P<mark>[@!]?)(?P<words>[^?*@!]+)(?P<times>[?*]?)")
_TIMES = {"": "", "?": "{0,1}", "*": "{0,3}"}
_NEAR = 80  # characters before and after a phrase in which a word can make it innocent
_USUAL = frozenset(("a", "an", "the", "in", "of", "on", "from", "by", "with", "is", "are", "to", "and", "it", "this"))


@dataclass(frozen=True, slots=True)
class Phrase:
    """A compiled phrase.

    Args:
        pattern: matches in ``plain`` text.
        needs: of each of these sets, a word must be in the text; asking for that is quicker than searching.
        not_after: words one of which, before the match in its sentence, makes it innocent.
        not_before: the same for words after the match.
    """

    pattern: re.Pattern[str]
    needs: tuple[frozenset[str], ...]
    not_after: frozenset[str]
    not_before: frozenset[str]


def phrase(row: str, vocabulary: Vocabulary, *, not_after: str = "", not_before: str = "") -> Phrase:
    """Compile one row; innocent words are given with blanks between them.

    Raises:
        ValueError: the row is not of the form that this module's docstring tells.
    """
    pattern = "(?<= )"
    needs = []
    for token in row.split():
        parts = _TOKEN.fullmatch(token)
        if parts is None:
            raise ValueError(f"{token!r} in the phrase {row!r}")
        one = _one_of(parts["words"], vocabulary)
        wanted = "(?:" + "|".join(map(re.escape, one)) + ") " if parts["words"] != "_" else "[^ .]{1,30} "
        if parts["mark"] == "!":
            pattern += f"(?!{wanted})"
            continue
        group = "?P<thing>" if parts["mark"] == "@" else "?:"
        pattern += f"({group}{wanted}){_TIMES[parts['times']]}"
        if parts["words"] != "_" and not parts["times"]:
            needs.append(frozenset(one))
    needs.sort(key=lambda need: not need.isdisjoint(_USUAL))
    innocent = (frozenset(_one_of("|".join(text.split()), vocabulary)) for text in (not_after, not_before))
    return Phrase(re.compile(pattern), tuple(needs), *innocent)


def _one_of(alternatives: str, vocabulary: Vocabulary) -> list[str]:
    """Every word that the alternatives stand for."""
    found: list[str] = []
    for name in alternatives.split("|"):
        found += _one_of("|".join(vocabulary[name].split()), vocabulary) if name.isupper() else [name]
    return found


def plain(caption: str) -> str:
    """The words of the caption in lower case, blanks between them, and a lone "." around each sentence."""
    sentences = (normal(sentence) for sentence in _SENTENCE_END.split(caption.translate(_FOLD)))
    return " . " + " . ".join(filter(None, sentences)) + " . "


def families(rows: Mapping[str, str]) -> Families:
    """From ``{"carton crate": "box"}``: by each word of an object's name, what else it may be called or may show."""
    return {name: frozenset(kin.split()) for names, kin in rows.items() for name in names.split()}


def first_phrase(phrases: Iterable[Phrase], text: str, said: Said, kin: Families) -> str | None:
    """The first of the phrases that stands in the plain text and is not innocent; None where there is none."""
    present = set(text.split())
    for candidate in phrases:
        if any(need.isdisjoint(present) for need in candidate.needs):
            continue
        for match in candidate.pattern.finditer(text):
            if not _innocent(candidate, match, said, kin):
                return match.group().strip(" .")
    return None


def _innocent(candidate: Phrase, match: re.Match[str], said: Said, kin: Families) -> bool:
    text = match.string
    thing = match.groupdict().get("thing")
    if thing is not None:
        noun = singular(thing.strip())
        if noun in own_words(said.category, said.synonyms, kin) or _mentioned(noun, text, match.start()):
            return True
    before = text[max(0, match.start() - _NEAR) : match.start()].rpartition(" . ")[2]
    after = text[match.end() - 1 : match.end() + _NEAR].partition(" . ")[0]
    return not (candidate.not_after.isdisjoint(before.split()) and candidate.not_before.isdisjoint(after.split()))


def _mentioned(noun: str, text: str, before: int) -> bool:
    """Whether the caption has spoken of such a thing earlier: then it is a thing of the scene."""
    return any(0 <= text.find(f" {form} ") < before - 1 for form in (noun, f"{noun}s", f"{noun}es"))


def own_words(category: str | None, synonyms: Sequence[str], kin: Families) -> frozenset[str]:
    """The words of the category and its synonyms, in the singular, and what goes by them.

    A compound counts as its last part too: a mailbox is a box.
    """
    names = (category or "", *synonyms)
    own = {singular(word) for name in names for word in words(_ASIDE.sub(" ", name).translate(_FOLD))}
    for head, others in kin.items():
        if any(word.endswith(head) for word in own):
            own |= {head, *others}
    return frozenset(own)


def singular(word: str) -> str:
    """The word without the ending of an English plural."""
    if word.endswith(("xes", "shes", "ches", "sses")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word
