"""The HDF5 of Geant4's example Par04 and of LEMURS: a cylindrical mesh (R, phi, z) and energies in MeV.

Cells are deposits, as the example's ntuples have them and as LEMURS is published. The conversion to HDF5 of
LEMURS may divide by a sampling fraction (key4hep/DDML, `edm4hep2h5.py --samplingFraction`; the option of the
same name in Par04's `root2h5.py` has no effect up to Geant4 11.4), and no key says whether it did.

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
from caloforge.showers.formats.deposits import divided, fractions, samples
from caloforge.showers.formats.storage import Arrays
from caloforge.showers.formats.units import FEW, response, same_unit
from caloforge.showers.incident import Incident

if TYPE_CHECKING:
    from caloforge.detector import Detector


class Par04File(ArraysFile):
    """Reads `showers` (N, R, phi, z) and `incident_energy` (N,) in MeV, and `incident_theta` if there, rad.

    Deposits are divided by the detector's sampling fraction, unless they would add up to more than any
    calorimeter shows: then the file's energies were divided before. Without a detector, the shape must be
    that of a preset. The file does not name the particle.
    """

    format = "par04"

    def _find(self, file: Arrays) -> tuple[int, Shapes]:
        self._energy, n = rows_of(file, "incident_energy")
        self._showers = file.dataset("showers", (n, None, None, None))
        self._theta = rows_of(file, "incident_theta", n)[0] if "incident_theta" in file else None
        self._pdg = self._unknown_particle()
        _, rings, sectors, layers = self._showers.shape
        return n, [(sectors, rings)] * layers

    def _check_shapes(self, shapes: Shapes | None) -> None:
        super()._check_shapes(shapes)
        self._share = np.ones(self.detector.n_cells)
        if samples(self.detector) and self._holds_deposits():
            self._share = fractions(self.detector, self.detector.layer_of_cell)

    def _holds_deposits(self) -> bool:
        few = min(self._n, FEW)
        layers = self._showers[:few].sum(axis=(1, 2), dtype=np.float64)
        seen = response((layers / self.detector.sampling_fractions).sum(axis=1), self._energy[:few])
        if same_unit(seen):
            told = "" if seen is None else f"; they add up to {seen:.3g} times the incident energy"
            self.notes = (*self.notes, *(f"{note}{told}" for note in divided(self.detector)))
            return True
        note = "energies are no deposits: divided by the detector's sampling fraction, they would add up to"
        self.notes = (*self.notes, f"{note} {seen:.3g} times the incident energy")
        return False

    def _cells(self, start: int, stop: int) -> NDArray[np.float32]:
        mesh = self._showers[start:stop].transpose(0, 3, 2, 1)
        return np.asarray(mesh.reshape(stop - start, self.detector.n_cells) / self._share, np.float32)

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
    share = fractions(detector, detector.layer_of_cell)
    shape = (-1, detector.n_layers, *detector.layers[0].shape)
    with GrowingFile.create(path) as file:
        for part in parts:
            mesh = (part.cells * share).reshape(shape)  # (n, z, phi, R), float64 as Par04 writes it
            file.append("showers", np.ascontiguousarray(mesh.transpose(0, 3, 2, 1)))
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
