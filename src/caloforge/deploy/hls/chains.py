"""The dense networks in a bundle's graph: products with constant matrices, one after the other."""

from __future__ import annotations

__all__ = ["Chain", "Dense", "largest_chain"]

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from caloforge.errors import BundleError

_ACTIVATIONS = ("LeakyRelu", "Relu", "Tanh", "Sigmoid")
Array = NDArray[np.float32]


@dataclass(frozen=True)
class Dense:
    """One layer.

    Attributes:
        weight: Shape `(inputs, outputs)`.
        bias: Shape `(outputs,)`.
        activation: Name of the ONNX operator behind it, or None.
        slope: Of a `LeakyRelu` below 0.
    """

    weight: Array
    bias: Array
    activation: str | None = None
    slope: float = 0.0


@dataclass(frozen=True)
class Chain:
    """Layers that follow each other, and where the graph runs through them.

    Attributes:
        layers: From first to last.
        uses: Tensors before and behind the chain, for each place where these weights are used.
    """

    layers: tuple[Dense, ...]
    uses: tuple[tuple[str, str], ...]

    @property
    def multiplications(self) -> int:
        """Of one run through the chain."""
        return sum(layer.weight.size for layer in self.layers)

    @property
    def bends(self) -> bool:
        """Whether it is more than a linear map."""
        return any(layer.activation for layer in self.layers)


def largest_chain(model: onnx.ModelProto) -> Chain:
    """Return the dense network of a graph with the most multiplications.

    A product without an activation is none, unless the graph has nothing else.

    Raises:
        BundleError: The graph has none.
    """
    graph = _Graph(model.graph)
    found: dict[tuple[str, ...], list[_Run]] = defaultdict(list)
    for node in model.graph.node:
        if graph.is_product(node) and not graph.continues(node):
            run = graph.run_from(node)
            found[run.weights].append(run)
    if not found:
        raise BundleError(
            "this bundle has no dense network, which is what hls4ml can take",
            got=", ".join(sorted({node.op_type for node in model.graph.node})),
            expected="products with constant matrices (Gemm, MatMul)",
        )
    chains = [Chain(tuple(runs[0].layers), tuple(run.ends for run in runs)) for runs in found.values()]
    return max(chains, key=lambda chain: (chain.bends, chain.multiplications * len(chain.uses)))


@dataclass
class _Run:
    """One walk through the graph."""

    first: str
    last: str
    layers: list[Dense] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    @property
    def weights(self) -> tuple[str, ...]:
        return tuple(self.names)

    @property
    def ends(self) -> tuple[str, str]:
        return self.first, self.last


class _Graph:
    """Who makes a tensor, who uses it, and which are constant."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.constants: Mapping[str, onnx.TensorProto] = {value.name: value for value in graph.initializer}
        self.maker = {name: node for node in graph.node for name in node.output}
        self.users: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in graph.node:
            for name in node.input:
                self.users[name].append(node)
        self.read = Counter(name for node in graph.node for name in node.input)
        self.read.update(port.name for port in graph.output)

    def value(self, name: str) -> Array:
        return numpy_helper.to_array(self.constants[name]).astype(np.float32)

    def constant(self, name: str, rank: int) -> bool:
        return name in self.constants and len(self.constants[name].dims) == rank

    def is_product(self, node: onnx.NodeProto) -> bool:
        """A variable vector times a constant matrix, with a constant bias if any."""
        if node.op_type not in ("MatMul", "Gemm") or node.input[0] in self.constants:
            return False
        settings = {item.name: helper.get_attribute_value(item) for item in node.attribute}
        plain = settings.get("alpha", 1.0) == settings.get("beta", 1.0) == 1.0 and not settings.get(
            "transA", 0
        )
        bias = len(node.input) < 3 or self.constant(node.input[2], 1)
        return plain and bias and self.constant(node.input[1], 2)

    def continues(self, node: onnx.NodeProto) -> bool:
        """Whether a product belongs to the chain of the one before it."""
        name = node.input[0]
        while name in self.maker and self.read[name] == 1:
            maker = self.maker[name]
            if self.is_product(maker):
                return True
            if maker.op_type not in _ACTIVATIONS and not self._bias(maker):
                return False
            name = next(part for part in maker.input if part not in self.constants)
        return False

    def run_from(self, first: onnx.NodeProto) -> _Run:
        """Walk from a product along all that follow it."""
        run = _Run(first.input[0], first.input[0])
        node: onnx.NodeProto | None = first
        while node is not None and self.is_product(node):
            run.names.append(node.input[1])
            weight, bias = self._product(node)
            run.last = node.output[0]
            added = self._next(run.last)
            if added is not None and self._bias(added):
                bias = bias + self.value(next(name for name in added.input if name in self.constants))
                run.last = added.output[0]
            run.last, activation, slope = self._activation(run.last)
            run.layers.append(Dense(weight, bias, activation, slope))
            node = self._next(run.last)
        return run

    def _activation(self, name: str) -> tuple[str, str | None, float]:
        node = self._next(name)
        if node is None or node.op_type not in _ACTIVATIONS:
            return name, None, 0.0
        settings = {item.name: helper.get_attribute_value(item) for item in node.attribute}
        return node.output[0], node.op_type, float(settings.get("alpha", 0.01))

    def _next(self, name: str) -> onnx.NodeProto | None:
        """The only user of a tensor."""
        return self.users[name][0] if self.read[name] == 1 and self.users[name] else None

    def _bias(self, node: onnx.NodeProto) -> bool:
        return node.op_type == "Add" and any(self.constant(name, 1) for name in node.input)

    def _product(self, node: onnx.NodeProto) -> tuple[Array, Array]:
        weight = self.value(node.input[1])
        if any(item.name == "transB" and item.i for item in node.attribute):
            weight = np.ascontiguousarray(weight.T)
        bias = self.value(node.input[2]) if len(node.input) > 2 else np.zeros(weight.shape[1], np.float32)
        return weight, bias
