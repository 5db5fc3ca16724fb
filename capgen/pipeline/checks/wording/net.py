"""How much a caption is worded like talk of marks, pictures, the task or doubts, for what no phrase knows.

A logistic regression over each clause's classes of words in their order, and over the stems of the words, which
``scripts/talk_weights.py`` fits to the labelled captions. What an animal cannot have, a border say, a plate may have:
so classes also count by the kind of object.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache, lru_cache
from itertools import combinations, repeat
from operator import add
from pathlib import Path
from typing import NamedTuple

from capgen.pipeline.checks.base import CheckedCaption
from capgen.pipeline.checks.categories.nouns import nouns
from capgen.pipeline.checks.vocabulary.markers import FAMILIES, PICTURE_FAMILIES
from capgen.pipeline.checks.vocabulary.names import spoken
from capgen.pipeline.checks.vocabulary.phrases import own_words
from capgen.pipeline.checks.vocabulary.plain_form import plain, watch
from capgen.pipeline.checks.vocabulary.quotations import without_readings
from capgen.pipeline.checks.wording.classes import (
    CODES,
    COLOUR,
    HEAVY,
    HOT,
    LONGEST_WORD,
    MOST_WORDS,
    NAME,
    from_readable,
)

TABLE = Path(__file__).resolve().parent / "weights.tsv"
ENOUGH = 240
"""From how much on a caption is dropped: the logarithm of the odds, eleven to one, in hundredths.

All weights are whole hundredths here: sums of fractions depend on their order, and that of a set is another one in each
process.
"""
HOPELESS = -600
"""Below this the clauses are not looked at: of a hundred captions that are talk one has such stems."""
_TOKEN = re.compile(r"[a-z0-9]+(?:'[a-z]+)?|,")
_PUNCTUATION = ",.!?:;()\n\u2014\u2013"
_FOLD = str.maketrans(dict.fromkeys("\u2019\u2018`", "'") | dict.fromkeys(_PUNCTUATION, ","))
# The same of bytes, for most captions: what is neither word nor punctuation is a blank.
_ASCII = bytes(
    ord("," if chr(byte) in _PUNCTUATION else chr(byte) if byte < 128 and chr(byte).isalnum() else " ")
    for byte in range(256)
)
_ENDINGS = "ations ation ingly edly ings ing ied ies ers ed es er ly s e".split()  # noqa: SIM905
_NO_NAMES = frozenset("of and the for in a s es".split())  # noqa: SIM905
_HOT_CODE = re.compile(f"[{''.join(HOT)}]")
_KIND_GRAM = 2  # codes of the longest run that counts by the kind of object
_USUAL = 4  # clauses; each further one of a long caption
_EACH = 50  # allows for so much more
_UNNAMED = 100  # and an object whose category nobody has told
_LONGEST = 200  # codes of a clause that are looked at
_MOST_REST = 3  # other words of a clause that are counted
_KIND_LETTERS = frozenset("nfpou")
_KINDS = (
    ("n", "animal person"),
    ("f", "food plant fruit vegetable"),
    ("p", "clothing fabric sign paper crockery publication rug blanket cushion flag toy picture document bag screen"),
    ("p", "display card furnishing"),
)
"""Letters for kinds of objects: living, growing or eaten, printed and patterned."""


Clause = tuple[str, str, str]
"""The words between two marks of punctuation as codes, their place in the caption and the kind of the object.

The place is "f" for the first, "l" for the last, "m" for one in the middle.
"""


class Wording(NamedTuple):
    """What weighs most in a caption that reads like talk: the words of a clause, and whether they are about marks."""

    words: str
    leaks: bool


class _Weights(NamedTuple):
    constant: int
    lean: int
    of_keys: dict[str, int]
    of_stems: dict[str, int]
    leans: dict[str, int]
    triggers: frozenset[str]


@cache
def _weights() -> _Weights:
    rows = [line.split("\t") for line in TABLE.read_text("utf-8").splitlines() if not line.startswith("#")]
    of_keys: dict[str, int] = {}
    of_stems: dict[str, int] = {}
    leans: dict[str, int] = {}
    constant = lean = 0
    triggers: list[str] = []
    for tag, words, *numbers in rows:
        if tag == "trigger":
            triggers = words.split()
            continue
        if tag == "constant":
            constant, lean = map(_hundredths, numbers)
            continue
        key = words if tag == "stem" else tag + from_readable(words)
        (of_stems if tag == "stem" else of_keys)[key] = _hundredths(numbers[0])
        leans[key] = _hundredths(numbers[1])
    return _Weights(constant, lean, of_keys, of_stems, leans, frozenset(triggers))


TRIGGERS = watch(lambda word: word in _weights().triggers)
"""The bit of the words of which each caption that is weighed has one."""


def _hundredths(number: str) -> int:
    return round(100 * float(number))


def stem(word: str) -> str:
    """The word without an ending."""
    if len(word) < 5:
        return word
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)]
            break
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "ls" else word


class _StemWeights(dict[str, int]):
    """The weight of each word by its stem, found once."""

    def __missing__(self, word: str) -> int:
        weight = _weights().of_stems.get(stem(word), 0)
        if len(self) < MOST_WORDS and len(word) <= LONGEST_WORD:
            self[word] = weight
        return weight


_stem_weights = _StemWeights()


@lru_cache(maxsize=4096)
def _names(category: str | None, synonyms: tuple[str, ...]) -> frozenset[str]:
    """The words of the object's names, and what else it may be called or may show, singular and plural."""
    names = (category or "picture", *synonyms)  # what nobody has named may be a picture
    words = {word for name in names for word in spoken(name).split()}
    words |= own_words(names, FAMILIES) | own_words(names, PICTURE_FAMILIES)
    return frozenset(f"{word}{ending}" for word in words - _NO_NAMES for ending in ("", "s", "es"))


@lru_cache(maxsize=4096)
def kind_of(category: str | None) -> str:
    """The letter of what kind of thing a category is: "o" for any other one, "u" where that is not known."""
    table = nouns()
    kinds = table.kinds_of_category(category or "")
    if not kinds:
        return "u"
    for letter, names in _KINDS:
        wanted = {synset for name in names.split() for synset in table.senses.get(name, ())}
        if letter == "n":
            wanted.add(table.people)
        if not wanted.isdisjoint(kinds):
            return letter
    return "o"


def _tokens(caption: str) -> list[str]:
    text = without_readings(caption)
    if text.isascii() and "'" not in text and "`" not in text:
        return text.lower().encode().translate(_ASCII).replace(b",", b" , ").decode().split()
    return _TOKEN.findall(text.lower().translate(_FOLD))


def _clauses(said: CheckedCaption, tokens: list[str]) -> list[Clause]:
    """The clauses of a caption, in order."""
    names = _names(said.category, said.synonyms)
    if names.isdisjoint(tokens):
        text = "".join(map(CODES.__getitem__, tokens))
    else:
        text = "".join([NAME if token in names else CODES[token] for token in tokens]).replace("NN", NAME)
    parts = [part[:_LONGEST] for part in text.split(",") if part]
    kind = kind_of(said.category)
    if len(parts) < 2:
        return [(part, "f", kind) for part in parts]
    return [(parts[0], "f", kind), *[(part, "m", kind) for part in parts[1:-1]], (parts[-1], "l", kind)]


def _grams(codes: str) -> set[str]:
    """Runs of one to three codes with one of HOT among them, of the punctuation around a clause too."""
    text = f",{codes},"
    found: set[str] = set()
    for match in _HOT_CODE.finditer(codes):
        at, before = match.end(), max(match.end() - 2, 0)
        found.update((text[at], text[at - 1 : at + 1], text[at : at + 2]))
        found.update((text[before : at + 1], text[at - 1 : at + 2], text[at : at + 3]))
    return found


def _make_up(codes: str) -> tuple[list[str], int, int]:
    """The classes of marks and talk in a clause in order, how many other words it has, and how telling its colours."""
    count = codes.count
    colours = (count("G") > 0) + (count(COLOUR) + count("G") > 0)
    return sorted(HOT.intersection(codes)), min(sum(map(count, HEAVY)), _MOST_REST), colours


def _keys(clause: Clause) -> Iterator[str]:
    """What counts of a clause: runs of codes, and which classes it has beside how many other words."""
    codes, place, kind = clause
    for gram in _grams(codes):
        yield "g" + gram
        if len(gram) <= _KIND_GRAM:
            yield f"g{kind}{gram}"
    hot, rest, colours = _make_up(codes)
    if not hot:
        return
    for letter in hot:
        yield from _letter_keys(letter, rest, colours, place, kind)
    for one, other in combinations(hot, 2):
        yield from _pair_keys(one + other, rest, colours, place)
    if rest == 0:
        yield "s" + codes
    yield f"b{rest}{place}{codes[:2]}"


def _letter_keys(letter: str, rest: int, colours: int, place: str, kind: str) -> tuple[str, ...]:
    return (
        f"c{rest}{letter}",
        f"c{rest}{place}{letter}",
        f"c{colours}{rest}{place}{letter}",
        f"k{colours}{rest}{kind}{letter}",
    )


def _pair_keys(pair: str, rest: int, colours: int, place: str) -> tuple[str, ...]:
    return f"c{rest}{pair}", f"c{place}{colours}{pair}"


# Sums of weights that go together, made once.
@cache
def _gram_weights(kind: str) -> dict[str, int]:
    found: dict[str, int] = defaultdict(int)
    for key, weight in _weights().of_keys.items():
        if key[0] == "g":
            of_kind = key[1] in _KIND_LETTERS
            if not of_kind or key[1] == kind:
                found[key[2 if of_kind else 1 :]] += weight
    return dict(found)


@cache
def _letter_weights(rest: int, colours: int, place: str, kind: str) -> dict[str, int]:
    of_keys = _weights().of_keys
    return {
        letter: sum(of_keys.get(key, 0) for key in _letter_keys(letter, rest, colours, place, kind)) for letter in HOT
    }


@cache
def _pair_weights(rest: int, colours: int, place: str) -> dict[str, int]:
    of_keys = _weights().of_keys
    pairs = map(add, *zip(*combinations(sorted(HOT), 2), strict=True))
    return {pair: sum(of_keys.get(key, 0) for key in _pair_keys(pair, rest, colours, place)) for pair in pairs}


@lru_cache(maxsize=1 << 14)
def _clause_weight(clause: Clause) -> int:
    """The sum of the weights of the clause's keys."""
    codes, place, kind = clause
    if HOT.isdisjoint(codes):
        return 0
    hot, rest, colours = _make_up(codes)
    of_keys = _weights().of_keys
    total = sum(map(_gram_weights(kind).get, _grams(codes), repeat(0)))
    letters = _letter_weights(rest, colours, place, kind)
    pairs = _pair_weights(rest, colours, place)
    total += sum([letters[letter] for letter in hot]) + sum([pairs[one + other] for one, other in combinations(hot, 2)])
    if rest == 0:
        total += of_keys.get("s" + codes, 0)
    return total + of_keys.get(f"b{rest}{place}{codes[:2]}", 0)


@lru_cache(maxsize=1 << 14)
def _clause_lean(clause: Clause) -> int:
    """How much more the clause's keys are about marks than about pictures and tasks."""
    leans = _weights().leans
    return sum([leans.get(key, 0) for key in _keys(clause)])


def features(said: CheckedCaption) -> tuple[list[str], list[str]]:
    """The stem of each of a caption's words, its object's names apart, and the keys of all its clauses."""
    tokens = _tokens(said.caption)
    stems = [stem(word) for word in {*tokens} - _names(said.category, said.synonyms)]
    return stems, [key for clause in _clauses(said, tokens) for key in _keys(clause)]


def allowance(said: CheckedCaption) -> int:
    """How many hundredths more a caption may weigh: detailed ones have more of everything, a thing may be a mask."""
    return _allowance(said, len(_clauses(said, _tokens(said.caption))))


def _allowance(said: CheckedCaption, clauses: int) -> int:
    return _EACH * max(0, clauses - _USUAL) + (_UNNAMED if said.category is None else 0)


def talk(said: CheckedCaption) -> Wording | None:
    """What weighs most in a caption that reads like talk; None for any other caption."""
    return _weighed(said) if plain(said.caption).lists & TRIGGERS else None


# Two checks of one caption ask for it.
@lru_cache(maxsize=4)
def _weighed(said: CheckedCaption) -> Wording | None:
    weights = _weights()
    tokens = _tokens(said.caption)
    words = {*tokens} - _names(said.category, said.synonyms)
    total = weights.constant + sum(map(_stem_weights.__getitem__, words))
    if total < HOPELESS:
        return None
    found = _clauses(said, tokens)
    total += sum(map(_clause_weight, found)) - _allowance(said, len(found))
    return _wording(said, tokens) if total >= ENOUGH else None


def _wording(said: CheckedCaption, tokens: list[str]) -> Wording:
    weights = _weights()
    words = {*tokens} - _names(said.category, said.synonyms)
    lean = weights.lean + sum([weights.leans.get(stem(word), 0) for word in words])
    lean += sum(map(_clause_lean, _clauses(said, tokens)))
    parts = [part.split() for part in " ".join(tokens).split(",") if part.strip()]
    _, heaviest = max(
        zip(_clauses(said, tokens), parts, strict=True),
        key=lambda pair: _clause_weight(pair[0]) + sum(map(_stem_weights.__getitem__, set(pair[1]))),
    )
    return Wording(" ".join(heaviest), lean >= 0)
