"""The manifest of a bundle: what is in it, what goes in and comes out, for what it holds."""

from __future__ import annotations

__all__ = [
    "NOT_MADE",
    "NOT_STATED",
    "SCHEMA",
    "UNMEASURED",
    "Acceptance",
    "DetectorEntry",
    "Figure",
    "FileEntry",
    "Graph",
    "Layer",
    "Manifest",
    "Parity",
    "Precision",
    "Probe",
    "Report",
    "Rounding",
    "Sample",
    "Tensor",
    "digest_of",
]

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from caloforge.deploy.bundle.contents import PLAIN_NAME
from caloforge.deploy.bundle.figures import NOT_MADE, Acceptance, Figure, Report, Sample
from caloforge.deploy.bundle.graph import UNMEASURED, Graph, Parity, Precision, Probe, Rounding
from caloforge.deploy.bundle.part import Count, Digest, Part
from caloforge.deploy.bundle.validity import Validity

SCHEMA = 3
"""Version of the manifest's layout; raised when an older reader would misunderstand a newer bundle."""

NOT_STATED = "not stated"


class FileEntry(Part):
    """Size and checksum of one file of the bundle.

    Attributes:
        bytes: Its size.
        sha256: Its checksum, hexadecimal.
    """

    bytes: Count
    sha256: Digest


class Tensor(Part):
    """An input or output of the graph.

    Attributes:
        name: In the graph.
        shape: Without the first axis, which is the batch.
        dtype: Of its numbers.
        about: What it is, for people.
        columns: Of the incident particle, in their order; null for others.
        units: Of each column, or of all numbers; "1" for pure numbers.
    """

    name: str
    shape: tuple[Annotated[int, Field(gt=0)], ...]
    dtype: Literal["float32"] = "float32"
    about: str
    columns: tuple[str, ...] | None = None
    units: tuple[str, ...]


class Layer(Part):
    """Where a readout layer's cells are in the output, for readers without caloforge.

    Attributes:
        name: Of the layer.
        first_cell: Place of its first cell in the output.
        shape: Cells along its two axes; the second runs fastest.
        axes: `x`, `y` or `phi`, `r`; `cell`, `none` of polygons, whose places `detector.yaml` has.
    """

    name: str
    first_cell: Count
    shape: tuple[int, int]
    axes: tuple[str, str]


class DetectorEntry(Part):
    """Which detector the showers are read out with; `detector.yaml` has it whole.

    Attributes:
        name: Of the detector.
        digest: SHA-256 of its canonical YAML.
        layers: In the order of the output.
    """

    name: str
    digest: Digest
    layers: tuple[Layer, ...]


class Manifest(Part):
    """All that a bundle says about itself; unknown keys are errors.

    Attributes:
        bundle: What this is.
        schema_version: Of the layout; another one is refused.
        caloforge: Version that wrote it.
        created: When, in UTC.
        name: Of the generator.
        about: A line about it.
        licence: Of the weights, or "not stated".
        citation: What to cite, or "not stated".
        detector: What its showers are read out with.
        valid: The incident particles of the training; others are refused.
        inputs: Noise, which is independent and standard normal, and the incident particle.
        output: The energy of every cell.
        threshold_mev: Cells below it are to be set to 0 after the graph; null if there is none.
        graphs: By precision; `fp32` is always there.
        refused: Precisions that were tried, and why the bundle does not have them.
        report: How near its showers are to those of Geant4, or "not made".
        provenance: Recipe, data and environment of the training, steps, checksum of the weights.
        files: All files of the bundle but the manifest.
        sha256: Of the manifest without this key: as JSON with sorted keys, no blanks, and escapes for all
            that is not ASCII.
    """

    bundle: Literal["caloforge"] = "caloforge"
    schema_version: int
    caloforge: str
    created: str
    name: str
    about: str
    licence: str
    citation: str
    detector: DetectorEntry
    valid: Validity
    inputs: tuple[Tensor, Tensor]
    output: Tensor
    threshold_mev: Annotated[float, Field(ge=0)] | None
    graphs: dict[Precision, Graph] = Field(
        json_schema_extra={"required": ["fp32"], "additionalProperties": False}
    )
    refused: dict[Precision, str] = Field(default={}, json_schema_extra={"additionalProperties": False})
    report: Report | Literal["not made"]
    provenance: dict[str, Any]
    files: dict[str, FileEntry]
    sha256: Digest

    @property
    def all_refused(self) -> bool:
        """Whether reduced precisions were tried and none was good enough."""
        return bool(self.refused) and set(self.graphs) == {"fp32"}

    @field_validator("graphs")
    @classmethod
    def _full_precision(cls, graphs: dict[Precision, Graph]) -> dict[Precision, Graph]:
        if "fp32" not in graphs:
            raise ValueError("a bundle has a graph in fp32, whatever others it has")
        return graphs

    @field_validator("files")
    @classmethod
    def _plain_names(cls, files: dict[str, FileEntry]) -> dict[str, FileEntry]:
        for name in files:
            if not PLAIN_NAME.fullmatch(name):
                raise ValueError(f"{name!r} is not the plain name of a file in the bundle")
        return files


def digest_of(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a manifest without `sha256` itself: as JSON with sorted keys and no blanks."""
    rest = {key: value for key, value in content.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
