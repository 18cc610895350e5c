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
    "Sample",
    "Tensor",
    "digest_of",
]

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from caloforge.deploy.bundle.validity import Validity

SCHEMA = 3
"""Version of the manifest's layout; raised when an older reader would misunderstand a newer bundle."""

NOT_MADE: Literal["not made"] = "not made"
NOT_STATED = "not stated"

Precision = Annotated[str, Field(pattern=r"^(fp32|bf16|int8)$")]
"""Of the numbers in a graph; what goes in and comes out is float32 in all of them."""

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


class Probe(_Part):
    """A few showers that the graph made when it was exported: whoever runs it can see that it still does.

    Attributes:
        seed: Of the noise, drawn with numpy.
        incident: The particles; shape (showers, columns), in MeV, rad and mm.
        layers_mev: Energy in each readout layer; shape (showers, layers).
        tolerance: Allowed difference, relative to the shower's energy.
    """

    seed: Count
    incident: tuple[tuple[float, ...], ...]
    layers_mev: tuple[tuple[float, ...], ...]
    tolerance: Annotated[float, Field(gt=0)]


class Figure(_Part):
    """A number with what chance alone gives.

    Attributes:
        label: What it is, for people.
        unit: `%`, or empty.
        value: Of the generator against Geant4.
        error: Its standard error, if known.
        floor: The same between two samples of Geant4 of the same size.
        floor_error: Its standard error, if known.
        off: Whether the value is worse than the floor by more than chance.
        fp32: Of the same generator in full precision, where this is about another one.
    """

    label: str
    unit: str = ""
    value: float
    error: float | None = None
    floor: float
    floor_error: float | None = None
    off: bool
    fp32: float | None = None


class Acceptance(_Part):
    """Why a graph of reduced precision was good enough to be shipped."""

    required: str
    figures: dict[str, Figure]


class Rounding(_Part):
    """What was rounded in a graph of reduced precision, and how its showers changed.

    Attributes:
        products: Names of the nodes whose weights and activations are rounded.
        share: Of all multiplications, that they have.
        energy_bias: Change of the energy of all showers, relative.
        energy_spread: Its scatter from shower to shower.
        cells: Root mean square change of a cell in parts of the cells' scatter.
        values: Different energies among the cells, over those in float32.
        hottest_cell: Change of the mean energy of the hottest cell, relative.
    """

    products: tuple[str, ...]
    share: float
    energy_bias: float
    energy_spread: float
    cells: float
    values: float
    hottest_cell: float


class Graph(_Part):
    """One ONNX file: the generator at one precision.

    Attributes:
        file: Its name in the bundle.
        opset: Of ONNX.
        bytes: Its size.
        parameters: Numbers that a run of it reads.
        trained_parameters: Numbers that were trained, before folding.
        made_with: Versions of the packages that wrote it.
        runtimes: Those that can run it, the one to prefer first.
        options: Of the session, where they change results: name and value by runtime, as
            `{"openvino": {"INFERENCE_PRECISION_HINT": "f32"}}`.
        parity: How far it is from the trained model.
        probe: Showers that it made.
        rounding: For reduced precision, what was rounded.
        acceptance: For reduced precision, what decided that it may be taken without being asked for; None if
            nobody judged it.
    """

    file: str
    opset: int
    bytes: Count
    parameters: Count
    trained_parameters: Count
    made_with: dict[str, str]
    runtimes: tuple[Literal["onnxruntime", "openvino"], ...] = ("onnxruntime", "openvino")
    options: dict[str, dict[str, str]] = {}
    parity: Parity
    probe: Probe
    rounding: Rounding | None = None
    acceptance: Acceptance | None = None


UNMEASURED = {
    "parity": Parity(batches=(), showers=0, max_abs_mev=0.0, max_relative=0.0, tolerance=0.0),
    "probe": Probe(seed=0, incident=(), layers_mev=(), tolerance=1.0),
}
"""For a graph that has not run yet; a bundle that still says so is refused."""


class Sample(_Part):
    """A shower file that was compared: its name without folders, and how many showers it holds."""

    name: str
    showers: Count


class Report(_Part):
    """What `caloforge validate` found: numbers with their floors.

    Attributes:
        caloforge: Version that made the report.
        files: By role: `reference` (Geant4), `candidate` (this generator), and perhaps `floor`, `training`.
        showers_compared: In each sample.
        floor: Where the floor comes from: an independent file, or halves of the reference.
        verdict: The answer in one sentence.
        text: What it rests on.
        figures: By their names in the report, what matters most first.
    """

    caloforge: str
    files: dict[str, Sample]
    showers_compared: Count
    floor: str
    verdict: str
    text: str
    figures: dict[str, Figure]


class Manifest(_Part):
    """All that a bundle says about itself; unknown keys are errors."""

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
    graphs: dict[Precision, Graph]
    refused: dict[Precision, str] = {}
    """Precisions that were tried, and why the bundle does not have them."""
    report: Report | Literal["not made"]
    provenance: dict[str, Any]
    files: dict[str, FileEntry]
    sha256: Digest
    """Of all the rest, see `digest_of`."""

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
            if not _PLAIN_NAME.fullmatch(name):
                raise ValueError(f"{name!r} is not the plain name of a file in the bundle")
        return files


def digest_of(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a manifest without `sha256` itself: as JSON with sorted keys and no blanks."""
    rest = {key: value for key, value in content.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
