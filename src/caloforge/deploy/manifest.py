"""The manifest of a bundle: what is in it, what goes in and comes out, for what it holds."""

from __future__ import annotations

__all__ = [
    "SCHEMA",
    "DetectorEntry",
    "FileEntry",
    "Graph",
    "Layer",
    "Manifest",
    "Parity",
    "Tensor",
    "digest_of",
]

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from caloforge.deploy.validity import Validity

SCHEMA = 2
"""Version of the manifest's layout; raised when an older reader would misunderstand a newer bundle."""

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class FileEntry(_Part):
    """Size and checksum of one file of the bundle."""

    bytes: Count
    sha256: Digest


class Tensor(_Part):
    """An input or output of the graph; the first axis is the batch."""

    name: str
    shape: tuple[Annotated[int, Field(gt=0)], ...]
    dtype: Literal["float32"] = "float32"
    about: str
    columns: tuple[str, ...] | None = None
    units: tuple[str, ...]


class Layer(_Part):
    """Where a readout layer's cells are in the output, for readers without caloforge."""

    name: str
    first_cell: Count
    shape: tuple[int, int]
    axes: tuple[str, str]


class DetectorEntry(_Part):
    """Which detector the showers are read out with; `detector.yaml` has it whole."""

    name: str
    digest: Digest
    layers: tuple[Layer, ...]


class Parity(_Part):
    """How far the shipped graph is from the trained model on the same noise and incident particles."""

    batches: tuple[int, ...]
    showers: int
    max_abs_mev: float
    max_relative: float
    tolerance: float


class Graph(_Part):
    """The ONNX file."""

    file: str
    precision: Literal["fp32"]
    opset: int
    bytes: Count
    parameters: Count
    trained_parameters: Count
    made_with: dict[str, str]


class Manifest(_Part):
    """All that a bundle says about itself; unknown keys are errors."""

    bundle: Literal["caloforge"] = "caloforge"
    schema_version: int
    caloforge: str
    created: str
    name: str
    about: str
    detector: DetectorEntry
    valid: Validity
    inputs: tuple[Tensor, Tensor]
    output: Tensor
    threshold_mev: Annotated[float, Field(ge=0)] | None
    graph: Graph
    parity: Parity
    provenance: dict[str, Any]
    files: dict[str, FileEntry]
    sha256: Digest
    """Of all the rest, see `digest_of`."""

    @field_validator("files")
    @classmethod
    def _plain_names(cls, files: dict[str, FileEntry]) -> dict[str, FileEntry]:
        for name in files:
            if not _PLAIN_NAME.fullmatch(name):
                raise ValueError(f"{name!r} is not the plain name of a file in the bundle")
        return files


def digest_of(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a manifest without `sha256` itself: as JSON with sorted keys and no blanks."""
    rest = {key: value for key, value in content.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
