"""The language model of the caption head: from a soft prompt to a sentence.

K objects, L prompt vectors, S text tokens, D width of the prompt, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from transformers import AutoConfig, AutoModelForCausalLM

from capgen.maskcaptioner.model.safe_loading import NO_CODE

_IGNORED = -100


def without_dropout(config: Any) -> Any:
    """The same config with every dropout at 0: a frozen part has no use for it."""
    for name in vars(config):
        if any(word in name for word in ("dropout", "pdrop", "layerdrop")) and isinstance(getattr(config, name), float):
            setattr(config, name, 0.0)
    return config


def config_of(table: Mapping[str, Any]) -> Any:
    """A transformers config from its dict."""
    return AutoConfig.for_model(**table)


class LanguageModel(nn.Module):  # type: ignore[misc]
    """A causal language model that reads [prompt | begin | caption | end].

    The paper's is OPT-2.7B, frozen; any causal model of transformers will do.
    """

    def __init__(self, config: Any, prompt_width: int, max_tokens: int, beams: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.causal = AutoModelForCausalLM.from_config(config, dtype=dtype, **NO_CODE)
        self.projection = nn.Linear(prompt_width, self.causal.get_input_embeddings().embedding_dim)
        self.max_tokens, self.beams = max_tokens, beams

    def _prompt(self, states_KLD: torch.Tensor, begin: int | None) -> torch.Tensor:
        """Prompt vectors and the begin token, [K, L (+ 1), width]."""
        prompt = self.projection(states_KLD)
        table = self.causal.get_input_embeddings()
        if begin is not None:
            start = table(torch.full((len(prompt), 1), begin, device=prompt.device))
            prompt = torch.cat((prompt.to(start.dtype), start), 1)
        return prompt.to(table.weight.dtype)

    def losses(self, states_KLD: torch.Tensor, captions: Sequence[str], tokenizer: Any) -> torch.Tensor:
        """Cross-entropy of a token, averaged over each caption, [K]."""
        ids_KS = self._ids(captions, tokenizer).to(states_KLD.device)
        prompt = self._prompt(states_KLD, tokenizer.bos_token_id)
        words = self.causal.get_input_embeddings()(ids_KS.clamp(min=0))
        inputs = torch.cat((prompt, words[:, :-1].to(prompt.dtype)), 1)
        logits = self.causal(inputs_embeds=inputs, use_cache=False, logits_to_keep=ids_KS.shape[1]).logits
        token_loss = cross_entropy(logits.float().transpose(1, 2), ids_KS, ignore_index=_IGNORED, reduction="none")
        return token_loss.sum(1) / (ids_KS != _IGNORED).sum(1)

    def _ids(self, captions: Sequence[str], tokenizer: Any) -> torch.Tensor:
        """Token ids with the end, padded with -100, [K, S]."""
        rows = [
            [*tokenizer(caption, add_special_tokens=False).input_ids[: self.max_tokens - 1], tokenizer.eos_token_id]
            for caption in captions
        ]
        longest = max(map(len, rows))
        return torch.tensor([row + [_IGNORED] * (longest - len(row)) for row in rows])

    def generate(self, states_KLD: torch.Tensor, tokenizer: Any) -> list[str]:
        """A caption for each prompt: the likeliest words (greedy, or beams where there are some); never sampled."""
        if not len(states_KLD):
            return []
        prompt = self._prompt(states_KLD, tokenizer.bos_token_id)
        end = tokenizer.eos_token_id
        ids = self.causal.generate(
            inputs_embeds=prompt,
            attention_mask=torch.ones(prompt.shape[:2], dtype=torch.long, device=prompt.device),
            max_new_tokens=self.max_tokens,
            do_sample=False,
            num_beams=self.beams,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=end,
            pad_token_id=end if tokenizer.pad_token_id is None else tokenizer.pad_token_id,
        )
        return [text.strip() for text in tokenizer.batch_decode(ids, skip_special_tokens=True)]
