"""The products of a graph with constant weights: where a network spends its time, and what may be rounded."""

from __future__ import annotations

__all__ = ["Product", "products"]

from dataclasses import dataclass
from typing import Any

from caloforge.deploy.operations import multiplications

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
        model: An `onnx.ModelProto` whose inputs and outputs have the batch as first axis.

    Returns:
        Those with at least 1 % of their multiplications; what cannot be counted is not rounded.
    """
    constants = {constant.name for constant in model.graph.initializer}
    found = [
        Product(node.name, node.input[1], macs)
        for node, macs in zip(model.graph.node, multiplications(model), strict=True)
        if macs and node.op_type in _PRODUCTS and node.input[1] in constants
    ]
    least = _LEAST * sum(product.multiplications for product in found)
    return tuple(product for product in found if product.multiplications >= least)
