"""The particle gun: which particle flies from where and where to, decided by seed and shower number alone."""

from __future__ import annotations

__all__ = ["Gun", "directions", "portions", "primaries", "random_indices", "random_seed"]

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from caloforge.detector.summary import depth_axis
from caloforge.errors import Geant4Error
from caloforge.particles import particle_name, pdg_id
from caloforge.quantities import Interval, Spectrum
from caloforge.showers import Incident
from caloforge.truth.geometry import CM, to_world, turned

if TYPE_CHECKING:
    from caloforge.detector import Detector

# A shower uses millions of random numbers; its stream must end before the next one's begins.
_STREAM_BITS = 36
_STANDOFF = 1e-3  # mm before the front face, so that the first slab is entered and not started in


@dataclass(frozen=True)
class Gun:
    """What is shot, and from where.

    Args:
        pdg: PDG id of the particle.
        energy: Spectrum of its kinetic energy.
        theta: Angle to +z, rad.
        phi: Azimuth of the direction, rad.
        x: Impact point on the front face, mm.
        y: Impact point on the front face, mm.
    """

    pdg: int
    energy: Spectrum
    theta: Interval
    phi: Interval
    x: Interval
    y: Interval

    @classmethod
    def of(
        cls,
        particle: str | int,
        energy: Spectrum | str,
        theta: Interval | str,
        phi: Interval | str,
        x: Interval | str,
        y: Interval | str,
    ) -> Gun:
        """Read names and quantities as users write them.

        Raises:
            Geant4Error: No such particle.
            QuantityError: A quantity without its unit, or none.
        """
        return cls(
            pdg_id(particle),
            Spectrum.of(energy),
            Interval.of(theta, "angle", "--theta"),
            Interval.of(phi, "angle", "--phi"),
            Interval.of(x, "length", "--x"),
            Interval.of(y, "length", "--y"),
        )

    def check(self, detector: Detector) -> None:
        """Refuse particles that would miss the front face.

        Raises:
            Geant4Error: An angle of 90 degrees or more, or an impact point beside the detector.
        """
        if self.theta.low < 0 or self.theta.high >= math.pi / 2:
            raise Geant4Error(
                "the particle would not enter the front face",
                where="--theta",
                got=_told(math.degrees(self.theta.low), math.degrees(self.theta.high), "deg"),
                expected=f"angles to {depth_axis(detector)} from 0deg to less than 90deg",
            )
        for name, interval, half in zip("xy", (self.x, self.y), _half_face(detector), strict=True):
            if max(-interval.low, interval.high) > half:
                raise Geant4Error(
                    "the particle would miss the detector",
                    where=f"--{name}",
                    got=_told(interval.low, interval.high, "mm"),
                    expected=f"{-half:g}:{half:g}mm, the front face of {detector.name!r}",
                )

    def as_dict(self) -> dict[str, Any]:
        """What it shoots, for the provenance of what is made of it."""
        return {
            "particle": particle_name(self.pdg),
            "pdg": self.pdg,
            "energy": self.energy.text,
            "energy_mev": [self.energy.minimum, self.energy.maximum],
            "theta_rad": [self.theta.low, self.theta.high],
            "phi_rad": [self.phi.low, self.phi.high],
            "impact_x_mm": [self.x.low, self.x.high],
            "impact_y_mm": [self.y.low, self.y.high],
        }

    def incident(self, seed: int, start: int, stop: int) -> Incident:
        """Draw the particles of the showers numbered `start` to `stop - 1`.

        Each shower has a counter-based generator of its own, keyed by seed and number, so that a shower
        does not depend on which others are made with it.
        """
        rows = [self._draw(seed, number) for number in range(start, stop)]
        columns = np.array(rows, np.float64).reshape(-1, 5).T
        energy, theta, phi, x, y = columns
        return Incident.of(energy, pdg=self.pdg, theta=theta, phi=phi, x=x, y=y)

    def _draw(self, seed: int, number: int) -> list[float]:
        rng = np.random.Generator(np.random.Philox(key=[seed, number]))
        ranges = (self.energy, self.theta, self.phi, self.x, self.y)
        return [float(what.sample(rng, 1)[0]) for what in ranges]


def portions(energy: NDArray[np.float32], most_energy: float, most_showers: int) -> list[tuple[int, int]]:
    """Cut showers into portions of limited energy (MeV) and number; one shower may exceed the energy.

    Returns:
        Start and stop of each portion, in order.
    """
    found, start, total = [], 0, 0.0
    for i, value in enumerate(energy.tolist()):
        if i > start and (total + value > most_energy or i - start >= most_showers):
            found.append((start, i))
            start, total = i, 0.0
        total += value
    return [*found, (start, len(energy))]


def directions(incident: Incident) -> NDArray[np.float64]:
    """Unit vectors along the particles in the detector's axes, shape `(n, 3)`."""
    theta, phi = incident.theta.astype(np.float64), incident.phi.astype(np.float64)
    return np.column_stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)])


def primaries(detector: Detector, incident: Incident, before: float = 0.0) -> Any:
    """Return calzone's array of the particles, just before the front face.

    Args:
        detector: What they will hit.
        incident: The particles.
        before: How far before the front face they start, on their way to it, mm.
    """
    import calzone

    along = directions(incident)
    standoff = _STANDOFF + before / along[:, 2:]
    entry = np.column_stack([_impact_x(detector, incident), incident.y, np.zeros(len(incident))])
    if detector.shape == "barrel":
        entry[:, 2] = detector.inner_radius
    return calzone.particles(
        len(incident),
        pid=incident.pdg,
        energy=incident.energy.astype(np.float64),
        position=turned(detector, incident.x, to_world(detector, entry - standoff * along) / CM),
        direction=turned(detector, incident.x, to_world(detector, along)),
    )


def random_indices(numbers: Iterable[int]) -> NDArray[np.uint64]:
    """Return where in Geant4's random stream each shower begins, shape `(n, 2)`: high and low 64 bits."""
    indices = [int(number) << _STREAM_BITS for number in numbers]
    low = (1 << 64) - 1
    return np.array([[index >> 64, index & low] for index in indices], np.uint64).reshape(-1, 2)


def random_seed(seed: int) -> int:
    """Return 128 bits for Geant4's random engine that have nothing in common for neighbouring seeds.

    The engine (PCG, multiplicative) takes a seed as its state and sets the lowest bit: 2 and 3 would be one
    stream, and 1 and 3 two streams of which one is three times the other.
    """
    high, low = np.random.SeedSequence(seed).generate_state(2, np.uint64)
    return (int(high) << 64) + int(low)


def _impact_x(detector: Detector, incident: Incident) -> NDArray[np.float64]:
    # A barrel looks the same all around: shooting at one azimuth is enough.
    return incident.x.astype(np.float64) * (detector.shape == "planar")


def _half_face(detector: Detector) -> tuple[float, float]:
    size = detector.size or (0.0, 0.0)
    if detector.shape == "planar":
        return size[0] / 2, size[-1] / 2
    return math.pi * (detector.inner_radius or 0.0), size[0]


def _told(low: float, high: float, unit: str) -> str:
    return f"{low:g}{unit}" if low == high else f"{low:g}:{high:g}{unit}"
