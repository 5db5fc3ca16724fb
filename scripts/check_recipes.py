"""Checks the files of deploy/ against what reads them: KubeRay's resource definition, and Ray's own validation.

python scripts/check_recipes.py [--crd ray.io_rayjobs.yaml]

The definition is `ray-operator/config/crd/bases/ray.io_rayjobs.yaml` of KubeRay. A field that it does not have is an
error, as with `kubectl apply --validate=strict`; its CEL rules and the operator's own checks are not run.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).resolve().parents[1] / "deploy"
RAYJOB, RAY_UP = DEPLOY / "kubernetes" / "rayjob.yaml", DEPLOY / "ray" / "aws.yaml"
_ANYTHING = "x-kubernetes-preserve-unknown-fields"


def strict(schema: dict[str, Any]) -> dict[str, Any]:
    """A JSON schema that refuses unknown fields, from a definition's OpenAPI schema."""
    out = {name: value for name, value in schema.items() if not name.startswith("x-") and name != "format"}
    if schema.get("x-kubernetes-int-or-string"):
        out.pop("type", None)
    if "properties" in schema:
        out["properties"] = {name: strict(value) for name, value in schema["properties"].items()}
        if not schema.get(_ANYTHING) and "additionalProperties" not in schema:
            out["additionalProperties"] = False
    for name in ("items", "additionalProperties", "not"):
        if isinstance(schema.get(name), dict):
            out[name] = strict(schema[name])
    return out


def definition_errors(document: dict[str, Any], definition: dict[str, Any]) -> list[str]:
    """A line for each place where a resource is not as its definition wants it."""
    from jsonschema import Draft202012Validator

    version = document["apiVersion"].rpartition("/")[2]
    found = [one for one in definition["spec"]["versions"] if one["name"] == version and one["served"]]
    if not found or document["kind"] != definition["spec"]["names"]["kind"]:
        return [f"{document['apiVersion']} {document['kind']} is not what is defined"]
    schema = strict(found[0]["schema"]["openAPIV3Schema"])
    schema["properties"]["metadata"] = {"type": "object"}  # the API server's own
    errors = Draft202012Validator(schema).iter_errors(document)
    return [f"{error.json_path}: {error.message[:200]}" for error in errors]


def ray_up_config(text: str) -> dict[str, Any]:
    """A file of `ray up` as Ray fills it out.

    Raises:
        Exception: Ray refuses it.
    """
    from ray.autoscaler._private.util import prepare_config, validate_config

    config: dict[str, Any] = prepare_config(yaml.safe_load(text))
    validate_config(config)
    return config


def main() -> int:
    """Print what is found; 1 where something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crd", type=Path, help="KubeRay's definition of a RayJob")
    arguments = parser.parse_args()
    types = ray_up_config(RAY_UP.read_text("utf-8"))["available_node_types"]
    sys.stdout.write(f"{RAY_UP.name}: Ray takes it, with the node types {', '.join(types)}\n")
    if arguments.crd is None:
        sys.stdout.write(f"{RAYJOB.name}: give --crd to check it\n")
        return 0
    with arguments.crd.open("rb") as file:
        definition = yaml.load(file, Loader=yaml.CSafeLoader)
    errors = definition_errors(yaml.safe_load(RAYJOB.read_text("utf-8")), definition)
    sys.stdout.writelines(f"{RAYJOB.name}: {line}\n" for line in errors or ["as its definition wants it"])
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
