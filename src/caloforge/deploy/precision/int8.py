"""Products in 8-bit integers, calibrated on showers, by NNCF."""

from __future__ import annotations

__all__ = ["to_int8"]

import io
import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import redirect_stdout
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caloforge.deploy.runtimes.telemetry import without_telemetry
from caloforge.errors import MissingExtraError

Feed = dict[str, NDArray[np.float32]]


def to_int8(model: Any, names: Collection[str], examples: Sequence[Feed]) -> Any:
    """Round what goes into some products, weights and activations, to 8-bit integers.

    Weights have one scale per output channel, activations one per tensor, from the least and greatest values
    seen; the products' mean errors on the examples go into their biases. Weights use half of their range:
    on processors without VNNI sums of products of whole bytes overflow 16 bits.

    Args:
        model: An `onnx.ModelProto`; it is left as it is.
        names: Of the nodes.
        examples: Inputs to calibrate with.

    Returns:
        The new model, with QuantizeLinear and DequantizeLinear around the products.

    Raises:
        MissingExtraError: NNCF is not installed.
    """
    nncf = _nncf()
    with without_telemetry():
        from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters, OverflowFix

    plain = _as_nncf_reads_it(model)
    # Of its nodes, not the model's: a sum that was within a product has its own name, and stays in float32.
    others = [node.name for node in plain.graph.node if node.name not in names]
    with redirect_stdout(io.StringIO()):  # its progress bars
        return nncf.quantize(
            plain,
            nncf.Dataset(examples),
            subset_size=len(examples),
            ignored_scope=nncf.IgnoredScope(names=others, validate=False),
            advanced_parameters=AdvancedQuantizationParameters(overflow_fix=OverflowFix.ENABLE),
        )


def _nncf() -> Any:
    try:
        with without_telemetry():
            import nncf
    except ImportError as error:
        raise MissingExtraError("nncf", "openvino") from error
    nncf.set_log_level(logging.ERROR)
    return nncf


def _as_nncf_reads_it(model: Any) -> Any:
    """A copy that NNCF 3.4 does not fail on: casts of constants are done, addends of `Gemm` are constant."""
    import onnx

    copy = onnx.ModelProto.FromString(model.SerializeToString())
    nodes = [new for node in model.graph.node for new in _plain(node, copy.graph)]
    used = {name for node in nodes for name in node.input}
    constants = [constant for constant in copy.graph.initializer if constant.name in used]
    del copy.graph.node[:], copy.graph.initializer[:]
    copy.graph.node.extend(nodes)
    copy.graph.initializer.extend(constants)
    return copy


def _plain(node: Any, graph: Any) -> Iterator[Any]:
    """The same in nodes that NNCF knows; constants that are new go into the graph."""
    from onnx import helper, numpy_helper

    stored = {constant.name: constant for constant in graph.initializer}
    if node.op_type == "Cast" and node.input[0] in stored:
        kind = helper.tensor_dtype_to_np_dtype(node.attribute[0].i)
        values = numpy_helper.to_array(stored[node.input[0]]).astype(kind)
        graph.initializer.append(numpy_helper.from_array(values, node.output[0]))
    elif node.op_type == "Gemm" and len(node.input) > 2 and node.input[2] not in stored:
        yield from _product_and_sum(node)
    else:
        yield node


def _product_and_sum(gemm: Any) -> Iterator[Any]:
    from onnx import NodeProto, helper

    product = NodeProto.FromString(gemm.SerializeToString())
    beta = next((item.f for item in gemm.attribute if item.name == "beta"), 1.0)
    if beta != 1:
        raise ValueError(f"{gemm.name}: beta is {beta}")
    product.output[0], addend = f"{gemm.output[0]}_product", product.input.pop()
    yield product
    yield helper.make_node("Add", [product.output[0], addend], gemm.output, name=f"{gemm.name}_sum")
