"""Questions about sentences, true and false ones, with their answers, as rows of tokens."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from capgen.pipeline.judging.questions import QUESTIONS, question_text
from capgen.sample.words import CATEGORIES, COLOURS, MOTIONS, SIZES, TEXTURES, caption
from experiments.embedded.answering.features import Features
from experiments.embedded.config import Config
from experiments.embedded.data import IGNORE, WORDS
from experiments.embedded.packing import Pack, picture_ids
from experiments.embedded.tokenizer import EOS, PAD

Said = tuple[int, int, int, int, int]
"""What a sentence says: category, colour, texture, size and motion as class numbers, ``IGNORE`` where nothing."""

_NAMES = ("category", "colour", "texture", "size", "motion")
_ORDER = (3, 2, 1, 0, 4)  # in which a sentence says them
_ASKS = {"kind": (0,), "colour": (1,), "parts": (2,), "action": (4,), "place": (), "this one": (0, 1, 2, 3, 4)}
SHARES = {"kind": 0.18, "colour": 0.16, "parts": 0.16, "action": 0.1, "place": 0.05, "this one": 0.35}
"""How often each question is asked."""
TRUE, CHANGED = 0.35, 0.30
"""Shares of true sentences and of those with one word changed; most of the others are about a neighbour."""
_NEIGHBOUR = 0.85


def texts() -> list[str]:
    """Everything that the judge reads beside its prompt, for its vocabulary."""
    return ["yes", "no", *(f" {question_text('A cup.', name)}" for name in QUESTIONS)]


def sentence(said: Said) -> str:
    """The sample world's sentence that says so much."""
    words = {name: None if i == IGNORE else w[i] for name, w, i in zip(_NAMES, WORDS, said, strict=True)}
    return caption(SimpleNamespace(**words))


def right(said: Said, truth: Said) -> list[bool]:
    """Whether each thing said is true; what is not said is."""
    return [one in (IGNORE, other) for one, other in zip(said, truth, strict=True)]


def answer(name: str, said: Said, truth: Said) -> bool:
    """Whether the answer to a question is yes."""
    true = right(said, truth)
    return all(true[i] for i in _ASKS[name])


def draw(rng: np.random.Generator, truth: Said, others: list[Said]) -> Said:
    """A sentence about an object, true or not."""
    kind = rng.random()
    if kind < TRUE:
        return truth
    different = [one for one in others if one != truth]
    if kind < TRUE + CHANGED or not different:
        return _changed(rng, truth)
    if rng.random() < _NEIGHBOUR:
        return different[int(rng.integers(len(different)))]
    return _any(rng, motion=truth[4] != IGNORE)


def _changed(rng: np.random.Generator, truth: Said) -> Said:
    last = 5 if truth[4] != IGNORE or rng.random() < 0.05 else 4  # now and then a movement where none is to be seen
    place = int(rng.integers(last)) if truth[4] != IGNORE or last == 4 else 4
    new = int(rng.integers(len(WORDS[place])))
    while new == truth[place]:
        new = int(rng.integers(len(WORDS[place])))
    said = [new if i == place else value for i, value in enumerate(truth)]
    return (said[0], said[1], said[2], said[3], said[4])


def _any(rng: np.random.Generator, *, motion: bool) -> Said:
    said = [int(rng.integers(len(words))) for words in WORDS]
    return (said[0], said[1], said[2], said[3], said[4] if motion else IGNORE)


@dataclass(frozen=True, slots=True)
class Asked:
    """Rows of questions about objects of one kind.

    Args:
        pack: visual tokens and the scene of each row; its text and caption are not used.
        ids: int64 [R, L], padded.
        ends: where the answer is read off, [R].
        answers: the token of yes or no, [R].
        words: where the five things said stand in ``ids``, [R, 5]; 0 where nothing is said.
        true: whether they are true, float [R, 5], -1 where nothing is said.
        keys: where the word stands by which a question differs from the others, [R].
        matters: where the word stands that decides the answer: the first false one of those that are asked about, else
            one that is asked about alone, else as ``keys``, [R].
        names, whole: of each row the question, and whether the whole sentence is true.
    """

    pack: Pack
    ids: Tensor
    ends: Tensor
    answers: Tensor
    words: Tensor
    true: Tensor
    keys: Tensor
    matters: Tensor
    names: list[str]
    whole: list[bool]


class Asker:
    """Makes rows of features.

    Args:
        tokenizer: with the words of ``texts``.
    """

    def __init__(self, config: Config, tokenizer: Any) -> None:
        self._config = config
        self._tokenizer = tokenizer
        self.yes, self.no = (self._ids(word)[0] for word in ("yes", "no"))
        phrases = [kind.words for kind in CATEGORIES] + [motion.phrase for motion in MOTIONS]
        phrases += [one.name for of in (COLOURS, TEXTURES, SIZES) for one in of]
        self.words = sorted({self._ids(f" {word}")[0] for phrase in phrases for word in phrase.split()})
        self._end = [EOS, *self._ids("Assistant:")]
        self._of_sentence = lru_cache(maxsize=50_000)(self._sentence)
        self._of_question = lru_cache(maxsize=10)(self._question)

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False).input_ids
        return ids

    def _question(self, name: str) -> tuple[list[int], list[int]]:
        """What stands before and behind the sentence."""
        before, behind = f" {question_text('%', name)}".split("%")
        return self._ids(before), self._ids(behind)

    def _own(self, name: str) -> int:
        """The place, behind the sentence, of the first word that no other question has."""
        others = {token for other in QUESTIONS if other != name for token in self._of_question(other)[1]}
        return next(i for i, token in enumerate(self._of_question(name)[1]) if token not in others)

    def _sentence(self, said: Said) -> tuple[list[int], list[int]]:
        """A sentence, and where in it the five things are said: the last word of each."""
        ids = self._ids(sentence(said))
        places, at = [0] * 5, 0
        for attribute in _ORDER:
            if said[attribute] != IGNORE:
                at += self._length(attribute, said[attribute])
                places[attribute] = at
        return ids, places

    def _length(self, attribute: int, value: int) -> int:
        kinds = (CATEGORIES[value].words if attribute == 0 else WORDS[attribute][value]) if attribute < 4 else ""
        return len((kinds or MOTIONS[value].phrase).split())

    def rows(self, chunk: Features, scenes: list[int], objects: int, asks: int, rng: np.random.Generator) -> Asked:
        """Questions about at most so many objects of each of those scenes, ``asks`` about each, one sentence each."""
        config, made, chosen, place_of = self._config, [], [], []
        views = chunk.close.shape[1] // config.tokens
        head = picture_ids(config, views)
        names, shares = list(QUESTIONS), [SHARES[name] for name in QUESTIONS]
        for place, number in enumerate(scenes):
            of_scene = np.flatnonzero(chunk.scene == number)
            labels = [_said(chunk.labels[i]) for i in of_scene]
            for at in rng.permutation(len(of_scene))[:objects]:
                said = draw(rng, labels[at], labels)
                for name in rng.choice(names, asks, replace=False, p=None if asks == len(names) else shares):
                    made.append(self._row(head, chunk.text[of_scene[at]].tolist(), name, said, labels[at]))
                    chosen.append(int(of_scene[at]))
                    place_of.append(place)
        length = max(len(row["ids"]) for row in made)
        pack = Pack(
            clean=torch.from_numpy(chunk.clean[scenes]).float(),
            close=torch.from_numpy(chunk.close[chosen]).float(),
            scene=torch.tensor(place_of),
            text=torch.empty(0),
            caption=torch.empty(0),
        )
        return Asked(
            pack=pack,
            ids=torch.tensor([row["ids"] + [PAD] * (length - len(row["ids"])) for row in made]),
            ends=torch.tensor([len(row["ids"]) - 1 for row in made]),
            answers=torch.tensor([self.yes if row["yes"] else self.no for row in made]),
            words=torch.tensor([row["words"] for row in made]),
            true=torch.tensor([row["true"] for row in made]),
            keys=torch.tensor([row["key"] for row in made]),
            matters=torch.tensor([row["matters"] for row in made]),
            names=[row["name"] for row in made],
            whole=[row["whole"] for row in made],
        )

    def _row(self, head: list[int], text: list[int], name: str, said: Said, truth: Said) -> dict[str, Any]:
        (before, behind), (ids, places) = self._of_question(name), self._of_sentence(said)
        start = [*head, *(i for i in text if i >= 0), *before]
        row = [*start, *ids, *behind, *self._end]
        whole = all(right(said, truth))
        key = len(start) + len(ids) + self._own(name)
        words = [len(start) + place if place else 0 for place in places]
        asked = [i for i in _ASKS[name] if said[i] != IGNORE]
        false = [words[i] for i in asked if said[i] != truth[i]]
        true = [float(t) if s != IGNORE else -1.0 for t, s in zip(right(said, truth), said, strict=True)]
        return {
            "ids": row,
            "yes": answer(name, said, truth),
            "words": words,
            "true": true,
            "key": key,
            "matters": min(false, default=words[asked[0]] if len(asked) == 1 else key),
            "name": name,
            "whole": whole,
        }


def _said(labels: NDArray[np.int16]) -> Said:
    values = [int(value) for value in labels]
    return (values[0], values[1], values[2], values[3], values[4])
