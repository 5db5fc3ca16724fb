"""One view in, one settled answer out: the only place where a request is asked again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import msgspec

from capgen.pipeline.engines.base import EngineDead, EngineFault, RequestRefused, Session
from capgen.pipeline.view import View


class Settled(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of a request when it needs no more asking: an answer, or the fault that ended it.

    This is what a journal line holds; everything else of a row can be computed again.
    """

    key: str
    request: str
    text: str = ""
    finish_reason: str = ""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    attempts: int = 1
    fault: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Asker:
    """Asks ``attempts`` times at most; a fault that cannot pass is asked once."""

    session: Session
    attempts: int

    async def ask(self, view: View, request: str) -> Settled:
        """The settled answer to ``view``.

        Raises:
            EngineDead: the engine is gone; nothing is known of this request and it must be asked elsewhere.
        """
        for attempt in range(1, self.attempts + 1):
            try:
                answer = await self.session.answer(view)
            except EngineDead:
                raise
            except RequestRefused as error:
                return Settled(
                    key=view.key, request=request, attempts=attempt, fault="request_refused", message=str(error)
                )
            except EngineFault as error:
                fault = error
            else:
                return Settled(
                    key=view.key,
                    request=request,
                    text=answer.text,
                    finish_reason=answer.finish_reason,
                    prompt_tokens=answer.prompt_tokens,
                    cached_tokens=answer.cached_tokens,
                    output_tokens=answer.output_tokens,
                    attempts=attempt,
                )
        return Settled(key=view.key, request=request, attempts=self.attempts, fault="engine_failed", message=str(fault))


def request_digest(view: View, salt: str) -> str:
    """sha256 of everything that decides the answer: the prompt's parts, and ``salt`` (model and sampling)."""
    digest = hashlib.sha256(salt.encode())
    for turn in view.examples:
        digest.update(f"\0{turn.user}\0{turn.assistant}".encode())
    digest.update(f"\0{view.system}".encode())
    for part in view.parts:
        digest.update(b"\0" + (part.encode() if isinstance(part, str) else part.digest.encode()))
    return digest.hexdigest()
