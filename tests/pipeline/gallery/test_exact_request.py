"""What the model was asked is shown for every answer, as it was sent, and nothing that only OUT names is read."""

from __future__ import annotations

import html
import json
from contextlib import nullcontext
from urllib.parse import urlencode

import pytest

from capgen.dataset.reader import read_rows
from capgen.dataset.shards import candidates_path
from capgen.errors import UserError
from capgen.pipeline.gallery.exact_request import RecordedRequests
from capgen.pipeline.planning.recorded_settings import refuse_unconfirmed
from tests.pipeline.gallery.serving import page, pictures, served
from tests.pipeline.runs import echo_settings, session
from tests.tiny_runs import three_shards


def test_the_request_of_every_answer_is_the_one_that_was_sent(shared, tmp_path):
    again = 'tries.again=[{temperature = 0.7, highlight = "contour"}]'
    settings = echo_settings(shared / "data" / "lvis_mini", "engine.options.garbage_rate=0.5", again, "source.limit=6")
    session(settings, tmp_path / "out")
    rows = {row.key: row for row in read_rows(candidates_path(tmp_path / "out", 0))}
    twice = next(row.key for row in rows.values() if len(row.answers) == 2)
    once = next(row.key for row in rows.values() if not row.answers)
    with served(tmp_path / "out", root=shared / "data" / "lvis_mini") as address:
        for key, answer in ((once, 1), (twice, 1), (twice, 2)):
            query = urlencode({"key": key, "answer": answer})
            status, _, body = page(address, f"/request?{query}")
            assert status == 200
            assert "This is what was sent" in body.decode()
        told = next(one.told for one in rows[twice].answers if one.told)
        assert told in html.unescape(body.decode())
        assert page(address, "/request?" + urlencode({"key": once, "answer": 3}))[0] == 404


def test_a_strangers_run_names_no_files_or_code_that_are_read(tmp_path):
    run = three_shards(tmp_path / "out", str(pictures(tmp_path / "pictures"))).commit()
    plan = json.loads((run.out / "plan.json").read_text())
    secret = tmp_path / "secret.toml"
    secret.write_text("a secret")
    for table in (
        {"prompt": {"name": str(secret)}},
        {"prompt": {"marks": "os:getcwd"}},
        {"engine": {"name": "os:sep"}},
    ):
        settings = echo_settings(tmp_path).model_dump(mode="json")
        for name, values in table.items():
            settings[name] |= values
        (run.out / "plan.json").write_text(json.dumps(plan | {"settings": settings}))
        with served(run.out) as address:
            body = page(address, "/request?key=tiny%2Ftrain%2F1%2F10")[2].decode()
            assert "was not started here by you" in body
            assert "a secret" not in body


@pytest.mark.parametrize(
    ("table", "values", "shown"),
    [
        ("tries", {"again": [{"prompt": "mine.toml"}]}, False),
        ("distinct", {"again": [{"highlight": "os:getcwd"}]}, False),
        ("prompt", {"name": "mine.toml"}, False),
        ("engine", {"name": "openai", "options": {"base_url": "http://elsewhere/v1"}}, True),
        ("checks", {"names": ["os:getcwd"]}, True),
        ("card", {"template": "mine.md"}, True),
        ("tries", {"remarks": "mine.toml"}, True),
    ],
)
def test_of_what_a_strangers_run_names_only_that_of_which_requests_are_made_is_refused(tmp_path, table, values, shown):
    settings = echo_settings(tmp_path).model_dump(mode="json")
    settings[table] |= values
    with nullcontext() if shown else pytest.raises(UserError, match="was not started here by you"):
        RecordedRequests(settings).read()
    assert RecordedRequests(settings, tmp_path, trusted=True).read().dataset == "lvis"
    with pytest.raises(UserError, match=f"{table}\\."):  # taking the run up asks for all of them
        refuse_unconfirmed(tmp_path, settings, {})
