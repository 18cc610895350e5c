"""Can a classifier tell the candidate's showers from Geant4's, by their high-level observables?"""

from __future__ import annotations

__all__ = ["Classifier", "classify"]

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import rankdata
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import roc_auc_score
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from caloforge.validation.distances import Measure

Features = NDArray[np.float32]

FOLDS = 5
LARGEST_SAMPLE = 20_000
"""Showers of each kind that a classifier sees; more would cost minutes on a laptop."""

_FEWEST = 50
_SIGMAS = 4.0


@dataclass(frozen=True)
class Classifier:
    """Area under the ROC curve of one family of classifiers.

    Attributes:
        name: `mlp` or `trees`.
        label: For people.
        recipe: How it is trained, in a sentence.
        auc: Candidate against Geant4 and Geant4 against Geant4, with errors.
        spread: Standard deviation over the retrainings, as published results quote it.
        floor_spread: The same for the floor.
        showers: Showers of each kind.
    """

    name: str
    label: str
    recipe: str
    auc: Measure
    spread: float
    floor_spread: float
    showers: int

    @property
    def excess(self) -> float:
        """Distance of the AUC from its floor in standard errors."""
        return (self.auc.value - self.auc.floor) / float(np.hypot(self.auc.error, self.auc.floor_error))

    @property
    def off(self) -> bool:
        """Whether the classifier sees a difference that is more than chance."""
        return self.excess > _SIGMAS


@dataclass(frozen=True)
class _Family:
    name: str
    label: str
    recipe: str
    build: Callable[[int, int], object]


def _mlp(seed: int, showers: int) -> object:
    return MLPClassifier(
        hidden_layer_sizes=(128, 128, 128),
        batch_size=min(256, showers // 2),
        learning_rate_init=2e-3,
        alpha=0.0,
        max_iter=100,
        early_stopping=True,
        validation_fraction=0.25,
        n_iter_no_change=6,
        random_state=seed,
    )


def _trees(seed: int, showers: int) -> object:
    del showers
    return HistGradientBoostingClassifier(
        max_iter=60,
        learning_rate=0.15,
        max_leaf_nodes=15,
        max_bins=64,
        early_stopping=False,
        random_state=seed,
    )


_FAMILIES = (
    _Family(
        "mlp",
        "Neural network",
        "3 hidden layers of 128 ReLU, Adam at 0.002, batches of 256, inputs as Gaussian ranks; the epoch "
        "with the best accuracy on 20 % of the showers is tested on another 20 %",
        _mlp,
    ),
    _Family(
        "trees",
        "Boosted trees",
        "60 gradient-boosted trees of up to 15 leaves on histograms, learning rate 0.15, tested on 20 % "
        "of the showers",
        _trees,
    ),
)


def classify(
    reference: Features, floor: Features, candidate: Features, seed: int, advance: Callable[[str], None]
) -> list[Classifier]:
    """Train classifiers of Geant4 against candidate, and the same of Geant4 against Geant4.

    Each is trained five times, so that each shower is tested once by a classifier that has not seen it. The
    published recipe (arXiv 2106.05285, App. B: 3 x 512, 100,000 showers of each kind) needs a hundred times
    the showers and hours on a laptop; with thousands of showers a narrower network is as good. Boosted trees
    are beside it because they find more with few showers.

    Args:
        reference: Features of Geant4's showers, shape `(n, k)`.
        floor: Features of as many independent Geant4 showers.
        candidate: Features of as many showers of the candidate.
        seed: Seed of folds and trainings.
        advance: Called after each training with a note.

    Returns:
        One result per family; none if there are fewer than 50 showers of each kind.
    """
    showers = min(len(reference), LARGEST_SAMPLE)
    if showers < _FEWEST:
        return []
    samples = [sample[:showers] for sample in (reference, floor, candidate)]
    results = []
    with threadpool_limits(1), warnings.catch_warnings():
        # a network that still learns after 100 epochs is good enough for us
        warnings.simplefilter("ignore", ConvergenceWarning)
        for family in _FAMILIES:
            note = f"classifier: {family.label.lower()}"
            found = _train(family, samples[0], samples[2], seed, advance, note)
            chance = _train(family, samples[0], samples[1], seed, advance, note + ", floor")
            results.append(_result(family, found, chance, showers))
    return results


def gaussian_ranks(features: Features) -> Features:
    """Replace each feature by the quantile of a normal distribution that its rank has.

    Heavy tails (a shower that leaks) would squeeze all else into one point; ranks do not have them. The
    labels take no part, so nothing of the answer leaks into the inputs.

    Args:
        features: Shape `(n, k)`.
    """
    ranks = rankdata(features, axis=0)
    return ndtri((ranks - 0.5) / len(features)).astype(np.float32)


def _train(
    family: _Family, geant4: Features, other: Features, seed: int, advance: Callable[[str], None], note: str
) -> NDArray[np.float64]:
    """Return the AUC of each fold."""
    features = gaussian_ranks(np.concatenate([geant4, other]))
    labels = np.repeat([0, 1], [len(geant4), len(other)])
    rng = np.random.default_rng([seed, 4])
    # balanced folds: every fold holds as many showers of one kind as of the other
    fold = np.concatenate([rng.permutation(np.arange(len(part)) % FOLDS) for part in (geant4, other)])
    scores = []
    for test in range(FOLDS):
        here = fold == test
        model = family.build(seed + test, int((~here).sum()))
        scores.append(_auc(model, features, labels, here))
        advance(note)
    return np.array(scores)


def _auc(model: object, features: Features, labels: NDArray[np.int64], test: NDArray[np.bool_]) -> float:
    order = np.random.default_rng(int(test.sum())).permutation(np.flatnonzero(~test))
    model.fit(features[order], labels[order])  # type: ignore[attr-defined]
    probability = model.predict_proba(features[test])[:, 1]  # type: ignore[attr-defined]
    return float(roc_auc_score(labels[test], probability))


def _result(
    family: _Family, found: NDArray[np.float64], chance: NDArray[np.float64], showers: int
) -> Classifier:
    auc = Measure(float(found.mean()), _error(found, showers), float(chance.mean()), _error(chance, showers))
    recipe = f"{family.recipe}; {FOLDS} trainings"
    return Classifier(
        family.name, family.label, recipe, auc, float(found.std(ddof=1)), float(chance.std(ddof=1)), showers
    )


def _error(scores: NDArray[np.float64], showers: int) -> float:
    """Return the error of the mean AUC: scatter of the folds, at least Hanley and McNeil's formula."""
    auc = float(np.clip(scores.mean(), 0.5, 1.0))
    first, second = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = (auc * (1 - auc) + (showers - 1) * (first + second - 2 * auc**2)) / showers**2
    scatter = scores.std(ddof=1) / np.sqrt(len(scores))
    return float(max(scatter, np.sqrt(variance), 1 / showers))
