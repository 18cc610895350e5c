"""From incident particles to showers: noise, generator, threshold. The same for a run and for a bundle."""

from __future__ import annotations

__all__ = ["Sampler", "make_showers"]

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from caloforge.errors import ShowersError
from caloforge.models.blocks.chunks import chunks
from caloforge.models.blocks.noise import draw_noise
from caloforge.showers import Incident, Showers

if TYPE_CHECKING:
    from caloforge.deploy.bundle.validity import Validity
    from caloforge.detector import Detector


class Sampler(Protocol):
    """What makes showers out of noise: a bundle's engine, or a run's generator.

    Attributes:
        name: Of the generator.
        detector: What its showers are read out with.
        conditions: Columns of `incident` that `run` takes.
        noise_shape: Noise of one shower.
        valid: What it was trained for.
        threads: Threads in use.
        batch: Showers of one call where this was measured, or None.
        origin: What it is, for the provenance of its showers.
    """

    name: str
    detector: Detector
    conditions: tuple[str, ...]
    noise_shape: tuple[int, ...]
    valid: Validity
    threads: int
    batch: int | None
    origin: dict[str, Any]

    def run(self, noise: NDArray[np.float32], incident: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map noise `(n, *noise_shape)` and incident `(n, len(conditions))` to cells `(n, n_cells)`, MeV."""


_INFINITE = np.float32(np.inf).view(np.uint32)


def make_showers(sampler: Sampler, incident: Incident, rng: np.random.Generator) -> Showers:
    """Make one shower per incident particle, with the detector's threshold applied.

    Noise is drawn shower by shower, so that cutting a sample into parts does not change it.

    Args:
        sampler: What makes them.
        incident: `n` particles; not checked against the trained range.
        rng: Source of the noise, advanced by the call.

    Returns:
        `n` showers, in the order of `incident`.

    Raises:
        ShowersError: The generator gave NaN, infinite or negative energies.
    """
    detector = sampler.detector
    columns = incident.matrix(sampler.conditions)
    parts = [
        _run(sampler, columns[rows], rng) for rows in chunks(len(incident), detector.n_cells, sampler.batch)
    ]
    if len(parts) == 1:
        return Showers(detector, incident, parts[0])
    cells = np.concatenate([np.empty((0, detector.n_cells), np.float32), *parts])
    return Showers(detector, incident, cells)


def _run(sampler: Sampler, columns: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    cells = sampler.run(draw_noise(rng, len(columns), sampler.noise_shape), columns)
    _check(cells, sampler.name)
    threshold = sampler.detector.readout.threshold
    if threshold:
        cells[cells < threshold] = 0.0
    return cells


def _check(cells: NDArray[np.float32], name: str) -> None:
    # One pass: as whole numbers, what is negative, infinite or not a number lies above all that is neither.
    if not cells.size or cells.view(np.uint32).max() < _INFINITE:
        return
    bad = int((~(np.isfinite(cells) & (cells >= 0))).any(axis=1).sum())
    if bad:
        raise ShowersError(
            "the generator gives impossible energies",
            where=name,
            got=f"NaN, infinite or negative cells in {bad} of {len(cells)} showers",
            expected="finite energies of 0 or more in every cell",
            cure="train it again; look at its metrics for the step at which it went wrong",
        )
