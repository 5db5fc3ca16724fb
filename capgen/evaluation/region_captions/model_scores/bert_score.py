"""BERTScore: the tokens of caption and reference matched by the cosine of their embeddings.

Source: Zhang et al., ICLR 2020, arXiv:1904.09675. The numbers are those of the package bert-score without idf weights
and without rescaling: special tokens weigh nothing but may be matched.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from capgen.evaluation.region_captions.model_scores.loading import (
    BATCH,
    batches,
    load_arguments,
    naming_extra,
    naming_model,
)
from capgen.evaluation.region_captions.texts import TextPair

_LONGEST = 512
_USUAL_LAYERS = {
    "roberta-large": 17,
    "roberta-base": 10,
    "bert-base-uncased": 9,
    "bert-large-uncased": 18,
    "bert-base-multilingual-cased": 9,
    "microsoft/deberta-xlarge-mnli": 40,
}
"""The layer that correlates best with people for each model, as the authors of BERTScore found it."""


@dataclass(frozen=True, slots=True)
class TokenMatch:
    """Precision, recall and F1 of one caption, each the best over its references."""

    precision: float
    recall: float
    f1: float


def usual_layer(model: str) -> int | None:
    """The layer that papers use of this model; None where none is known."""
    return _USUAL_LAYERS.get(model.removeprefix("FacebookAI/").removeprefix("google-bert/"))


def bert_scores(model: str, layer: int | None, pairs: Sequence[TextPair], device: str) -> list[TokenMatch]:
    """BERTScore of each caption; a caption without text has zeros.

    Args:
        model: Hub name or folder of an encoder.
        layer: whose hidden states are compared, from 1; None is ``usual_layer``, else the last.

    Raises:
        UserError: transformers is missing, or the model cannot be loaded.
    """
    with naming_extra("--bert-model"):
        encoder = _TokenEncoder.load(model, layer if layer is not None else usual_layer(model), device)
    texts = {text for pair in pairs for text in (pair.candidate, *pair.references) if text}
    tokens = encoder.encode(sorted(texts, key=len))
    return [_best(tokens, pair) for pair in pairs]


def _best(tokens: Mapping[str, tuple[Any, Any]], pair: TextPair) -> TokenMatch:
    if not pair.candidate:
        return TokenMatch(0.0, 0.0, 0.0)
    found = [_match(tokens[pair.candidate], tokens[reference]) for reference in pair.references]
    return TokenMatch(*(max(values) for values in zip(*found, strict=True)))


def _match(candidate: tuple[Any, Any], reference: tuple[Any, Any]) -> tuple[float, float, float]:
    """Precision, recall, F1 of a pair; each side is vectors [tokens, width] of length 1, and weights [tokens]."""
    cosines = candidate[0] @ reference[0].T
    precision = float((cosines.max(dim=1).values * candidate[1]).sum() / candidate[1].sum())
    recall = float((cosines.max(dim=0).values * reference[1]).sum() / reference[1].sum())
    both = precision + recall
    return precision, recall, 2 * precision * recall / both if both else 0.0


@dataclass(frozen=True, slots=True)
class _TokenEncoder:
    tokenizer: Any
    weights: Any
    layer: int
    device: str
    longest: int

    @classmethod
    def load(cls, model: str, layer: int | None, device: str) -> _TokenEncoder:
        from transformers import AutoModel, AutoTokenizer

        with naming_model("--bert-model", model):
            tokenizer = AutoTokenizer.from_pretrained(model, trust_remote_code=False, add_prefix_space=True)
            weights = AutoModel.from_pretrained(model, **load_arguments()).eval().to(device)
            count: int = weights.config.num_hidden_layers
            if layer is not None and not 1 <= layer <= count:
                raise ValueError(f"it has layers 1 to {count}, not {layer} (--bert-layer)")
        # RoBERTa numbers its positions from its padding token on, so that its last two are never reached
        longest = min(tokenizer.model_max_length, weights.config.max_position_embeddings - 2, _LONGEST)
        return cls(tokenizer, weights, layer or count, device, longest)

    def encode(self, texts: Iterable[str]) -> dict[str, tuple[Any, Any]]:
        """Vectors and weights of the tokens of each text."""
        import torch

        found: dict[str, tuple[Any, Any]] = {}
        special = set(self.tokenizer.all_special_ids)
        for some in batches(list(texts), BATCH):
            # Blanks at the end are no tokens for bert-score either.
            given = self.tokenizer(
                [text.strip() for text in some],
                padding=True,
                truncation=True,
                max_length=self.longest,
                return_tensors="pt",
            ).to(self.device)
            with torch.inference_mode():
                states = self.weights(**given, output_hidden_states=True).hidden_states[self.layer]
            states = torch.nn.functional.normalize(states.float(), dim=-1).cpu()
            for text, vectors, ids, mask in zip(
                some, states, given["input_ids"].tolist(), given["attention_mask"].tolist(), strict=True
            ):
                length = sum(mask)
                weights = torch.tensor([0.0 if token in special else 1.0 for token in ids[:length]])
                found[text] = (vectors[:length], weights if weights.any() else torch.ones(length))
        return found
