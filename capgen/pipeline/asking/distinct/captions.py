"""Captions that tell the objects of one category in one image or video apart: which do not, and what is done about it.

Two captions are alike where they have the same words, in any order, but for articles and auxiliary verbs. A caption
all of whose words a neighbour's caption has too fits the neighbour as well: it is a reason to ask again. Like the
decisions on second tries, those here are a function of the answers alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from capgen.pipeline.asking.tries import JudgedAnswer, Tries
from capgen.text import word_bag

Words = frozenset[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Candidate:
    """An object of a medium with a caption that may be released.

    Args:
        caption: of the best of its own answers, or of the row of an earlier commit.
        tries: its answers; None where the row is that of an earlier commit and the object is not asked.
    """

    key: str
    category: str | None
    caption: str
    tries: Tries | None = None


@dataclass(slots=True)
class DistinctState:
    """Where a medium stands.

    Args:
        chosen: the answers that replace what their objects' own tries gave, by key.
        alike: objects whose caption is that of a neighbour too, with the key of one such neighbour.
        due: the step that is to be asked now, from 0, and the keys that lack it; None where nothing is.
        captions: of every object, as it stands.
    """

    chosen: dict[str, JudgedAnswer] = field(default_factory=dict)
    alike: dict[str, str] = field(default_factory=dict)
    due: tuple[int, tuple[str, ...]] | None = None
    captions: dict[str, str] = field(default_factory=dict)


def state_of(candidates: Sequence[Candidate], steps: int) -> DistinctState:
    """Replay what was asked of a medium's objects because of their neighbours.

    At each step all objects whose caption fits a neighbour too are asked. Then, in the order of the medium, each takes
    its new caption if the checks let it pass and it fits no neighbour as these stand at that moment.

    Args:
        candidates: in the order of the medium.
        steps: how often objects are asked at most.
    """
    state = DistinctState(captions={one.key: one.caption for one in candidates})
    groups = [_Group(group) for group in _groups(candidates) if len(group) > 1]
    for number in range(steps):
        fitting = [
            one for group in groups for one in group.asked() if group.fits_another(one.key, group.forms[one.key])
        ]
        missing = tuple(one.key for one in fitting if one.tries is not None and number not in one.tries.distinct)
        if missing:
            state.due = number, missing
            return state
        for group in groups:
            for one in group.asked():
                answer = one.tries.distinct.get(number) if one.tries is not None else None
                if answer is not None and answer.passes and group.take(one.key, answer.caption):
                    state.captions[one.key] = answer.caption
                    state.chosen[one.key] = answer
    for group in groups:
        state.alike |= group.alike()
    return state


class _Group:
    """The objects of one category of a medium, by the words of their captions as these stand."""

    def __init__(self, members: Sequence[Candidate]) -> None:
        self.members = members
        self.forms: dict[str, Words] = {}
        self._keys: dict[tuple[str, int], set[str]] = defaultdict(set)
        for one in members:
            self._set(one.key, word_bag(one.caption))

    def _set(self, key: str, form: Words) -> None:
        for word in self.forms.get(key, frozenset()):
            self._keys[word].discard(key)
        self.forms[key] = form
        for word in form:
            self._keys[word].add(key)

    def asked(self) -> list[Candidate]:
        """Those that may be asked, in the order of the medium."""
        return [one for one in self.members if one.tries is not None]

    def fits_another(self, key: str, form: Words) -> bool:
        """Whether another object's caption has all of these words; looked up, as a crowd may have thousands."""
        found = set(self.forms) if not form else set.intersection(*(self._keys[word] for word in form))
        return bool(found - {key})

    def take(self, key: str, caption: str) -> bool:
        """Let an object have a new caption if that one tells it from its neighbours; whether it does."""
        form = word_bag(caption)
        if form == self.forms[key] or self.fits_another(key, form):
            return False
        self._set(key, form)
        return True

    def alike(self) -> dict[str, str]:
        """The objects that share their words with another, and the first other of them."""
        by_form: dict[Words, list[str]] = defaultdict(list)
        for one in self.members:
            by_form[self.forms[one.key]].append(one.key)
        return {key: next(k for k in keys if k != key) for keys in by_form.values() if len(keys) > 1 for key in keys}


def neighbours_of(key: str, candidates: Iterable[Candidate]) -> list[Candidate]:
    """The other objects of its category."""
    return next(
        ([one for one in group if one.key != key] for group in _groups(candidates) if any(o.key == key for o in group)),
        [],
    )


def _groups(candidates: Iterable[Candidate]) -> list[list[Candidate]]:
    found: dict[str | None, list[Candidate]] = defaultdict(list)
    for one in candidates:
        found[one.category].append(one)
    return list(found.values())
