"""The observables of the whole shower, and which detectors have them."""

from __future__ import annotations

__all__ = ["of_shower"]

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from caloforge.detector import CartesianGrid, Detector
from caloforge.observables import cells, energy, lateral, longitudinal
from caloforge.observables.geometry import AXES, resolves
from caloforge.observables.observable import Observable
from caloforge.observables.shapes import Shapes

Array = NDArray[np.float64]


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


def of_shower(detector: Detector) -> Iterator[Observable]:
    """Yield the observables of the whole shower that this detector has."""
    for spec in _WHOLE:
        if spec.needs(detector):
            given = (spec.name, spec.label, spec.unit, spec.theme, spec.compute, spec.name)
            yield Observable(*given, integer=spec.integer)


def _always(_: Detector) -> bool:
    return True


def _layers(detector: Detector, count: int) -> bool:
    return detector.n_layers >= count


def _layered(detector: Detector) -> bool:
    return _layers(detector, 2)


def _fine(detector: Detector) -> bool:
    return _layers(detector, 4)


def _thirds(detector: Detector) -> bool:
    return _layers(detector, 6)


def _uneven(detector: Detector) -> bool:
    # with equal layers the depth in mm is the one in layers with another unit
    thickness = np.array([layer.thickness for layer in detector.layers])
    return not np.allclose(thickness, thickness[0])


def _somewhere(axis: str) -> Callable[[Detector], bool]:
    return lambda detector: any(resolves(layer, axis) for layer in detector.layers)


def _resolves(detector: Detector, axes: str) -> bool:
    return all(resolves(layer, axis) for layer in detector.layers for axis in axes)


def _plane(detector: Detector) -> bool:
    return _resolves(detector, "xy")


def _radial(detector: Detector) -> bool:
    return _resolves(detector, "r")


def _pointing(detector: Detector) -> bool:
    # in the particle's frame every direction is 0, and without thicknesses there is no length to divide by
    return (
        detector.readout.frame == "detector"
        and not detector.depth_is_nominal
        and _fine(detector)
        and _plane(detector)
    )


def _towers(detector: Detector) -> bool:
    found = {layer.grid for layer in detector.layers}
    grid = found.pop()
    return not found and isinstance(grid, CartesianGrid) and min(grid.cells) > 3


def _above(energy_mev: float) -> Callable[[Detector], bool]:
    # below the detector's own threshold there is nothing more to count
    return lambda detector: energy_mev > (detector.readout.threshold or 0.0)


def _hits_above(name: str, label: str, energy_mev: float) -> _Whole:
    compute = partial(cells.hits_above, energy=energy_mev)
    text = f"Cells with at least {label}"
    return _Whole(f"hits_above_{name}", text, "cells", "cells", compute, _above(energy_mev), integer=True)


def _third(name: str, part: int) -> _Whole:
    compute = partial(longitudinal.third_fraction, part=part)
    label = f"Energy fraction, {name} third"
    return _Whole(f"{name}_fraction", label, "", "longitudinal", compute, _thirds)


def _along(axis: str) -> Iterator[_Whole]:
    needs = _somewhere(axis)
    for quantity, label, unit, compute in (
        ("centroid", rf"Shower centroid $\langle {axis}\rangle$", "mm", lateral.shower_centroid),
        ("width", rf"Shower width $\sigma_{axis}$", "mm", lateral.shower_width),
        ("skewness", f"Shower skewness along ${axis}$", "", lateral.shower_skewness),
    ):
        yield _Whole(f"shower_{quantity}_{axis}", label, unit, "lateral", partial(compute, axis=axis), needs)


def _hottest_at(axis: str) -> _Whole:
    compute = partial(cells.hottest_position, axis=axis)
    return _Whole(f"hottest_{axis}", f"Hottest cell, ${axis}$", "mm", "cells", compute, _plane)


_ENERGY = (
    _Whole("total_energy", "Total energy $E_{tot}$", "MeV", "energy", energy.total_energy, _always),
    _Whole("response", "Response $E_{tot}/E_{inc}$", "", "energy", energy.response, _always),
)

_DEEP = tuple(
    _Whole(name, label, unit, "longitudinal", compute, needs, integer)
    for name, label, unit, compute, needs, integer in (
        ("lateral_depth", "Lateral depth $l_d$", "MeV", longitudinal.lateral_depth, _layered, False),
        ("shower_depth", "Shower depth $s_d$", "layers", longitudinal.shower_depth, _layered, False),
        (
            *("shower_depth_width", r"Shower depth width $\sigma_{s_d}$", "layers"),
            *(longitudinal.shower_depth_width, _layered, False),
        ),
        ("depth", r"Mean depth $\langle z\rangle$", "mm", longitudinal.depth, _uneven, False),
        ("depth_width", r"Depth width $\sigma_z$", "mm", longitudinal.depth_width, _uneven, False),
        ("depth_skewness", "Skewness along the depth", "", longitudinal.depth_skewness, _layered, False),
        ("shower_start", r"First layer above 1 % of $E_{tot}$", "", longitudinal.shower_start, _fine, True),
        ("shower_maximum", "Layer of the shower maximum", "", longitudinal.shower_maximum, _fine, True),
        ("deepest_layer", "Deepest layer hit", "", longitudinal.deepest_layer, _layered, True),
    )
)

_WIDE = (
    *(spec for axis in AXES for spec in _along(axis)),
    _Whole("r90", "$R_{90}$", "mm", "lateral", partial(lateral.radius_of, share=0.90), _radial),
    _Whole("r95", "$R_{95}$", "mm", "lateral", partial(lateral.radius_of, share=0.95), _radial),
    _Whole("r9", "Energy fraction $R_9$ of 3 x 3 towers", "", "lateral", lateral.tower_share, _towers),
    _Whole(
        "measured_theta",
        "Measured polar angle",
        "rad",
        "lateral",
        lateral.measured_theta,
        _pointing,
    ),
    _Whole("measured_phi", "Measured azimuth", "rad", "lateral", lateral.measured_phi, _pointing),
)

_CELLS = (
    _Whole("hits", "Cells hit", "cells", "cells", cells.hits, _always, integer=True),
    _hits_above("100_kev", "0.1 MeV", 0.1),
    _hits_above("1_mev", "1 MeV", 1.0),
    _hits_above("10_mev", "10 MeV", 10.0),
    _Whole("shower_sparsity", "Sparsity of the shower", "", "cells", cells.shower_sparsity, _always),
    _Whole("hottest_cell", "Energy of the hottest cell", "MeV", "cells", cells.hottest_cell, _always),
    _Whole(
        "hottest_layer", "Layer of the hottest cell", "", "cells", cells.hottest_layer, _fine, integer=True
    ),
    *(_hottest_at(axis) for axis in "xy"),
)

_WHOLE = (
    *_ENERGY,
    *_DEEP,
    *(_third(name, part) for part, name in enumerate(("front", "middle", "back"))),
    *_WIDE,
    *_CELLS,
)
