"""How an AUC grows with the number of showers that a classifier learns from."""

from __future__ import annotations

__all__ = ["PARTS", "Grown", "grow"]

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import ttest_1samp

from caloforge.validation.classifiers.separation import FEWEST, Separation, Train, separate

PARTS = (8, 4, 2, 1)
"""An eighth, a quarter, a half and all of the showers."""

_CHANCE = 0.01


@dataclass(frozen=True)
class Grown:
    """Classifiers that learned from more and more showers, all tested on the same.

    Attributes:
        showers: Of each kind: 60 % of these train, 20 % choose the epoch and calibrate; increasing.
        found: What the classifiers of each size say, shape `(sizes,)`.
    """

    showers: tuple[int, ...]
    found: tuple[Separation, ...]

    @property
    def all(self) -> Separation:
        """What those say that learned from all."""
        return self.found[-1]

    @property
    def auc(self) -> tuple[tuple[float, float], ...]:
        """Mean AUC of each size and its standard error."""
        return tuple((float(f.auc.mean()), f.auc_error) for f in self.found)

    @property
    def rising(self) -> bool:
        """Whether twice the showers brought more than chance, by the pairs of trainings with one test."""
        if len(self.found) < 2:
            return False
        gain = self.found[-1].auc - self.found[-2].auc
        # trainings without any scatter are those of perfect classifiers, and gain nothing
        return bool(np.ptp(gain) > 0 and ttest_1samp(gain, 0, alternative="greater").pvalue < _CHANCE)


def grow(
    showers: int,
    train: Train,
    trainings: int,
    seed: int,
    tell: Callable[[float], None],
    parts: tuple[int, ...] = PARTS,
) -> Grown:
    """Train classifiers with parts of the showers, see `separate`; parts of too few are left out.

    The test is the same for all sizes, so that what they gain is known better than each of them.

    Args:
        showers: Showers of each kind.
        train: Trains one classifier.
        trainings: How many of each size, 2 or more.
        seed: Seed of splits and trainings.
        tell: Called with the share that is done.
        parts: One shower in so many, decreasing to 1.
    """
    parts = tuple(part for part in parts if showers // part >= FEWEST or part == 1)
    found, done, total = [], 0.0, sum(1 / part for part in parts)
    for part in parts:
        found.append(separate(showers, train, trainings, seed, _share(tell, done, 1 / part, total), part))
        done += 1 / part
    return Grown(tuple(showers // part for part in parts), tuple(found))


def _share(
    tell: Callable[[float], None], start: float, length: float, total: float
) -> Callable[[float], None]:
    return lambda share: tell((start + length * share) / total)
