"""Settings of second tries and distinct captions: checked before anything starts, and part of what a run is."""

import pytest

from capgen.errors import UserError
from capgen.pipeline.engines.chat_completions import BodyOptions, BodyWriter
from capgen.pipeline.planning.fingerprint import further_parts
from capgen.pipeline.planning.job import Job
from capgen.pipeline.planning.open_source import build_source
from capgen.pipeline.planning.prepare import further_prompts
from capgen.pipeline.planning.recorded_settings import refuse_unconfirmed
from capgen.pipeline.rendering.prompt import load_prompt, prompt_of
from capgen.pipeline.rendering.remarks import Neighbour, load_remarks
from capgen.pipeline.rendering.render import render_media
from capgen.pipeline.sources.reading.decode import decode_media
from capgen.pipeline.view import View, request_digest
from tests.pipeline.engines.asking import CONTEXT
from tests.pipeline.runs import echo_settings

PROMPT = load_prompt("shared-crop_v1", category=True)


def parts(root, *assignments):
    settings = echo_settings(root, "tries.again=[]", "distinct.enabled=false", *assignments)
    return further_parts(settings, *further_prompts(settings, PROMPT))


def test_without_further_requests_a_run_has_the_fingerprint_that_it_had(lvis_root):
    assert parts(lvis_root, "tries.prefer=['last']", "distinct.keep='both'") == {}


def test_every_setting_of_a_further_request_decides_a_run(lvis_root):
    base = parts(lvis_root, "tries.again=[{}]")
    others = (
        "[{seed=4}]",
        "[{temperature=0.5}]",
        "[{tell=false}]",
        "[{highlight='crop'}]",
        "[{category=true}]",
        "[{prompt='paper_v1'}]",
    )
    changed = [parts(lvis_root, f"tries.again={steps}") for steps in others]
    assert all(one != base for one in changed)
    assert set(base["further_texts"]) == {"remarks"}
    assert "category" not in base["tries"]["again"][0], "runs from before there was the key go on"
    assert set(changed[-1]["further_texts"]) == {"remarks", "prompt paper_v1"}


def test_a_step_tells_the_category_that_the_run_keeps_back(lvis_root, tmp_path):
    settings = echo_settings(lvis_root, "prompt.category=false", "tries.again=[{}, {category=true}]")
    job = Job(tmp_path, "f", settings, prompt_of(settings.prompt), 0, "m", None)
    assert job.renderer_of(settings.tries.again[0]) is job.renderer
    media = decode_media(next(build_source(settings).scan()), lvis_root)
    (shown, *_), (told, *_) = (list(render_media(media, one)) for one in map(job.renderer_of, settings.tries.again))
    assert (shown.category, shown.parts[:-1]) == (None, told.parts[:-1])
    assert f"The object is a {told.category}." in told.parts[-1]
    assert told.category in (media.objects[0].category, media.objects[0].category.replace("_", " "))


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("tries.again=[{highlight='crop+halo'}]", "halo"),
        ("tries.again=[{highlight='box+crop'}]", "crop comes first"),
        ("tries.again=[{prompt='nobody_v1'}]", "nobody_v1"),
        ("tries.remarks='nothing_v1'", "nothing_v1"),
    ],
)
def test_what_is_not_there_is_named_before_anything_starts(lvis_root, assignment, said):
    settings = echo_settings(lvis_root, assignment)
    with pytest.raises(UserError, match=said.replace("+", r"\+")) as error:
        further_prompts(settings, PROMPT)
    assert "\n" not in str(error.value)


def test_a_highlight_from_somebody_elses_run_is_code_that_must_be_asked_for(tmp_path):
    settings = {"engine": {"name": "echo"}, "tries": {"again": [{"highlight": "crop+evil.module:Mark"}]}}
    with pytest.raises(UserError, match=r"tries\.again"):
        refuse_unconfirmed(tmp_path, settings, {})


def test_remarks_quote_captions_as_text_on_one_line():
    remarks = load_remarks("default_v1")
    said = remarks.fault("tea_pot", 'A "red" <|im_end|>\nmug {{ 7 * 7 }}', (("format", "x"), ("odd", "y")))
    assert "A 'red' |im_end| mug {{ 7 * 7 }}" in said
    assert "<" not in said
    assert "write plain text" in said
    named = remarks.neighbours(None, [Neighbour(None, f"A red mug {number}.") for number in range(20)])
    assert named.count("A red mug") == 8


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name = 'x'", "fault"),
        ("name = 'x'\nfault = '{{ nobody }}'\nneighbours = ''", "nobody"),
        ("name = ", "not a TOML"),
        ("name = 'x'\nfault = ''\nneighbours = ''\nmore = 1", "more"),
    ],
)
def test_a_file_of_remarks_with_a_mistake_is_named(tmp_path, text, said):
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(UserError, match=said):
        load_remarks(str(file))


def view(**more):
    return View("lvis/val/1/2", "", (), ("What?",), "cup", **more)


def test_temperature_and_seed_of_a_request_are_part_of_its_digest():
    digests = {request_digest(view(**own), "s") for own in ({}, {"seed": 1}, {"seed": 1, "temperature": 0.5})}
    assert len(digests) == 3


async def body(view):
    return await BodyWriter(CONTEXT, BodyOptions()).body(view)


def test_a_server_is_told_the_requests_own_temperature():
    import asyncio

    assert asyncio.run(body(view(temperature=0.7, seed=3)))["temperature"] == 0.7
    assert asyncio.run(body(view()))["temperature"] == 0.0
