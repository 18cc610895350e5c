"""Portions of events, full or fast: what enters is caught, generated in one batch, and put into cells."""

from __future__ import annotations

__all__ = ["PARTS", "Outcome", "Simulation", "Source"]

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from caloforge.deploy.sampling import Sampler, make_showers
from caloforge.detector import Detector
from caloforge.models.blocks.chunks import chunks
from caloforge.showers import Incident
from caloforge.simulation.fastsim.catching import Caught, Tolerance, catch
from caloforge.simulation.fastsim.fitting import check_bundle
from caloforge.simulation.fastsim.primaries import Portion
from caloforge.simulation.output.base import GEANT4, GENERATED
from caloforge.simulation.placing import Placing
from caloforge.truth.stages import Geant4

Cells = NDArray[np.float32]
Whole = NDArray[np.int64]
PARTS = ("upstream", "catching", "generation", "placing", "geant4")
"""What takes time, in order."""

_STREAM = 2  # of a seed: 0 and 1 are those of the primaries and of Geant4
_ENTERING = 1 << 20  # numbers kept for what comes of one primary


@dataclass(eq=False)
class Outcome:
    """What became of a portion.

    Attributes:
        geant4: Energy from Geant4 in each cell of each event, MeV, without threshold.
        generated: The same from bundles.
        primary_origin: Flags of the primaries.
        primary_generated: Kinetic energy that bundles took over, by primary, MeV.
        entered: Particles at the front face.
        caught: Those that bundles took over.
        entered_energy: MeV at the front face.
        milliseconds: CPU time of each of `PARTS`.
    """

    geant4: Cells
    generated: Cells
    primary_origin: NDArray[np.uint8]
    primary_generated: NDArray[np.float32]
    entered: int
    caught: int = 0
    entered_energy: float = 0.0
    milliseconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PARTS, 0.0))

    @property
    def total(self) -> float:
        """CPU time of all parts, ms."""
        return sum(self.milliseconds.values())

    def cells(self, threshold: float | None) -> Cells:
        """Energy of each cell, MeV; the threshold holds for the sum."""
        total = self.geant4 + self.generated
        total[total < (threshold or 0.0)] = 0.0
        return total

    def origin(self) -> NDArray[np.uint8]:
        """Flags of the cells."""
        return GEANT4 * (self.geant4 > 0).astype(np.uint8) + GENERATED * (self.generated > 0).astype(np.uint8)


class Source:
    """A bundle at work in one detector."""

    def __init__(self, sampler: Sampler, detector: Detector, seed: np.random.SeedSequence) -> None:
        self.sampler = sampler
        self.placing = Placing(sampler.detector, detector)
        check_bundle(sampler.name, sampler.valid, self.placing)
        self.rng = np.random.default_rng(seed)


class Simulation:
    """Simulates portions of events with Geant4 and bundles.

    Args:
        detector: From `event_detector`.
        samplers: Bundles or runs that are ready; of several that may take a particle over, the first does.
        tolerance: How near a particle must be to those of a training.
        geant4: Simulates what no bundle takes over.
        seed: Of the generators' noise.
        upstream: Whether anything stands before the detector.

    Raises:
        DetectorError: A bundle of another detector.
        BundleError: One that cannot be caught for, see `check_bundle`.
    """

    def __init__(
        self,
        detector: Detector,
        samplers: Sequence[Sampler],
        tolerance: Tolerance,
        geant4: Geant4,
        seed: int,
        upstream: bool,
    ) -> None:
        self.detector, self._tolerance, self._geant4, self._upstream = detector, tolerance, geant4, upstream
        seeds = np.random.SeedSequence(seed).spawn(_STREAM + len(samplers))[_STREAM:]
        self.sources = [Source(sampler, detector, one) for sampler, one in zip(samplers, seeds, strict=True)]

    def full(self, portion: Portion) -> Outcome:
        """Simulate events with Geant4 alone, in one pass through all material."""
        out = self._nothing(portion)
        cells, spent = self._geant4.events(portion.incident, portion.numbers, portion.event, portion.n_events)
        out.geant4, out.milliseconds["geant4"] = cells, spent
        out.primary_origin[:] = GEANT4
        return out

    def fast(self, portion: Portion) -> Outcome:
        """Simulate events with the bundles wherever they may, and with Geant4 wherever they may not."""
        out = self._nothing(portion)
        entered, primary = self._enter(portion, out)
        out.entered, out.entered_energy = len(entered), float(entered.energy.sum(dtype=np.float64))
        rest = np.ones(len(entered), np.bool_)
        for source in self.sources:
            with _timed(out, "catching"):
                waiting = np.flatnonzero(rest)
                taken = catch(entered[waiting], source.sampler.valid, source.placing, self._tolerance)
                rows = waiting[taken.rows]
                rest[rows] = False
            self._generate(source, taken, portion.event[primary[rows]], out)
            _note(out, primary[rows], entered.energy[rows])
        out.caught = int((~rest).sum())
        self._follow(portion, entered, primary, np.flatnonzero(rest), out)
        return out

    def _nothing(self, portion: Portion) -> Outcome:
        shape, n = (portion.n_events, self.detector.n_cells), len(portion.incident)
        none = np.zeros(n, np.float32)
        return Outcome(
            np.zeros(shape, np.float32), np.zeros(shape, np.float32), none.astype(np.uint8), none, n
        )

    def _enter(self, portion: Portion, out: Outcome) -> tuple[Incident, Whole]:
        """Particles at the front face, and the primary of each."""
        if not self._upstream:
            return portion.incident, np.arange(len(portion.incident))
        entered, out.milliseconds["upstream"] = self._geant4.enter(portion.incident, portion.numbers)
        return entered.incident, entered.primary

    def _generate(self, source: Source, taken: Caught, event: Whole, out: Outcome) -> None:
        for rows in chunks(len(taken.rows), source.sampler.detector.n_cells):
            with _timed(out, "generation"):
                showers = make_showers(source.sampler, taken.incident[rows], source.rng)
            with _timed(out, "placing"):
                steps = source.placing.shifted(taken.moves[rows])
                source.placing.add(out.generated, showers.cells, steps, event[rows])

    def _follow(self, portion: Portion, entered: Incident, primary: Whole, rest: Whole, out: Outcome) -> None:
        """Let Geant4 go on with what nobody took over."""
        if not len(rest):
            return
        simulate, numbers = self._geant4.events, portion.numbers[primary]
        if self._upstream:
            sibling = np.arange(len(primary)) - np.searchsorted(primary, primary)
            simulate, numbers = self._geant4.entered, numbers * _ENTERING + sibling
        out.primary_origin[primary[rest]] |= GEANT4
        event = portion.event[primary[rest]]
        out.geant4, out.milliseconds["geant4"] = simulate(
            entered[rest], numbers[rest], event, portion.n_events
        )


def _note(out: Outcome, primary: Whole, energy: NDArray[np.float32]) -> None:
    out.primary_origin[primary] |= GENERATED
    out.primary_generated += np.bincount(primary, energy, len(out.primary_generated)).astype(np.float32)


@contextmanager
def _timed(out: Outcome, part: str) -> Iterator[None]:
    begin = time.process_time()
    yield
    out.milliseconds[part] += (time.process_time() - begin) * 1e3
