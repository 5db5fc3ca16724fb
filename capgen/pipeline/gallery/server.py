"""The gallery's server: pages, pictures and reviews of one run on loopback."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from getpass import getuser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from capgen.errors import CapgenError, UserError
from capgen.images import PictureFault
from capgen.listening import address, listen, own_names
from capgen.pipeline.gallery import views
from capgen.pipeline.gallery.exact_request import ExactRequests
from capgen.pipeline.gallery.guard import LocalGuard
from capgen.pipeline.gallery.media_store import FrameCache, MediaStore, ShownMedium
from capgen.pipeline.gallery.row_index import IndexedRow, RowIndex
from capgen.pipeline.gallery.selection import Selection
from capgen.pipeline.gallery.templating import render, static_names, static_text
from capgen.pipeline.releasing.reviews import append_reviews, review

_LOG = logging.getLogger(__name__)
_TYPES = {".css": "text/css", ".js": "text/javascript"}
_LONGEST_SIDE = 2000
_FRAMES_AT_ONCE = 32
_FORM_BYTES = 20_000
_FIRST_SECONDS = 0.2
_HOUR = {"cache-control": "private, max-age=3600"}


@dataclass(frozen=True, slots=True)
class Gallery:
    """What the server shows, and who is sitting in front of it.

    Args:
        requests: makes what the model was asked again.
        reviewer: the name that reviews are signed with.
    """

    index: RowIndex
    store: MediaStore
    requests: ExactRequests
    reviewer: str = field(default_factory=getuser)
    frames: FrameCache = field(default_factory=FrameCache)

    @property
    def name(self) -> str:
        """The run's name, for titles."""
        return self.index.out.resolve().name

    @property
    def beside(self) -> str:
        """The name of the run beside it; empty where there is none."""
        return "" if self.index.beside is None else self.index.beside.resolve().name

    def listed(self, request: Request) -> Response:
        """The list of objects that the address selects."""
        selection = Selection.of_query(request.url.query)
        result = self.index.page(selection)
        pages = max(1, -(-result.total // selection.size))
        if selection.page > pages:
            return RedirectResponse("/?" + selection.query(page=pages), 303)
        more = ("min_words", "max_words", "min_confidence", "max_confidence", "min_score", "max_score")
        return self._html(
            "list.html",
            title=f"{self.name}: captions",
            selection=selection,
            result=result,
            groups=list(views.list_groups(result.rows)),
            facets=self.index.facets(),
            note=self.index.note,
            shards=self.index.shards[0],
            pages=pages,
            planned=bool(sum(result.by_status.values())) or bool(self.index.facets()["split"]),
            beside=self.beside,
            more=any(getattr(selection, name) is not None for name in more),
        )

    def note(self, request: Request) -> Response:
        """How much of the run is here by now; a page that shows nothing yet is loaded anew when there is something."""
        here, planned = self.index.shards
        shown = _number(request, "shards", 0)
        headers = {"hx-refresh": "true"} if here and not shown else {}
        status = 286 if here == planned else 200 if here != shown else 204  # 286 tells htmx to ask no more
        return self._html("note.html", status, headers, note=self.index.note, new=here != shown)

    def object(self, request: Request) -> Response:
        """The page of an object: its medium, with the object chosen."""
        row = self._row(request)
        return self._medium(row.shard, row.medium, row)

    def medium(self, request: Request) -> Response:
        """The page of a medium with all of its objects."""
        return self._medium(_number(request, "shard"), request.query_params.get("name", ""), None)

    def _medium(self, shard: int, name: str, chosen: IndexedRow | None) -> Response:
        shown = self.store.get(shard, name)
        media = shown.media
        start = chosen.frame if chosen is not None else (shown.seen_frames(1) or [0])[0]
        figures = [views.medium_figure(shard, name, shown, start)] if media.file_names else []
        place = {"shard": shard, "name": name}
        video = None
        if media.kind == "video":
            video = {
                "frames": len(media.file_names),
                "start": start,
                "width": media.width,
                "height": media.height,
                "fps": views.FPS,
                "picture": "/picture?" + urlencode({**place, "side": views.PAGE_SIDE}),
                "tracks": "/tracks?" + urlencode(place),
            }
        rows = self.index.of_medium(name)
        details = None
        if chosen is not None:
            own = next(row for row in shown.rows if row.key == chosen.key)
            details = {
                "row": chosen,
                "answers": len(own.answers),
                "facts": views.facts(own, chosen, self.index.scores(chosen.key)),
            }
        return self._html(
            "medium.html",
            title=f"{name}: captions",
            group=views.MediumGroup(shard, name, media.kind, figures, rows),
            video=video,
            chosen=details,
            beside=self.beside,
        )

    def picture(self, request: Request) -> Response:
        """A frame as a JPEG."""
        shown, index = self._frame(request)
        side = min(_number(request, "side", views.PAGE_SIDE), _LONGEST_SIDE)
        try:
            data = self.frames.jpeg(shown.media, index, max(16, side))
        except PictureFault as fault:
            text = render("fault.svg", width=shown.media.width, height=shown.media.height, fault=str(fault))
            return Response(text, media_type="image/svg+xml")
        return Response(data, media_type="image/jpeg", headers=_HOUR)

    def outlines(self, request: Request) -> Response:
        """The outlines of objects on a frame, as SVG."""
        shown, index = self._frame(request)
        numbers = [int(text) for text in request.query_params.getlist("n") if re.fullmatch(r"[0-9]{1,9}", text)]
        scale = views.scale_for(shown, min(_number(request, "side", views.PAGE_SIDE), _LONGEST_SIDE))
        drawn = views.marks(shown, index, scale, numbers or None)
        return self._html("outlines.html", width=shown.media.width, height=shown.media.height, marks=drawn)

    def tracks(self, request: Request) -> Response:
        """The outlines of some frames of a video, as JSON."""
        shown = self.store.get(_number(request, "shard"), request.query_params.get("name", ""))
        count = min(_number(request, "count", _FRAMES_AT_ONCE), _FRAMES_AT_ONCE)
        found = views.tracks(shown, _number(request, "first", 0), count)
        return Response(msgspec.json.encode(found), media_type="application/json")

    def request(self, request: Request) -> Response:
        """What the model was asked for an answer about an object."""
        row = self._row(request)
        return self._html("request.html", **self.requests.values(row.shard, row.key, _number(request, "answer", 0)))

    def judge(self, form: Mapping[str, str]) -> Response:
        """Take down what somebody says of a caption; the object as the list shows it from now on."""
        row = self._found(form.get("key", ""))
        said = review(
            row.key,
            form.get("verdict", ""),
            self.reviewer,
            why=form.get("why"),
            caption=form.get("caption"),
            said=row.caption,
        )
        append_reviews(self.index.out, [said])
        self.index.add_review(said)
        return self._html("item.html", row=replace(self._found(row.key), number=row.number), beside=self.beside)

    def _frame(self, request: Request) -> tuple[ShownMedium, int]:
        shown = self.store.get(_number(request, "shard"), request.query_params.get("name", ""))
        index = _number(request, "frame", 0)
        if not 0 <= index < len(shown.media.file_names):
            raise KeyError(index)
        return shown, index

    def _row(self, request: Request) -> IndexedRow:
        return self._found(request.query_params.get("key", ""))

    def _found(self, key: str) -> IndexedRow:
        row = self.index.find(key)
        if row is None:
            raise KeyError(key)
        return row

    def _html(
        self, template: str, status: int = 200, headers: Mapping[str, str] | None = None, **values: Any
    ) -> HTMLResponse:
        return HTMLResponse(render(template, name=self.name, **values), status, headers)

    def trouble(self, text: str, status: int) -> HTMLResponse:
        """A page that says in a sentence why there is no other."""
        return HTMLResponse(render("trouble.html", name=self.name, title=self.name, trouble=text), status)


def gallery_app(gallery: Gallery, *, token: str, hosts: list[str]) -> Starlette:
    """The server as an ASGI application.

    Args:
        token: what the first address has as ``?token=``.
        hosts: the ``host:port`` under which the server may be asked.
    """
    pages = {
        "/": gallery.listed,
        "/note": gallery.note,
        "/object": gallery.object,
        "/medium": gallery.medium,
        "/picture": gallery.picture,
        "/outlines": gallery.outlines,
        "/tracks": gallery.tracks,
        "/request": gallery.request,
        "/static/{name}": _static,
    }
    routes = [Route(path, _told(gallery, page)) for path, page in pages.items()]
    routes.append(Route("/review", _review(gallery), methods=["POST"]))
    return Starlette(routes=routes, middleware=[Middleware(LocalGuard, token=token, hosts=hosts)])


def _told(gallery: Gallery, page: Callable[[Any], Response]) -> Callable[[Request], Response]:
    """The page, or a sentence about what is wrong; Starlette runs it in a thread."""

    def answer(request: Request) -> Response:
        return _guarded(gallery, lambda: page(request))

    return answer


def _guarded(gallery: Gallery, page: Callable[[], Response]) -> Response:
    try:
        return page()
    except KeyError:
        return gallery.trouble("There is nothing of that name in this run.", 404)
    except UserError as error:
        return gallery.trouble(str(error), 400)
    except (CapgenError, OSError) as error:
        _LOG.warning("%s", error)
        return gallery.trouble(str(error), 500)


def _review(gallery: Gallery) -> Callable[[Request], Any]:
    async def answer(request: Request) -> Response:
        from starlette.concurrency import run_in_threadpool

        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > _FORM_BYTES:
                return gallery.trouble("That is too long.", 413)
        form = {name: values[-1] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}
        response = await run_in_threadpool(_guarded, gallery, lambda: gallery.judge(form))
        if request.headers.get("hx-request") == "true" or response.status_code != 200:
            return response
        return RedirectResponse("/object?" + urlencode({"key": form.get("key", "")}), 303)

    return answer


def _static(request: Request) -> Response:
    name = request.path_params["name"]
    suffix = Path(name).suffix
    if name not in static_names() or suffix not in _TYPES:
        raise KeyError(name)
    return Response(static_text(name), media_type=_TYPES[suffix], headers=_HOUR)


def _number(request: Request, name: str, default: int | None = None) -> int:
    text = request.query_params.get(name)
    if text is None and default is not None:
        return default
    if text is None or not re.fullmatch(r"[0-9]{1,9}", text):
        raise KeyError(name)
    return int(text)


def serve(
    gallery: Gallery,
    host: str,
    port: int,
    ready: Callable[[str], None],
    make: Callable[[uvicorn.Config], uvicorn.Server] = uvicorn.Server,
) -> None:
    """Answer until the process is interrupted.

    Args:
        port: 0 takes a free one.
        ready: is told the address, with the token, when the server listens.
        make: makes the server.

    Raises:
        UserError: the address cannot be listened on.
    """
    listener = listen(host, port, "give another --port")
    port = listener.getsockname()[1]
    token = secrets.token_urlsafe(24)
    app = gallery_app(gallery, token=token, hosts=own_names(host, port))
    config = uvicorn.Config(app, log_level="warning", lifespan="off", server_header=False, date_header=False)
    gallery.index.refresh(seconds=_FIRST_SECONDS)  # the rest is taken up while people look
    gallery.index.follow()
    ready(f"{address(host, port)}/?token={token}")
    try:
        make(config).run(sockets=[listener])
    finally:
        listener.close()
        gallery.index.close()
