"""The products of a graph with constant weights: where a network spends its time, and what may be rounded."""

from __future__ import annotations

__all__ = ["Product", "products"]

import math
from dataclasses import dataclass
from typing import Any

_PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
_LEAST = 0.01  # of all multiplications; less is not worth a rounding


@dataclass(frozen=True)
class Product:
    """A node that multiplies activations by constant weights.

    Attributes:
        name: Of the node.
        weights: Name of its weights.
        multiplications: For one shower.
    """

    name: str
    weights: str
    multiplications: int


def products(model: Any) -> tuple[Product, ...]:
    """Find the products that matter, in the order of the graph.

    Args:
        model: An `onnx.ModelProto` whose inputs have the batch as first axis.

    Returns:
        Those with at least 1 % of all multiplications.
    """
    constants = {constant.name: tuple(constant.dims) for constant in model.graph.initializer}
    shapes = _shapes(model)
    found = [
        Product(node.name, node.input[1], _multiplications(node, constants[node.input[1]], shapes))
        for node in model.graph.node
        if node.op_type in _PRODUCTS and node.input[1] in constants
    ]
    least = _LEAST * sum(product.multiplications for product in found)
    return tuple(product for product in found if product.multiplications >= least)


def _multiplications(node: Any, weights: tuple[int, ...], shapes: dict[str, tuple[int, ...]]) -> int:
    """Each weight is used once for each place of the output (of the input, if it is transposed)."""
    places = shapes.get(node.input[0] if node.op_type == "ConvTranspose" else node.output[0], ())
    within = places[2:] if node.op_type.startswith("Conv") else places[1:-1]
    return math.prod(weights) * math.prod(within)


def _shapes(model: Any) -> dict[str, tuple[int, ...]]:
    """Shapes of all tensors for one shower; what cannot be inferred is left out."""
    import onnx

    single = onnx.ModelProto.FromString(model.SerializeToString())
    for value in single.graph.input:
        value.type.tensor_type.shape.dim[0].dim_value = 1
    del single.graph.value_info[:]
    for output in single.graph.output:
        output.type.tensor_type.ClearField("shape")
    inferred = onnx.shape_inference.infer_shapes(single, data_prop=True).graph
    return {
        value.name: tuple(d.dim_value or 1 for d in value.type.tensor_type.shape.dim)
        for value in (*inferred.value_info, *inferred.output)
    }
