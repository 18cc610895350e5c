"""Makes `src/caloforge/detector/nist.txt`: what Geant4's materials are to a shower.

    python benchmarks/materials.py > src/caloforge/detector/nist.txt

Density and composition are Geant4's, through calzone; so are electron density and mean excitation energy,
through geant4_pybind (0.1.3, with its data sets). The rest follows from them by the formulas of the Review of
Particle Physics, chapter "Passage of particles through matter": radiation length by Tsai, Moliere radius by
Rossi's critical energies, nuclear interaction length of elements by interpolation in their table.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

import calzone
import geant4_pybind as geant4
import numpy as np

from caloforge.detector.nist import ELEMENTS, NIST_MATERIALS

_WEIGHTS = """
    1.008 4.0026 6.94 9.0122 10.81 12.011 14.007 15.999 18.998 20.180 22.990 24.305 26.982 28.085 30.974 32.06
    35.45 39.948 39.098 40.078 44.956 47.867 50.942 51.996 54.938 55.845 58.933 58.693 63.546 65.38 69.723
    72.630 74.922 78.971 79.904 83.798 85.468 87.62 88.906 91.224 92.906 95.95 98 101.07 102.91 106.42 107.87
    112.41 114.82 118.71 121.76 127.60 126.90 131.29 132.91 137.33 138.91 140.12 140.91 144.24 145 150.36
    151.96 157.25 158.93 162.50 164.93 167.26 168.93 173.05 174.97 178.49 180.95 183.84 186.21 190.23 192.22
    195.08 196.97 200.59 204.38 207.2 208.98 209 210 222 223 226 227 232.04 231.04 238.03 237 244 243 247
    247 251
"""
_A = dict(zip(ELEMENTS, map(float, _WEIGHTS.split()), strict=True))
_Z = {symbol: z for z, symbol in enumerate(ELEMENTS, 1)}
# Nuclear interaction lengths in g/cm2.
_LENGTHS = {
    "H": 52.0,
    "He": 71.0,
    "Li": 71.3,
    "Be": 77.8,
    "C": 85.8,
    "N": 89.7,
    "O": 90.2,
    "F": 97.4,
    "Ne": 99.0,
    "Al": 107.2,
    "Si": 108.4,
    "Cl": 115.7,
    "Ar": 119.7,
    "Ti": 126.2,
    "Fe": 132.1,
    "Cu": 137.3,
    "Ge": 146.9,
    "Sn": 166.7,
    "Xe": 172.1,
    "W": 191.9,
    "Pt": 195.7,
    "Au": 196.3,
    "Pb": 199.6,
    "U": 209.0,
}
_RADIATION_LOGARITHMS = {1: (5.31, 6.144), 2: (4.79, 5.621), 3: (4.74, 5.805), 4: (4.71, 5.924)}
_SCALE = 21.2052  # MeV, of multiple scattering


def _radiation_length(symbol: str) -> float:
    """In g/cm2."""
    z = _Z[symbol]
    a2 = (z / 137.036) ** 2
    coulomb = a2 * (1 / (1 + a2) + 0.20206 - 0.0369 * a2 + 0.0083 * a2**2 - 0.002 * a2**3)
    elastic, inelastic = _RADIATION_LOGARITHMS.get(
        z, (math.log(184.15 * z ** (-1 / 3)), math.log(1194 * z ** (-2 / 3)))
    )
    return 716.408 * _A[symbol] / (z * z * (elastic - coulomb) + z * inelastic)


def _critical_energy(symbol: str, gas: bool) -> float:
    """In MeV."""
    z = _Z[symbol]
    return 710 / (z + 0.92) if gas else 610 / (z + 1.24)


def _interaction_length(symbol: str) -> float:
    """In g/cm2."""
    known = sorted((_A[name], length) for name, length in _LENGTHS.items())
    return float(np.interp(_A[symbol], *zip(*known, strict=True)))


def _row(name: str) -> str:
    material: Any = calzone.describe(material=name)
    parts = dict(material.composition)

    def per_length(of: Callable[[str], float]) -> float:
        return sum(weight / of(symbol) for symbol, weight in parts.items())

    gas = material.state == "gas"
    moliere = per_length(lambda symbol: _SCALE * _radiation_length(symbol) / _critical_energy(symbol, gas))
    mm = [
        10 / material.density / x
        for x in (per_length(_radiation_length), moliere, per_length(_interaction_length))
    ]
    shape = f"{material.density:.6g}", *(f"{length:.4g}" for length in mm)
    return " ".join([name, *shape, *_ionisation(name)])


def _ionisation(name: str) -> tuple[str, str]:
    """Electron density in mol/cm3, mean excitation energy in eV."""
    material = geant4.G4NistManager.Instance().FindOrBuildMaterial(name)
    electrons = material.GetElectronDensity() * geant4.cm3 / 6.02214076e23
    return f"{electrons:.6g}", f"{material.GetIonisation().GetMeanExcitationEnergy() / geant4.eV:.5g}"


def main() -> None:
    """Write the table to standard output: elements by number, then compounds."""
    head = "material density/(g/cm3) radiation_length/mm Moliere_radius/mm interaction_length/mm"
    head += " electron_density/(mol/cm3) mean_excitation_energy/eV"
    sys.stdout.write("\n".join([head, *map(_row, NIST_MATERIALS), ""]))


if __name__ == "__main__":
    main()
