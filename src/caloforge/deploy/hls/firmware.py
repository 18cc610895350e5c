"""A dense network as an hls4ml project, its emulation in C++, and what it would take of an FPGA."""

from __future__ import annotations

__all__ = ["CLOCK", "Firmware", "LayerCost", "build", "require"]

import contextlib
import io
import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caloforge.deploy.hls.chains import Dense
from caloforge.deploy.hls.fixed import Formats
from caloforge.errors import CaloforgeError, MissingExtraError

CLOCK = 5.0  # ns, hls4ml's own default
Array = NDArray[np.float32]


@dataclass(frozen=True)
class LayerCost:
    """What one layer takes, by the settings that hls4ml has given it.

    Attributes:
        inputs: Numbers that come in.
        outputs: Numbers that come out.
        reuse: Multiplications that share one multiplier, one each cycle.
        multipliers: Of them that exist.
        weight_bits: Memory of the weights, bits.
    """

    inputs: int
    outputs: int
    reuse: int
    multipliers: int
    weight_bits: int


@dataclass(frozen=True)
class Firmware:
    """A compiled emulation.

    Attributes:
        bits: Width of all numbers.
        costs: Of each layer.
        model: hls4ml's.
    """

    bits: int
    costs: tuple[LayerCost, ...]
    model: Any

    def __call__(self, seen: Array) -> Array:
        """Map what the network sees, `(n, inputs)`, to what it says, `(n, outputs)`."""
        said = self.model.predict(np.ascontiguousarray(seen, np.float32))
        return np.asarray(said, np.float32).reshape(len(seen), -1)


def require() -> Any:
    """Import hls4ml, and see that there is what compiles its emulations.

    Raises:
        MissingExtraError: It is not installed.
        CaloforgeError: There is no g++.
    """
    try:
        import hls4ml
    except ImportError:
        raise MissingExtraError("hls4ml", "hls") from None
    if shutil.which("g++") is None:
        raise CaloforgeError("hls4ml compiles its emulation with g++, which is not here", cure="install g++")
    return hls4ml


def build(layers: Sequence[Dense], formats: Formats, bits: int, reuse: int, folder: Path) -> Firmware:
    """Write the project and compile its emulation with g++.

    Args:
        layers: The network.
        formats: Bits before the point.
        bits: Of all numbers that are stored or passed on; sums are as wide as they need be.
        reuse: Multiplications that share a multiplier; hls4ml takes the nearest that a layer allows.
        folder: Where the project goes.

    Raises:
        MissingExtraError: hls4ml is not installed.
        CaloforgeError: There is no g++, or it fails.
    """
    hls4ml = require()
    heard = io.StringIO()
    try:
        # hls4ml prints what it does.
        with contextlib.redirect_stdout(heard):
            network = _torch(layers)
            config = _config(hls4ml, network, layers, formats, bits, reuse)
            model = hls4ml.converters.convert_from_pytorch_model(
                network,
                output_dir=str(folder),
                project_name="dense",
                backend="Vitis",
                hls_config=config,
                io_type="io_parallel",
                clock_period=CLOCK,
            )
            model.compile()
    except Exception as error:  # hls4ml's errors have no common class
        raise CaloforgeError(
            "hls4ml could not build the emulation of the network",
            got=f"{error}; it said: {heard.getvalue()[-500:]}",
        ) from error
    costs = [_cost(layer, bits) for layer in model.get_layers() if layer.class_name == "Dense"]
    return Firmware(bits, tuple(costs), model)


def _torch(layers: Sequence[Dense]) -> Any:
    import torch
    from torch import nn

    made: list[nn.Module] = []
    for layer in layers:
        inputs, outputs = layer.weight.shape
        linear = nn.Linear(inputs, outputs)
        with torch.no_grad():
            linear.weight.copy_(torch.tensor(layer.weight.T))
            linear.bias.copy_(torch.tensor(layer.bias))
        made.append(linear)
        if layer.activation == "LeakyRelu":
            made.append(nn.LeakyReLU(layer.slope))
        elif layer.activation:
            made.append({"Relu": nn.ReLU, "Tanh": nn.Tanh, "Sigmoid": nn.Sigmoid}[layer.activation]())
    return nn.Sequential(*made).eval()


def _config(
    hls4ml: Any, network: Any, layers: Sequence[Dense], formats: Formats, bits: int, reuse: int
) -> dict[str, Any]:
    config: dict[str, Any] = hls4ml.utils.config_from_pytorch_model(
        network,
        (layers[0].weight.shape[0],),
        granularity="name",
        backend="Vitis",
        default_precision=_fixed(bits, bits // 2),
        default_reuse_factor=reuse,
    )
    config["Model"]["Strategy"] = "Resource"
    names = iter(config["LayerName"].values())
    next(names)["Precision"]["result"] = _fixed(bits, formats.given)
    for i, layer in enumerate(layers):
        dense = next(names)
        dense["Strategy"] = "Resource"
        dense["Precision"] |= {
            "weight": _fixed(bits, formats.weights[i]),
            "bias": _fixed(bits, formats.biases[i]),
            "result": _fixed(bits, formats.sums[i]),
        }
        if layer.activation:
            precision = next(names)["Precision"]
            precision["result"] = _fixed(bits, formats.results[i])
            if layer.activation == "LeakyRelu":
                precision["param"] = _fixed(bits, 1)
    return config


def _fixed(bits: int, whole: int) -> str:
    """Rounded to the nearest, and cut off where hls4ml's own formats wrap round."""
    return f"fixed<{bits},{whole},RND,SAT>"


def _cost(layer: Any, bits: int) -> LayerCost:
    inputs, outputs, reuse = (int(layer.attributes[name]) for name in ("n_in", "n_out", "reuse_factor"))
    count = inputs * outputs
    return LayerCost(inputs, outputs, reuse, math.ceil(count / reuse), count * bits)
