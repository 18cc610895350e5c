"""FPD and KPD: distances of the high-level features of two samples, as jetnet computes them."""

from __future__ import annotations

__all__ = ["frechet_distances", "scale_features"]

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caloforge.validation.inputs.sample import Sample
from caloforge.validation.inputs.samples import Samples
from caloforge.validation.measure import Measure, Number
from caloforge.validation.metrics.frechet_distance import LEAST, MOST, Moments, fpd, plain_fpd
from caloforge.validation.metrics.kernel_distance import (
    BATCH,
    DRAWS,
    KernelSums,
    draw_batches,
    kernel_sums,
    kpd,
    plain_kpd,
    tile_counts,
)
from caloforge.validation.study import Absent, Study, Tell, without_numbers

Array = NDArray[np.float64]
_CUTS = 40
_FEWEST = 20
_SCALE = 1e3
"""Published values are in units of one thousandth."""


def frechet_distances(samples: Samples, tell: Tell) -> Study:
    """Compare the high-level features by their Gaussians (FPD) and by a polynomial kernel (KPD).

    Args:
        samples: What to compare.
        tell: Called as the work advances.
    """
    title, used = "Frechet and kernel physics distance", _features(samples)
    m = len(used[0])
    if m < _FEWEST or used[0].shape[1] == 0:
        absent = Absent(m, _FEWEST) if m < _FEWEST else Absent(m, 0, "no observable varies")
        return without_numbers("frechet", title, samples.candidates, absent)
    values = list(zip(_fpds(used, samples.seed, tell), _kpds(used, samples.seed, tell), strict=True))
    return Study("frechet", title, tuple(values), method=_method(m, used[0].shape[1]))


def _published_features(sample: Sample) -> Array:
    # the incident energy is among them, as in the CaloChallenge's own evaluation
    return np.asarray(sample.challenge, np.float64)


def _features(samples: Samples) -> list[Array]:
    """Return features of equally many showers of Geant4, its floor and all candidates, scaled."""
    every = (samples.reference, samples.floor, *samples.candidates)
    m = min(len(sample.challenge) for sample in every)
    return scale_features([_published_features(sample)[:m] for sample in every])


def scale_features(features: list[Array]) -> list[Array]:
    """Divide by the largest absolute value in the first set; leave out what is not finite or never varies.

    Args:
        features: Sets of features, shape `(m, d)` each.
    """
    finite = np.logical_and.reduce([np.isfinite(f).all(axis=0) for f in features])
    varies = np.logical_or.reduce([(f != features[0][:1]).any(axis=0) for f in features])
    kept = finite & varies
    largest = np.abs(features[0][:, kept]).max(axis=0, initial=0.0)
    largest[largest == 0] = 1.0
    return [f[:, kept] / largest for f in features]


def _fpds(used: list[Array], seed: int, tell: Tell) -> list[Number]:
    # moments about Geant4's mean: the distance is the same, and nothing is lost to cancellation
    centre = used[0].mean(axis=0)
    reference, floor, *candidates = (Moments.of(f - centre) for f in used)
    tell(0.1, "moments of the features")
    chance = plain_fpd(reference, floor, _CUTS, seed) * _SCALE
    out = []
    for i, candidate in enumerate(candidates):
        found = fpd(reference, candidate, seed)
        measure = Measure(
            found.value * _SCALE, found.error * _SCALE, float(chance.mean()), float(chance.std(ddof=1))
        )
        out.append(Number("fpd", "FPD × 10³", measure, meaning=_FPD))
        tell(0.1 + 0.3 * (i + 1) / len(candidates), "Frechet physics distance")
    return out


@dataclass(frozen=True)
class _Kernels:
    """Kernel sums of a set of features with itself and with Geant4."""

    itself: KernelSums
    across: KernelSums


def _kpds(used: list[Array], seed: int, tell: Tell) -> list[Number]:
    single = [np.ascontiguousarray(f, np.float32) for f in used]
    m = len(single[0])
    drawn = [draw_batches(m, seed + i) for i in range(min(len(used), 2))]
    reference = kernel_sums(single[0], single[0], drawn[0], drawn[0])
    tell(0.5, "kernel physics distance")
    pairs = []
    for i, other in enumerate(single[1:]):
        itself = kernel_sums(other, other, drawn[1], drawn[1])
        pairs.append(_Kernels(itself, kernel_sums(single[0], other, drawn[0], drawn[1])))
        tell(0.5 + 0.5 * (i + 1) / (len(single) - 1), "kernel physics distance")
    counts = np.tile(tile_counts(m), 2)
    chance = plain_kpd(reference, pairs[0].itself, pairs[0].across, counts, _CUTS, seed) * _SCALE
    size = int(drawn[0][0].sum())
    return [_kpd_number(reference, pair, size, chance) for pair in pairs[1:]]


def _kpd_number(reference: KernelSums, pair: _Kernels, size: int, chance: Array) -> Number:
    value, error = kpd(reference, pair.itself, pair.across, size)
    measure = Measure(value * _SCALE, error * _SCALE, float(chance.mean()), float(chance.std(ddof=1)))
    return Number("kpd", "KPD × 10³", measure, meaning=_KPD)


_FPD = (
    "Frechet distance of the high-level features, each over Geant4's largest absolute value, extrapolated to "
    "infinitely large batches (arXiv 2211.10295)."
)
_KPD = (
    "Squared maximum mean discrepancy of the same features with the kernel (x.y/d + 1)^4, median of batches "
    "(arXiv 2211.10295)."
)


def _method(m: int, d: int) -> str:
    least, most, batch = min(LEAST, m // 2), min(MOST, int(2.5 * m)), min(BATCH, m // 2)
    scaled = (
        ""
        if (least, most, batch) == (LEAST, MOST, BATCH)
        else (" (scaled down with the sample from the published 10,000 to 50,000 and 10,000)")
    )
    return (
        f"FPD and KPD (arXiv 2211.10295) on {d} high-level features of the CaloChallenge (arXiv "
        f"2410.21611), the incident energy among them, of {m:,} showers, each divided by Geant4's largest "
        f"absolute value, in units of 1e-3. FPD: ten batch sizes evenly spaced in 1/N from {least:,} to "
        f"{most:,}, twenty batches each, line in 1/N; KPD: median of {DRAWS} batches of {batch:,}{scaled}. "
        "Batches are drawn with replacement, as in jetnet; FPD draws random groups of showers rather than "
        "single ones, which has the same expectation. The error of FPD adds to jetnet's, which is that of "
        "the line, that of a jackknife over the samples; the error of KPD is jetnet's. Floors are means "
        f"over {_CUTS} random cuts of all Geant4 showers in two halves."
    )
