"""How clear a difference is, judged by what random dealings of all showers give.

A standard error that is computed from the sample which it judges goes with the value: a sample that is narrow
by chance has a small error, and looks too narrow for certain. Under the hypothesis that candidate and Geant4
are one, their showers may be dealt anew; the scatter of what these dealings give knows nothing of the value.
"""

from __future__ import annotations

__all__ = ["FAULTS_LEVEL", "Tested", "clear", "means_apart", "tested"]

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from caloforge.validation.inputs.resampling import deals, redraws

Array = NDArray[np.float64]

FAULTS_LEVEL = 0.0025
"""How often chance alone names a fault, of all that are looked for in a report."""


@dataclass(frozen=True)
class Tested:
    """Some quantities that are 0, but for chance, between two samples of Geant4.

    Attributes:
        value: Candidate against Geant4, shape `(k,)`.
        error: Its standard error, from bootstraps: for the text.
        sigmas: Its distance from the mean of all dealings in units of their scatter: for the judgement. 0
            where nothing varies.
    """

    value: Array
    error: Array
    sigmas: Array


def tested(statistic: Callable[[Array], Array], blocks: int, seed: int) -> Tested:
    """Compare quantities with what random dealings of reference, floor and candidate give.

    Args:
        statistic: Maps how often each block counts in each of the three, `(3, m, 3 * blocks)`, to `(m, k)`;
            it must treat dealings alike.
        blocks: Blocks in each of the three samples.
        seed: Seed of the dealings.
    """
    null = statistic(deals(blocks, seed))
    scatter = null[1:].std(axis=0)
    apart = null[0] - null[1:].mean(axis=0)
    sigmas = np.divide(apart, scatter, out=np.zeros_like(apart), where=scatter > 0)
    return Tested(null[0], statistic(redraws(blocks, seed)).std(axis=0), sigmas)


def means_apart(totals: Array, counts: Array) -> Callable[[Array], Array]:
    """Return the statistic of `tested` for differences of means: the candidate's less Geant4's.

    Args:
        totals: Sums of each block of reference, floor and candidate, shape `(3 * blocks, k)`.
        counts: Of how many values, same shape or `(3 * blocks, 1)`.
    """

    def statistic(weights: Array) -> Array:
        geant4, candidate = weights[0] + weights[1], weights[2]
        one, other = (w @ totals / np.maximum(w @ counts, 1) for w in (geant4, candidate))
        return np.asarray(other - one)

    return statistic


def clear(sigmas: Array | float, tests: int) -> NDArray[np.bool_]:
    """Say whether chance alone seldom gives so clear a difference in any of so many tests (Bonferroni).

    Args:
        sigmas: From `tested`.
        tests: How many are made of one candidate.

    Example:
        >>> clear(4.2, 50), clear(3.8, 50)
        (np.True_, np.False_)
    """
    return np.asarray(2 * norm.sf(np.abs(sigmas)) * tests < FAULTS_LEVEL)[()]
