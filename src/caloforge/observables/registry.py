"""Which observables a detector has: decided by its layers and grids alone."""

from __future__ import annotations

__all__ = ["observables_for"]

from functools import lru_cache

from caloforge.detector import Detector
from caloforge.observables.layers import of_layers
from caloforge.observables.observable import Observable
from caloforge.observables.whole import of_shower

THEMES = ("energy", "longitudinal", "lateral", "cells")


@lru_cache(maxsize=8)
def observables_for(detector: Detector) -> tuple[Observable, ...]:
    """Return the observables that this detector's geometry allows, in the order of the report.

    A width along x needs more than one cell in x; a depth needs more than one layer; rings have a radius.
    All are described in `docs/observables.md`.

    Args:
        detector: Any detector.

    Returns:
        Observables with unique names, sorted by theme, those of the whole shower first.

    Example:
        >>> from caloforge.detector import load_detector
        >>> [o.name for o in observables_for(load_detector("calogan")) if o.theme == "energy"][:4]
        ['total_energy', 'response', 'layer_energy_0', 'layer_energy_1']
    """
    found = [*of_shower(detector), *of_layers(detector)]
    return tuple(sorted(found, key=lambda observable: THEMES.index(observable.theme)))
