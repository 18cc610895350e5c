"""Train classifiers of two samples again and again, and measure how well they tell one from the other."""

from __future__ import annotations

__all__ = ["FEWEST", "Separation", "Trained", "separate"]

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import roc_auc_score

from caloforge.validation.classifiers.learning import History

Array = NDArray[np.float64]
Rows = NDArray[np.int64]

FEWEST = 50
"""Showers of each kind without which nothing is trained."""

_FOLDS = 5
_CERTAIN = 1e-6


@dataclass(frozen=True)
class Trained:
    """A classifier that was trained, and what it says of showers that it has not seen.

    Attributes:
        select: Probability of being Geant4 of the showers that chose the epoch, for the calibration; None if
            these were learned from: then what the other trainings say of their tests calibrates.
        test: The same of the showers of the test.
        history: What happened in the training; None for trees.
        lost: Measures the AUC that is lost if an input is shuffled, shape `(inputs,)`, or None.
    """

    select: Array | None
    test: Array
    history: History | None = None
    lost: Callable[[], Array] | None = None


Train = Callable[[int, Rows, Rows, Rows, Callable[[float], None]], Trained]
"""Trains with a seed, on some showers, choosing by others, and applies to the last; tells its progress."""


@dataclass(frozen=True)
class Separation:
    """How well classifiers tell a sample from Geant4.

    Attributes:
        auc: Area under the ROC curve of each training, shape `(trainings,)`.
        jsd: Jensen-Shannon divergence of each, `1 - BCE / ln 2` of calibrated probabilities: a lower bound.
        auc_error: Standard error of the mean AUC.
        jsd_error: Standard error of the mean divergence.
        tested: Row of each tested shower, all trainings.
        truth: Whether it is Geant4's.
        probability: What the classifier said: probability of being Geant4.
        calibrated: The same after calibration.
        training: Training of each tested shower.
        histories: What happened in the trainings; empty for trees.
        lost: AUC lost for each input and training, shape `(trainings, inputs)`; None without trees, and where
            the showers were thinned.
    """

    auc: Array
    jsd: Array
    auc_error: float
    jsd_error: float
    tested: Rows
    truth: NDArray[np.bool_]
    probability: Array
    calibrated: Array
    training: Rows
    histories: tuple[History, ...] = ()
    lost: Array | None = None


def separate(
    showers: int,
    train: Train,
    trainings: int,
    seed: int,
    tell: Callable[[float], None],
    thinned: int = 1,
) -> Separation:
    """Train classifiers of rows `0 .. showers - 1`, Geant4's, against the next as many.

    Each training has its own 60 % to learn from, 20 % to choose the epoch and calibrate, and 20 % for the
    test. Five in a row test each shower once.

    Args:
        showers: Showers of each kind.
        train: Trains one classifier.
        trainings: How many, 2 or more: their scatter is part of the error.
        seed: Seed of splits and trainings.
        tell: Called with the share that is done.
        thinned: Learn and choose with one in so many showers; the test is that of all.
    """
    truth = np.arange(2 * showers) < showers
    results, rows, selected = [], [], []
    for number, (learn, select, test) in enumerate(_splits(showers, trainings, seed)):
        share = _shares(tell, number, trainings)
        learn, select = (_thin(part, thinned) for part in (learn, select))
        result = train(seed + number, learn, select, test, share)
        results.append(result)
        rows.append(test)
        selected.append(select)
    calibrated = [_calibrated(number, results, selected, rows, truth) for number in range(trainings)]
    return _separation(results, rows, calibrated, truth, thinned == 1)


def _shares(tell: Callable[[float], None], number: int, trainings: int) -> Callable[[float], None]:
    return lambda share: tell((number + share) / trainings)


def _splits(showers: int, trainings: int, seed: int) -> Iterator[tuple[Rows, Rows, Rows]]:
    """Yield rows to learn from, to choose by and to test, each with as many of either kind."""
    for number in range(trainings):
        rng = np.random.default_rng([seed, 4, number // _FOLDS])
        folds = np.stack([rng.permutation(np.arange(showers) % _FOLDS) for _ in range(2)]).ravel()
        place = (folds - number) % _FOLDS
        yield tuple(np.flatnonzero(part) for part in (place > 1, place == 1, place == 0))  # type: ignore[misc]


def _thin(rows: Rows, step: int) -> Rows:
    """Keep one row in so many, of either kind as many; the first half is Geant4's."""
    return rows.reshape(2, -1)[:, ::step].ravel()


def _calibrated(
    number: int, results: list[Trained], selected: list[Rows], rows: list[Rows], truth: NDArray[np.bool_]
) -> Array:
    """Turn what a training says of its test into probabilities, by showers that are not in the test."""
    mine = results[number]
    if mine.select is not None:
        return _calibrate(mine.select, truth[selected[number]], mine.test)
    known = np.concatenate([r.test for i, r in enumerate(results) if i != number])
    tested = np.concatenate([row for i, row in enumerate(rows) if i != number])
    others = ~np.isin(tested, rows[number])
    return _calibrate(known[others], truth[tested[others]], mine.test)


def _calibrate(known: Array, truth: NDArray[np.bool_], scores: Array) -> Array:
    isotonic = IsotonicRegression(out_of_bounds="clip", y_min=_CERTAIN, y_max=1 - _CERTAIN)
    return np.asarray(isotonic.fit(known, truth).predict(scores), np.float64)


def _separation(
    results: list[Trained],
    rows: list[Rows],
    calibrated: list[Array],
    truth: NDArray[np.bool_],
    worth: bool,
) -> Separation:
    auc = np.array([roc_auc_score(truth[r], t.test) for r, t in zip(rows, results, strict=True)])
    surprise = [_surprise(c, truth[r]) for r, c in zip(rows, calibrated, strict=True)]
    jsd = np.array([1 - s.mean() / math.log(2) for s in surprise])
    tested = np.concatenate(rows)
    independent = len(np.unique(tested))
    noise = float(np.concatenate(surprise).std() / math.log(2) / math.sqrt(independent))
    histories = tuple(t.history for t in results if t.history is not None)
    lost = [t.lost() for t in results if worth and t.lost is not None]
    return Separation(
        auc=auc,
        jsd=jsd,
        auc_error=max(_scatter(auc), hanley_mcneil(float(auc.mean()), independent // 2)),
        jsd_error=max(_scatter(jsd), noise),
        tested=tested,
        truth=truth[tested],
        probability=np.concatenate([t.test for t in results]),
        calibrated=np.concatenate(calibrated),
        training=np.repeat(np.arange(len(rows)), [len(r) for r in rows]),
        histories=histories,
        lost=np.stack(lost) if lost else None,
    )


def _surprise(probability: Array, truth: NDArray[np.bool_]) -> Array:
    """Return minus the logarithm of the probability of what is true."""
    return np.asarray(-np.log(np.where(truth, probability, 1 - probability)))


def _scatter(values: Array) -> float:
    return float(values.std(ddof=1) / math.sqrt(len(values)))


def hanley_mcneil(auc: float, showers: int) -> float:
    """Return the standard error of an AUC from `showers` of each kind (Radiology 143 (1982) 29).

    Args:
        auc: The area; below 0.5 it counts as 0.5.
        showers: Showers of each kind.

    Returns:
        At least one over the showers, so that a perfect classifier has an error too.
    """
    a = min(max(auc, 0.5), 1.0)
    first, second = a / (2 - a), 2 * a**2 / (1 + a)
    variance = (a * (1 - a) + (showers - 1) * (first + second - 2 * a**2)) / showers**2
    return max(math.sqrt(max(variance, 0.0)), 1 / showers)
