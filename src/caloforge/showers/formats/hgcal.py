"""The HDF5 of the CMS HGCal challenge: layers of unlike cells side by side, filled up with zeros.

`gen_info` has energy in GeV, pseudorapidity and azimuth of the particle; cells are deposits in GeV, sums of
the simulated hits. Where the cells are is in a file of its own, so the detector must be given: a grid of kind
`cells` for each layer.
"""

from __future__ import annotations

__all__ = ["FORMAT", "HgcalFile"]

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from caloforge.errors import ShowersError
from caloforge.showers.container import Showers
from caloforge.showers.formats.base import GEV, ArraysFile, Format, GrowingFile, Shapes
from caloforge.showers.formats.deposits import divided, fractions
from caloforge.showers.formats.storage import Arrays
from caloforge.showers.incident import Incident

if TYPE_CHECKING:
    from caloforge.detector import Detector


class HgcalFile(ArraysFile):
    """Reads `gen_info` (N, 3) and `showers` (N, layers, most cells); the file does not name the particle."""

    format = "hgcal"

    def _find(self, file: Arrays) -> tuple[int, Shapes]:
        self._info = file.dataset("gen_info", (None, 3))
        n = len(self._info)
        self._showers = file.dataset("showers", (n, None, None))
        self._pdg = self._unknown_particle()
        _, layers, most = self._showers.shape
        return n, [(most, 1)] * layers

    def _check_shapes(self, shapes: Shapes | None) -> None:  # noqa: ARG002
        _, layers, most = self._showers.shape
        cells = [layer.n_cells for layer in self.detector.layers]
        if len(cells) != layers or max(cells) > most:
            raise ShowersError(
                f"these showers do not fit the detector {self.detector.name!r}",
                where=self.path,
                got=f"{layers} layers of at most {most} cells",
                expected=f"{len(cells)} layers of at most {max(cells)} cells",
                cure="give the detector they were made with: --detector FILE.yaml",
            )
        self.notes = (*self.notes, *divided(self.detector))

    def _cells(self, start: int, stop: int) -> NDArray[np.float32]:
        padded = self._showers[start:stop]
        layers = [padded[:, layer.index, : layer.n_cells] for layer in self.detector.layers]
        for layer in self.detector.layers:
            if padded[:, layer.index, layer.n_cells :].any():
                raise ShowersError(
                    "there is energy behind the last cell of a layer",
                    where=f"{self.path}, layer {layer.index}",
                    expected=f"zeros from cell {layer.n_cells} on, for the detector {self.detector.name!r}",
                    cure="give the detector they were made with: --detector FILE.yaml",
                )
        deposits = np.concatenate(layers, axis=1) * np.float64(GEV)
        return np.asarray(deposits / fractions(self.detector, self.detector.layer_of_cell), np.float32)

    def _incident(self, start: int, stop: int) -> Incident:
        energy, eta, phi = self._info[start:stop].astype(np.float64).T
        return Incident.of(energy * GEV, self._pdg, 2 * np.arctan(np.exp(-np.abs(eta))), phi)


def _write(path: Path, detector: Detector, parts: Iterable[Showers]) -> None:
    most = max(layer.n_cells for layer in detector.layers)
    unit = fractions(detector, detector.layer_of_cell) / GEV
    with GrowingFile.create(path) as file:
        for part in parts:
            theta = part.incident.theta.astype(np.float64)
            if (theta <= 0).any():
                raise ShowersError(
                    "a particle along the axis has no pseudorapidity, which the HGCal format holds",
                    got="theta 0",
                    cure="write another format: --to caloforge",
                )
            eta = -np.log(np.tan(theta / 2))
            info = np.stack([part.incident.energy / np.float64(GEV), eta, part.incident.phi], axis=1)
            deposits, padded = part.cells * unit, np.zeros((len(part), detector.n_layers, most), np.float32)
            for layer in detector.layers:
                padded[:, layer.index, : layer.n_cells] = deposits[:, layer.cells]
            file.append("gen_info", info.astype(np.float32))
            file.append("showers", padded)


FORMAT = Format(
    name="hgcal",
    about="the CMS HGCal challenge: gen_info (n, 3) and showers (n, layers, cells) in GeV",
    suffix=".hgcal.h5",
    keeps=frozenset({"energy", "theta", "phi"}),
    recognises=lambda file: "gen_info" in file and "showers" in file,
    open=HgcalFile,
    write=_write,
)
