"""How many multiplications and weights a graph has, counted in the ONNX file."""

from __future__ import annotations

__all__ = ["Operations", "count_operations", "multiplications"]

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Operations:
    """What one shower takes.

    Attributes:
        macs: Multiplications with an addition, in products of matrices and convolutions; what is done cell by
            cell is not counted.
        weights: Numbers that are stored in the graph.
        weight_bytes: Their size.
        nodes: Operators of the graph.
        uncounted: Operators of which the shapes are not known.
    """

    macs: int
    weights: int
    weight_bytes: int
    nodes: int
    uncounted: tuple[str, ...]


def count_operations(graph: bytes) -> Operations:
    """Count what a graph does for a batch of one.

    Args:
        graph: An ONNX file's content.
    """
    import onnx

    model = onnx.load_model_from_string(graph)
    counted = multiplications(model)
    constants = model.graph.initializer
    sizes = [(prod(t.dims), onnx.helper.tensor_dtype_to_np_dtype(t.data_type)) for t in constants]
    return Operations(
        macs=sum(macs or 0 for macs in counted),
        weights=sum(n for n, _ in sizes),
        weight_bytes=sum(n * dtype.itemsize for n, dtype in sizes),
        nodes=len(counted),
        uncounted=tuple(
            node.op_type for node, macs in zip(model.graph.node, counted, strict=True) if macs is None
        ),
    )


def multiplications(model: Any) -> list[int | None]:
    """Count the multiplications of each node for a batch of one.

    Args:
        model: An `onnx.ModelProto` whose inputs and outputs begin with the batch; it is left as it is.

    Returns:
        In the order of the nodes: 0 for operators that are not counted, None where shapes are not known.
    """
    import onnx

    single = onnx.ModelProto.FromString(model.SerializeToString())
    for value in (*single.graph.input, *single.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    del single.graph.value_info[:]  # written for any batch
    shapes = _shapes(onnx.shape_inference.infer_shapes(single, data_prop=True).graph)
    return [_macs(node, shapes) for node in single.graph.node]


def _shapes(graph: Any) -> dict[str, Shape]:
    """Shape of each tensor of which all axes are known."""
    found = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        dims = value.type.tensor_type.shape.dim
        if value.type.tensor_type.HasField("shape") and all(dim.HasField("dim_value") for dim in dims):
            found[value.name] = tuple(dim.dim_value for dim in dims)
    return found


def _macs(node: Any, shapes: dict[str, Shape]) -> int | None:
    """Multiplications of an operator, 0 for those that are not counted, None if its shapes are unknown."""
    count = _COUNTED.get(node.op_type)
    if count is None:
        return 0
    names = [*node.input[: 2 if node.op_type != "Einsum" else None], node.output[0]]
    try:
        return count(node, *(shapes[name] for name in names))
    except KeyError:
        return None


def _matmul(_node: Any, first: Shape, _second: Shape, out: Shape) -> int:
    return prod(out) * first[-1]


def _gemm(node: Any, first: Shape, _second: Shape, out: Shape) -> int:
    transposed = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
    return prod(out) * first[0 if transposed else 1]


def _conv(_node: Any, _image: Shape, kernel: Shape, out: Shape) -> int:
    return prod(out) * prod(kernel[1:])


def _conv_transpose(_node: Any, image: Shape, kernel: Shape, _out: Shape) -> int:
    return prod(image) * prod(kernel[1:])


def _einsum(node: Any, *shapes: Shape) -> int:
    """Every combination of the labels once; a sum over labels of one operand alone is counted, too."""
    equation = next(attribute.s.decode() for attribute in node.attribute if attribute.name == "equation")
    operands = equation.replace(" ", "").split("->")[0].split(",")
    sizes: dict[str, int] = {}
    for labels, shape in zip(operands, shapes, strict=False):
        if "." in labels:
            raise KeyError(labels)
        sizes |= dict(zip(labels, shape, strict=True))
    return prod(sizes.values())


_COUNTED: dict[str, Callable[..., int]] = {
    "MatMul": _matmul,
    "Gemm": _gemm,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Einsum": _einsum,
}
