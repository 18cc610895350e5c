"""A classifier and the response in slices of incident energy."""

from __future__ import annotations

__all__ = ["Slice", "energy_slices", "sliced"]

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from caloforge.validation.classifiers.separation import Separation, hanley_mcneil
from caloforge.validation.metrics.energy_bins import equal_shares, fixed_energies

Array = NDArray[np.float64]
_MOST, _PER_SLICE, _FEWEST = 4, 150, 10


@dataclass(frozen=True)
class Slice:
    """How well a classifier tells showers of some incident energies.

    Attributes:
        auc: Mean over the trainings, NaN if there are too few showers.
        error: Its standard error.
        showers: Tested showers of each kind; the fewer of the two.
    """

    auc: float
    error: float
    showers: int


def energy_slices(energy: NDArray[np.floating]) -> Array:
    """Cut the incident energies of Geant4 into up to four slices with as many showers each.

    Args:
        energy: Incident energies, shape `(n,)`, MeV; a few fixed energies are a slice each.

    Returns:
        Edges, increasing; the first and the last are those of the sample.
    """
    fixed = fixed_energies(energy)
    inner = (fixed[1:] + fixed[:-1]) / 2 if len(fixed) else equal_shares(energy, _MOST, _PER_SLICE)
    low, high = float(energy.min()), float(energy.max())
    return np.concatenate([[low], inner, [np.nextafter(high, np.inf)]])


def sliced(found: Separation, energy: NDArray[np.floating], edges: Array) -> tuple[Slice, ...]:
    """Return the AUC in each slice, of classifiers that were trained on all energies.

    Args:
        found: What the classifiers say.
        energy: Incident energies of the rows that they were trained on, Geant4's first, shape `(2 n,)`.
        edges: Of the slices, shape `(slices + 1,)`.
    """
    where = np.digitize(energy[found.tested], edges[1:-1])
    return tuple(_slice(found, where == i) for i in range(len(edges) - 1))


def _slice(found: Separation, mine: NDArray[np.bool_]) -> Slice:
    """Take each training's AUC for itself: scores of two trainings have no common scale."""
    aucs = [_auc(found, mine & (found.training == training)) for training in range(len(found.auc))]
    known = [auc for auc in aucs if auc is not None]
    rows, first = np.unique(found.tested[mine], return_index=True)
    real = int(found.truth[mine][first].sum())
    showers = min(real, len(rows) - real)
    if not known or not showers:
        return Slice(np.nan, np.nan, showers)
    auc = float(np.mean(known))
    scatter = float(np.std(known, ddof=1) / len(known) ** 0.5) if len(known) > 1 else 0.0
    return Slice(auc, max(scatter, hanley_mcneil(auc, showers)), showers)


def _auc(found: Separation, mine: NDArray[np.bool_]) -> float | None:
    truth = found.truth[mine]
    if min(truth.sum(), len(truth) - truth.sum()) < _FEWEST:
        return None
    return float(roc_auc_score(truth, found.probability[mine]))
