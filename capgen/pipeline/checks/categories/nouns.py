"""Nouns for things one can see, and which are kinds of which: the table ``nouns.tsv``, made from WordNet 3.0."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

_TABLE = Path(__file__).resolve().parent / "nouns.tsv"
# Kinds so general that being one says nothing: entity, physical entity, abstraction.
_SILENT = 3
_MAKESHIFT = ("ves", "f"), ("ies", "y"), ("men", "man"), ("xes", "x"), ("ches", "ch"), ("shes", "sh"), ("sses", "ss")


@dataclass(frozen=True)
class Nouns:
    """The table.

    Args:
        parents: of each synset, the synsets of which it is a kind.
        senses: the synsets of each noun; words of a compound have blanks between them.
        categories: the synset of each LVIS category, by its name as LVIS writes it.
        singulars: of irregular plurals.
    """

    parents: list[tuple[int, ...]] = field(default_factory=list)
    senses: dict[str, tuple[int, ...]] = field(default_factory=dict)
    categories: dict[str, int] = field(default_factory=dict)
    singulars: dict[str, str] = field(default_factory=dict)

    @cached_property
    def people(self) -> int:
        """The synset of which every person is a kind."""
        return self.categories["baby"]  # LVIS's name for person.n.01

    def kinds_of(self, synset: int) -> frozenset[int]:
        """The synset and all of which it is a kind."""
        found = {synset}
        queue = [synset]
        while queue:
            for parent in self.parents[queue.pop()]:
                if parent not in found:
                    found.add(parent)
                    queue.append(parent)
        return frozenset(kind for kind in found if kind >= _SILENT)

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
    table = Nouns()
    senses: dict[str, list[int]] = {}
    for line in _TABLE.read_text("ascii").splitlines():
        first, _, rest = line.partition("\t")
        if first == "=":
            name, _, number = rest.partition("\t")
            table.categories[name] = int(number)
        elif first == "~":
            plural, _, singular = rest.partition("\t")
            table.singulars[plural] = singular
        elif not first.startswith("#"):
            parents, _, lemmas = rest.partition("\t")
            table.parents.append(tuple(map(int, parents.split(","))) if parents else ())
            for lemma in lemmas.split(",") if lemmas else ():
                senses.setdefault(lemma.replace("_", " ").replace("-", " "), []).append(int(first))
    table.senses.update({lemma: tuple(numbers) for lemma, numbers in senses.items()})
    return table
