"""A gallery that really listens on loopback, for the tests of its pages."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import numpy as np
import pyarrow.parquet as pq
import uvicorn

from capgen.dataset.layout import RunLayout
from capgen.dataset.reader import read_columns, read_plan, rows_of
from capgen.pipeline.gallery import server
from capgen.pipeline.gallery.exact_request import ExactRequests, RecordedRequests
from capgen.pipeline.gallery.media_store import MediaStore
from capgen.pipeline.gallery.row_index import RowIndex
from capgen.pipeline.judging.records import JudgeRules, score_table
from capgen.pipeline.judging.scores import JudgedCaption
from tests.tiny_runs import dropped, failed, said

COLOURS = np.random.default_rng(0).integers(0, 255, (48, 64, 3)).astype(np.uint8)


def pictures(root):
    """A folder of five pictures of 64x48."""
    root.mkdir(exist_ok=True)
    for name in range(1, 6):
        cv2.imwrite(str(root / f"{name}.jpg"), cv2.resize(COLOURS, (64, 48), interpolation=cv2.INTER_AREA))
    return root


def judged(row):
    """Of every four rows one dropped, one failed, and two kept."""
    return {
        "10": lambda: said(row, 'A <b>red</b> cup & "saucer".'),
        "11": lambda: dropped(said(row, "The image shows a pot."), "meta_talk", "length"),
        "20": lambda: failed(row, "engine_stalled"),
    }.get(row.object_id, lambda: row)()


def judge(out: Path, scores: dict[str, float | None]) -> None:
    """Write a table of scores by object id, as ``capgen judge`` would after ``fit``."""
    plan = read_plan(out)
    rows = [row for entry in plan.shards for row in rows_of(read_columns(out, entry.index))]
    judged = [
        JudgedCaption(key=row.key, caption=row.caption or "", score=scores[row.object_id], least=scores[row.object_id])
        for row in rows
        if row.object_id in scores
    ]
    pq.write_table(score_table(judged, JudgeRules()), RunLayout(out).judge)


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
    store = MediaStore(out, index.plan, root)
    requests = ExactRequests(store, RecordedRequests(index.plan.settings))
    gallery = server.Gallery(index, store, requests, "a tester")
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


def page(address, path="/", *, headers=None, method="GET", body=None, cookie=True):
    """Status, headers and body of one request."""
    parts = urlsplit(address)
    token = parts.query.partition("=")[2]
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)
    sent = {"Cookie": f"capgen-{parts.port}={token}"} if cookie else {}
    connection.request(method, path, body=body, headers=sent | (headers or {}))
    answer = connection.getresponse()
    found = answer.status, dict(answer.getheaders()), answer.read()
    connection.close()
    return found
