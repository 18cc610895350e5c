"""Sampling fractions from simulated showers: divided by them, deposits add up to the incident energy."""

from __future__ import annotations

__all__ = ["BY", "Calibration", "EnergyBin", "Precision", "Section", "calibrate"]

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from caloforge.detector import Slab
from caloforge.errors import ShowersError, nearest

if TYPE_CHECKING:
    from caloforge.detector import Detector, Layer
    from caloforge.showers import ShowerSource

Array = NDArray[np.float64]
BY = ("section", "layer", "detector")
"""What has a sampling fraction of its own: layers made of the same matter, each layer, or nothing."""

_FEWEST = 20  # showers for each fraction
_BLOCKS = 20  # of the jackknife
_BINS = 5
_GEV = 1e3  # MeV


@dataclass(frozen=True)
class Section:
    """Layers with one sampling fraction, its error, and whether it is at the most that is possible, 1."""

    layers: tuple[str, ...]
    sampling_fraction: float
    error: float
    at_limit: bool


@dataclass(frozen=True)
class Precision:
    """How well cells add up to the incident energy, by showers that a fit did not see; with errors.

    `sigma / E = stochastic / sqrt(E / GeV) (+) constant`.
    """

    response: tuple[float, float]
    stochastic: tuple[float, float]
    constant: tuple[float, float]


@dataclass(frozen=True)
class EnergyBin:
    """The same in a range of incident energies, MeV: number, response and sigma / E with their errors."""

    low: float
    high: float
    showers: int
    response: tuple[float, float]
    resolution: tuple[float, float]


@dataclass(frozen=True)
class Calibration:
    """What a calibration found.

    Attributes:
        detector: With the fractions.
        by: What has a fraction of its own.
        showers: How many there were.
        sections: The fractions.
        precision: With them.
        single: With one fraction for all.
        bins: By incident energy, with the fractions.
    """

    detector: Detector
    by: str
    showers: int
    sections: tuple[Section, ...]
    precision: Precision
    single: Precision
    bins: tuple[EnergyBin, ...]


def calibrate(source: ShowerSource, by: str = "section") -> Calibration:
    """Find sampling fractions by which the cells of a shower add up to its incident energy.

    Of all weights of the sections whose sum of cells over incident energy is 1 on average, those with the
    least variance: the best linear unbiased estimate of the energy. Showers count by their energy, as for a
    resolution that falls like 1 / sqrt(E). A fraction is 1 at most. What leaves the cells, at the sides
    or behind, is made up for.

    Args:
        source: Simulated showers of the detector.
        by: What has a fraction of its own: one of `BY`.

    Returns:
        The fractions with errors of a jackknife, and how good they are: each half of the showers is judged by
        the fractions of the other.

    Raises:
        ShowersError: Too few showers, or sections without energy.
    """
    if by not in BY:
        raise ShowersError("unknown --by", where="--by", got=by, expected=", ".join(BY), near=nearest(by, BY))
    groups = _groups(source.detector, by)
    energy, deposits = _deposits(source)
    if len(energy) < _FEWEST * (len(groups) + 1):
        raise ShowersError(
            f"these are too few showers for {len(groups)} sampling fraction{'s' * (len(groups) > 1)}",
            where=source.path,
            got=len(energy),
            expected=f"{_FEWEST * (len(groups) + 1)} or more: {_FEWEST} for each, and as many to judge",
            cure="simulate more"
            if len(groups) == 1
            else "simulate more, or ask for fewer fractions with --by",
        )
    shares = np.stack([deposits[:, [x.index for x in g]].sum(1) for g in groups], axis=1) / energy[:, None]
    for number, group in enumerate(groups):
        if not shares[:, number].any():
            raise ShowersError(
                "layers without any energy have no sampling fraction",
                where=source.path,
                got=", ".join(layer.name for layer in group),
                cure="use showers of higher energy, or another --by",
            )
    weights, errors = _jackknife(lambda rows: _weights(shares[rows], energy[rows]), len(energy))
    sections = tuple(
        Section(tuple(layer.name for layer in group), 1 / w, e / w**2, w == 1.0)
        for group, w, e in zip(groups, weights.tolist(), errors.tolist(), strict=True)
    )
    ratio = _judged(shares, energy)
    return Calibration(
        _with_fractions(source.detector, groups, [section.sampling_fraction for section in sections]),
        by,
        len(energy),
        sections,
        _precision(ratio, energy),
        _precision(_judged(shares.sum(1, keepdims=True), energy), energy),
        tuple(_bins(ratio, energy)),
    )


def _groups(detector: Detector, by: str) -> list[list[Layer]]:
    """Layers that share a fraction; those of a section need not follow each other."""
    if by == "detector":
        return [list(detector.layers)]
    if by == "layer":
        return [[layer] for layer in detector.layers]
    matter = {layer.index: _matter(detector, layer) for layer in detector.layers}
    ordered = sorted(detector.layers, key=lambda layer: matter[layer.index])
    found = [list(group) for _, group in groupby(ordered, key=lambda layer: matter[layer.index])]
    return sorted(found, key=lambda group: group[0].index)


def _matter(detector: Detector, layer: Layer) -> str:
    """What a layer is made of, as a text that is equal for equal matter."""
    parts: dict[str, float] = {}
    for slab in detector.slabs:
        inside = min(slab.end, layer.end) - max(slab.start, layer.start)
        if inside > 0:
            kind = str((slab.material, slab.active, slab.birks) if isinstance(slab, Slab) else slab.content)
            parts[kind] = round(parts.get(kind, 0.0) + inside, 6)
    return str(sorted(parts.items()) or layer.thickness)


def _deposits(source: ShowerSource) -> tuple[Array, Array]:
    """Incident energies, and what was deposited in the cells of each layer before any fraction, MeV."""
    detector = source.detector
    energies, layers = [], []
    for part in source.chunks():
        energies.append(part.incident.energy.astype(np.float64))
        sums = [part.cells[:, layer.cells].sum(axis=1, dtype=np.float64) for layer in detector.layers]
        layers.append(np.stack(sums, axis=1) * detector.sampling_fractions)
    if not energies:
        return np.zeros(0), np.zeros((0, detector.n_layers))
    return np.concatenate(energies), np.concatenate(layers)


def _weights(shares: Array, energy: Array) -> Array:
    """The best unbiased weights, each at least 1, shape `(n_groups,)`."""
    from scipy.optimize import lsq_linear

    parts = energy / energy.sum()
    mean = parts @ shares
    # As many rows as weights, with the same products: a fit of 100,000 showers is a small one.
    spread = np.linalg.qr(np.sqrt(parts)[:, None] * (shares - mean), mode="r")
    # The mean is held by a row that outweighs the others, and exactly by the last step.
    hold = 1e3 * np.linalg.norm(spread) / np.linalg.norm(mean)
    scale = np.maximum(mean, 1e-30)  # in units of its share, one weight is like another
    rows, target = np.vstack([spread, hold * mean]), np.append(np.zeros(len(spread)), hold)
    found = lsq_linear(rows / scale, target, bounds=(scale, np.inf), method="bvls").x / scale
    free = found > 1 + 1e-6
    weights = np.ones(len(mean))
    weights[free] = found[free] * (1 - mean[~free].sum()) / (mean[free] @ found[free])
    return weights


def _jackknife(of: Callable[[NDArray[np.bool_]], Array], n: int) -> tuple[Array, Array]:
    """A figure of all rows and its error by leaving out blocks of them."""
    block = np.arange(n) % _BLOCKS
    others = np.array([of(block != left) for left in range(_BLOCKS)])
    spread = others - others.mean(axis=0)
    return of(np.full(n, True)), np.sqrt((_BLOCKS - 1) / _BLOCKS * (spread**2).sum(axis=0))


def _judged(shares: Array, energy: Array) -> Array:
    """Sum of cells over incident energy, each half of the showers with the weights of the other."""
    half = np.arange(len(energy)) % 2 == 0
    ratio = np.empty(len(energy))
    for own in (half, ~half):
        ratio[own] = shares[own] @ _weights(shares[~own], energy[~own])
    return ratio


def _precision(ratio: Array, energy: Array) -> Precision:
    values, errors = _jackknife(lambda rows: _terms(ratio[rows], energy[rows]), len(energy))
    return Precision(*((float(v), float(e)) for v, e in zip(values, errors, strict=True)))


def _terms(ratio: Array, energy: Array) -> Array:
    """Response, stochastic and constant term."""
    from scipy.optimize import nnls

    response = np.average(ratio, weights=energy)
    # Squares of deviations scatter by as much as they are: two passes, the second weighted by the first.
    columns = np.stack([_GEV / energy, np.ones(len(energy))], axis=1)
    squares, errors = (ratio / response - 1) ** 2, _GEV / energy
    if np.ptp(np.log(energy)) < np.log(2):
        columns = columns[:, :1]  # one energy does not tell the terms apart
    for _ in range(2):
        terms, _ = nnls(columns / errors[:, None], squares / errors)
        errors = np.maximum(columns @ terms, 1e-12)
    return np.array([response, *np.sqrt(terms), *([0.0] * (2 - len(terms)))])


def _bins(ratio: Array, energy: Array) -> Iterator[EnergyBin]:
    distinct = np.unique(energy)
    edges = distinct if len(distinct) <= 2 * _BINS else np.quantile(energy, np.linspace(0, 1, _BINS + 1)[:-1])
    place = np.searchsorted(edges, energy, side="right") - 1
    for number in range(len(edges)):
        here, own = ratio[place == number], energy[place == number]
        if len(here) > 1:
            mean, spread = float(here.mean()), float(here.std(ddof=1))
            yield EnergyBin(
                float(own.min()),
                float(own.max()),
                len(here),
                (mean, spread / len(here) ** 0.5),
                (spread / mean, spread / mean / (2 * len(here) - 2) ** 0.5),
            )


def _with_fractions(
    detector: Detector, groups: Sequence[Sequence[Layer]], fractions: Sequence[float]
) -> Detector:
    """The detector with other fractions, to five digits; one for all becomes that of the readout."""
    own = {
        layer.index: float(f"{fraction:.5g}")
        for group, fraction in zip(groups, fractions, strict=True)
        for layer in group
    }
    return detector.with_fractions([own[index] for index in range(detector.n_layers)])
