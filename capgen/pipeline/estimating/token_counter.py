"""Tokens of a request: from the model's own processor where its files are here, else from its profile."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from capgen.errors import first_line
from capgen.pipeline.engines.chat_completions import template_messages
from capgen.pipeline.planning.model_profiles import ModelProfile, profile_named
from capgen.pipeline.settings import ModelSettings, Settings
from capgen.pipeline.template_limit import check_templates, limited
from capgen.pipeline.view import TokenCounter, View

_LETTERS_A_TOKEN = 4.0
_CHAT_MARKS = 12
_USUAL_PATCH = 28
_NOT_HERE = "the model's processor is not here ({})"


def token_counter(settings: Settings) -> TokenCounter:
    """The counter for the model of some settings."""
    model = settings.model
    args = settings.engine.options.get("args", {})
    if not _is_here(model):  # without loading transformers, which takes seconds
        return ByProfile(profile_named(model.profile), _NOT_HERE.format("not in the local cache"))
    try:
        from transformers import AutoProcessor

        processor = AutoProcessor.from_pretrained(
            model.id, revision=model.revision, trust_remote_code=model.trust_remote_code, local_files_only=True
        )
        if not (processor.chat_template or processor.tokenizer.chat_template):
            raise ValueError("it has no chat template")
    except (ImportError, OSError, ValueError, AttributeError, TypeError) as error:
        told = first_line(error)[:120]
        why = told if Path(model.id).is_dir() else "not in the local cache"
        return ByProfile(profile_named(model.profile), _NOT_HERE.format(why))
    for owner in (processor, processor.tokenizer):
        check_templates(owner.chat_template, model.id)
    processor.apply_chat_template = limited(processor.apply_chat_template, model.id)
    return ByProcessor(processor, model.template, dict(args.get("mm_processor_kwargs") or {}))


def _is_here(model: ModelSettings) -> bool:
    """Whether a model's files are in a folder or in the hub's cache on this machine."""
    from huggingface_hub import try_to_load_from_cache

    if Path(model.id).is_dir():
        return True
    try:
        return isinstance(try_to_load_from_cache(model.id, "config.json", revision=model.revision), str)
    except ValueError:  # no name of the hub
        return False


@dataclass(frozen=True, slots=True)
class ByProcessor:
    """The model's chat template, tokenizer and picture processor."""

    processor: Any
    template: dict[str, Any]
    options: dict[str, Any]

    @property
    def how(self) -> str:
        """What was counted."""
        return "tokens of a sample of the requests were counted by the model's own processor"

    def prompt(self, view: View) -> int:
        """Tokens of a whole prompt."""
        return self._count(view, ends=True)

    def beginning(self, view: View, parts: int) -> int:
        """Tokens up to the end of the first parts; the marks that end the message, a few tokens, are counted too."""
        return self._count(replace(view, parts=view.parts[:parts]), ends=False)

    def _count(self, view: View, *, ends: bool) -> int:
        return len(self.ids(view, ends=ends))

    def ids(self, view: View, *, ends: bool = True) -> list[int]:
        """The prompt's tokens: a picture is a run of one token, as long as its visual tokens are many.

        Args:
            ends: with the marks that begin the answer.
        """
        from PIL import Image

        text = self._written(view, ends=ends)
        pictures = [Image.fromarray(picture.pixels) for picture in view.pictures]
        shown = {"images": [pictures]} if pictures else {}
        made = self.processor(text=[text], add_special_tokens=False, **shown, **self.options)
        return [int(token) for token in made["input_ids"][0]]

    def text(self, view: View) -> str:
        """The prompt as the chat template writes it, with a mark in the place of each picture."""
        return self._written(view, ends=True)

    def _written(self, view: View, *, ends: bool) -> str:
        text: str = self.processor.apply_chat_template(
            template_messages(view),
            chat_template=self.processor.chat_template or self.processor.tokenizer.chat_template,
            **{**self.template, "add_generation_prompt": ends, "tokenize": False},
        )
        return text


@dataclass(frozen=True, slots=True)
class ByProfile:
    """Pictures by the model's profile, text by its length."""

    profile: ModelProfile | None
    why: str

    @property
    def how(self) -> str:
        """What was assumed."""
        pictures = "no profile knows the model: a token for 28 x 28 pixels"
        if self.profile is not None:
            pictures = f"visual tokens by the profile {self.profile.name}"
        return f"{self.why}: {pictures}, and a token for {_LETTERS_A_TOKEN:g} letters of text"

    def prompt(self, view: View) -> int:
        """Tokens of a whole prompt."""
        return self.beginning(view, len(view.parts))

    def beginning(self, view: View, parts: int) -> int:
        """Tokens up to the end of the first parts."""
        begun = replace(view, parts=view.parts[:parts])
        texts = [view.system, *(f"{turn.user}{turn.assistant}" for turn in view.examples)]
        texts += [part for part in begun.parts if isinstance(part, str)]
        letters = sum(map(len, texts))
        pictures = sum(self._picture(one.pixels.shape[1], one.pixels.shape[0]) for one in begun.pictures)
        return round(letters / _LETTERS_A_TOKEN) + _CHAT_MARKS + pictures

    def text(self, view: View) -> None:
        """Not known without the processor."""

    def _picture(self, width: int, height: int) -> int:
        known = self.profile.visual.count(width, height) if self.profile else None
        if known is None:
            return -(-width // _USUAL_PATCH) * -(-height // _USUAL_PATCH)
        return known + (self.profile.visual.extra if self.profile else 0)
