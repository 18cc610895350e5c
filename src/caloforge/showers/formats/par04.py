"""The HDF5 of Geant4's example Par04 and of LEMURS: a cylindrical mesh (R, phi, z) and energies in MeV.

Their mesh follows the particle, and its incident angles are those of a barrel: `incident_theta` to the beam,
see `beam.py`, and `incident_phi` around it, which the symmetry of a barrel makes idle.
"""

from __future__ import annotations

__all__ = ["FORMAT", "Par04File", "check_mesh"]

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from caloforge.detector import PolarGrid
from caloforge.errors import ShowersError
from caloforge.showers.container import Showers
from caloforge.showers.formats.base import ArraysFile, Format, GrowingFile, Shapes, rows_of
from caloforge.showers.formats.beam import beam_theta, from_beam_theta
from caloforge.showers.formats.storage import Arrays
from caloforge.showers.incident import Incident

if TYPE_CHECKING:
    from caloforge.detector import Detector


class Par04File(ArraysFile):
    """Reads `showers` (N, R, phi, z) and `incident_energy` (N,) in MeV, and `incident_theta` if there, rad.

    Without a detector, the shape must be that of a preset. The file does not name the particle.
    """

    format = "par04"

    def _find(self, file: Arrays) -> tuple[int, Shapes]:
        self._energy, n = rows_of(file, "incident_energy")
        self._showers = file.dataset("showers", (n, None, None, None))
        self._theta = rows_of(file, "incident_theta", n)[0] if "incident_theta" in file else None
        self._pdg = self._unknown_particle()
        _, rings, sectors, layers = self._showers.shape
        return n, [(sectors, rings)] * layers

    def _cells(self, start: int, stop: int) -> NDArray[np.float32]:
        mesh = self._showers[start:stop].astype(np.float32)
        return mesh.transpose(0, 3, 2, 1).reshape(stop - start, self.detector.n_cells)

    def _incident(self, start: int, stop: int) -> Incident:
        energy = self._energy[start:stop].ravel()
        if self._theta is None:
            return Incident.of(energy, self._pdg)
        theta = self._theta[start:stop].ravel().astype(np.float64)
        return Incident.of(energy, self._pdg, *from_beam_theta(theta))


def check_mesh(detector: Detector) -> None:
    """Raise unless all layers have the same rings and sectors.

    Raises:
        ShowersError: They differ, or are cut into rectangles.
    """
    shapes = {layer.shape for layer in detector.layers}
    if len(shapes) != 1 or not isinstance(detector.layers[0].grid, PolarGrid):
        raise ShowersError(
            "the Par04 format holds equal layers of rings and sectors only",
            got=f"the detector {detector.name!r}",
            cure="write another format: --to caloforge",
        )


def _write(path: Path, detector: Detector, parts: Iterable[Showers]) -> None:
    check_mesh(detector)
    with GrowingFile.create(path) as file:
        for part in parts:
            mesh = np.stack(part.layers(), axis=-1)  # (n, phi, R, z)
            file.append("showers", np.ascontiguousarray(mesh.transpose(0, 2, 1, 3)))
            file.append("incident_energy", part.incident.energy)
            file.append("incident_theta", beam_theta(part.incident))
            file.append("incident_phi", np.zeros(len(part)))


FORMAT = Format(
    name="par04",
    about="Geant4's Par04 and LEMURS: showers (n, R, phi, z) and incident_energy in MeV",
    suffix=".par04.h5",
    keeps=frozenset({"energy", "theta", "phi"}),
    recognises=lambda file: "incident_energy" in file and "showers" in file,
    open=Par04File,
    write=_write,
)
