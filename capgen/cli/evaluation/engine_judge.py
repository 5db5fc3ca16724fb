"""A judge made of an engine of the caption pipeline: any vLLM model, any OpenAI-compatible server, transformers, echo.

The evaluation states what it needs of a judge and knows no engine; engines know no evaluation. They meet here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from capgen.errors import UserError
from capgen.evaluation.region_captions.judging.judge import (
    JudgeIdentity,
    JudgeReply,
    JudgeRequest,
    picture_digest,
)
from capgen.pipeline.asking.ask import Asker
from capgen.pipeline.engines.base import EngineContext, EngineDead, Postponed, build_engine, together
from capgen.pipeline.engines.starting.start import start_engine
from capgen.pipeline.planning.config import load_settings
from capgen.pipeline.planning.fingerprint import deciding_options, model_files
from capgen.pipeline.planning.preflight import check_model, tell_model
from capgen.pipeline.settings import Settings
from capgen.pipeline.view import Picture, View

_CARRIER = "lvis"
"""A pipeline file; a judge takes the tables ``model``, ``engine`` and ``sampling`` as a run of it would."""

_TOKENS = 256
_UNFINISHED = ("error", "abort", "none")
_AGAIN = "the answers that came are kept; run the same command again"

Take = Callable[[JudgeRequest, JudgeReply], None]


@dataclass(slots=True)
class EngineJudge:
    """Keeps the engine busy with requests and hands over each reply as it comes.

    Args:
        gpus: of one engine; 0 is the CPU.
    """

    settings: Settings
    gpus: int = 0
    _postponed: list[Postponed] = field(default_factory=list)

    @classmethod
    def of(
        cls, model: str, engine: str, assignments: Sequence[str], flags: Mapping[str, Any], gpus: int
    ) -> EngineJudge:
        """A judge from flags; the model's profile counts, as for runs.

        Args:
            assignments: ``table.key=value`` of the tables ``model``, ``engine`` and ``sampling``.

        Raises:
            UserError: a value is wrong.
        """
        usual = {"model.id": model, "engine.name": engine, "sampling.max_tokens": _TOKENS}
        return cls(load_settings(_CARRIER, usual | dict(flags), assignments), gpus)

    @property
    def identity(self) -> JudgeIdentity:
        """The model with everything that decides its answers; servers too, since two may call two models alike."""
        model, sampling = self.settings.model, self.settings.sampling
        engine = self.settings.engine
        facts = {
            "revision": model.revision,
            "files": (model_files(self.settings) or "")[:16] or None,
            "template": dict(model.template) or None,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
            "seed": sampling.seed,
            "servers": engine.options.get("base_urls"),
            "options": deciding_options(engine) or None,
        }
        return JudgeIdentity(model.id, engine.name, {name: value for name, value in facts.items() if value is not None})

    def ask(self, requests: Iterable[JudgeRequest], take: Take) -> None:
        """Ask all; the engine is started for the first one only, so that answers from the cache cost nothing.

        Raises:
            UserError: the engine cannot be started, or died.
            Postponed: answers come later from elsewhere.
        """
        asyncio.run(self._ask_all(iter(requests), take))

    async def _ask_all(self, requests: Iterator[JudgeRequest], take: Take) -> None:
        first = next(requests, None)
        if first is None:
            return
        engine = build_engine(self.settings.engine)
        check_model(self.settings)
        tell_model(self.settings)
        context = EngineContext(self.settings.model, self.settings.sampling, self.gpus)
        session = await start_engine(engine, context)
        asker = Asker(session, self.settings.run.attempts)
        flying: set[asyncio.Task[None]] = set()
        try:
            for request in chain([first], requests):
                flying.add(asyncio.create_task(self._ask_one(asker, request, take)))
                if len(flying) >= engine.in_flight:
                    flying = await _some(flying)
            while flying:
                flying = await _some(flying)
        except EngineDead as error:
            raise UserError(f"the judge's engine died: {error}", _AGAIN) from error
        finally:
            for task in flying:
                task.cancel()
            await session.stop()
        if self._postponed:
            raise together(self._postponed)

    async def _ask_one(self, asker: Asker, request: JudgeRequest, take: Take) -> None:
        parts = tuple(part if isinstance(part, str) else Picture(part, picture_digest(part)) for part in request.parts)
        view = View(
            f"{request.key}/{request.repetition}",
            request.system,
            (),
            parts,
            None,
            schema=request.schema,
            seed=self.settings.sampling.seed + request.repetition,
        )
        if self.settings.render.system == "user":
            view = view.with_system_in_user()
        try:
            settled = await asker.ask(view, "")
        except Postponed as postponed:
            self._postponed.append(postponed)
            return
        fault = settled.message if settled.fault else None
        if fault is None and settled.finish_reason in _UNFINISHED:
            fault = f"it ended with {settled.finish_reason}" + (
                ": --free-answers asks without a schema" if request.schema else ""
            )
        tokens = settled.prompt_tokens, settled.output_tokens
        take(request, JudgeReply(settled.text, settled.finish_reason, *tokens, fault=fault))


async def _some(flying: set[asyncio.Task[None]]) -> set[asyncio.Task[None]]:
    """Wait until one task has ended, and raise what ended it; the others."""
    done, rest = await asyncio.wait(flying, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()
    return rest
