"""Nouns for things one can see, and which are kinds of which: the table ``nouns.tsv``, made from WordNet 3.0."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache
from pathlib import Path

from capgen.pipeline.checks.vocabulary.names import spoken

_TABLE = Path(__file__).resolve().parent / "nouns.tsv"
# Kinds so general that being one says nothing: entity, physical entity, abstraction.
_SILENT = 3
_FEW_KINDS = 30
_MAKESHIFT = ("ves", "f"), ("ies", "y"), ("men", "man"), ("xes", "x"), ("ches", "ch"), ("shes", "sh"), ("sses", "ss")


@dataclass(frozen=True, eq=False)  # one table: hashed as such
class Nouns:
    """The table.

    Args:
        parents: of each synset, the synsets of which it is a kind.
        senses: the synsets of each noun, the commonest first; words of a compound have blanks between them.
        categories: the synset of each LVIS category, by its name as LVIS writes it.
        singulars: of irregular plurals.
        parts: of each synset, the synsets of its parts.
        verbs: nouns that may be verbs too; those that are verbs, or adjectives and adverbs, more often than nouns.
        irregular_verbs: past tenses and participles that are no nouns: worn, hung, stood.
        adjectives: adjectives and adverbs that are no nouns here.
        rare: the categories that LVIS does not call frequent: in at most 100 of its pictures.
        not_lvis: those of the categories whose names are not LVIS's; their synset is that of the name's first sense.
    """

    parents: list[tuple[int, ...]] = field(default_factory=list)
    senses: dict[str, tuple[int, ...]] = field(default_factory=dict)
    categories: dict[str, int] = field(default_factory=dict)
    singulars: dict[str, str] = field(default_factory=dict)
    parts: dict[int, tuple[int, ...]] = field(default_factory=dict)
    verbs: frozenset[str] = frozenset()
    mostly_verbs: frozenset[str] = frozenset()
    mostly_adjectives: frozenset[str] = frozenset()
    irregular_verbs: frozenset[str] = frozenset()
    adjectives: frozenset[str] = frozenset()
    not_lvis: frozenset[str] = frozenset()
    rare: frozenset[str] = frozenset()

    @cached_property
    def _kinds_by_synset(self) -> dict[int, frozenset[int]]:
        """What ``kinds_of`` has found."""
        return {}

    @cached_property
    def people(self) -> int:
        """The synset of which every person is a kind."""
        return self.categories["baby"]  # LVIS's name for person.n.01

    @cached_property
    def living(self) -> frozenset[int]:
        """The synsets of persons and animals."""
        return frozenset((self.people, *self.senses["animal"]))

    @cached_property
    def _sizes(self) -> Counter[int]:
        """How many synsets are of each kind."""
        return Counter(kind for synset in range(len(self.parents)) for kind in self.kinds_of(synset))

    def size(self, synset: int) -> int:
        """How many synsets are of that kind."""
        return self._sizes[synset]

    @cached_property
    def _category_names(self) -> frozenset[str]:
        return frozenset(re.sub(r"_?\(.*|_", " ", name).strip() for name in self.categories)

    @cached_property
    def _lvis(self) -> frozenset[int]:
        """The synsets of LVIS's categories."""
        return frozenset(synset for name, synset in self.categories.items() if name not in self.not_lvis)

    def is_category(self, noun: str) -> bool:
        """Whether LVIS has a category of that name, or one that goes, as a rule, by that name."""
        return noun in self._category_names or not self._lvis.isdisjoint(self.senses.get(noun, ())[:1])

    def is_category_of_lvis(self, noun: str) -> bool:
        """The same without the names of other datasets' categories."""
        return self.is_category(noun) and noun not in self.not_lvis

    def other_categories(self, sense: int, kinds: frozenset[int]) -> frozenset[int]:
        """The categories of LVIS of which something is a kind, without these."""
        return (self.kinds_of(sense) & self._lvis) - kinds

    def _kinds_named(self, names: str) -> frozenset[int]:
        """The commonest synsets of names with blanks between them."""
        return frozenset(synset for name in names.split() for synset in self.senses[name.replace("_", " ")][:1])

    @cached_property
    def _materials(self) -> frozenset[int]:
        return self._kinds_named("material fabric wood plastic shape rectangle sphere triangle cone oval ceramic_ware")

    def is_material(self, senses: Sequence[int]) -> bool:
        """Whether a noun is, as a rule, what things are made of, or a geometric form."""
        return any(not self._materials.isdisjoint(self.kinds_of(sense)) for sense in senses[:1])

    @cached_property
    def edible(self) -> frozenset[int]:
        """The synsets of food."""
        return frozenset(self.senses["food"])

    def is_like_food(self, sense: int, kinds: frozenset[int]) -> bool:
        """Whether a thing is food of the same sort as an object of these kinds: to drink, or to eat."""
        own, drink = self.kinds_of(sense), self.senses["beverage"][0]
        return not self.edible.isdisjoint(own) and (drink in own) == (drink in kinds)

    @cached_property
    def _breeds(self) -> frozenset[int]:
        return self._kinds_named("dog domestic_cat cattle swine horse")

    def is_breed(self, noun: str) -> bool:
        """Whether a noun may be a breed of dogs and the like."""
        return any(not self._breeds.isdisjoint(self.kinds_of(sense)) for sense in self.senses.get(noun, ())[:3])

    def is_animal(self, senses: Sequence[int]) -> bool:
        """Whether a noun is, as a rule, an animal."""
        return any(self.senses["animal"][0] in self.kinds_of(sense) for sense in senses[:1])

    @cached_property
    def _any_animals(self) -> frozenset[int]:
        animal = self.senses["animal"][0]
        return frozenset(
            synset
            for synset, parents in enumerate(self.parents)
            if animal in parents and self.size(synset) < _FEW_KINDS
        )

    def is_any_animal(self, senses: Sequence[int]) -> bool:
        """Whether a noun says what an animal does or how old it is: a predator, a scavenger."""
        return not self._any_animals.isdisjoint(senses)

    @lru_cache(maxsize=1 << 16)  # noqa: B019 (the one table of a process)
    def is_noun(self, word: str) -> bool:
        """Whether a word is a noun of the table, in the singular or the plural, and mostly used as one."""
        return self.singular(word) in self.senses and word not in self.mostly_verbs

    def is_container(self, noun: str) -> bool:
        """Whether a noun is, as a rule, a thing that holds others; a vehicle is none here, as WordNet has it."""
        kinds = frozenset(kind for sense in self.senses.get(noun, ())[:1] for kind in self.kinds_of(sense))
        return self.senses["container"][0] in kinds and self.senses["vehicle"][0] not in kinds

    def is_thing(self, word: str) -> bool:
        """Whether a noun is, as a rule, neither a person nor an animal."""
        return all(self.living.isdisjoint(self.kinds_of(sense)) for sense in self.senses.get(word, ())[:1])

    @cached_property
    def lemmas(self) -> dict[int, tuple[str, ...]]:
        """The nouns of each synset."""
        found: dict[int, tuple[str, ...]] = {}
        for lemma, numbers in self.senses.items():
            for number in numbers:
                found[number] = (*found.get(number, ()), lemma)
        return found

    def kinds_of(self, synset: int) -> frozenset[int]:
        """The synset and all of which it is a kind."""
        known = self._kinds_by_synset.get(synset)
        if known is None:
            found = {synset}
            queue = [synset]
            while queue:
                for parent in self.parents[queue.pop()]:
                    if parent not in found:
                        found.add(parent)
                        queue.append(parent)
            known = frozenset(kind for kind in found if kind >= _SILENT)
            self._kinds_by_synset[synset] = known
        return known

    def kinds_of_category(self, category: str) -> frozenset[int]:
        """What a category is and of what it is a kind; for one that LVIS does not have, its name's commonest sense."""
        if category in self.categories:
            return self.kinds_of(self.categories[category])
        name = self.singular(spoken(category))
        senses = self.senses.get(name, ()) or self.senses.get(name.rpartition(" ")[2], ())
        return self.kinds_of(senses[0]) if senses else frozenset()

    def parts_of(self, synsets: frozenset[int]) -> frozenset[int]:
        """The parts of the synsets, with the parts of these."""
        found: set[int] = set()
        queue = list(synsets)
        while queue:
            for part in self.parts.get(queue.pop(), ()):
                if part not in found:
                    found.add(part)
                    queue.append(part)
        return frozenset(found)

    @lru_cache(maxsize=1 << 16)  # noqa: B019 (the one table of a process)
    def singular(self, word: str) -> str:
        """The noun in the singular, where the table has it; otherwise the word as it is."""
        if word in self.singulars:
            return self.singulars[word]
        if word in self.senses or not word.endswith(("s", "men")):
            return word
        return next((form for form in _singular_forms(word) if form in self.senses), word)


def _singular_forms(word: str) -> Iterator[str]:
    if word.endswith("s"):
        yield word[:-1]
    for ending, instead in _MAKESHIFT:
        if word.endswith(ending):
            yield word.removesuffix(ending) + instead
    if word.endswith("es"):
        yield word[:-2]


@cache
def nouns() -> Nouns:
    """The table, read once in a process."""
    rows: dict[str, dict[str, str]] = {kind: {} for kind in ">*+=~^"}
    for line in _TABLE.read_text("ascii").splitlines():
        if not line.startswith("#"):
            kind, key, values = line.split("\t")
            rows[kind][key] = values
    others = {kind: frozenset(words.split(",")) for kind, words in rows["^"].items()}
    senses = {re.sub("[_-]", " ", lemma): _numbers(synsets) for lemma, synsets in rows["*"].items()}
    for name, number in rows["="].items():  # a lawn mower is a lawnmower too
        if "(" not in name:
            senses.setdefault(name.replace("_", ""), (int(number),))
    return Nouns(
        parents=[_numbers(parents) for parents in rows[">"].values()],
        senses=senses,
        categories={name: int(number) for name, number in rows["="].items()},
        singulars=rows["~"],
        parts={int(whole): _numbers(parts) for whole, parts in rows["+"].items()},
        verbs=others["verb"],
        mostly_verbs=others["mostly verb"],
        mostly_adjectives=others["mostly adjective"],
        irregular_verbs=others["irregular verb"],
        adjectives=others["adjective"],
        not_lvis=others["name of others"],
        rare=others["rare category"],
    )


def _numbers(listed: str) -> tuple[int, ...]:
    return tuple(map(int, listed.split(","))) if listed else ()
