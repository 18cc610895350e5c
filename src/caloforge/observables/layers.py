"""The observables of one layer, and which layers have them."""

from __future__ import annotations

__all__ = ["of_layers"]

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caloforge.detector import Detector, Layer
from caloforge.observables import cells, energy, lateral
from caloforge.observables.geometry import AXES, has_axis
from caloforge.observables.observable import Observable
from caloforge.observables.shapes import BRIGHTEST

Array = NDArray[np.float64]

_FEW_LAYERS = 8
"""Detectors with no more layers have all observables in each; elsewhere that would double their number."""

_RANKS = ("", "second_", "third_", "fourth_", "fifth_")[:BRIGHTEST]


@dataclass(frozen=True)
class _Each:
    """An observable of one layer and the layers that have it."""

    quantity: str
    label: str
    unit: str
    theme: str
    compute: Callable[..., Array]
    needs: Callable[[Detector, Layer], bool]
    integer: bool = False


def of_layers(detector: Detector) -> Iterator[Observable]:
    """Yield the observables of single layers that this detector has, quantity by quantity."""
    for spec in _EACH:
        for layer in detector.layers:
            if spec.needs(detector, layer):
                yield _of_layer(spec, layer)


def _of_layer(spec: _Each, layer: Layer) -> Observable:
    name, label = f"{spec.quantity}_{layer.index}", f"{spec.label}, {layer.name.replace('_', ' ')}"
    compute = partial(spec.compute, layer=layer.index)
    given = (name, label, spec.unit, spec.theme, compute, spec.quantity, layer.index)
    return Observable(*given, integer=spec.integer)


def _in_layers(detector: Detector, _: Layer) -> bool:
    return detector.n_layers > 1


def _many_cells(_: Detector, layer: Layer) -> bool:
    return layer.n_cells > 1


def _counted(detector: Detector, layer: Layer) -> bool:
    return _in_layers(detector, layer) and _many_cells(detector, layer)


def _along(axis: str) -> Callable[[Detector, Layer], bool]:
    return lambda _, layer: has_axis(layer, axis)


def _finely_along(axis: str) -> Callable[[Detector, Layer], bool]:
    return lambda detector, layer: detector.n_layers <= _FEW_LAYERS and has_axis(layer, axis)


def _ranked(rank: int) -> Callable[[Detector, Layer], bool]:
    # of n cells the last share is what the others leave
    return lambda detector, layer: (
        layer.n_cells > rank + 1 and (rank == 0 or detector.n_layers <= _FEW_LAYERS)
    )


def _each_axis(
    quantity: str, label: str, unit: str, compute: Callable[..., Array], needs: Callable[[str], Any]
) -> tuple[_Each, ...]:
    return tuple(
        _Each(
            *(f"{quantity}_{axis}", label.replace("AXIS", axis), unit, "lateral"),
            *(partial(compute, axis=axis), needs(axis)),
        )
        for axis in AXES
    )


def _brightest(rank: int) -> _Each:
    label = f"{_RANKS[rank].replace('_', ' ')}brightest cell / layer energy".capitalize()
    compute = partial(cells.brightest, rank=rank)
    return _Each(f"{_RANKS[rank]}brightest", label, "", "cells", compute, _ranked(rank))


_EACH = (
    _Each("layer_energy", "Energy", "MeV", "energy", energy.layer_energy, _in_layers),
    _Each("layer_fraction", "Energy fraction", "", "energy", energy.layer_fraction, _in_layers),
    _Each("layer_response", "Energy / incident energy", "", "energy", energy.layer_response, _in_layers),
    *_each_axis("centroid", r"Centroid $\langle AXIS\rangle$", "mm", lateral.centroid, _along),
    *_each_axis("width", r"Width $\sigma_AXIS$", "mm", lateral.width, _along),
    *_each_axis("skewness", "Skewness along $AXIS$", "", lateral.skewness, _finely_along),
    *(_brightest(rank) for rank in range(BRIGHTEST)),
    _Each("energy_ratio", "$(E_1-E_2)/(E_1+E_2)$", "", "cells", cells.energy_ratio, _many_cells),
    _Each("layer_hits", "Cells hit", "cells", "cells", cells.layer_hits, _counted, integer=True),
    _Each("sparsity", "Sparsity", "", "cells", cells.sparsity, _many_cells),
)
