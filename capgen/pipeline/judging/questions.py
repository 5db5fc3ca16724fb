"""Questions of the method ``yes_no``: one claim each, about the object that the request marks."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace

from capgen.pipeline.engines.base import EngineFault
from capgen.pipeline.view import View

QUESTIONS: Mapping[str, str] = {
    "kind": "Is the marked object of the kind that the sentence says?",
    "colour": "Does the marked object have every colour that the sentence gives it?",
    "parts": "Does the marked object have every part, material and pattern that the sentence gives it?",
    "action": "Does the marked object do or undergo what the sentence says, if it says anything of that?",
    "place": "Is the marked object where the sentence says that it is, if it says anything of that?",
    "this one": "Is the sentence about the marked object, and about no other object?",
}
_ASKED = 'Somebody wrote: "{sentence}"\n{question} Answer with one word, yes or no.'


def question_text(sentence: str, name: str) -> str:
    """What the request says after the pictures and the object's own text, which tells where the object is."""
    return _ASKED.format(sentence=sentence.replace('"', "'"), question=QUESTIONS[name])


def asked(view: View, sentence: str, name: str) -> View:
    """The request with a question at its end: everything before the sentence is the same for all questions.

    Raises:
        EngineFault: the request is about several objects, so that it marks more than one.
    """
    if view.numbered is not None:
        raise EngineFault("the prompt asks for several objects at once: a question would not be about one of them")
    return replace(view, system="", examples=(), parts=(*view.parts, question_text(sentence, name)), schema=None)


def order(key: str, seed: int) -> list[str]:
    """The questions in an order of the object's own, so that none always comes first."""
    names = list(QUESTIONS)
    random.Random(f"{seed}/{key}").shuffle(names)
    return names


def probability_of_yes(choices: Mapping[str, float]) -> float | None:
    """P(yes) among yes and no; None where neither is likely enough to be told.

    Args:
        choices: probabilities of the answer's first token by its text.
    """
    said = {"yes": 0.0, "no": 0.0}
    for text, probability in choices.items():
        word = text.strip().strip("\u2581\u0120\"'*.,").lower()
        if word in said:
            said[word] += probability
    total = sum(said.values())
    return said["yes"] / total if total > 0 else None
