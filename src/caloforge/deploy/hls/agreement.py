"""How near the showers of a fixed-point network are to the bundle's, and to real ones."""

from __future__ import annotations

__all__ = ["Agreement", "compared"]

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caloforge.observables import high_level_features
from caloforge.showers import Showers

_FOLDS, _ROUNDS = 3, 60
Features = NDArray[np.floating]


@dataclass(frozen=True)
class Agreement:
    """One row of the table.

    Attributes:
        bits: Width of the numbers; None for the bundle itself, 0 for the bundle whose network says nothing.
        response: Mean total energy over the bundle's, minus 1.
        spread: Standard deviation of the total energy over the bundle's, shower by shower.
        hits: Number of cells with energy over the bundle's, minus 1.
        hottest: Standard deviation of the hottest cell's energy over the bundle's.
        auc_low: Area under the ROC curve of trees that see the cells, against the reference.
        auc_high: The same for trees that see high-level observables.
    """

    bits: int | None
    response: float
    spread: float
    hits: float
    hottest: float
    auc_low: float
    auc_high: float

    def words(self) -> dict[str, str]:
        """The row as people read it; the keys are the headings."""
        return {
            "bits": "float32" if self.bits is None else str(self.bits or "without it"),
            "total, mean": f"{100 * self.response:+.4f} %",
            "total, spread": f"{100 * self.spread:.4f} %",
            "cells hit": f"{100 * self.hits:+.3f} %",
            "hottest cell, spread": f"{100 * self.hottest:.3f} %",
            "AUC, cells": f"{self.auc_low:.3f}",
            "AUC, high-level": f"{self.auc_high:.3f}",
        }


def compared(bits: int | None, showers: Showers, own: Showers, reference: Showers) -> Agreement:
    """Compare showers with the bundle's of the same noise, and with others of the same particles.

    Args:
        bits: What they were made with.
        showers: `n` of them.
        own: The bundle's, of the same particles and noise.
        reference: Real ones, or the bundle's of other noise.
    """
    total, mine = own.cells.sum(1, dtype=np.float64), showers.cells.sum(1, dtype=np.float64)
    some = total > 0
    ratio = mine[some] / total[some]
    hottest = showers.cells.max(1)[some] / own.cells.max(1)[some]
    return Agreement(
        bits=bits,
        response=float(mine.sum() / total.sum() - 1),
        spread=float(ratio.std()),
        hits=float((showers.cells > 0).sum() / (own.cells > 0).sum() - 1),
        hottest=float(hottest.std()),
        auc_low=_auc(*(np.log1p(1e3 * sample.cells) for sample in (showers, reference))),
        auc_high=_auc(*(high_level_features(sample) for sample in (showers, reference))),
    )


def _auc(first: Features, second: Features) -> float:
    """What boosted trees make of two samples, each shower judged by trees that have not seen it."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from threadpoolctl import threadpool_limits

    features = np.concatenate([first, second])
    truth = np.arange(len(features)) < len(first)
    trees = HistGradientBoostingClassifier(max_iter=_ROUNDS, max_leaf_nodes=15, max_bins=64, random_state=1)
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=1)
    with threadpool_limits(1, user_api="openmp"):  # many threads that wait take longer than one that works
        scores = cross_val_predict(trees, features, truth, cv=folds, method="decision_function")
    return float(roc_auc_score(truth, scores))
