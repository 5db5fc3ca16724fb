"""What the model was asked for an object: the request is made again, and its digest compared with the recorded one."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2

from capgen.dataset.reader import read_media
from capgen.dataset.row import GivenAnswer, Row
from capgen.errors import CapgenError, UserError
from capgen.pipeline.asking.tries import further_view, taken_step
from capgen.pipeline.gallery.media_store import MediaStore
from capgen.pipeline.planning.job import Job
from capgen.pipeline.planning.recorded_settings import reaching, without_links
from capgen.pipeline.rendering.prompt import load_prompt, prompt_of
from capgen.pipeline.rendering.render import Renderer, render_media
from capgen.pipeline.settings import Settings, TryAgain
from capgen.pipeline.sources.reading.decode import decode_media
from capgen.pipeline.view import View, request_digest
from capgen.resources import resource_names

_PNG = (cv2.IMWRITE_PNG_COMPRESSION, 3)
_USED = ("engine.name", "prompt.", "tries.again", "distinct.again")
"""Where settings stand that say how a request is made; no server is asked, nothing is checked and no card written."""
_SAME = "This is what was sent: it has the digest that was recorded."


@dataclass(frozen=True, slots=True)
class RequestPart:
    """A text or a picture of a request."""

    text: str | None = None
    source: str = ""
    width: int = 0
    height: int = 0


@dataclass(frozen=True, slots=True)
class RecordedRequests:
    """From which settings the requests of a run are made again.

    Args:
        settings: the pipeline's, as JSON.
        folder: names of prompt files are relative to it.
        trusted: whether the settings may name prompt files beside those that capgen ships, and code.
    """

    settings: Mapping[str, Any]
    folder: Path = Path()
    trusted: bool = False

    def read(self) -> Settings:
        """The settings.

        Raises:
            UserError: they name a file or code, and are not trusted.
            ValueError: they are no settings.
        """
        settings = Settings.model_validate(without_links(self.settings))
        asked = [(key, value) for key, value in reaching(self.settings) if key.startswith(_USED)]
        if asked and not self.trusted:
            key, value = asked[0]
            raise UserError(
                f"the run asks for {key}={value!r}, which capgen does not ship, and was not started here by you",
                "start the gallery with --trust-out if it is yours",
            )
        return self._placed(settings)

    def _placed(self, settings: Settings) -> Settings:
        """With prompt files where they are from here."""

        def step(one: TryAgain) -> TryAgain:
            return one.model_copy(update={"prompt": self._place(one.prompt)})

        tables = {
            name: table.model_copy(update={"again": tuple(map(step, table.again))})
            for name, table in (("tries", settings.tries), ("distinct", settings.distinct))
        }
        prompt = settings.prompt.model_copy(update={"name": self._place(settings.prompt.name)})
        return settings.model_copy(update={**tables, "prompt": prompt})

    def _place(self, name: str | None) -> str | None:
        if name is None or name in resource_names("prompts", ".toml"):
            return name
        return str(self.folder / name)


@dataclass
class ExactRequests:
    """Makes the requests of a run again."""

    store: MediaStore
    recorded: RecordedRequests

    def values(self, shard: int, key: str, number: int) -> Mapping[str, Any]:
        """What the page shows of the request for an answer.

        Args:
            number: of the answer, from 1; 0 is the one whose caption the row has.

        Raises:
            KeyError: there is no such object or answer.
        """
        medium = next(one for one in self.store.shard(shard).values() if any(row.key == key for row in one.rows))
        row = next(row for row in medium.rows if row.key == key)
        given = _answer(row, number)
        try:
            view = self._view(shard, row, given)
        except (CapgenError, ValueError, IndexError) as error:
            return {"trouble": f"the request cannot be shown: {error}"}
        if isinstance(view, str):
            return {"trouble": view}
        digest = given.request_sha256 if given else row.request_sha256
        note = self._note(view, row, digest)
        return {"trouble": "", "note": note, "same": note == _SAME, "view": view, "parts": [*_parts(view)]}

    @cached_property
    def _job(self) -> Job:
        settings = self.recorded.read()
        prompt = prompt_of(settings.prompt)
        steps = (*settings.tries.again, *settings.distinct.again)
        names = {step.prompt for step in steps if step.prompt}
        prompts = {name: load_prompt(name, category=settings.prompt.category) for name in names}
        plan, model = self.store.plan, self.store.plan.model
        return Job(self.store.out, plan.fingerprint, settings, prompt, 0, model.name, model.revision, prompts=prompts)

    def _view(self, shard: int, row: Row, given: GivenAnswer | None) -> View | str:
        """The request, or why there is none."""
        step = None if given is None or given.step is None else taken_step(self._job, given.step)
        renderer = self._job.renderer if step is None else self._job.renderer_of(step.settings)
        shown = self._shown(shard, row, renderer)
        if isinstance(shown, str) or step is None or given is None or given.step is None:
            return shown
        return further_view(self._job, shown, step, given.step, given.told)

    def _shown(self, shard: int, row: Row, renderer: Renderer) -> View | str:
        entry = self.store.plan.shards[shard]
        for planned in read_media(self.store.out, entry, legacy_root=self.store.plan.legacy_root):
            if any(planned.key_of(one.object_id) == row.key for one in planned.objects):
                media = decode_media(planned, self.store.root, self.store.bounds)
                others = frozenset(obj.key for obj in media.objects) - {row.key}
                (view,) = render_media(media, renderer, others)
                return view if isinstance(view, View) else f"not asked: {view[1].message}"
        raise KeyError(row.key)

    def _note(self, view: View, row: Row, digest: str | None) -> str:
        """Whether this is what was sent."""
        if digest is None:
            return "Nothing was sent for this object."
        if request_digest(view, replace(self._job, model_revision=row.model_revision).salt) == digest:
            return _SAME
        if row.prompt_sha256 not in (
            None,
            self._job.prompt.sha256,
            *(one.sha256 for one in self._job.prompts.values()),
        ):
            return "What was sent was different: the prompt file has changed since."
        return "What was sent was different: the pictures, the model or its settings have changed since."


def _answer(row: Row, number: int) -> GivenAnswer | None:
    """An answer of several; None where the object has only one."""
    if not row.answers and number <= 1:
        return None
    if number == 0:
        return next((one for one in row.answers if one.released), row.answers[0])
    if number > len(row.answers):
        raise KeyError(number)
    return row.answers[number - 1]


def _parts(view: View) -> Iterator[RequestPart]:
    for part in view.parts:
        if isinstance(part, str):
            yield RequestPart(text=part)
            continue
        height, width = part.pixels.shape[:2]
        _, data = cv2.imencode(".png", cv2.cvtColor(part.pixels, cv2.COLOR_RGB2BGR), _PNG)
        source = "data:image/png;base64," + b64encode(data.tobytes()).decode("ascii")
        yield RequestPart(source=source, width=width, height=height)
