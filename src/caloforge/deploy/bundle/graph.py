"""What a manifest says of each of its graphs."""

from __future__ import annotations

__all__ = ["UNMEASURED", "Graph", "Parity", "Precision", "Probe", "Rounding"]

from typing import Annotated, Literal

from pydantic import Field

from caloforge.deploy.bundle.figures import Acceptance
from caloforge.deploy.bundle.part import Count, Part

Precision = Annotated[str, Field(pattern=r"^(fp32|bf16|int8)$")]
"""Of the numbers in a graph; what goes in and comes out is float32 in all of them."""


class Parity(Part):
    """How far the shipped graph is from the trained model on the same noise and incident particles.

    Attributes:
        batches: Showers per call that were tried.
        showers: In all.
        max_abs_mev: Greatest difference of a cell, in MeV.
        max_relative: The same over the energy of the hottest cell.
        tolerance: What `max_relative` had to stay below.
    """

    batches: tuple[int, ...]
    showers: int
    max_abs_mev: float
    max_relative: float
    tolerance: float


class Probe(Part):
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


class Rounding(Part):
    """What was rounded in a graph of reduced precision, and how its showers changed.

    Attributes:
        products: Names of the nodes whose weights and activations are rounded.
        share: Of all multiplications, that they have.
        energy_bias: Change of the energy of all showers, relative.
        energy_spread: Its scatter from shower to shower.
        cells: Root mean square change of a cell in parts of the cells' scatter.
        values: Different energies among the cells, over those in float32.
        hottest_cell: Change of the mean energy of the hottest cell, relative.
        hits: Cells that are hit in one and not in the other, over the hits in float32.
        typical_cell: Median relative change of the cells that are hit in both.
    """

    products: tuple[str, ...]
    share: float
    energy_bias: float
    energy_spread: float
    cells: float
    values: float
    hottest_cell: float
    hits: float
    typical_cell: float

    def __str__(self) -> str:
        return (
            f"{self.share:.0%} of the multiplications; energy {self.energy_bias:+.2%} +- "
            f"{self.energy_spread:.2%}, cells {self.cells:.2%} of their scatter, "
            f"hits {self.hits:.2%} others, half of them by {self.typical_cell:.2%} or more"
        )


class Graph(Part):
    """One ONNX file: the generator at one precision.

    Attributes:
        file: Its name in the bundle.
        opset: Of ONNX.
        bytes: Its size.
        parameters: Numbers that a run of it reads.
        trained_parameters: Numbers before layers in a row were folded into one.
        made_with: Versions of the packages that wrote it.
        runtimes: Those that can run it, the one to prefer first.
        options: Of the session, where they change results: name and value by runtime, as
            `{"openvino": {"INFERENCE_PRECISION_HINT": "f32"}}`.
        parity: How far it is from the trained model.
        probe: Showers that it made.
        rounding: For reduced precision, what was rounded.
        acceptance: For reduced precision, what decided that an engine may take it without being told to; None
            if nobody judged it.
    """

    file: str
    opset: int
    bytes: Count
    parameters: Count
    trained_parameters: Count
    made_with: dict[str, str]
    runtimes: tuple[Literal["onnxruntime", "openvino"], ...] = ("onnxruntime", "openvino")
    options: dict[str, dict[str, str]] = Field(default_factory=dict)
    parity: Parity
    probe: Probe
    rounding: Rounding | None = None
    acceptance: Acceptance | None = None


UNMEASURED = {
    "parity": Parity(batches=(), showers=0, max_abs_mev=0.0, max_relative=0.0, tolerance=0.0),
    "probe": Probe(seed=0, incident=(), layers_mev=(), tolerance=1.0),
}
"""For a graph that has not run yet; a bundle that still says so is refused."""
