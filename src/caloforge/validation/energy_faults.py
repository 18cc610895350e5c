"""Faults of the energy: one wrong factor, a response that bends, a resolution that is too wide or narrow."""

from __future__ import annotations

__all__ = ["TESTS", "energy_faults"]

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from caloforge.validation.inputs.resampling import deals
from caloforge.validation.inputs.sample import Sample
from caloforge.validation.inputs.samples import Samples
from caloforge.validation.metrics.by_energy import ByEnergy
from caloforge.validation.metrics.energy_bins import energy_edges
from caloforge.validation.metrics.exchange import clear, tested
from caloforge.validation.metrics.linearity import LEAST
from caloforge.validation.study import Finding

Array = NDArray[np.float64]
_DOUBT = 3.0
_OFF = 1e-3
TESTS = 3
"""One factor, its dependence on the energy, and the resolution."""

_SPREAD = 0.1
"""Least relative difference of the resolution that matters."""


@dataclass(frozen=True)
class _Responses:
    """Responses of reference, floor and candidate in the bins of energy that hold enough of each.

    Attributes:
        energy: Mean incident energy of Geant4's showers in all bins, GeV.
        known: Which bins hold enough.
        all: The blocks of the three, one after the other; the candidate's responses that widths are taken of
            have Geant4's medians.
        blocks: Blocks of each.
        seed: Seed of the dealings.
    """

    energy: Array
    known: NDArray[np.int64]
    all: ByEnergy
    blocks: int
    seed: int

    @classmethod
    def of(cls, samples: Samples, candidate: Sample) -> _Responses:
        energy = np.concatenate([samples.reference.incident.energy, samples.floor.incident.energy])
        edges = energy_edges(energy)
        parts = [ByEnergy.of(s, edges) for s in (samples.reference, samples.floor, candidate)]
        fewest = np.min([part.sums[:, 1].sum(axis=0) for part in parts], axis=0)
        total = np.min([part.sums[:, 0].sum(axis=0) for part in parts], axis=0)
        middle, where = np.zeros(len(edges) - 1), np.digitize(energy, edges) - 1
        for i in range(len(middle)):
            middle[i] = energy[where == i].mean() / 1e3 if (where == i).any() else np.nan
        known = np.flatnonzero((fewest >= LEAST) & (total > 0))
        geant4 = parts[0].joined(parts[1])
        joined = geant4.joined(_aligned(parts[2], geant4))
        return cls(middle, known, joined, samples.blocks, samples.seed)

    def ratios(self, weights: Array) -> Array:
        """Return the logarithm of the candidate's response over Geant4's, shape `(m, known bins)`."""
        sums = self.all.sums[:, :, self.known]
        flat = sums.reshape(len(sums), -1)
        one, two = ((w @ flat).reshape(-1, 2, len(self.known)) for w in (weights[0] + weights[1], weights[2]))
        means = [
            np.divide(s[:, 0], s[:, 1], out=np.ones_like(s[:, 0]), where=s[:, 1] > 0) for s in (one, two)
        ]
        return np.asarray(np.log(means[1] / means[0]))

    def widths(self, weights: Array) -> Array:
        """Return the logarithm of the candidate's resolution over Geant4's, shape `(m, known bins)`.

        The narrowest interval is the narrower the fewer showers there are, so the candidate is compared with
        samples of its own size, not with all of Geant4's showers together.
        """
        found = np.zeros((weights.shape[1], len(self.known)))
        for column, i in enumerate(self.known):
            reference, floor, candidate = (np.log(self.all.widths(i, w)) for w in weights)
            found[:, column] = candidate - (reference + floor) / 2
        return np.nan_to_num(found)


def _aligned(candidate: ByEnergy, geant4: ByEnergy) -> ByEnergy:
    """Scale responses to Geant4's median in each bin: no width over mean feels it.

    Else a wrong scale would put two peaks into the showers that are dealt, and widths of two peaks scatter
    less than those of one.
    """
    pairs = zip(candidate.ranked, geant4.ranked, strict=True)
    return replace(candidate, ranked=[own * _factor(own, other) for own, other in pairs])


def _factor(own: Array, other: Array) -> float:
    if len(own) == 0 or len(other) == 0 or np.median(own) <= 0:
        return 1.0
    return float(np.median(other) / np.median(own))


def energy_faults(samples: Samples, candidate: Sample, tests: int) -> Iterator[Finding]:
    """Tell one wrong factor from a response that depends on the energy, and a wrong spread.

    Bins of energy are averaged with weights that come from random dealings of all showers: weights from a
    bin's own spread would prefer the bins that are narrow by chance.

    Args:
        samples: For Geant4's two samples.
        candidate: What is judged.
        tests: How many faults are looked for in all.
    """
    responses = _Responses.of(samples, candidate)
    if len(responses.known):
        yield from _scale(responses, tests)
        yield from _resolution(responses, tests)


def _scale(responses: _Responses, tests: int) -> Iterator[Finding]:
    variance = responses.ratios(deals(responses.blocks, responses.seed))[1:].var(axis=0)
    used = variance > 0
    if not used.any():
        return
    weight = np.where(used, 1 / np.where(used, variance, 1), 0)

    def statistic(weights: Array) -> Array:
        ratio = responses.ratios(weights)
        mean = ratio @ weight / weight.sum()
        chi2 = (ratio - mean[:, None]) ** 2 @ weight
        # the cube root of a chi square is all but normal (Wilson and Hilferty)
        return np.column_stack([mean, np.cbrt(chi2), ratio])

    found = tested(statistic, responses.blocks, responses.seed)
    scale, bend = found.sigmas[:2]
    sure = clear(scale, tests) and abs(np.expm1(found.value[0])) > _OFF
    if (bend > 0 and clear(bend, tests)) or (bend > _DOUBT and sure):
        yield _bent(responses, np.exp(found.value[2:]), found.error[2:], found.sigmas[2:])
    elif sure:
        yield _one_factor(float(np.exp(found.value[0])), float(found.error[0]), int(used.sum()))


def _one_factor(ratio: float, error: float, bins: int) -> Finding:
    text = (
        f"The response is {ratio:.4f} ± {ratio * error:.4f} of Geant4's in all {bins} bins of energy: "
        "one factor explains it."
    )
    way = "high" if ratio > 1 else "low"
    return Finding("fault", f"Energies {abs(ratio - 1):.1%} too {way}", text, "response_vs_energy")


def _bent(responses: _Responses, ratio: Array, error: Array, sigmas: Array) -> Finding:
    worst = int(np.abs(sigmas).argmax())
    text = (
        f"Its ratio to Geant4's runs from {ratio.min():.3f} to {ratio.max():.3f}; it is farthest off at "
        f"{responses.energy[responses.known[worst]]:.3g} GeV: {ratio[worst]:.3f} ± "
        f"{ratio[worst] * error[worst]:.3f}."
    )
    return Finding("fault", "Response depends on the energy in a wrong way", text, "response_vs_energy")


def _resolution(responses: _Responses, tests: int) -> Iterator[Finding]:
    showers = responses.all.sums[:, 1, responses.known].sum(axis=0)
    weight = showers / showers.sum()
    found = tested(lambda w: (responses.widths(w) @ weight)[:, None], responses.blocks, responses.seed)
    ratio = float(np.exp(found.value[0]))
    if clear(found.sigmas[0], tests) and abs(ratio - 1) > _SPREAD:
        word = "wide" if ratio > 1 else "narrow"
        text = (
            f"σ/μ of the response is {ratio:.2f} ± {ratio * found.error[0]:.2f} times Geant4's, averaged "
            "over the energies."
        )
        yield Finding("fault", f"Energy resolution too {word}", text, "resolution_vs_energy")
