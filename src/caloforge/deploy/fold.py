"""Folds chains of linear layers in an ONNX graph into one matrix where that leaves fewer numbers to read.

At batch 1 a dense layer is as fast as its weights come from memory. A generator that feeds a dense layer
into a convolution without an activation in between (LAGAN and CaloGAN do) applies one matrix after another
to the same noise; their product gives the same showers from less than half of the weights.
"""

from __future__ import annotations

__all__ = ["fold_linear", "parameter_count"]

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Each of these is affine in its first input if the others are constants; the first row also joins several.
_JOINING = {"Concat", "Add", "Sub"}
_AFFINE = _JOINING | {
    *("Conv", "Gemm", "MatMul", "Mul", "Div", "BatchNormalization"),
    *("Flatten", "Identity", "Pad", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"),
}


@dataclass(frozen=True)
class _Chain:
    """Linear nodes from one dense layer's input to the tensor that the rest of the graph reads."""

    source: str
    result: str
    width: int
    nodes: tuple[Any, ...]
    constants: tuple[Any, ...]


@dataclass(frozen=True)
class _Product:
    """What a chain amounts to: `result = moveaxis((source @ matrix + bias).reshape(-1, *rest), 0, axis)`."""

    matrix: NDArray[np.float32]
    bias: NDArray[np.float32]
    rest: tuple[int, ...]
    axis: int


def fold_linear(model: Any) -> int:
    """Replace chains of linear nodes, in place, by their product wherever that has fewer weights.

    Args:
        model: An `onnx.ModelProto` whose dense layers take `(batch, features)`.

    Returns:
        How many chains were replaced.
    """
    folded = 0
    for name in [node.output[0] for node in model.graph.node]:
        chain = _chain_from(model, name)
        product = _product(model, chain) if chain and len(chain.nodes) > 1 else None
        if chain and product and product.matrix.size + product.bias.size < _size(chain.constants):
            _replace(model, chain, product)
            folded += 1
    return folded


def parameter_count(model: Any) -> int:
    """Number of floating-point constants in a graph."""
    return _size(model.graph.initializer)


def _size(constants: Iterable[Any]) -> int:
    from onnx import TensorProto

    return sum(int(np.prod(c.dims)) for c in constants if c.data_type == TensorProto.FLOAT)


def _chain_from(model: Any, name: str) -> _Chain | None:
    constants = {constant.name: constant for constant in model.graph.initializer}
    start = next((node for node in model.graph.node if node.output[0] == name), None)
    if start is None or not _is_dense(start, constants):
        return None
    linear, nodes = {start.output[0]}, [start]
    for node in model.graph.node:
        if _is_linear(node, linear, constants):
            linear.update(node.output)
            nodes.append(node)
    ends = _ends(model.graph, linear, nodes)
    if len(ends) != 1:
        return None
    nodes = _leading_to(ends[0], nodes)
    used = [constants[name] for name in dict.fromkeys(_inputs(nodes)) if name in constants]
    weight = constants[start.input[1]].dims
    return _Chain(start.input[0], ends[0], weight[1 if _transposed(start) else 0], tuple(nodes), tuple(used))


def _is_dense(node: Any, constants: dict[str, Any]) -> bool:
    """Whether a node multiplies an activation by a constant matrix."""
    if node.op_type not in ("Gemm", "MatMul") or node.input[0] in constants or node.input[1] not in constants:
        return False
    flags = {a.name: a.i if a.name.startswith("trans") else a.f for a in node.attribute}
    plain = flags.get("alpha", 1) == 1 and flags.get("beta", 1) == 1 and not flags.get("transA", 0)
    return plain and len(constants[node.input[1]].dims) == 2


def _transposed(node: Any) -> bool:
    return any(a.name == "transB" and a.i == 1 for a in node.attribute)


def _is_linear(node: Any, linear: set[str], constants: dict[str, Any]) -> bool:
    varying = [name for name in node.input if name and name not in constants]
    if node.op_type not in _AFFINE or not varying or not set(varying) <= linear:
        return False
    return node.op_type in _JOINING or (varying == [node.input[0]])


def _ends(graph: Any, linear: set[str], nodes: Sequence[Any]) -> list[str]:
    """Linear tensors that something outside the chain reads."""
    inside = {node.output[0] for node in nodes}
    outside = {name for node in graph.node if node.output[0] not in inside for name in node.input}
    outside |= {output.name for output in graph.output}
    return sorted(linear & outside)


def _leading_to(end: str, nodes: Sequence[Any]) -> list[Any]:
    wanted, kept = {end}, []
    for node in reversed(nodes):
        if wanted & set(node.output):
            wanted |= set(node.input)
            kept.append(node)
    return kept[::-1]


def _inputs(nodes: Iterable[Any]) -> Iterator[str]:
    return (name for node in nodes for name in node.input if name)


def _product(model: Any, chain: _Chain) -> _Product | None:
    """Find a chain's matrix by running it on the unit vectors; None if the batch is not one plain axis."""
    run = _runner(model, chain)
    zero = run(np.zeros((1, chain.width), np.float32))
    rows = run(np.eye(chain.width, dtype=np.float32))
    if rows.ndim != zero.ndim:
        return None
    axes = [i for i, (many, one) in enumerate(zip(rows.shape, zero.shape, strict=True)) if many != one]
    if len(axes) != 1 or (rows.shape[axes[0]], zero.shape[axes[0]]) != (chain.width, 1):
        return None
    rows, zero = np.moveaxis(rows, axes[0], 0), np.moveaxis(zero, axes[0], 0)
    matrix = (rows - zero).reshape(chain.width, -1)
    return _Product(matrix, zero.reshape(-1), rows.shape[1:], axes[0])


def _runner(model: Any, chain: _Chain) -> Any:
    import onnxruntime
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        list(chain.nodes),
        "chain",
        [helper.make_tensor_value_info(chain.source, TensorProto.FLOAT, ["batch", chain.width])],
        [helper.make_tensor_value_info(chain.result, TensorProto.FLOAT, None)],
        list(chain.constants),
    )
    part = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    session = onnxruntime.InferenceSession(part.SerializeToString(), providers=["CPUExecutionProvider"])
    return lambda x: session.run([chain.result], {chain.source: x})[0]


def _replace(model: Any, chain: _Chain, product: _Product) -> None:
    from onnx import helper, numpy_helper

    graph, name = model.graph, chain.result
    graph.initializer.extend(
        [
            # As rows per output: with this layout ONNX Runtime reads the weights straight through.
            numpy_helper.from_array(np.ascontiguousarray(product.matrix.T), f"{name}_matrix"),
            numpy_helper.from_array(product.bias, f"{name}_bias"),
            numpy_helper.from_array(np.array([-1, *product.rest], np.int64), f"{name}_shape"),
        ]
    )
    order = [*range(1, product.axis + 1), 0, *range(product.axis + 1, len(product.rest) + 1)]
    new = [
        helper.make_node(
            "Gemm", [chain.source, f"{name}_matrix", f"{name}_bias"], [f"{name}_flat"], transB=1
        ),
        helper.make_node("Reshape", [f"{name}_flat", f"{name}_shape"], [f"{name}_batch_first"]),
        helper.make_node("Transpose", [f"{name}_batch_first"], [name], perm=order),
    ]
    old = {node.output[0] for node in chain.nodes}
    nodes = list(graph.node)
    at = next(i for i, node in enumerate(nodes) if node.output[0] in old)
    rest = [node for node in nodes[at:] if node.output[0] not in old]
    _assign(graph, nodes[:at] + new + rest)


def _assign(graph: Any, nodes: list[Any]) -> None:
    """Set a graph's nodes, and drop the constants and the notes on shapes that nothing reads any more."""
    copies = [type(node).FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)
    used = set(_inputs(graph.node))
    constants = [c for c in graph.initializer if c.name in used]
    del graph.initializer[:]
    graph.initializer.extend(constants)
    made = {name for node in graph.node for name in node.output}
    notes = [v for v in graph.value_info if v.name in made]
    del graph.value_info[:]
    graph.value_info.extend(notes)
