"""The files of deploy/: what reads them takes them, and the commands in them have flags that exist."""

import re
import shlex
import subprocess
import tomllib

import pytest
import typer
import yaml

from capgen.cli.main import app
from scripts.check_recipes import DEPLOY, RAY_UP, RAYJOB, definition_errors, ray_up_config
from tests.cluster.machines import REPOSITORY

SCRIPT = DEPLOY / "slurm" / "capgen.sbatch"
DOCKERFILE = DEPLOY / "Dockerfile"


def test_ray_up_takes_its_file_and_an_unknown_field_is_refused():
    text = RAY_UP.read_text()
    assert ray_up_config(text)["head_node_type"] == "head"
    with pytest.raises(Exception, match="max_worker"):
        ray_up_config(text.replace("max_workers: 8\nidle", "max_worker: 8\nidle"))


def test_what_a_definition_does_not_have_is_an_error():
    """As with the real definition, which `scripts/check_recipes.py --crd` reads: it is too large to be kept here."""
    size = {
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "x-kubernetes-int-or-string": True,
        "pattern": "^[0-9]+Gi$",
    }
    spec = {"type": "object", "properties": {"memory": size}, "required": ["memory"]}
    schema = {"type": "object", "properties": {"apiVersion": {}, "kind": {}, "metadata": {}, "spec": spec}}
    version = {"name": "v1", "served": True, "schema": {"openAPIV3Schema": schema}}
    definition = {"spec": {"names": {"kind": "Job"}, "versions": [version]}}
    job = {"apiVersion": "a.io/v1", "kind": "Job", "metadata": {"name": "x"}, "spec": {"memory": "16Gi"}}
    assert not definition_errors(job, definition)
    assert definition_errors(job | {"spec": {"memory": "16"}}, definition)
    assert "'replica' was unexpected" in definition_errors(job | {"spec": {"memory": 3, "replica": 1}}, definition)[0]
    assert definition_errors(job | {"apiVersion": "a.io/v2"}, definition)


def test_the_recipes_name_the_ray_that_is_installed_and_extras_that_exist():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    (wanted,) = [name for name in project["dependencies"] if name.startswith("ray>=")]
    version = yaml.safe_load(RAYJOB.read_text())["spec"]["rayClusterSpec"]["rayVersion"]
    assert wanted.startswith(f"ray>={version.rpartition('.')[0]},")
    (extras,) = re.findall(r'"/src\[(.*?)\]"', DOCKERFILE.read_text())
    assert set(extras.replace("$EXTRA", "vllm,cpu").split(",")) <= set(project["optional-dependencies"])
    assert re.search(r"torch==(\S+)\+cpu", DOCKERFILE.read_text())[1] in str(project["optional-dependencies"]["cpu"])


def commands():
    """The commands of the recipes, as words after `capgen`."""
    yield yaml.safe_load(RAYJOB.read_text())["spec"]["entrypoint"]
    comments = "\n".join(line[1:].strip() for line in RAY_UP.read_text().splitlines() if line.startswith("#"))
    yield re.search(r"(capgen run .*?)'", comments, re.S)[1]
    comments = re.sub(r"\\?\n#", "", SCRIPT.read_text())
    yield "capgen run " + re.search(r"capgen\.sbatch\s+(--dataset.*?Instruct)", comments, re.S)[1]


@pytest.mark.parametrize("line", [*commands()])
def test_the_commands_of_the_recipes_have_flags_that_exist(line):
    name, verb, *words = shlex.split(line.replace("s3://", "/"))  # buckets are opened as soon as they are named
    assert (name, verb) == ("capgen", "run")
    typer.main.get_command(app).commands["run"].make_context("run", words)


def test_the_slurm_script_is_a_script_and_wants_an_out(tmp_path):
    subprocess.run(["bash", "-n", SCRIPT], check=True)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "capgen").touch(mode=0o755)
    for folder, flags, said in ((tmp_path, ["--dataset", "lvis"], "give --out"), (tmp_path / "x", [], "no capgen in")):
        environment = {"PATH": "/usr/bin:/bin", "SLURM_SUBMIT_DIR": str(folder)}
        done = subprocess.run(["bash", SCRIPT, *flags], env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, said in done.stdout) == (2, True)
