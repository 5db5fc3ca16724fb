"""A token a word: the words of the default prompt, of the sample world, and the whole numbers from 0 to 100.

A token carries the blank before it, so that joining tokens gives the text back; what is no word becomes ``<unk>``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import chain
from typing import Any

from capgen.pipeline.rendering.places import told
from capgen.pipeline.rendering.prompt import Prompt
from capgen.sample.words import CATEGORIES, COLOURS, MOTIONS, SIZES, TEXTURES

SPECIAL = (
    "<unk>",
    "<pad>",
    "<s>",
    "<end_of_utterance>",
    "<fake_token_around_image>",
    "<image>",
    "<global-img>",
)
UNK, PAD, BOS, EOS, FAKE, IMAGE, GLOBAL = range(len(SPECIAL))
PIECE = r"(?:,? )?\w+(?:[-']\w+)*|[^\w\s]|\s+"
TEMPLATE = (
    "{{ '<s>' }}"
    "{% for message in messages %}"
    "{{ message['role'] | capitalize }}{{ ':' }}"
    "{% if message['content'] is string %}{{ ' ' + message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}{{ '<image>' }}{% else %}{{ ' ' + part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}"
    "{{ '<end_of_utterance>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)


def pieces(text: str) -> list[str]:
    """The text cut as the tokenizer cuts it."""
    return re.findall(PIECE, re.sub(r"\s+", " ", text))


def _spellings(word: str) -> tuple[str, str, str]:
    return word, f" {word}", f", {word}"


def vocabulary(prompt: Prompt, more: Iterable[str] = ()) -> list[str]:
    """All tokens, the special ones first; the same prompt and world give the same list.

    Args:
        more: further texts; the tokens that they alone need come last.
    """
    boxes = [{"left": 1, "top": 2, "right": 3, "bottom": 4}] * 2
    texts = [
        f"System: {prompt.system}",
        f"User: {prompt.before}",
        " " + prompt.text({"boxes": boxes, "category": "fish"}),
        "Assistant:",
    ]
    words = {
        *chain.from_iterable(told(name).split() for kind in CATEGORIES for name in (kind.name, *kind.synonyms)),
        *(item.name for item in COLOURS),
        *(item.name for item in TEXTURES),
        *(item.name for item in SIZES),
        *chain.from_iterable(motion.phrase.split() for motion in MOTIONS),
        *("A", "An", "a", "an"),
    }
    numbers = [f" {n}" for n in range(101)]
    found = {piece for text in texts for piece in pieces(text)}
    found |= {piece for word in words for spelt in _spellings(word) for piece in pieces(spelt)}
    known = [*SPECIAL, *numbers, *sorted(found - set(numbers)), *sorted({",", "."} - found)]
    return [*known, *sorted({piece for text in more for piece in pieces(text)} - set(known))]


def build_tokenizer(prompt: Prompt, more: Iterable[str] = ()) -> Any:
    """The fast tokenizer of transformers for a prompt's words, chat template included; see ``vocabulary``."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = vocabulary(prompt, more)
    core = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token=SPECIAL[UNK]))
    core.normalizer = normalizers.Replace(Regex(r"\s+"), " ")
    core.pre_tokenizer = pre_tokenizers.Split(Regex(PIECE), behavior="isolated")
    core.decoder = decoders.Fuse()
    core.add_special_tokens([AddedToken(word, special=True, normalized=False) for word in SPECIAL])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        unk_token=SPECIAL[UNK],
        pad_token=SPECIAL[PAD],
        bos_token=SPECIAL[BOS],
        eos_token=SPECIAL[EOS],
        additional_special_tokens=[SPECIAL[FAKE], SPECIAL[IMAGE], SPECIAL[GLOBAL]],
        clean_up_tokenization_spaces=False,
        model_max_length=1024,
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer
