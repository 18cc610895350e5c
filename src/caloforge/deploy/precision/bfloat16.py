"""Products in bfloat16: 8 bits of mantissa, sums in float32."""

from __future__ import annotations

__all__ = ["to_bfloat16"]

from collections.abc import Collection, Iterator
from typing import Any

import numpy as np


def to_bfloat16(model: Any, names: Collection[str]) -> Any:
    """Round what goes into some products, weights and activations, to bfloat16.

    Weights are stored so, in half of the space. A processor that multiplies bfloat16 keeps the sums in
    float32, and so does this graph on every other.

    Args:
        model: An `onnx.ModelProto`; it is left as it is.
        names: Of the nodes.

    Returns:
        The new model.
    """
    import onnx

    rounded = onnx.ModelProto.FromString(model.SerializeToString())
    graph = rounded.graph
    chosen = [node for node in graph.node if node.name in names]
    weights = {node.input[1] for node in chosen}
    shared = {name for node in graph.node if node.name not in names for name in node.input} & weights
    _store(graph, weights - shared)
    first = [_cast(name, f"{name}_stored", onnx.TensorProto.FLOAT) for name in sorted(weights - shared)]
    nodes = [new for node in model.graph.node for new in _with_casts(node, names, weights - shared)]
    del graph.node[:]
    graph.node.extend([*first, *nodes])
    return rounded


def _store(graph: Any, names: Collection[str]) -> None:
    """Turn constants into bfloat16 under another name."""
    from onnx import TensorProto, helper, numpy_helper

    for constant in list(graph.initializer):
        if constant.name in names:
            values = numpy_helper.to_array(constant).astype(np.float32)
            stored = helper.make_tensor(
                f"{constant.name}_stored",
                TensorProto.BFLOAT16,
                values.shape,
                _bits(values).tobytes(),
                raw=True,
            )
            constant.CopyFrom(stored)


def _bits(values: np.ndarray) -> np.ndarray:
    """The upper 16 bits of float32, rounded to the nearest, ties to even."""
    whole = np.ascontiguousarray(values, np.float32).view(np.uint32).astype(np.uint64)
    return ((whole + 0x7FFF + ((whole >> 16) & 1)) >> 16).astype("<u2")


def _with_casts(node: Any, names: Collection[str], stored: Collection[str]) -> Iterator[Any]:
    import onnx

    if node.name not in names:
        yield node
        return
    node = onnx.NodeProto.FromString(node.SerializeToString())
    for place in (0, 1):
        if node.input[place] in stored:
            continue
        name = f"{node.name}_input_{place}"
        yield _cast(f"{name}_bfloat16", node.input[place], onnx.TensorProto.BFLOAT16)
        yield _cast(name, f"{name}_bfloat16", onnx.TensorProto.FLOAT)
        node.input[place] = name
    yield node


def _cast(result: str, source: str, to: int) -> Any:
    from onnx import helper

    return helper.make_node("Cast", [source], [result], name=f"{result}_cast", to=to)
