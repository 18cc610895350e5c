"""Holds Kubernetes' objects against the schemas that their makers publish.

Objects of operators: the OpenAPI schema in their custom-resource definition. Whole definitions have up to
1.4 MB, so those that no package carries are kept in `data/crds/`, reduced to what our manifests say.
To renew one:

    python tests/kubernetes_schemas.py ray.io_rayjobs.yaml deploy/cluster/kubernetes/ray.yaml tests/data/crds/
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

_WORDS = ("type", "enum", "minimum", "maximum", "pattern", "required", "format", "anyOf", "default")


def definition(crd: dict[str, Any], version: str) -> dict[str, Any]:
    """The schema of one version in a custom-resource definition."""
    found = [one for one in crd["spec"]["versions"] if one["name"] == version]
    schema: dict[str, Any] = found[0]["schema"]["openAPIV3Schema"]
    return schema


def reduced(schema: dict[str, Any], values: list[Any]) -> dict[str, Any]:
    """A schema without descriptions and without the fields that none of the values has."""
    out = {word: schema[word] for word in _WORDS if word in schema}
    out |= {word: value for word, value in schema.items() if word.startswith("x-kubernetes-")}
    maps = [value for value in values if isinstance(value, dict)]
    if "properties" in schema:
        used = {key for value in maps for key in value} | set(schema.get("required", []))
        out["properties"] = {
            key: reduced(of, [value[key] for value in maps if key in value])
            for key, of in schema["properties"].items()
            if key in used
        }
    if isinstance(schema.get("additionalProperties"), dict):
        inner = [item for value in maps for item in value.values()]
        out["additionalProperties"] = reduced(schema["additionalProperties"], inner)
    if "items" in schema:
        out["items"] = reduced(
            schema["items"], [item for value in values if isinstance(value, list) for item in value]
        )
    return out


def strict(schema: dict[str, Any]) -> dict[str, Any]:
    """The same schema, which refuses fields that it does not know: a cluster drops them without a word."""
    out = {key: strict(value) if isinstance(value, dict) else value for key, value in schema.items()}
    if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        out["properties"] = {key: strict(value) for key, value in schema["properties"].items()}
        out["additionalProperties"] = False
    return out


def whole(schema: dict[str, Any]) -> dict[str, Any]:
    """A custom resource's schema with what every object has; some definitions leave it out."""
    head: dict[str, Any] = {key: {"type": "string"} for key in ("apiVersion", "kind")}
    return {**schema, "properties": {**schema["properties"], **head, "metadata": {"type": "object"}}}


def model_faults(value: Any, kind: str) -> list[str]:
    """What Kubernetes' own model of an object does not know, or lacks.

    Args:
        value: The object, as YAML gives it.
        kind: Name of the model in the package `kubernetes`.
    """
    from kubernetes import client
    from pydantic import ValidationError

    try:
        getattr(client, kind).model_validate(value, by_alias=True, by_name=False)
    except ValidationError as error:
        return [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
    return []


def main(crd: Path, manifest: Path, folder: Path) -> None:
    """Write what a manifest uses of a definition."""
    full = yaml.safe_load(crd.read_text(encoding="utf-8"))
    kind = full["spec"]["names"]["kind"]
    mine = [doc for doc in yaml.safe_load_all(manifest.read_text(encoding="utf-8")) if doc["kind"] == kind]
    schema = reduced(definition(full, mine[0]["apiVersion"].split("/")[1]), mine)
    text = json.dumps(schema, indent=1, sort_keys=True)
    (folder / f"{kind.lower()}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
