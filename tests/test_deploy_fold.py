"""Chains of linear layers become one matrix, exactly, and only where that saves weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from caloforge.deploy.fold import fold_linear, parameter_count

RNG = np.random.default_rng(0)
CONV = RNG.normal(size=(2, 8, 2, 2)).astype(np.float32)
CONV_BIAS = RNG.normal(size=2).astype(np.float32)
# 6 numbers of noise -> 8 channels of 5 x 5 -> 2 channels of 4 x 4
DENSE = RNG.normal(size=(6, 200)).astype(np.float32)


def _model(
    nodes: Sequence[Any], constants: dict[str, Any], outputs: Sequence[str] = ("out",)
) -> onnx.ModelProto:
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 6])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def _run(model: onnx.ModelProto, n: int) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    x = np.random.default_rng(n).normal(size=(n, 6)).astype(np.float32)
    return list(session.run(None, {"x": x}))


def _nodes(between: str | None = None, transposed: bool = False) -> tuple[list[Any], dict[str, Any]]:
    weight = DENSE.T.copy() if transposed else DENSE
    constants = {"w": weight, "s": np.array([-1, 8, 5, 5]), "k": CONV, "b": CONV_BIAS}
    nodes = [
        helper.make_node("Gemm", ["x", "w"], ["d"], transB=int(transposed)),
        helper.make_node("Reshape", ["d", "s"], ["i"]),
        helper.make_node(between or "Identity", ["i"], ["j"]),
        helper.make_node("Conv", ["j", "k", "b"], ["c"]),
        helper.make_node("Transpose", ["c"], ["t"], perm=[2, 3, 0, 1]),
        helper.make_node("LeakyRelu", ["t"], ["out"], alpha=0.3),
    ]
    return nodes, constants


@pytest.mark.parametrize("transposed", [False, True])
def test_dense_and_convolution_become_one(transposed: bool) -> None:
    model = _model(*_nodes(transposed=transposed))
    before = {n: _run(model, n)[0] for n in (1, 6, 9)}
    assert fold_linear(model) == 1
    assert fold_linear(model) == 0, "nothing is left to fold"
    assert parameter_count(model) == 6 * 32 + 32
    assert "Conv" not in [node.op_type for node in model.graph.node]
    for n, expected in before.items():
        np.testing.assert_allclose(_run(model, n)[0], expected, rtol=1e-4, atol=1e-4)


def test_an_activation_in_between_stops_it() -> None:
    model = _model(*_nodes("Relu"))
    before = parameter_count(model)
    assert fold_linear(model) == 0
    assert parameter_count(model) == before


def test_not_if_the_product_is_larger() -> None:
    narrow, wide = RNG.normal(size=(6, 2)), RNG.normal(size=(2, 50))
    constants = {"a": narrow.astype(np.float32), "b": wide.astype(np.float32)}
    nodes = [helper.make_node("MatMul", ["x", "a"], ["h"]), helper.make_node("MatMul", ["h", "b"], ["out"])]
    assert fold_linear(_model(nodes, constants)) == 0


def test_not_if_something_else_reads_the_middle() -> None:
    nodes, constants = _nodes()
    nodes.append(helper.make_node("Relu", ["d"], ["other"]))
    assert fold_linear(_model(nodes, constants, ("out", "other"))) == 0


def test_not_if_the_batch_is_mixed_into_another_axis() -> None:
    wide = RNG.normal(size=(6, 40)).astype(np.float32)
    back = RNG.normal(size=(20, 3)).astype(np.float32)
    constants = {"a": wide, "s": np.array([-1, 20]), "b": back}
    nodes = [
        helper.make_node("MatMul", ["x", "a"], ["h"]),
        helper.make_node("Reshape", ["h", "s"], ["i"]),
        helper.make_node("MatMul", ["i", "b"], ["j"]),
        helper.make_node("Relu", ["j"], ["out"]),
    ]
    model = _model(nodes, constants)
    expected = _run(model, 5)[0]
    fold_linear(model)
    np.testing.assert_allclose(_run(model, 5)[0], expected, rtol=1e-5)


def test_two_streams_of_one_input() -> None:
    nodes, constants = _nodes()
    second = [
        helper.make_node(n.op_type, [_other(i) for i in n.input], [_other(o) for o in n.output])
        for n in nodes
    ]
    for new, old in zip(second, nodes, strict=True):
        new.attribute.extend(old.attribute)
    constants |= {_other(name): value for name, value in constants.items()}
    model = _model([*nodes, *second], constants, ("out", "out2"))
    before = _run(model, 3)
    assert fold_linear(model) == 2
    for got, expected in zip(_run(model, 3), before, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


def _other(name: str) -> str:
    return name if name == "x" else name + "2"
