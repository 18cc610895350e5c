"""What a slab shows of a deposit: in time for the gate, and as light that saturates (Birks' law); and when.

A step of length dx that loses dE shows dE / (1 + kB dE/dx) (J. B. Birks, Proc. Phys. Soc. A 64, 874, 1951),
as in Geant4's `G4EmSaturation`. Geant4 knows the true length of a step; its record has both ends only.
Electrons below 1 MeV are scattered so much that the straight line is 1.1 to 1.9 times too short: for them the
length is what they need on average to lose that energy, the difference of two ranges. With both, 10 GeV
electrons in iron and polystyrene with kB = 0.126 mm/MeV show 97.09 % of the deposits, with straight lines
96.5 %, with true lengths (geant4_pybind 0.1.3, Geant4 11.4) 97.08 %: `benchmarks/saturation.py`.
"""

from __future__ import annotations

__all__ = ["ElectronRange", "clock", "seen_in_slabs"]

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from caloforge.detector.nist import NIST_MATERIALS
from caloforge.truth.geometry import CM

if TYPE_CHECKING:
    from caloforge.detector import Detector
    from caloforge.truth.steps import Clock, Seen

Real = NDArray[np.float64]

_ELECTRON_MASS = 0.51099895  # MeV
_SCATTERED = 1.0  # MeV: electrons of less do not go straight
_PHOTON = 22
_NS = 1e-9  # s, in which Geant4's records have times here
_LIGHT = 299.792458  # mm/ns
_ENERGIES = np.geomspace(1e-3, _SCATTERED, 400)  # MeV
_LEAST = 1e-9  # MeV
_POLYSTYRENE = 0.56995  # mol of electrons in a cm3
# Protons of these energies (MeV) lose so much (MeV/mm) until they stop in polystyrene (Geant4 11.4's ranges).
_PROTON = np.array(
    [[1e-4, 1e-3, 1e-2, 3e-2, 0.1, 0.3, 1, 3, 10], [3.12, 9.86, 31.2, 52.4, 79, 74.6, 43.3, 21.1, 8.52]]
)


def seen_in_slabs(detector: Detector, before: float = 0.0) -> dict[int, Seen]:
    """Return what is seen of deposits in the slabs where that is not all of them, by number of the plate.

    Args:
        detector: What is hit.
        before: How far before the front face the particles start, mm.
    """
    kinds = {(slab.birks, slab.material) for slab in detector.plates}
    gate = None if detector.readout.gate is None else _Gate(detector, before)
    laws = {kind: _seen(detector, gate, *kind) for kind in kinds}
    found = ((number, laws[slab.birks, slab.material]) for number, slab in enumerate(detector.plates))
    return {number: seen for number, seen in found if seen is not None}


def clock(detector: Detector, before: float = 0.0) -> Clock | None:
    """Return what tells the times of deposits, where cells are to have times: the clock of the gate.

    Args:
        detector: What is hit.
        before: How far before the front face the particles start, mm.
    """
    if detector.readout.time is None:
        return None
    late = _Late(detector, before)

    def times(records: NDArray[Any]) -> Real:
        if _is_line(records):
            ends = zip(("start", "end"), records["time"].T, strict=True)
            return np.column_stack([late(records[end], time) for end, time in ends])
        return np.repeat(late(records["position"], records["time"])[:, None], 2, axis=1)

    return times


class _Late:
    """How much later than light that comes straight from the front face something happens."""

    def __init__(self, detector: Detector, before: float) -> None:
        self._start = before / _LIGHT
        self._radius = None if detector.inner_radius is None else detector.inner_radius / CM

    def __call__(self, place: Real, time: Real) -> Real:
        """Return ns of places in cm, shape `(n, 3)`, and Geant4's times in s."""
        depth = place[:, 2] if self._radius is None else np.hypot(place[:, 0], place[:, 1]) - self._radius
        late: Real = time / _NS - CM * depth / _LIGHT - self._start
        return late


def _seen(detector: Detector, gate: _Gate | None, birks: float | None, material: str) -> Seen | None:
    light = None if birks is None else _Birks(birks, *_electrons(detector, material))
    if gate is None or light is None:
        return gate or light
    return lambda records: gate.opens(records) * light(records)


class _Gate:
    """Deposits count until some time after light from the front face could be there."""

    def __init__(self, detector: Detector, before: float) -> None:
        self._late, self._last = _Late(detector, before), detector.readout.gate or 0.0

    def __call__(self, records: NDArray[Any]) -> Real:
        seen: Real = self.opens(records) * records["value"]
        return seen

    def opens(self, records: NDArray[Any]) -> NDArray[np.bool_]:
        """Which deposits are in time; a step counts in its middle."""
        line = _is_line(records)
        place = (records["start"] + records["end"]) / 2 if line else records["position"]
        when = records["time"].mean(axis=1) if line else records["time"]
        opens: NDArray[np.bool_] = self._late(place, when) <= self._last
        return opens


def _is_line(records: NDArray[Any]) -> bool:
    return "end" in (records.dtype.names or ())


def _electrons(detector: Detector, material: str) -> tuple[float, float]:
    """Electrons of a material in mol/cm3, and its mean excitation energy in eV by Bragg's rule."""
    mixture = detector.materials.get(material)
    if mixture is None:
        known = NIST_MATERIALS[material]
        return known.electron_density, known.mean_excitation_energy
    parts = [(part, NIST_MATERIALS[name]) for name, part in mixture.nist.items()]
    shares = np.array([part * known.electron_density / known.density for part, known in parts])
    logs = np.log([known.mean_excitation_energy for _, known in parts])
    total = sum(mixture.nist.values())
    return float(shares.sum()) * mixture.density / total, float(np.exp(shares @ logs / shares.sum()))


class ElectronRange:
    """Mean path of electrons until they stop, up to 1 MeV.

    The integral of the collision stopping power of Berger and Seltzer (ICRU report 37) without density
    effect; within 2 % of Geant4's own tables from 10 keV on, from plastics to PbWO4.

    Args:
        electron_density: mol/cm3.
        mean_excitation_energy: eV.
    """

    def __init__(self, electron_density: float, mean_excitation_energy: float) -> None:
        # The formula ends near the excitation energy; below, ranges follow a power law.
        known = _ENERGIES[6e-6 * mean_excitation_energy < _ENERGIES]
        path = 1 / _stopping_power(known, electron_density, mean_excitation_energy)
        pieces = np.diff(known) * (path[1:] + path[:-1]) / 2
        ranges = known[0] * path[0] / 1.5 + np.concatenate([[0.0], np.cumsum(pieces)])
        self._log_energies, self._log_ranges = np.log(known), np.log(ranges)

    def __call__(self, energy: Real) -> Real:
        """Return ranges in mm of kinetic energies in MeV."""
        logs = np.log(np.maximum(energy, _LEAST))
        below = np.minimum(logs - self._log_energies[0], 0.0)
        ranges: Real = np.exp(1.5 * below + np.interp(logs, self._log_energies, self._log_ranges))
        return ranges


def _stopping_power(energy: Real, electron_density: float, mean_excitation_energy: float) -> Real:
    """In MeV/mm, of electrons."""
    tau = energy / _ELECTRON_MASS
    beta2 = tau * (tau + 2) / (tau + 1) ** 2
    excitation = 1e-6 * mean_excitation_energy / _ELECTRON_MASS
    f = 1 - beta2 + (tau**2 / 8 - (2 * tau + 1) * np.log(2)) / (tau + 1) ** 2
    power: Real = (
        0.0153536 * electron_density / beta2 * (np.log(tau**2 * (tau + 2) / (2 * excitation**2)) + f)
    )
    return power


class _Birks:
    """Birks' law in one material.

    Args:
        constant: kB, mm/MeV.
        electron_density: mol/cm3.
        mean_excitation_energy: eV.
    """

    def __init__(self, constant: float, electron_density: float, mean_excitation_energy: float) -> None:
        self._constant, self._electron_density = constant, electron_density
        self._range = ElectronRange(electron_density, mean_excitation_energy)

    def __call__(self, records: NDArray[Any]) -> Real:
        loss = self._along(records) if _is_line(records) else self._at_once(records)
        seen: Real = records["value"] / (1 + self._constant * loss)
        return seen

    def _along(self, lines: NDArray[Any]) -> Real:
        """Energy lost by length along a step, MeV/mm."""
        lost, length = lines["value"], CM * np.linalg.norm(lines["end"] - lines["start"], axis=1)
        electrons = np.flatnonzero((np.abs(lines["pid"]) == 11) & (lines["energy"] < _SCATTERED))
        before = lines["energy"][electrons]
        path = self._range(before) - self._range(np.maximum(before - lost[electrons], 0.0))
        length[electrons] = np.maximum(length[electrons], path)
        with np.errstate(divide="ignore", invalid="ignore"):
            loss: Real = np.where(length > 0, lost / length, self._protons(lost))
        return loss

    def _at_once(self, points: NDArray[Any]) -> Real:
        """The same of deposits without a step: photons leave electrons that stop, hadrons nuclei."""
        lost = points["value"]
        return np.where(points["pid"] == _PHOTON, lost / self._range(lost), self._protons(lost))

    def _protons(self, energy: Real) -> Real:
        """Mean loss of protons until they stop, MeV/mm."""
        logs = np.interp(np.log(np.maximum(energy, _LEAST)), *np.log(_PROTON))
        loss: Real = np.exp(logs) * self._electron_density / _POLYSTYRENE
        return loss
