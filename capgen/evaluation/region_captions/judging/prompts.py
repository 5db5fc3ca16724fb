"""Prompts of judges, ``prompts/judges/<name>.toml``: a system text and a user text, both Jinja templates.

What is filled in is never parsed as a template, and templates run in a sandbox: a prompt file may come from elsewhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import BaseModel, ConfigDict, ValidationError

from capgen.encoding import read_text
from capgen.errors import UserError
from capgen.layered_toml import read_toml, sentence
from capgen.resources import resource

_FOLDER = "prompts/judges"


class _PromptFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    system: str = ""
    user: str


@dataclass(frozen=True, slots=True)
class JudgePrompt:
    """A prompt file; ``sha256`` is of its text."""

    name: str
    sha256: str
    system: str
    user: str

    @classmethod
    def load(cls, name: str) -> JudgePrompt:
        """A shipped prompt by name, or a file.

        Raises:
            UserError: there is none, or it is no prompt.
        """
        file = resource(_FOLDER, name, ".toml")
        try:
            read = _PromptFile.model_validate(read_toml(file))
        except ValidationError as error:
            raise UserError(
                f"{file}: {sentence(error, _PromptFile)}", "a judge's prompt has name, system, user"
            ) from error
        digest = hashlib.sha256(read_text(file).encode()).hexdigest()
        return cls(read.name, digest, read.system, read.user)

    def fill(self, variables: Mapping[str, Any]) -> tuple[str, str]:
        """The system and the user text, trimmed.

        Raises:
            UserError: a template is broken, or asks for what the benchmark does not give.
        """
        environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True)
        try:
            system, user = (
                environment.from_string(text).render(variables).strip() for text in (self.system, self.user)
            )
        except TemplateError as error:
            known = ", ".join(sorted(variables))
            raise UserError(f"the judge's prompt {self.name}: {error}", f"it is given {known}") from error
        return system, user
