"""CaloChallenge's HDF5 (arXiv:2410.21611): flat showers and incident energies, both in MeV."""

from __future__ import annotations

__all__ = ["FORMAT", "CaloChallengeFile"]

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from caloforge.showers.container import Showers
from caloforge.showers.formats.base import ArraysFile, Format, GrowingFile, Shapes, rows_of
from caloforge.showers.formats.storage import Arrays
from caloforge.showers.incident import Incident

if TYPE_CHECKING:
    from caloforge.detector import Detector


class CaloChallengeFile(ArraysFile):
    """Reads `showers` (N, cells) and `incident_energies` (N, 1) in MeV.

    The cells are in the order of ours: layer by layer, r fastest; (N, layers, alpha, r), as some codes keep
    them, is the same. Without a detector, their number must be that of a preset. The particle is the
    detector's (`binning.pid`).
    """

    format = "calochallenge"

    def _find(self, file: Arrays) -> tuple[int, Shapes]:
        self._energy, n = rows_of(file, "incident_energies")
        deep = len(file.shape("showers") or ()) == 4
        self._showers = file.dataset("showers", (n, None, None, None) if deep else (n, None))
        shape = self._showers.shape[1:]
        return n, [shape[1:]] * shape[0] if deep else [shape]

    def _cells(self, start: int, stop: int) -> NDArray[np.float32]:
        cells: NDArray[np.float32] = self._showers[start:stop].astype(np.float32)
        return cells.reshape(stop - start, self.detector.n_cells)

    def _incident(self, start: int, stop: int) -> Incident:
        binning = self.detector.binning
        pdg = self.pdg if self.pdg is not None or binning is None else binning.pid
        return Incident.of(self._energy[start:stop].ravel(), pdg or 0)


def write(path: Path, detector: Detector, parts: Iterable[Showers]) -> None:  # noqa: ARG001
    """Write float64, as the published files are: the official classifier takes no other."""
    with GrowingFile.create(path) as file:
        for part in parts:
            file.append("incident_energies", part.incident.energy.astype(np.float64)[:, None])
            file.append("showers", part.cells.astype(np.float64))


FORMAT = Format(
    name="calochallenge",
    about="CaloChallenge: showers and incident_energies in MeV",
    suffix=".calochallenge.h5",
    keeps=frozenset({"energy"}),
    recognises=lambda file: "showers" in file and "incident_energies" in file,
    open=CaloChallengeFile,
    write=write,
)
