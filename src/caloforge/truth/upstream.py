"""What stands before a calorimeter: its slabs, and the particles that come out of them."""

from __future__ import annotations

__all__ = ["Entered", "Upstream", "slabs_before"]

import math
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from caloforge.detector import Slab
from caloforge.detector.nist import NIST_MATERIALS, nearest_material
from caloforge.errors import DetectorError, QuantityError
from caloforge.quantities import length
from caloforge.showers import Incident
from caloforge.truth.engine import run, start
from caloforge.truth.geometry import CM, ENTRANCE, entrance
from caloforge.truth.gun import primaries

if TYPE_CHECKING:
    from caloforge.detector import Detector
    from caloforge.truth.physics import Physics

_WHERE = "--before"
_WRITTEN = "a material and its thickness in mm or radiation lengths: 'G4_Al 1X0', 'G4_AIR 50mm'"
_THICKEST = 1e6  # mm


def slabs_before(texts: Iterable[str], detector: Detector) -> tuple[Slab, ...]:
    """Read slabs that stand before a detector, the one that particles meet first first.

    Args:
        texts: Materials with their thickness, `G4_Al 1X0` or `G4_Al 89mm`.
        detector: A planar one; its own mixtures may be used, too, with a thickness in mm.

    Returns:
        The slabs; the last one ends at the front face, at depth 0.

    Raises:
        DetectorError: An unknown material, one without a known radiation length, or a barrel.
        QuantityError: No thickness, or one that is none.
    """
    parts = [_material_and_thickness(text, detector) for text in texts]
    if parts and detector.shape != "planar":
        raise DetectorError(
            "material can stand before a planar detector only", where=detector.name, got=detector.shape
        )
    depth = -sum(thickness for _, thickness in parts)
    slabs = []
    for material, thickness in parts:
        slabs.append(Slab(material, thickness, False, depth))
        depth = depth + thickness
    return tuple(slabs)


def _material_and_thickness(text: str, detector: Detector) -> tuple[str, float]:
    material, _, size = text.strip().partition(" ")
    if material not in NIST_MATERIALS and material not in detector.materials:
        raise DetectorError(
            f"unknown material {material!r}",
            where=_WHERE,
            got=text,
            expected=_WRITTEN,
            near=nearest_material(material, [*NIST_MATERIALS, *detector.materials]),
            cure="`caloforge detector materials` lists Geant4's",
        )
    thickness = _thickness(size.strip(), material, text) if size else 0.0
    if not 0 < thickness <= _THICKEST:
        raise QuantityError(f"{size.strip()!r} is not a thickness", where=_WHERE, got=text, expected=_WRITTEN)
    return material, thickness


def _thickness(size: str, material: str, text: str) -> float:
    if not size.endswith("X0"):
        return length(size, _WHERE)
    if material not in NIST_MATERIALS:
        raise DetectorError(
            f"the radiation length of {material} is not known",
            where=_WHERE,
            got=text,
            expected="a thickness in mm for a mixture of one's own",
        )
    try:
        return float(size.removesuffix("X0")) * NIST_MATERIALS[material].radiation_length
    except ValueError:
        raise QuantityError(
            f"{size!r} is not a thickness", where=_WHERE, got=text, expected=_WRITTEN
        ) from None


class Entered(NamedTuple):
    """Particles that enter a detector: what they are, and the row of the primary that each comes from."""

    incident: Incident
    primary: NDArray[np.int64]


class Upstream:
    """Geant4 with what stands before a detector, and nothing in the detector's place.

    Args:
        detector: A planar one.
        before: The slabs.
        physics: Models and production cut.
        seed: Seed of Geant4's random numbers.

    Raises:
        Geant4Error: Geant4 does not accept the slabs.
    """

    def __init__(self, detector: Detector, before: Sequence[Slab], physics: Physics, seed: int) -> None:
        self.detector, self._reach = detector, -before[0].start
        self._simulation = start(detector.name, entrance(detector, before), physics, seed)
        self._simulation.sample_particles = True
        # The first run builds tables for all particles and materials.
        self.enter(Incident.of([1.0], pdg=22), np.zeros(1, np.int64))

    def enter(self, incident: Incident, numbers: NDArray[np.int64]) -> tuple[Entered, float]:
        """Let particles pass to the front face; every one that enters it is caught there.

        Args:
            incident: The primaries, by where they would enter if nothing stood in their way.
            numbers: Which random numbers each has, shape `(n,)`.

        Returns:
            What enters, primary by primary, and milliseconds of CPU.

        Raises:
            Geant4Error: Geant4 failed.
        """
        begin = time.process_time()
        shot = primaries(self.detector, incident, self._reach)
        caught = run(self.detector.name, self._simulation, shot, numbers).get(ENTRANCE)
        found = _entered(caught) if caught is not None else Entered(Incident.of([]), np.empty(0, np.int64))
        return found, (time.process_time() - begin) * 1e3


def _entered(caught: NDArray[np.void]) -> Entered:
    across, along = caught["direction"][:, :2], caught["direction"][:, 2]
    # A sine beyond all angles that a particle can come in at would be 90 degrees in float32.
    theta = np.minimum(np.arctan2(np.hypot(*across.T), along), math.pi / 2 - 1e-6)
    incident = Incident.of(
        caught["energy"],
        pdg=caught["pid"],
        theta=theta,
        phi=np.arctan2(across[:, 1], across[:, 0]),
        x=caught["position"][:, 0] * CM,
        y=caught["position"][:, 1] * CM,
    )
    return Entered(incident, caught["event"].astype(np.int64))
