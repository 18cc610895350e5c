"""Which observables a detector has: decided by its layers and grids alone."""

from __future__ import annotations

__all__ = ["observables_for"]

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from caloforge.detector import Detector, Layer
from caloforge.observables import cells, energy, lateral, longitudinal
from caloforge.observables.observable import Observable
from caloforge.observables.shapes import AXES, Shapes, has_axis

Array = NDArray[np.float64]
THEMES = ("energy", "longitudinal", "lateral", "cells")


@dataclass(frozen=True)
class _Whole:
    """An observable of the whole shower and the detectors that have it."""

    name: str
    label: str
    unit: str
    theme: str
    compute: Callable[[Shapes], Array]
    needs: Callable[[Detector], bool]
    integer: bool = False


@dataclass(frozen=True)
class _Each:
    """An observable of one layer and the layers that have it."""

    quantity: str
    label: str
    unit: str
    theme: str
    compute: Callable[[Shapes, int], Array]
    needs: Callable[[Detector, Layer], bool]


def observables_for(detector: Detector) -> tuple[Observable, ...]:
    """Return the observables that this detector's geometry allows, in the order of the report.

    A width along x needs more than one cell in x; a depth needs more than one layer; rings have a radius.

    Args:
        detector: Any detector.

    Returns:
        Observables with unique names, sorted by theme.

    Example:
        >>> from caloforge.detector import load_detector
        >>> [o.name for o in observables_for(load_detector("calogan")) if o.layer is None]
        ['total_energy', 'response', 'shower_depth', 'shower_depth_width', 'depth', 'depth_width', 'hits']
    """
    found = [*_whole(detector), *_each(detector)]
    return tuple(sorted(found, key=lambda observable: THEMES.index(observable.theme)))


def _always(_: Detector) -> bool:
    return True


def _layered(detector: Detector) -> bool:
    return len(detector.layers) > 1


def _uneven(detector: Detector) -> bool:
    # with equal layers the depth in mm is the one in layers with another unit
    thickness = np.array([layer.thickness for layer in detector.layers])
    return not np.allclose(thickness, thickness[0])


def _fine(detector: Detector) -> bool:
    return len(detector.layers) > 3


_WHOLE = (
    _Whole("total_energy", "Total energy $E_{tot}$", "MeV", "energy", energy.total_energy, _always),
    _Whole("response", "Response $E_{tot}/E_{inc}$", "", "energy", energy.response, _always),
    _Whole(
        "shower_depth", "Shower depth $s_d$", "layers", "longitudinal", longitudinal.shower_depth, _layered
    ),
    _Whole(
        "shower_depth_width",
        r"Shower depth width $\sigma_{s_d}$",
        "layers",
        "longitudinal",
        longitudinal.shower_depth_width,
        _layered,
    ),
    _Whole("depth", r"Mean depth $\langle z\rangle$", "mm", "longitudinal", longitudinal.depth, _uneven),
    _Whole("depth_width", r"Depth width $\sigma_z$", "mm", "longitudinal", longitudinal.depth_width, _uneven),
    _Whole(
        "shower_maximum",
        "Layer of the shower maximum",
        "",
        "longitudinal",
        longitudinal.shower_maximum,
        _fine,
        integer=True,
    ),
    _Whole("hits", "Cells hit", "cells", "cells", cells.hits, _always, integer=True),
)


def _in_layers(detector: Detector, _: Layer) -> bool:
    return _layered(detector)


def _many_cells(_: Detector, layer: Layer) -> bool:
    return layer.n_cells > 1


def _along(axis: str) -> Callable[[Detector, Layer], bool]:
    return lambda _, layer: has_axis(layer, axis)


def _centroid(axis: str, shapes: Shapes, layer: int) -> Array:
    return lateral.centroid(shapes, axis, layer)


def _width(axis: str, shapes: Shapes, layer: int) -> Array:
    return lateral.width(shapes, axis, layer)


def _each_axis(name: str, label: str, compute: Callable[[str, Shapes, int], Array]) -> tuple[_Each, ...]:
    return tuple(
        _Each(f"{name}_{a}", label.replace("AXIS", a), "mm", "lateral", partial(compute, a), _along(a))
        for a in AXES
    )


_EACH = (
    _Each("layer_energy", "Energy", "MeV", "energy", energy.layer_energy, _in_layers),
    _Each("layer_fraction", "Energy fraction", "", "energy", energy.layer_fraction, _in_layers),
    *_each_axis("centroid", r"Centroid $\langle AXIS\rangle$", _centroid),
    *_each_axis("width", r"Width $\sigma_AXIS$", _width),
    _Each("brightest", "Brightest cell / layer energy", "", "cells", cells.brightest, _many_cells),
    _Each("energy_ratio", "$(E_1-E_2)/(E_1+E_2)$", "", "cells", cells.energy_ratio, _many_cells),
    _Each("sparsity", "Sparsity", "", "cells", cells.sparsity, _many_cells),
)


def _whole(detector: Detector) -> Iterator[Observable]:
    for spec in _WHOLE:
        if spec.needs(detector):
            yield Observable(
                spec.name, spec.label, spec.unit, spec.theme, spec.compute, spec.name, integer=spec.integer
            )


def _each(detector: Detector) -> Iterator[Observable]:
    for spec in _EACH:
        for layer in detector.layers:
            if spec.needs(detector, layer):
                yield _of_layer(spec, layer)


def _of_layer(spec: _Each, layer: Layer) -> Observable:
    def compute(shapes: Shapes) -> Array:
        return spec.compute(shapes, layer.index)

    name, label = f"{spec.quantity}_{layer.index}", f"{spec.label}, {layer.name.replace('_', ' ')}"
    return Observable(name, label, spec.unit, spec.theme, compute, spec.quantity, layer.index)
