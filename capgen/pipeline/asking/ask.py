"""One view in, one settled answer out: the only place where a request is asked again."""

from __future__ import annotations

from dataclasses import dataclass

from capgen.pipeline.engines.base import EngineDead, EngineFault, RequestRefused, Session
from capgen.pipeline.view import Settled, View, normal_finish_reason


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
            except EngineFault as error:
                fault = error
            else:
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
                    attempts=attempt,
                )
        return Settled(key=view.key, request=request, attempts=self.attempts, fault="engine_failed", message=str(fault))
