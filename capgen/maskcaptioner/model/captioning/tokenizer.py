"""A tokenizer made of the captions that a small language model is to learn."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

SPECIAL: Final = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
_PIECES = r"[^\W_]+(?:['’\-][^\W_]+)*|[^\w\s]|_"


def _pieces(caption: str) -> list[str]:
    """Words and punctuation marks, each with its case."""
    return re.findall(_PIECES, caption)


def word_tokenizer(captions: Iterable[str], limit: int = 8192) -> Any:
    """A token for each word and punctuation mark, the most frequent ones; the rest is ``<unk>``.

    Decoding puts a space between words and none before punctuation that closes.

    Returns:
        a ``PreTrainedTokenizerFast``; the same captions in any order give the same one.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    counts = Counter(piece for caption in captions for piece in _pieces(caption))
    words = sorted(counts, key=lambda word: (-counts[word], word))[: limit - len(SPECIAL)]
    vocabulary = {word: i for i, word in enumerate([*SPECIAL.values(), *words])}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token=SPECIAL["unk_token"]))
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(Regex(_PIECES), "isolated")]
    )
    core.decoder = decoders.WordPiece(prefix="##", cleanup=True)
    return _fast(core)


def _fast(core: Any) -> Any:
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(tokenizer_object=core, clean_up_tokenization_spaces=False, **SPECIAL)
