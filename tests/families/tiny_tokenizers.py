"""Real tokenizers of the families' classes, with their special tokens and a vocabulary learnt from capgen's prompts."""

from __future__ import annotations

import string
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from capgen.resources import resource_dir

VOCABULARY = 640


@lru_cache(maxsize=1)
def _texts() -> tuple[str, ...]:
    prompts = sorted(resource_dir("prompts").glob("*.toml"))
    return (*(file.read_text() for file in prompts), string.printable, "A red cup stands on a table. I look at it.")


def byte_pairs() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Vocabulary and merges of a byte-level BPE: Qwen, GPT-2, Llama 3 and 4, GLM, Mistral's Tekken."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    core.train_from_iterator(
        _texts(), trainers.BpeTrainer(vocab_size=VOCABULARY, initial_alphabet=alphabet, show_progress=False)
    )
    return _model_of(core)


def fallback_pairs(first: Sequence[str]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Vocabulary and merges with a token for each byte that no letter has: SentencePiece's kind, as Gemma's."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    core = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    core.normalizer = normalizers.Replace(" ", "▁")
    core.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    specials = [*first, *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=specials, show_progress=False)
    core.train_from_iterator(_texts(), trainer)
    return _model_of(core)


def qwen2(ends: str, specials: Sequence[str], plain: Sequence[str] = (), **named: str) -> Any:
    """``Qwen2Tokenizer``; ``plain``: tokens that are one piece but no special tokens, as ``<think>`` is."""
    from transformers import Qwen2Tokenizer

    vocabulary, merges = byte_pairs()
    made = Qwen2Tokenizer(vocab=vocabulary, merges=merges, eos_token=ends, pad_token="<|endoftext|>", **_named(named))
    return _with(made, specials, plain)


def gpt2(begins: str, ends: str, specials: Sequence[str], **named: str) -> Any:
    """``GPT2Tokenizer``, as SmolVLM has it."""
    from transformers import GPT2Tokenizer

    vocabulary, merges = byte_pairs()
    made = GPT2Tokenizer(
        vocab=vocabulary,
        merges=merges,
        bos_token=begins,
        eos_token=ends,
        unk_token=ends,
        pad_token=ends,
        **_named(named),
    )
    return _with(made, specials, ())


def gemma(ends: str, specials: Sequence[str], **named: str) -> Any:
    """``GemmaTokenizer``, which puts ``<bos>`` before a text."""
    from transformers import GemmaTokenizer

    vocabulary, merges = fallback_pairs(("<pad>", "<eos>", "<bos>", "<unk>", "<mask>"))
    lines = ["\n" * count for count in (2, 3, 4)]  # vLLM's code for Gemma 3 asks for these by name
    return _with(GemmaTokenizer(vocab=vocabulary, merges=merges, **_named(named)), (ends, *specials), lines)


def generic(begins: str | None, ends: str, specials: Sequence[str], plain: Sequence[str] = (), **named: str) -> Any:
    """``PreTrainedTokenizerFast`` over a byte-level BPE: GLM, Llama 3 and 4, Mistral in Hugging Face's form."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary, merges = byte_pairs()
    core = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    made = PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token=begins, eos_token=ends, pad_token=ends, **_named(named)
    )
    return _with(made, specials, plain)


def _named(named: dict[str, str]) -> dict[str, Any]:
    return {"extra_special_tokens": named} if named else {}


def _with(made: Any, specials: Sequence[str], plain: Sequence[str]) -> Any:
    from tokenizers import AddedToken

    made.add_tokens([AddedToken(token, special=True, normalized=False) for token in specials], special_tokens=True)
    made.add_tokens([AddedToken(token, special=False, normalized=False) for token in plain])
    return made


def _model_of(core: Any) -> tuple[dict[str, int], list[tuple[str, str]]]:
    import json

    model = json.loads(core.to_str())["model"]
    return model["vocab"], [tuple(pair) for pair in model["merges"]]
