"""One module knows where everything of a run lies."""

import ast
from pathlib import Path

import pytest

from capgen.dataset.layout import RunLayout

ROOT = Path(__file__).resolve().parents[2]
FILES = {
    "plan.json",
    "release.json",
    "report.json",
    "dedup.parquet",
    "reviews.jsonl",
    ".lock",
    "data.part",
    "plan.part",
    "carried.parquet",
    "carried.json",
}
"""Names that are a run's wherever they stand."""
PARTS = {"plan", "journal", "candidates", "data", "batch", "logs", "README.md", "captions", "media"}
"""Names that are a run's where a path is made of them."""
OTHER_FOLDERS = {
    "capgen/maskcaptioner/training/logs.py": {"logs"},  # the OUT of a training
    "capgen/maskcaptioner/training/loop.py": {"logs"},
    "capgen/maskcaptioner/training/trackers.py": {"logs"},
    "experiments/maskcaptioner/results.py": {"logs"},
    "experiments/maskcaptioner/package.py": {"README.md"},  # a model's folder
    "benchmarks/evaluator/eval_speed.py": {"data"},  # TrackEval's folders
    "experiments/embedded/card.py": {"README.md"},
}


def path_parts(tree):
    """Texts that a path is joined with: the right side of `/`, and arguments of joinpath, glob and rglob."""
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            yield from (one for one in (node.left, node.right) if isinstance(one, ast.Constant))
            yield from (
                part for one in (node.left, node.right) if isinstance(one, ast.JoinedStr) for part in one.values
            )
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") in (
            "joinpath",
            "glob",
            "rglob",
            "with_name",
        ):
            yield from (one for one in node.args if isinstance(one, ast.Constant))


def spelled(file):
    """The paths of a run that a file spells, with their lines."""
    tree = ast.parse(file.read_text("utf-8"))
    own = OTHER_FOLDERS.get(file.relative_to(ROOT).as_posix(), set())
    whole = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and node.value in FILES]
    joined = [
        node
        for node in path_parts(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and {*Path(node.value).parts[:1]} & PARTS - own
    ]
    return [f"{file.relative_to(ROOT)}:{node.lineno} {node.value!r}" for node in [*whole, *joined]]


def test_no_other_source_spells_a_path_of_a_run():
    files = [
        file for folder in ("capgen", "benchmarks", "experiments", "scripts") for file in (ROOT / folder).rglob("*.py")
    ]
    found = [line for file in files if file.name != "layout.py" for line in spelled(file)]
    assert len(files) > 200
    assert found == []


def test_a_path_that_is_spelled_is_found():
    tree = (
        "def f(out):\n    return out / 'plan' / f'{1}.jsonl', out.glob('candidates/*.parquet'), out / 'release.json'\n"
    )
    joined = [node.value for node in path_parts(ast.parse(tree))]
    assert {"plan", "candidates/*.parquet", "release.json"} <= {*joined}


def test_every_path_lies_in_out_and_no_two_are_the_same():
    layout = RunLayout(Path("out"))
    names = [name for name, value in vars(RunLayout).items() if isinstance(value, property)]
    paths = [getattr(layout, name) for name in names] + [
        layout.plan_file("00001.jsonl"),
        layout.journal_dir(1),
        layout.candidates(1),
        layout.manifest(1),
        layout.engine_log(1),
    ]
    assert all(path.is_relative_to("out") for path in paths)
    assert len({*paths}) == len(paths)


@pytest.mark.parametrize("name", ["data/captions/train-00000-of-00001.parquet", "README.md"])
def test_the_name_in_a_record_leads_back_to_the_file(name):
    layout = RunLayout(Path("out"))
    assert layout.record_of(layout.released(name)) == name
