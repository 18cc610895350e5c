"""Fixed-point formats that hold what a dense network was seen to compute."""

from __future__ import annotations

__all__ = ["Formats", "formats_of"]

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caloforge.deploy.hls.chains import Dense

_MARGIN = 1.25  # beyond the greatest number of the calibration; what is greater still is cut off there
Array = NDArray[np.float32]


@dataclass(frozen=True)
class Formats:
    """Bits before the point, the sign among them, of everything in a network.

    Attributes:
        given: Of the input.
        weights: Of each layer's weights.
        biases: Of each layer's biases.
        sums: Of each layer before its activation.
        results: Of each layer behind it.
    """

    given: int
    weights: tuple[int, ...]
    biases: tuple[int, ...]
    sums: tuple[int, ...]
    results: tuple[int, ...]


def formats_of(layers: Sequence[Dense], seen: Array) -> Formats:
    """Find the formats by running the network in float on what it sees, `(n, inputs)`.

    hls4ml's default, 6 bits before the point and wrapping round beyond, turns 33 into -31.
    """
    sums, results = [], []
    x = seen
    for layer in layers:
        x = x @ layer.weight + layer.bias
        sums.append(_bits(x))
        x = _activated(layer, x)
        results.append(_bits(x))
    weights = tuple(_bits(layer.weight, 1.0) for layer in layers)
    biases = tuple(_bits(layer.bias, 1.0) for layer in layers)
    return Formats(_bits(seen), weights, biases, tuple(sums), tuple(results))


def _bits(values: Array, margin: float = _MARGIN) -> int:
    largest = float(np.abs(values).max(initial=0.0)) * margin
    return 1 if largest == 0 else int(np.floor(np.log2(largest))) + 2


def _activated(layer: Dense, x: Array) -> Array:
    if layer.activation == "LeakyRelu":
        return np.where(x >= 0, x, np.float32(layer.slope) * x)
    if layer.activation == "Relu":
        return np.maximum(x, 0)
    if layer.activation == "Tanh":
        return np.tanh(x)
    return np.asarray(1 / (1 + np.exp(-x)), np.float32) if layer.activation == "Sigmoid" else x
