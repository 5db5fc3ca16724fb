"""An ablation from its file to its table, with ``echo``, which needs no model."""

import io
import json
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from rich.console import Console
from typer.testing import CliRunner

from capgen.ablation.design import read_ablation
from capgen.ablation.measures import VariantMeasures, measured
from capgen.ablation.results import AblationResult
from capgen.ablation.run import AblationRequest, run_ablation
from capgen.cli.main import app
from capgen.cli.providers import Providers
from capgen.dataset.plan import ModelName
from capgen.dataset.shards import manifest_path
from capgen.errors import UnknownName, UserError
from capgen.pipeline.planning.config import load_settings
from capgen.pipeline.running.session import Devices
from tests.ablation.test_design import AXES, written

SMALL = 'dataset = "lvis"\n[axes.layout]\nshared = {}\nmarked = { prompt.name = "marked_v1" }\n'
ENGINE = '\n[set]\nengine.name = "echo"\nmodel.id = "none"\n'


def request(out: Path, file: str, root: Path, told=lambda _: None, facts: Path | None = None) -> AblationRequest:
    def settings_of(tables):
        return load_settings("lvis", {**tables, "source.root": root}), ModelName("none", None)

    found = read_ablation(file).model_copy(update={"objects": 5})
    return AblationRequest("mine", found, out, settings_of, 0, facts, Console(file=io.StringIO()), told)


def one_at_a_time(folder: Path, axes: str) -> str:
    """A file in which one value is changed at a time."""
    return written(folder, axes.replace("[axes", 'vary = "one"\n[axes', 1) + ENGINE)


def without_speed(result: AblationResult) -> list[VariantMeasures]:
    return [msgspec.structs.replace(one, objects_per_s=None) for one in result.variants]


def test_all_variants_of_an_engine_share_one_start_and_the_table_has_them_all(lvis_root, tmp_path):
    numbered = AXES.replace('tint = { prompt = { marks = "tint" } }', '"several" = { prompt.name = "numbered_v1" }')
    found = run_ablation(request(tmp_path / "out", one_at_a_time(tmp_path, numbered), lvis_root))
    assert (found.engines, found.planned, len(found.variants)) == (1, 4, 4)
    assert {one.objects for one in found.variants} == {5}
    assert [one.highlight for one in found.variants[:3]] == ["crop+box", "crop+contour", "box+number"]
    assert all(one.kept + sum(one.reasons.values()) == 5 for one in found.variants)
    several, alone = found.variants[2], found.variants[0]
    assert 0 < several.prompt_tokens < alone.prompt_tokens
    table = (tmp_path / "out" / "ablation.md").read_text()
    assert table.count("\n| ") == 2 + 4  # a head with its line, and the variants
    assert json.loads((tmp_path / "out" / "ablation.json").read_text())["variants"][0]["values"]["layout"] == "shared"
    assert (tmp_path / "out" / "ablation.png").read_bytes().startswith(b"\x89PNG")


def test_another_sampling_is_another_engine_and_variants_that_share_one_are_asked_together(lvis_root, tmp_path):
    axes = '\n[axes.how]\n"greedy" = {}\n"drawn" = { sampling.temperature = 0.7 }\n'
    text = 'dataset = "lvis"' + axes + "\n[axes.marks]\nbox = {}\nnone = { prompt.marks = 'none' }\n" + ENGINE
    lines: list[str] = []
    found = run_ablation(request(tmp_path / "out", written(tmp_path, text), lvis_root, lines.append))
    assert found.engines == 2
    assert [line.split(": ")[1] for line in lines] == ["greedy, box", "greedy, none", "drawn, box", "drawn, none"]


def test_what_is_done_is_not_asked_again_and_the_result_is_the_same(lvis_root, tmp_path):
    file = written(tmp_path, SMALL + ENGINE)
    whole = run_ablation(request(tmp_path / "whole", file, lvis_root))

    def stop(line: str) -> None:
        raise KeyboardInterrupt(line)

    with pytest.raises(KeyboardInterrupt):
        run_ablation(request(tmp_path / "out", file, lvis_root, stop))
    first = manifest_path(tmp_path / "out" / "variants" / "shared", 0)
    before = first.stat().st_mtime_ns
    again = run_ablation(request(tmp_path / "out", file, lvis_root))
    assert first.stat().st_mtime_ns == before
    assert without_speed(again) == without_speed(whole)
    assert run_ablation(request(tmp_path / "out", file, lvis_root)).engines == 0


def test_a_variant_of_other_settings_than_its_folder_has_is_refused(lvis_root, tmp_path):
    run_ablation(request(tmp_path / "out", written(tmp_path, SMALL + ENGINE), lvis_root))
    changed = SMALL.replace("prompt.name", 'prompt.marks = "tint", prompt.name')
    with pytest.raises(UserError, match=r"prompt.marks is not set there and .tint. here"):
        run_ablation(request(tmp_path / "out", written(tmp_path, changed + ENGINE), lvis_root))


def test_a_mistake_in_any_variant_is_said_before_anything_is_asked(lvis_root, tmp_path):
    file = written(tmp_path, SMALL.replace("marked_v1", "markd_v1") + ENGINE)
    with pytest.raises(UnknownName, match="markd_v1"):
        run_ablation(request(tmp_path / "out", file, lvis_root))
    assert not (tmp_path / "out").exists()


def test_what_cannot_judge_is_said_before_anything_is_asked(lvis_root, tmp_path):
    told = "engine echo tells no log-probabilities.*use engine.name vllm or openai or transformers; or put a variant"
    with pytest.raises(UserError, match=told):
        run_ablation(request(tmp_path / "out", written(tmp_path, "judge = true\n" + SMALL + ENGINE), lvis_root))
    assert not (tmp_path / "out").exists()


def test_an_engine_of_ones_own_that_scores_judges_the_captions_of_all_variants(lvis_root, tmp_path):
    engine = '\n[set]\nengine.name = "tests.pipeline.engines.moody:Moody"\nmodel.id = "none"\n'
    wanted = request(tmp_path / "out", written(tmp_path, "judge = true\n" + SMALL + engine), lvis_root)
    found = run_ablation(wanted)
    assert found.engines == 1
    assert [one.fit for one in found.variants] == pytest.approx([-0.5, -0.5])
    first = judge_table(tmp_path / "out")
    assert run_ablation(wanted).engines == 0, "what is judged is not judged again"
    assert judge_table(tmp_path / "out") == first


def judge_table(out):
    return (out / "variants" / "shared" / "judge.parquet").stat().st_mtime_ns


def test_more_objects_add_to_what_is_there(lvis_root, tmp_path):
    wanted = request(tmp_path / "out", written(tmp_path, SMALL + ENGINE), lvis_root)
    few = run_ablation(wanted)
    more = run_ablation(replace(wanted, found=wanted.found.model_copy(update={"objects": 9})))
    assert ({one.objects for one in few.variants}, {one.objects for one in more.variants}) == ({5}, {9})


def test_a_variant_that_keeps_nothing_is_a_row_and_no_error(lvis_root, tmp_path):
    file = written(tmp_path, SMALL + ENGINE + "engine.options = { garbage_rate = 1.0 }\n")
    found = run_ablation(request(tmp_path / "out", file, lvis_root))
    assert [one.kept for one in found.variants] == [0, 0]
    assert "empty" in found.variants[0].reasons


def test_the_command_knows_the_truth_of_a_sample_world_and_reads_a_judges_scores(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    axes = 'dataset = "sample-images"\nobjects = 8\n[axes.layout]\nshared = {}\n'
    file = written(tmp_path, axes + ENGINE)
    out = tmp_path / "out"
    command = ["ablate", file, "--out", str(out), "--json", "--set", "source.world.images=2"]
    done = CliRunner().invoke(app, command, obj=Providers(devices=lambda *_: Devices(ray=False)))
    assert done.exit_code == 0, done.output
    first = json.loads(done.stdout)["variants"][0]
    assert first["labelled"] == first["kept"] > 0
    assert 0 <= first["low"] <= first["right"] <= first["high"] <= 1
    assert first["logprob_min"] is None
    assert not list(out.glob("*.part"))
    run = out / "variants" / first["folder"]
    rows = {"key": ["a", "b", "c"], "method": ["fit", "fit", "yes_no"], "score": [1.0, 0.5, 0.1]}
    pq.write_table(pa.table(rows), run / "judge.parquet")
    assert measured(run, first["values"], out / "world" / "facts.json").fit == 0.75
    (out / "variants").rename(tmp_path / "elsewhere")
    (out / "variants").symlink_to(tmp_path / "elsewhere")
    refused = CliRunner().invoke(app, command, obj=Providers(devices=lambda *_: Devices(ray=False)))
    assert "symbolic link" in str(refused.exception), "nothing is written through a link in OUT"
