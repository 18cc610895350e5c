"""The figure of merit that 3DGAN was tuned with, for any detector."""

from __future__ import annotations

__all__ = ["figure_of_merit"]

import numpy as np
from numpy.typing import NDArray

from caloforge.observables.figure_of_merit import (
    Axis,
    Profiles,
    axes_of,
    energy_ranges,
    members,
    merit,
    profiles,
)
from caloforge.validation.inputs.resampling import Resampling, bootstraps, splits
from caloforge.validation.inputs.sample import Sample
from caloforge.validation.inputs.samples import Samples
from caloforge.validation.measure import Number
from caloforge.validation.metrics.distances import LARGEST_P, Exchanged, corrected
from caloforge.validation.study import Absent, Study, Tell, without_numbers

Array = NDArray[np.float64]

_FEWEST = 20
_TITLE = "Figure of merit of 3DGAN"


def figure_of_merit(samples: Samples, tell: Tell) -> Study:
    """Compare mean moments and mean profiles in ranges of energy, as 3DGAN's own optimisation did.

    `schedule.select: merit` chooses epochs by the same function.

    Args:
        samples: What to compare.
        tell: Called as the work advances.
    """
    every = (samples.reference, samples.floor, *samples.candidates)
    axes, kept = axes_of(samples.detector), min(s.cells.shape[0] for s in every)
    if not axes or kept < _FEWEST:
        absent = Absent(kept, _FEWEST) if axes else Absent(kept, 0, "the detector resolves no axis")
        return without_numbers("merit", _TITLE, samples.candidates, absent)
    ranges = energy_ranges(samples.reference.incident.energy)
    found = []
    for i, sample in enumerate(every):
        tell(i / (len(every) + 1), "moments and profiles")
        found.append(_profiles(sample, ranges, axes, samples.blocks))
    reference, floor, *others = found
    tell(0.9, "floor of the figure of merit")
    cut, draw = splits(samples.blocks, samples.seed), bootstraps(samples.blocks, samples.seed)
    cuts = _drawn(cut, reference, floor)[:, 1:]
    numbers = tuple(
        _numbers([Exchanged(float(e[0]), c, e, d) for c, e, d in zip(cuts, *drawn, strict=True)])
        for drawn in ((_drawn(cut, reference, o), _drawn(draw, reference, o)) for o in others)
    )
    return Study("merit", _TITLE, numbers, method=_method(axes, ranges))


def _profiles(sample: Sample, ranges: Array, axes: tuple[Axis, ...], blocks: int) -> Profiles:
    kept = sample.cells.shape[0]
    member = members(sample.energies[:kept], ranges)
    return profiles(sample.cells, member, sample.block[sample.chosen[:kept]], blocks, axes)


def _drawn(resampling: Resampling, a: Profiles, b: Profiles) -> Array:
    """Return the figure of merit, its moments' and its profiles' part, shape `(3, resamplings)`."""
    pairs = [_sums(resampling, x, y) for x, y in zip(_fields(a), _fields(b), strict=True)]
    one, other = (
        Profiles(pairs[0][i], pairs[1][i], pairs[2][i], tuple(pair[i] for pair in pairs[3:])) for i in (0, 1)
    )
    moments, shapes = merit(one, other)
    return np.stack([moments + shapes, moments, shapes])


def _fields(sums: Profiles) -> tuple[Array, ...]:
    return sums.showers, sums.filled, sums.moments, *sums.energy


def _sums(resampling: Resampling, x: Array, y: Array) -> tuple[Array, Array]:
    one, other = resampling(x.reshape(len(x), -1), y.reshape(len(y), -1))
    return one.reshape(-1, *x.shape[1:]), other.reshape(-1, *y.shape[1:])


def _numbers(found: list[Exchanged]) -> tuple[Number, ...]:
    p_values = corrected(found)
    return tuple(
        Number(name, label, f.measure(), meaning=meaning, beyond=p < LARGEST_P)
        for (name, label, meaning), f, p in zip(_LABELS, found, p_values, strict=True)
    )


_MEANING = (
    "Relative errors of mean moments and of mean profiles, at all energies and at four, as 3DGAN's "
    "selection of epochs had it (arXiv 1912.06794); `schedule.select: merit` is the same."
)


_LABELS = (
    ("figure_of_merit", "Figure of merit (3DGAN)", _MEANING),
    (
        "merit_moments",
        "3DGAN, moments",
        "Relative errors of mean position and variance along each axis.",
    ),
    (
        "merit_profiles",
        "3DGAN, profiles",
        "Mean relative error of the mean shower profiles along each axis.",
    ),
)


def _method(axes: tuple[Axis, ...], ranges: Array) -> str:
    names = ", ".join(f"{axis.name} ({axis.share.shape[1]} bins)" for axis in axes)
    energies = ", ".join(f"{low / 1e3:.4g}-{high / 1e3:.4g}" for low, high in ranges)
    return (
        f"Figure of merit of 3DGAN (arXiv 1912.06794; metric of its code) along {names}, at all energies "
        f"and at {energies} GeV: the mean relative error of the mean moments (index and variance about it), "
        "over axes, moments and energies; and the mean relative error of the mean profiles. The original "
        "takes energies within 5 GeV of 100, 200, 300 and 400 GeV, as is done here where Geant4 has ten "
        "showers at each; it takes the first 5000 showers of all energies, and in one copy runs the moments' "
        "part twice, which doubles it. Bins without Geant4 energy, for which a relative error has no "
        "meaning, do not count. Cells of coarser layers are spread over those of the finest. Training "
        "chooses epochs by the same function. Floor: 200 cuts of all Geant4 showers; errors: bootstrap of "
        "100 random blocks; what is beyond chance is decided by exchanges of showers with the reference."
    )
