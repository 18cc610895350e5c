"""What a worker does with a batch of events: fates, showers, sums, digits."""

from __future__ import annotations

__all__ = ["Made", "Making", "Plan", "Rest"]

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from caloforge.errors import EventError
from caloforge.particles import particle_name
from caloforge.showers import Incident
from caloforge.simulation.arrival import NEUTRINOS, Arrived, arrive
from caloforge.simulation.digits import Digitiser, Digits
from caloforge.simulation.events.batch import Batch
from caloforge.simulation.output.base import GEANT4, GENERATED
from caloforge.simulation.serving import Fate, Generator, Served, assign
from caloforge.simulation.streams import SHOWERS, stream

if TYPE_CHECKING:
    from caloforge.detector import Detector
    from caloforge.truth.engine import Engine

Rest = Literal["refuse", "drop", "geant4"]
"""What to do with particles in the calorimeter that no generator serves."""

_PIECE = 1 << 22  # cells of showers held at once


@dataclass(frozen=True)
class Plan:
    """What a worker needs to know.

    Args:
        generators: Bundles, runs or names of pretrained runs.
        detector: YAML of the detector that the events happen in.
        face: Where its face is, mm.
        on_face: Whether the source gives places on the face.
        rest: What to do with particles that no generator serves.
        max_tilt: Largest angle to the directions of the training, rad.
        seed: Of showers and noise.
        physics: Of Geant4.
    """

    generators: tuple[str, ...]
    detector: str
    face: float
    on_face: bool
    rest: Rest
    max_tilt: float
    seed: int
    physics: str


@dataclass(frozen=True)
class Made:
    """Events that are done, their cells without those that hold nothing.

    Attributes:
        batch: What they were made of.
        incident: Where each particle met the face.
        fate: What became of each particle, shape `(particles,)`.
        offset: Where each event's cells begin, shape `(n + 1,)`.
        index: Numbers of the cells.
        energy: MeV, float32.
        origin: Flags of what gave the cells energy, before electronics: `GEANT4`, `GENERATED`, both or 0.
        counts: Of the ADC, or None.
        gain: Index of the gain, or None.
        saturated: How many cells are.
        outside: Energy beside each layer's window, MeV, shape `(n, n_layers)`.
        rounding: Sum of the squares of how far each layer of each shower lies beside its place,
            shape `(n_layers, 2)`, mm2.
    """

    batch: Batch
    incident: Incident
    fate: NDArray[np.int8]
    offset: NDArray[np.int64]
    index: NDArray[np.uint32]
    energy: NDArray[np.float32]
    origin: NDArray[np.uint8]
    counts: NDArray[np.uint32] | None
    gain: NDArray[np.uint8] | None
    saturated: int
    outside: NDArray[np.float32]
    rounding: NDArray[np.float64]

    @property
    def origin_of_particle(self) -> NDArray[np.uint8]:
        """Flags of the particles."""
        made = [self.fate == Fate.GEANT4, self.fate >= Fate.GENERATED]
        return np.select(made, [GEANT4, GENERATED], 0).astype(np.uint8)


class Making:
    """Makes events; what it needs is loaded by its first batch.

    Args:
        plan: What to make.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def __call__(self, batch: Batch) -> Made:
        """Make the events of a batch.

        Raises:
            EventError: Particles that no generator serves, where they are refused.
        """
        arrived = arrive(batch.particles, self.detector, self.plan.face, self.plan.on_face)
        fate, rows, answers = self._fates(batch, arrived)
        sums = np.zeros((len(batch.numbers), self.detector.n_cells + self.detector.n_layers))
        rounding = np.zeros((self.detector.n_layers, 2))
        for number, answer in enumerate(answers):
            mine = fate[rows] == Fate.GENERATED + number
            rounding += (answer.rounding[mine] ** 2).sum(axis=0)
            self._generate(sums, batch, number, rows[mine], answer, np.flatnonzero(mine))
        origin = np.where(sums[:, : self.detector.n_cells] > 0, GENERATED, 0).astype(np.uint8)
        shot = np.flatnonzero(fate == Fate.GEANT4)
        if len(shot):
            by_geant4 = self._shot(batch, arrived.incident, shot)
            origin[by_geant4[:, : self.detector.n_cells] > 0] |= GEANT4
            sums += by_geant4
        return self._packed(batch, arrived.incident, fate, sums, origin, rounding)

    def _fates(
        self, batch: Batch, arrived: Arrived
    ) -> tuple[NDArray[np.int8], NDArray[np.int64], list[Served]]:
        """Fates, rows of the particles that come to the generators, and what these say to them."""
        neutrino = np.isin(np.abs(batch.particles.pdg), NEUTRINOS)
        fate = np.where(arrived.reaches & neutrino, Fate.NEUTRINO, Fate.MISSES).astype(np.int8)
        rows = np.flatnonzero(arrived.reaches & ~neutrino)
        fate[rows], answers = assign(self.generators, arrived.incident[rows])
        left = (fate >= Fate.NO_PARTICLE) & (fate < Fate.GEANT4)
        if left.any() and self.plan.rest == "refuse":
            raise _unserved(batch, fate, left, self.generators)
        if self.plan.rest == "geant4":
            fate[left] = Fate.GEANT4
        return fate, rows, answers

    def _generate(
        self,
        sums: NDArray[np.float64],
        batch: Batch,
        number: int,
        rows: NDArray[np.int64],
        answer: Served,
        asked: NDArray[np.int64],
    ) -> None:
        """Add the showers of one generator to their events, some at a time and always in the same pieces."""
        from caloforge.deploy.sampling import make_showers

        generator = self.generators[number]
        rng = stream(self.plan.seed, SHOWERS, batch.first, number)
        event = batch.event_of_particle
        size = max(1, _PIECE // generator.placing.source.n_cells)
        for start in range(0, len(rows), size):
            part = slice(start, start + size)
            showers = make_showers(generator.sampler, answer.condition[asked[part]], rng)
            steps = answer.steps[asked[part]]
            generator.placing.add(sums, showers.cells, steps, event[rows[part]])

    def _shot(self, batch: Batch, incident: Incident, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Sums of the showers that Geant4 makes, which are numbered by particle from the first event on."""
        sums = np.zeros((len(batch.numbers), self.detector.n_cells + self.detector.n_layers))
        event = batch.event_of_particle
        size = max(1, _PIECE // self.detector.n_cells)
        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            showers, _ = self.geant4.shoot(incident[part], batch.first_particle + start)
            outside = showers.overflow if showers.overflow is not None else 0.0
            np.add.at(sums[:, : self.detector.n_cells], event[part], showers.cells)
            np.add.at(sums[:, self.detector.n_cells :], event[part], outside)
        return sums

    def _packed(
        self,
        batch: Batch,
        incident: Incident,
        fate: NDArray[np.int8],
        sums: NDArray[np.float64],
        origin: NDArray[np.uint8],
        rounding: NDArray[np.float64],
    ) -> Made:
        n_cells = self.detector.n_cells
        digits = self._digits(sums[:, :n_cells], batch.first)
        kept = digits.energy != 0
        if digits.counts is not None:
            kept |= digits.counts != 0
        return Made(
            batch,
            incident,
            fate,
            np.concatenate([[0], np.cumsum(kept.sum(axis=1))]),
            np.nonzero(kept)[1].astype(np.uint32),
            digits.energy[kept],
            origin[kept],
            None if digits.counts is None else digits.counts[kept],
            None if digits.gain is None else digits.gain[kept],
            int(digits.saturated.sum()),
            sums[:, n_cells:].astype(np.float32),
            rounding,
        )

    def _digits(self, energy: NDArray[np.float64], first: int) -> Digits:
        if self.digitiser is None:
            return Digits(energy.astype(np.float32), None, None, np.zeros((), np.bool_))
        return self.digitiser(energy, self.plan.seed, first)

    @cached_property
    def detector(self) -> Detector:
        from caloforge.detector import Detector

        return Detector.from_yaml(self.plan.detector)

    @cached_property
    def generators(self) -> list[Generator]:
        from caloforge.deploy import open_sampler

        samplers = (open_sampler(path, threads=1) for path in self.plan.generators)
        return [Generator(sampler, self.detector, self.plan.max_tilt) for sampler in samplers]

    @cached_property
    def digitiser(self) -> Digitiser | None:
        return Digitiser(self.detector) if self.detector.digitisation else None

    @cached_property
    def geant4(self) -> Engine:
        from caloforge.truth.engine import Engine
        from caloforge.truth.physics import Physics

        return Engine(self.detector, Physics.parse(self.plan.physics, cut=0.7), self.plan.seed)


def _unserved(
    batch: Batch, fate: NDArray[np.int8], left: NDArray[np.bool_], generators: list[Generator]
) -> EventError:
    told = []
    for reason in sorted(set(fate[left].tolist())):
        rows = fate == reason
        kinds, counts = np.unique(batch.particles.pdg[rows], return_counts=True)
        most = np.argsort(-counts, kind="stable")[:5]
        names = ", ".join(f"{counts[i]} {particle_name(int(kinds[i]))}" for i in most)
        more = " ..." if len(kinds) > len(most) else ""
        told.append(f"{Fate(reason).words.removeprefix('dropped: ')}: {names}{more}")
    last = batch.first + len(batch.numbers) - 1
    return EventError(
        f"no generator serves {int(left.sum())} of {len(fate)} particles",
        where=f"events {batch.first} to {last} of the source",
        got="; ".join(told),
        expected="; ".join(f"{g.sampler.name}: {g.valid}" for g in generators),
        cure="--rest drop leaves such particles out and counts them, --rest geant4 simulates them; "
        "--max-tilt says how far a direction may be from those of the training",
    )
