"""The figure of merit that 3DGAN was tuned with, for any detector."""

from __future__ import annotations

__all__ = ["figure_of_merit"]

import numpy as np
from numpy.typing import NDArray

from caloforge.validation.inputs.resampling import Resampling, bootstraps, splits
from caloforge.validation.inputs.sample import Sample
from caloforge.validation.inputs.samples import Samples
from caloforge.validation.measure import Measure, Number
from caloforge.validation.metrics.figure_of_merit import Axis, Profiles, axes_of, merit, profiles
from caloforge.validation.study import Study, Tell

Array = NDArray[np.float64]

_BINS = 4
_FEWEST = 20
_TITLE = "Figure of merit of 3DGAN"


def figure_of_merit(samples: Samples, tell: Tell) -> Study:
    """Compare mean moments and mean profiles in bins of energy, as 3DGAN's own optimisation did.

    Args:
        samples: What to compare.
        tell: Called as the work advances.
    """
    every = (samples.reference, samples.floor, *samples.candidates)
    axes, kept = axes_of(samples.detector), min(s.cells.shape[0] for s in every)
    if not axes or kept < _FEWEST:
        nothing = tuple(() for _ in samples.candidates)
        why = f"{kept} whole showers are too few" if axes else "the detector resolves no axis"
        return Study("merit", _TITLE, nothing, method=f"The figure of merit was not computed: {why}.")
    edges = _energy_edges(samples.reference)
    found = []
    for i, sample in enumerate(every):
        tell(i / (len(every) + 1), "moments and profiles")
        found.append(_profiles(sample, edges, axes, samples.blocks))
    reference, floor, *others = found
    tell(0.9, "floor of the figure of merit")
    chance = _drawn(splits(samples.blocks, samples.seed), reference, floor)
    boots, once = bootstraps(samples.blocks, samples.seed), Resampling(*_as_it_is(samples.blocks))
    numbers = tuple(
        _numbers(_drawn(once, reference, other)[:, 0], _drawn(boots, reference, other), chance)
        for other in others
    )
    return Study("merit", _TITLE, numbers, method=_method(axes, edges))


def _as_it_is(blocks: int) -> tuple[Array, Array]:
    one = np.repeat([1.0, 0.0], blocks)[None]
    return one, 1 - one


def _energy_edges(reference: Sample) -> Array:
    energy = reference.incident.energy
    return np.linspace(float(energy.min()), float(energy.max()), _BINS + 1)


def _profiles(sample: Sample, edges: Array, axes: tuple[Axis, ...], blocks: int) -> Profiles:
    kept = sample.cells.shape[0]
    bin_of = np.clip(np.searchsorted(edges, sample.energies[:kept], side="right") - 1, 0, _BINS - 1)
    member = np.column_stack([np.ones(kept, bool), bin_of[:, None] == np.arange(_BINS)])
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


def _numbers(value: Array, drawn: Array, chance: Array) -> tuple[Number, ...]:
    measures = [
        Measure(float(v), float(d.std(ddof=1)), float(c.mean()), float(c.std(ddof=1)))
        for v, d, c in zip(value, drawn, chance, strict=True)
    ]
    return (
        Number("figure_of_merit", "Figure of merit (3DGAN)", measures[0], meaning=_MEANING),
        Number(
            "merit_moments",
            "3DGAN, moments",
            measures[1],
            meaning="Relative errors of the mean first and (half) second moments along each axis.",
        ),
        Number(
            "merit_profiles",
            "3DGAN, profiles",
            measures[2],
            meaning="Mean relative error of the mean shower profiles along each axis.",
        ),
    )


_MEANING = (
    "Relative errors of mean moments and of mean profiles, all energies and four bins, as 3DGAN's "
    "selection of epochs had it (arXiv 2109.07388)."
)


def _method(axes: tuple[Axis, ...], edges: Array) -> str:
    names = ", ".join(f"{axis.name} ({axis.share.shape[1]} bins)" for axis in axes)
    return (
        f"Figure of merit of 3DGAN (arXiv 2109.07388; metric of its code) along {names}, inclusive and in "
        f"four equal bins of energy from {edges[0] / 1e3:.4g} to {edges[-1] / 1e3:.4g} GeV: sum over the "
        "moments m = 1 (mean index) and 2 (variance about it) of the mean over axes of the relative error "
        "of the mean moment over m, mean over the bins; and the mean relative error of the mean profile, "
        "mean over bins and axes. The original takes energies within 5 GeV of 100, 200, 300 and 400 GeV "
        "and the first 5000 showers, and in one copy runs the moments' part twice, which doubles it; here "
        "it counts once. Bins without Geant4 energy, for which a relative error has no meaning, count as "
        "right. Cells of coarser layers are spread over those of the finest. Floor: 200 cuts of all Geant4 "
        "showers; errors: bootstrap of 100 random blocks."
    )
