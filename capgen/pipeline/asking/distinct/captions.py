"""Captions that tell the objects of one category in one image or video apart: which do not, and what is done about it.

Two captions are alike where they have the same words, in any order, but for articles and auxiliary verbs. A caption
all of whose words a neighbour's caption has too fits the neighbour as well: it is a reason to ask again. Where scores
are given, so is a caption that is more probable for a neighbour's pictures than for its own. Like the decisions on
second tries, those here are a function of the answers, and of the scores, alone: both are in the journal.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from capgen.pipeline.asking.tries import JudgedAnswer, Tries
from capgen.text import word_bag

Words = frozenset[tuple[str, int]]
Preferred = Mapping[tuple[str, str], str | None]
"""For an object's key and a caption of its: the neighbour for which that is more probable; None where none is."""


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
        preferred: objects whose caption is more probable for a neighbour, with that neighbour's key.
        unscored: keys and captions whose scores are wanted before anything else can be decided.
        due: the step that is to be asked now, from 0, and the keys that lack it; None where nothing is.
        captions: of every object, as it stands.
    """

    chosen: dict[str, JudgedAnswer] = field(default_factory=dict)
    alike: dict[str, str] = field(default_factory=dict)
    preferred: dict[str, str] = field(default_factory=dict)
    unscored: tuple[tuple[str, str], ...] = ()
    due: tuple[int, tuple[str, ...]] | None = None
    captions: dict[str, str] = field(default_factory=dict)


def state_of(candidates: Sequence[Candidate], steps: int, scores: Preferred | None = None) -> DistinctState:
    """Replay what was asked of a medium's objects because of their neighbours.

    At each step all objects whose caption fits a neighbour too are asked. Then, in the order of the medium, each takes
    its new caption if the checks let it pass and it fits no neighbour as these stand at that moment.

    Args:
        candidates: in the order of the medium.
        steps: how often objects are asked at most.
        scores: None where captions are compared by their words alone.
    """
    state = DistinctState(captions={one.key: one.caption for one in candidates})
    groups = [_Group(group, scores) for group in _groups(candidates) if len(group) > 1]
    for number in range(steps + 1):
        state.unscored = tuple(pair for group in groups for pair in group.unscored(number))
        if state.unscored:
            return state
        if number:
            _take(state, groups, number - 1)
        if number < steps:
            fitting = [one for group in groups for one in group.asked() if group.fits_another(one.key)]
            missing = tuple(one.key for one in fitting if one.tries is not None and number not in one.tries.distinct)
            if missing:
                state.due = number, missing
                return state
    for group in groups:
        state.alike |= group.alike()
        state.preferred |= group.preferred()
    return state


def _take(state: DistinctState, groups: Sequence[_Group], number: int) -> None:
    """Let objects have the captions of a step."""
    for group in groups:
        for one in group.asked():
            answer = one.tries.distinct.get(number) if one.tries is not None else None
            if answer is not None and answer.passes and group.take(one.key, answer.caption):
                state.captions[one.key] = answer.caption
                state.chosen[one.key] = answer


class _Group:
    """The objects of one category of a medium, by the words of their captions as these stand."""

    def __init__(self, members: Sequence[Candidate], scores: Preferred | None) -> None:
        self.members = members
        self.forms: dict[str, Words] = {}
        self._captions = {one.key: one.caption for one in members}
        self._scores = scores
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

    def unscored(self, number: int) -> list[tuple[str, str]]:
        """The captions without a score that are to be compared at a step: at first their own, later the new ones."""
        if self._scores is None:
            return []
        wanted = [(one.key, one.caption) for one in self.asked()]
        if number:
            said = [(one.key, one.tries.distinct.get(number - 1)) for one in self.asked() if one.tries is not None]
            wanted = [(key, answer.caption) for key, answer in said if answer is not None and answer.passes]
        return [pair for pair in wanted if pair not in self._scores]

    def fits_another(self, key: str) -> bool:
        """Whether an object's caption, as it stands, fits another object too."""
        return self._has_words_of(key, self.forms[key]) or self._prefers(key, self._captions[key])

    def _prefers(self, key: str, caption: str) -> bool:
        return bool(self._scores and self._scores.get((key, caption)))

    def _has_words_of(self, key: str, form: Words) -> bool:
        """Whether another object's caption has all of these words; looked up, as a crowd may have thousands."""
        found = set(self.forms) if not form else set.intersection(*(self._keys[word] for word in form))
        return bool(found - {key})

    def take(self, key: str, caption: str) -> bool:
        """Let an object have a new caption if that one tells it from its neighbours; whether it does."""
        form = word_bag(caption)
        if form == self.forms[key] or self._has_words_of(key, form) or self._prefers(key, caption):
            return False
        self._set(key, form)
        self._captions[key] = caption
        return True

    def preferred(self) -> dict[str, str]:
        """The asked objects whose caption is more probable for another, and that other."""
        scores = self._scores or {}
        pairs = ((one.key, scores.get((one.key, self._captions[one.key]))) for one in self.asked())
        return {key: other for key, other in pairs if other is not None}

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
