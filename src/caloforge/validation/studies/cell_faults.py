"""Faults of single cells that have a name: they vary too little, too much, both, or in a wrong way."""

from __future__ import annotations

__all__ = ["cell_faults"]

from collections.abc import Iterator

import numpy as np

from caloforge.detector import Detector
from caloforge.validation.metrics.distances import Exchanged
from caloforge.validation.study import Finding

_FIGURE = "cell_spread_sorted"
_SIGMAS, _MATTERS = 5.0, 0.03
"""A wrong spread is a fault if it is so many times what chance does, and so large."""

_SHAPE = 0.05
"""Separation power of a cell, in percent, from which 150 such cells together can be told."""


def cell_faults(detector: Detector, found: dict[str, Exchanged]) -> Iterator[Finding]:
    """Name layers whose cells vary too little, or too much; or what else is wrong with single cells.

    Only where spreads are right on average, cells that vary too little here and too much there are named, and
    only where these are right, too, a wrong distribution.

    Args:
        detector: What was hit.
        found: `cell_spread_worst`, `cell_shape`, and the ratios of spreads of each layer as `layer 0`.
    """
    for faults in (_of_layers(detector, found), _mixed(found), _wrong(found)):
        named = list(faults)
        yield from named
        if named:
            return


def _mixed(found: dict[str, Exchanged]) -> Iterator[Finding]:
    worst = found.get("cell_spread_worst")
    if (
        worst is not None
        and _excess(worst)
        and np.sqrt(worst.value**2 - _chance(worst) ** 2) > 100 * _MATTERS
    ):
        measure = worst.measure()
        text = (
            f"At given energy of the layer, one cell in twenty varies at least {measure.value:.1f} % more or "
            f"less than in Geant4; between two samples of Geant4 {measure.floor:.1f} ± "
            f"{measure.floor_error:.1f} %."
        )
        yield Finding("fault", "Single cells vary too little here and too much there", text, _FIGURE)


def _wrong(found: dict[str, Exchanged]) -> Iterator[Finding]:
    shape = found.get("cell_shape")
    if shape is not None and _excess(shape) and shape.value - _chance(shape) > _SHAPE:
        measure = shape.measure()
        text = (
            f"The separation power of a cell's log-share is {measure.value:.2f} ± {measure.error:.2f} %, "
            f"mean of the cells; between two samples of Geant4 {measure.floor:.2f} ± "
            f"{measure.floor_error:.2f} %. Many cells that are each a little off are told together."
        )
        yield Finding("fault", "Single cells have wrong distributions", text, "cell_shape_sorted")


def _chance(found: Exchanged) -> float:
    """Return what exchanges with Geant4 give on average."""
    return float(np.nanmean(found.exchanges[1:]))


def _excess(found: Exchanged) -> bool:
    """Say whether a distance is so much larger than exchanges give that chance cannot be."""
    return bool(found.value - _chance(found) > _SIGMAS * np.nanstd(found.exchanges[1:]))


def _of_layers(detector: Detector, found: dict[str, Exchanged]) -> Iterator[Finding]:
    layers = {key: f for key, f in found.items() if key.startswith("layer ")}
    for word, sign in (("little", -1.0), ("much", 1.0)):
        clear = {key: sign * _clear(f) for key, f in layers.items() if sign * _clear(f) > 0}
        if not clear:
            continue
        key = max(clear, key=lambda k: clear[k])
        number, measure = int(key.split()[1]), found[key].measure()
        name = detector.layers[number].name.replace("_", " ")
        text = (
            f"At given energy of {name}, the logarithm of a cell's share varies {measure.value:.3f} ± "
            f"{measure.error:.3f} times as much as in Geant4, geometric mean of its cells; between two "
            f"samples of Geant4 {measure.floor:.3f} ± {measure.floor_error:.3f}. So it is in {len(clear)} of "
            f"{len(layers)} layers."
        )
        yield Finding("fault", f"Single cells vary too {word}", text, _FIGURE)


def _clear(found: Exchanged) -> float:
    """Return by how many scatters a layer's ratio of spreads is off, 0 if that is chance or little."""
    known = found.exchanges[1:][np.isfinite(found.exchanges[1:])]
    off, scatter = found.value - 1, float(known.std()) if len(known) else np.inf
    return off / scatter if abs(off) > max(_SIGMAS * scatter, _MATTERS) else 0.0
