"""One view in, one settled answer out: the only place where a request is asked again."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from capgen.pipeline.engines.base import EngineDead, EngineFault, NotInAnswer, RequestRefused, Session
from capgen.pipeline.view import Answer, Settled, View, normal_finish_reason


@dataclass(frozen=True, slots=True)
class Asker:
    """Asks ``attempts`` times at most; a fault that cannot pass is asked once."""

    session: Session
    attempts: int

    async def ask(self, view: View, request: str) -> Settled:
        """The settled answer to ``view``, whose digest is ``request``.

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
            except NotInAnswer as error:
                said = _settled(view, request, error.answer, attempt)
                return msgspec.structs.replace(said, text="", fault="not_in_answer", message=str(error))
            except EngineFault as error:
                fault = error
            else:
                return _settled(view, request, answer, attempt)
        return Settled(key=view.key, request=request, attempts=self.attempts, fault="engine_failed", message=str(fault))


def _settled(view: View, request: str, answer: Answer, attempts: int) -> Settled:
    return Settled(
        key=view.key,
        request=request,
        text=answer.text,
        finish_reason=normal_finish_reason(answer.finish_reason),
        prompt_tokens=answer.prompt_tokens,
        cached_tokens=answer.cached_tokens,
        output_tokens=answer.output_tokens,
        logprob_min=answer.logprob_min,
        logprob_mean=answer.logprob_mean,
        invented=answer.invented,
        attempts=attempts,
    )
