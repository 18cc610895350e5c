"""Faults of single cells that have a name: they vary too little, too much, or both."""

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


def cell_faults(detector: Detector, found: dict[str, Exchanged]) -> Iterator[Finding]:
    """Name layers whose cells vary too little, or too much; or cells that do one here and the other there.

    Args:
        detector: What was hit.
        found: `cell_spread_worst`, and the ratios of spreads of each layer as `layer 0`.
    """
    of_layers = list(_of_layers(detector, found))
    yield from of_layers
    if not of_layers and "cell_spread_worst" in found and _mixed(found["cell_spread_worst"]):
        measure = found["cell_spread_worst"].measure()
        text = (
            f"At given energy of the layer, one cell in twenty varies at least {measure.value:.1f} % more or "
            f"less than in Geant4; between two samples of Geant4 {measure.floor:.1f} ± "
            f"{measure.floor_error:.1f} %."
        )
        yield Finding("fault", "Single cells vary too little here and too much there", text, _FIGURE)


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


def _mixed(found: Exchanged) -> bool:
    """Say whether the cells' spreads are off, though on average they may be right."""
    chance, scatter = found.exchanges[1:].mean(), found.exchanges[1:].std()
    excess = np.sqrt(max(found.value**2 - chance**2, 0.0)) / 100
    return bool(found.value - chance > _SIGMAS * scatter and excess > _MATTERS)


def _clear(found: Exchanged) -> float:
    """Return by how many scatters a layer's ratio of spreads is off, 0 if that is chance or little."""
    known = found.exchanges[1:][np.isfinite(found.exchanges[1:])]
    off, scatter = found.value - 1, float(known.std()) if len(known) else np.inf
    return off / scatter if abs(off) > max(_SIGMAS * scatter, _MATTERS) else 0.0
