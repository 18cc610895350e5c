"""Events without a file: particles shot at the calorimeter's face."""

from __future__ import annotations

__all__ = ["EventGun"]

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from caloforge.particles import pdg_id
from caloforge.quantities import Interval, Spectrum, check_whole
from caloforge.simulation.events.base import Event, Particles, Source
from caloforge.simulation.streams import GUN, stream

_MOST = 1_000_000  # particles of an event
_BLOCK = 1 << 12  # particles that are drawn at once, unless an event has more
_NOWHERE = Interval(0.0, 0.0)


@dataclass(frozen=True)
class EventGun:
    """What is shot in each event.

    Args:
        particles: PDG ids; of several, each particle is one, all equally often.
        energy: Spectrum of kinetic energies.
        number: Particles in each event.
        theta: Angle to the normal of the face, rad.
        phi: Azimuth of the direction, rad.
        x: Impact point on the face, mm.
        y: Impact point on the face, mm.
    """

    particles: tuple[int, ...]
    energy: Spectrum
    number: int = 1
    theta: Interval = _NOWHERE
    phi: Interval = _NOWHERE
    x: Interval = _NOWHERE
    y: Interval = _NOWHERE

    @classmethod
    def of(
        cls,
        particles: str,
        energy: Spectrum | str,
        number: int = 1,
        theta: Interval | str = _NOWHERE,
        phi: Interval | str = _NOWHERE,
        x: Interval | str = _NOWHERE,
        y: Interval | str = _NOWHERE,
    ) -> EventGun:
        """Read names (`e+` or `e+,gamma`) and quantities as users write them.

        Raises:
            ParticleError: No such particle.
            QuantityError: A quantity without its unit, or too many particles.
        """
        check_whole(number, "--particles", 0, _MOST)
        return cls(
            tuple(pdg_id(name, "--gun") for name in particles.split(",")),
            Spectrum.of(energy),
            number,
            Interval.of(theta, "angle", "--theta"),
            Interval.of(phi, "angle", "--phi"),
            Interval.of(x, "length", "--x"),
            Interval.of(y, "length", "--y"),
        )

    def source(self, count: int, seed: int) -> Source:
        """Return `count` events; each depends on the gun, the seed and its number, and not on `count`."""
        about = {
            "format": "gun",
            "particles": list(self.particles),
            "energy": self.energy.text,
            "number": self.number,
            "theta_rad": [self.theta.low, self.theta.high],
            "phi_rad": [self.phi.low, self.phi.high],
            "x_mm": [self.x.low, self.x.high],
            "y_mm": [self.y.low, self.y.high],
        }
        return Source(self._events(count, seed), count, on_face=True, about=about)

    def _events(self, count: int, seed: int) -> Iterator[Event]:
        """Draw some events at a time, always the same ones together."""
        block = max(1, _BLOCK // max(1, self.number))
        for first in range(0, count, block):
            drawn = self._draw(stream(seed, GUN, first), block * self.number)
            for number in range(first, min(count, first + block)):
                start = (number - first) * self.number
                rows = slice(start, start + self.number)
                yield Event(number, (1.0,), Particles(*(column[rows] for column in drawn)))

    def _draw(self, rng: np.random.Generator, n: int) -> tuple[Any, ...]:
        """The columns of `Particles`."""
        pdg = rng.choice(np.array(self.particles, np.int64), n)
        energy = self.energy.sample(rng, n)
        theta, phi, x, y = (what.sample(rng, n) for what in (self.theta, self.phi, self.x, self.y))
        sine = np.sin(theta)
        direction = np.column_stack([sine * np.cos(phi), sine * np.sin(phi), np.cos(theta)])
        return pdg, energy, np.column_stack([x, y, np.zeros(n)]), direction
