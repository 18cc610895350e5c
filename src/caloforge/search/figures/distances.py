"""How far showers are from Geant4's of the same incident particles, in numbers quick enough for a search."""

from __future__ import annotations

__all__ = ["mean_deviation", "physics_distance", "separation"]

import numpy as np
from numpy.typing import NDArray

from caloforge.errors import SearchError
from caloforge.observables import calochallenge_features, evaluate, high_level_features, observables_for
from caloforge.showers import Showers

_FOLDS = 5
_FEWEST = 50


def separation(geant4: Showers, made: Showers, seed: int) -> float:
    """Return how well boosted trees tell showers from Geant4's: the AUC, folded to 0.5 or more.

    The trees are those of the number `auc_trees` of `validate`, on its high-level observables. Each shower is
    judged once by trees that have seen neither it nor its twin of the same incident particle: they would
    take the energy for a sign of the other kind. The mean AUC of five such parts is folded,
    `0.5 + |AUC - 0.5|`.

    Args:
        geant4: Geant4's showers.
        made: As many, of the same incident particles in the same order.
        seed: Seed of the parts and the trees.

    Raises:
        SearchError: Fewer than 50 showers.
    """
    from sklearn.metrics import roc_auc_score

    from caloforge.validation.classifiers.families import Trees

    _enough(geant4, "auc")
    n = len(geant4)
    features = np.concatenate([high_level_features(showers) for showers in (geant4, made)])
    part = np.tile(np.random.default_rng([seed, 4]).permutation(np.arange(n) % _FOLDS), 2)
    truth, trees, areas = np.arange(2 * n) < n, Trees(features, together=()), []
    for i in range(_FOLDS):
        learn, test = np.flatnonzero(part != i), np.flatnonzero(part == i)
        found = trees(seed, learn, test, test, lambda _: None)
        areas.append(roc_auc_score(truth[test], found.test))
    return 0.5 + abs(float(np.mean(areas)) - 0.5)


def physics_distance(geant4: Showers, made: Showers) -> float:
    """Return the Frechet physics distance of arXiv:2211.10295 times 1000, at the size of the sample.

    The features are those of `validate`'s `fpd`, which besides draws batches and extrapolates in their size:
    with the 1,000 showers of a search that gives the same number within 11 %, and some noise. What is due to
    the number of showers stays in it, the same for all trials: two samples of Geant4 do not come to 0.

    Args:
        geant4: Geant4's showers.
        made: As many of the same detector.

    Raises:
        SearchError: Fewer than 50 showers.
    """
    from caloforge.validation.metrics.frechet_distance import frechet
    from caloforge.validation.studies.frechet import scale_features

    _enough(geant4, "fpd")
    sets = [np.asarray(calochallenge_features(showers), np.float64) for showers in (geant4, made)]
    one, other = scale_features(sets)
    return 1e3 * frechet(one.mean(axis=0), _covariance(one), other.mean(axis=0), _covariance(other))


def mean_deviation(geant4: Showers, made: Showers) -> float:
    """Return by how much the mean response `E_tot / E_inc` is off, in percent of Geant4's.

    In the bins of incident energy in which `validate` compares it; its `response_worst` is the largest of
    the deviations whose mean this is.

    Args:
        geant4: Geant4's showers.
        made: As many, of the same incident particles.

    Raises:
        SearchError: No bin of energy has ten showers.
    """
    from caloforge.validation.metrics.energy_bins import energy_edges
    from caloforge.validation.metrics.linearity import LEAST

    energy = geant4.incident.energy
    where = np.digitize(energy, energy_edges(energy)) - 1
    showers = np.bincount(where)
    one, other = (np.bincount(where, _response(s)) / np.maximum(showers, 1) for s in (geant4, made))
    known = (showers >= LEAST) & (one > 0)
    if not known.any():
        raise _too_few(len(geant4), "response", f"{LEAST} with energy in a bin of incident energy")
    return 100 * float(np.abs(other[known] / one[known] - 1).mean())


def _response(showers: Showers) -> NDArray[np.float64]:
    wanted = [o for o in observables_for(showers.detector) if o.name == "response"]
    return evaluate(wanted, showers)[:, 0].astype(np.float64)


def _covariance(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.atleast_2d(np.cov(rows, rowvar=False))


def _enough(showers: Showers, figure: str) -> None:
    if len(showers) < _FEWEST:
        raise _too_few(len(showers), figure, str(_FEWEST))


def _too_few(showers: int, figure: str, expected: str) -> SearchError:
    return SearchError(
        f"there are too few showers for the figure {figure}",
        where="the part of the showers that selects",
        got=showers,
        expected=f"at least {expected}",
        cure="give more showers, or a larger part of them: data.select",
    )
