"""A bundle's graph with other inputs and outputs: nodes before and after it, the graph itself untouched."""

from __future__ import annotations

__all__ = ["Wrapper"]

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, compose, helper, numpy_helper

from caloforge.deploy.bundle import Bundle
from caloforge.deploy.bundle.validity import Span

_PREFIX = "bundle/"


class Wrapper:
    """Collects what comes before and after the graph of a bundle; batches of one shower.

    Args:
        bundle: The bundle.

    Attributes:
        bundle: The bundle.
        detector: Of the bundle.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle, self.detector = bundle, bundle.detector
        # Names of the host and of the graph must not meet.
        self._model = compose.add_prefix(onnx.load_model_from_string(bundle.graph()), _PREFIX)
        self._before: list[onnx.NodeProto] = []
        self._after: list[onnx.NodeProto] = []
        self._nodes = self._before
        self._values: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []

    def input(self, name: str, *shape: int) -> str:
        """Add an input of the host's, float32 with these dimensions."""
        self._inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        return name

    def constant(self, value: Any, dtype: type[np.generic] = np.float32) -> str:
        """Add a constant and return its name."""
        name = f"host/constant_{len(self._values)}"
        self._values.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output and return the name of that."""
        name = f"host/{len(self._before)}_{len(self._after)}_{operator.lower()}"
        self._nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def part(self, tensor: str, first: int, last: int) -> str:
        """Take numbers `first` to `last` (left out) of each shower of `(1, m)`."""
        ends = [self.constant([value], np.int64) for value in (first, last, 1)]
        return self.node("Slice", tensor, *ends)

    def inside(self, tensor: str, low: float, high: float) -> str:
        """Say whether a number lies in a closed range; NaN does not."""
        above = self.node("GreaterOrEqual", tensor, self.constant(low))
        return self.node("And", above, self.node("LessOrEqual", tensor, self.constant(high)))

    def shower(self, noise: str, incident: str) -> str:
        """Run the bundle's graph.

        Args:
            noise: Standard normal numbers, `(1, n)`.
            incident: Columns of the bundle's conditions, `(1, columns)`.

        Returns:
            Cells in MeV with the detector's threshold applied, `(1, n_cells)`.
        """
        shape = self.constant([1, *self.bundle.manifest.inputs[0].shape], np.int64)
        for operator, inputs, name in (
            ("Reshape", [noise, shape], "noise"),
            ("Identity", [incident], "incident"),
        ):
            self._nodes.append(helper.make_node(operator, inputs, [_PREFIX + name], name=f"host/{name}"))
        self._nodes = self._after
        cells, threshold = f"{_PREFIX}cells", self.detector.readout.threshold
        if not threshold:
            return cells
        low = self.node("Less", cells, self.constant(threshold))
        return self.node("Where", low, self.constant(0.0), cells)

    def output(
        self, name: str, tensor: str, inside: Sequence[str], order: NDArray[np.int64] | None = None
    ) -> None:
        """Name the output: cells in the host's order, and NaN in every cell outside the trained range."""
        if order is not None:
            tensor = self.node("Gather", tensor, self.constant(order, np.int64), axis=1)
        allowed = inside[0]
        for other in inside[1:]:
            allowed = self.node("And", allowed, other)
        self._nodes.append(
            helper.make_node("Where", [allowed, tensor, self.constant(np.nan)], [name], name=f"host/{name}")
        )
        self._output = helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, self.detector.n_cells])

    def energy_inside(self, energy: str) -> str:
        """Say whether a kinetic energy in MeV is one that the bundle was trained for."""
        return self.inside(energy, *self.span("energy").limits)

    def span(self, name: str) -> Span:
        """Return the trained range of an incident column."""
        return dict(self.bundle.manifest.valid.spans())[name]

    def write(self, path: Path) -> None:
        """Check the new graph and write it."""
        graph = self._model.graph
        del self._model.metadata_props[:]  # what it says is true of the bundle's graph alone
        nodes = [*self._before, *graph.node, *self._after]
        for field, parts in (
            (graph.node, nodes),
            (graph.input, self._inputs),
            (graph.output, [self._output]),
        ):
            del field[:]
            field.extend(parts)
        graph.initializer.extend(self._values)
        onnx.checker.check_model(self._model, full_check=True)
        path.write_bytes(self._model.SerializeToString())
