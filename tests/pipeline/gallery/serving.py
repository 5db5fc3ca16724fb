"""A gallery that really listens on loopback, for the tests of its pages."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from capgen.pipeline.gallery import server
from capgen.pipeline.gallery.media_store import MediaStore
from capgen.pipeline.gallery.row_index import RowIndex
from tests.tiny_runs import dropped, failed, said


def judged(row):
    """Of every four rows one dropped, one failed, and two kept."""
    return {
        "10": lambda: said(row, 'A <b>red</b> cup & "saucer".'),
        "11": lambda: dropped(said(row, "The image shows a pot."), "meta_talk", "length"),
        "20": lambda: failed(row, "engine_stalled"),
    }.get(row.object_id, lambda: row)()


@contextmanager
def served(out: Path, *, beside: Path | None = None, root: Path | None = None) -> Iterator[str]:
    """The address with its token, while the block runs."""
    started: list[uvicorn.Server] = []

    class Stoppable(uvicorn.Server):
        def __init__(self, config):
            super().__init__(config)
            started.append(self)

        def install_signal_handlers(self):
            """Only the main thread may have some."""

    index = RowIndex(out, beside)
    gallery = server.Gallery(index, MediaStore(out, index.plan, root), "a tester")
    told = threading.Event()
    address: list[str] = []

    def ready(url: str) -> None:
        address.append(url)
        told.set()

    thread = threading.Thread(target=server.serve, args=(gallery, "127.0.0.1", 0, ready, Stoppable), daemon=True)
    thread.start()
    assert told.wait(30)
    while not (started and started[0].started):
        threading.Event().wait(0.01)
    yield address[0]
    started[0].should_exit = True
    thread.join(30)
    assert not thread.is_alive()
