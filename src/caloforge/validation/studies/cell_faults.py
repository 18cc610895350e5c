"""Faults of single cells that have a name: they vary too little, too much, both, or in a wrong way."""

from __future__ import annotations

__all__ = ["cell_faults", "cell_tests"]

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from caloforge.detector import Detector
from caloforge.validation.metrics.distances import Exchanged
from caloforge.validation.metrics.exchange import clear
from caloforge.validation.study import Finding

Array = NDArray[np.float64]
_FIGURE = "cell_spread_sorted"
_MATTERS = 0.03
"""A wrong spread is a fault if it is more than chance, and so large."""

_SHAPE = 0.05
"""Separation power of a cell, in percent, from which 150 such cells together can be told."""


_LAYER = "layer "
_CELLS = "cell_spread_worst", "cell_shape"


def cell_tests(found: dict[str, Exchanged]) -> int:
    """Return how many tests `cell_faults` makes: one of each layer, and two of all cells together."""
    return sum(key.startswith(_LAYER) or key in _CELLS for key in found)


def cell_faults(detector: Detector, found: dict[str, Exchanged], tests: int) -> Iterator[Finding]:
    """Name layers whose cells vary too little, or too much; or what else is wrong with single cells.

    Only where spreads are right on average, cells that vary too little here and too much there are named, and
    only where these are right, too, a wrong distribution.

    Args:
        detector: What was hit.
        found: `cell_spread_worst`, `cell_shape`, and the ratios of spreads of each layer as `layer 0`.
        tests: How many faults are looked for in all, these among them.
    """
    for faults in (_of_layers(detector, found, tests), _mixed(found, tests), _wrong(found, tests)):
        named = list(faults)
        yield from named
        if named:
            return


def _mixed(found: dict[str, Exchanged], tests: int) -> Iterator[Finding]:
    worst = found.get("cell_spread_worst")
    if (
        worst is not None
        and _excess(worst, tests)
        and np.sqrt(worst.value**2 - _chance(worst) ** 2) > 100 * _MATTERS
    ):
        measure = worst.measure()
        text = (
            f"At given energy of the layer, one cell in twenty varies at least {measure.value:.1f} % more or "
            f"less than in Geant4; between two samples of Geant4 {measure.floor:.1f} ± "
            f"{measure.floor_error:.1f} %."
        )
        yield Finding("fault", "Single cells vary too little here and too much there", text, _FIGURE)


def _wrong(found: dict[str, Exchanged], tests: int) -> Iterator[Finding]:
    shape = found.get("cell_shape")
    if shape is not None and _excess(shape, tests) and shape.value - _chance(shape) > _SHAPE:
        measure = shape.measure()
        text = (
            f"The separation power of a cell's log-share is {measure.value:.2f} ± {measure.error:.2f} %, "
            f"mean of the cells; between two samples of Geant4 {measure.floor:.2f} ± "
            f"{measure.floor_error:.2f} %. Many cells that are each a little off can be told together."
        )
        yield Finding("fault", "Single cells have wrong distributions", text, "cell_shape_sorted")


def _chance(found: Exchanged) -> float:
    """Return what exchanges with Geant4 give on average."""
    return float(np.nanmean(found.exchanges[1:]))


def _excess(found: Exchanged, tests: int) -> bool:
    """Say whether a distance is so much larger than exchanges give that chance cannot be."""
    # cube roots of what is made of squares are all but normal (Wilson and Hilferty)
    sigmas = _sigmas(np.cbrt(found.exchanges), np.cbrt(found.draws))
    return bool(sigmas > 0 and clear(sigmas, tests))


def _sigmas(exchanges: Array, draws: Array) -> float:
    """Return how far the samples as they are lie from the mean of the exchanges, 0 if unknown.

    The unit is the scatter of the exchanges, or of the bootstraps where that is larger. In units of exchanges
    alone, figures of all cells lay beyond five in 2 of 160 comparisons of Geant4 with itself.
    """
    chance, own = (values[np.isfinite(values)] for values in (exchanges[1:], draws))
    scatter = max((float(values.std()) for values in (chance, own) if len(values)), default=0.0)
    return float(exchanges[0] - chance.mean()) / scatter if scatter > 0 and len(chance) else 0.0


def _of_layers(detector: Detector, found: dict[str, Exchanged], tests: int) -> Iterator[Finding]:
    layers = {key: f for key, f in found.items() if key.startswith(_LAYER)}
    for word, sign in (("little", -1.0), ("much", 1.0)):
        off = {key: abs(s) for key, f in layers.items() if sign * (s := _apart(f, tests)) > 0}
        if not off:
            continue
        key = max(off, key=lambda k: off[k])
        number, measure = int(key.split()[1]), found[key].measure()
        name = detector.layers[number].name.replace("_", " ")
        text = (
            f"At given energy of {name}, the logarithm of a cell's share varies {measure.value:.3f} ± "
            f"{measure.error:.3f} times as much as in Geant4, geometric mean of its cells; between two "
            f"samples of Geant4 {measure.floor:.3f} ± {measure.floor_error:.3f}. So it is in {len(off)} of "
            f"{len(layers)} layers."
        )
        yield Finding("fault", f"Single cells vary too {word}", text, _FIGURE)


def _apart(found: Exchanged, tests: int) -> float:
    """Return by how many scatters a layer's ratio of spreads is off, 0 if that is chance or little."""
    sigmas = _sigmas(np.log(found.exchanges), np.log(found.draws))
    return sigmas if abs(found.value - 1) > _MATTERS and clear(sigmas, tests) else 0.0
