"""The manifest's layout as a JSON Schema, which ships beside this file for readers without caloforge.

After a change of the manifest: `python -m caloforge.deploy.bundle.schema` writes it anew.
"""

from __future__ import annotations

__all__ = ["SCHEMA_FILE", "json_schema", "schema_text"]

import inspect
import json
import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from caloforge.deploy.bundle import manifest, validity
from caloforge.deploy.bundle.manifest import SCHEMA, Manifest
from caloforge.writing import replace_text

SCHEMA_FILE = Path(__file__).with_name("manifest.schema.json")
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
# `    name: Text that may go on` below "Attributes:", as Google writes it.
_ATTRIBUTE = re.compile(r"^    (\w+): (.+(?:\n {8}.+)*)", re.MULTILINE)


def json_schema() -> dict[str, Any]:
    """Return the schema; its descriptions are those of the classes here."""
    schema = Manifest.model_json_schema(mode="serialization")
    for name, part in schema["$defs"].items():
        _describe(part, getattr(manifest, name, None) or getattr(validity, name))
    _describe(schema, Manifest)
    return {"$schema": _DIALECT, **schema, "title": f"Manifest of a caloforge bundle, schema {SCHEMA}"}


def schema_text() -> str:
    """Return the content of the file."""
    return json.dumps(json_schema(), indent=2) + "\n"


def _describe(part: dict[str, Any], model: type[BaseModel]) -> None:
    about, _, attributes = inspect.getdoc(model).partition("\n\nAttributes:\n")  # type: ignore[union-attr]
    part["description"] = about
    for field in part["properties"].values():
        field.pop("title", None)  # the name of the key in capitals
    for name, text in _ATTRIBUTE.findall(attributes):
        part["properties"][name]["description"] = " ".join(text.split())


if __name__ == "__main__":
    replace_text(SCHEMA_FILE, schema_text())
