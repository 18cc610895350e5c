"""The HDF5 of DESY's Getting High (arXiv:2005.05334): a group as `30x30` with images and energies.

Their program writes cells in MeV and energies of the photons in GeV, and names no units.
"""

from __future__ import annotations

__all__ = ["FORMAT", "GettingHighFile"]

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from caloforge.errors import ShowersError
from caloforge.hdf5 import Hdf5File
from caloforge.showers.container import Showers
from caloforge.showers.formats.base import GEV, ArraysFile, Format, GrowingFile, Shapes, rows_of
from caloforge.showers.formats.storage import Arrays
from caloforge.showers.formats.units import FEW, response, same_unit
from caloforge.showers.incident import Incident

if TYPE_CHECKING:
    from caloforge.detector import Detector


class GettingHighFile(ArraysFile):
    """Reads `NxN/layers` (N, layer, x, y) in MeV and `NxN/energy` (N, 1) in GeV, of the first such group.

    Cells that add up to less than twice the number of GeV are taken to be in GeV, too. Without a detector,
    the shape must be that of a preset. The file does not name the particle.
    """

    format = "getting-high"

    def _find(self, file: Arrays) -> tuple[int, Shapes]:
        group = (_groups(file) or ["NxN"])[0]
        self._energy, n = rows_of(file, f"{group}/energy")
        self._layers = file.dataset(f"{group}/layers", (n, None, None, None))
        self._unit = self._told(min(n, FEW))
        self._pdg = self._unknown_particle()
        _, layers, *shape = self._layers.shape
        return n, [tuple(shape)] * layers

    def _told(self, few: int) -> float:
        total = self._layers[:few].sum(axis=(1, 2, 3), dtype=np.float64)
        ratio = response(total, self._energy[:few])
        unit = GEV if ratio is not None and same_unit(ratio) else 1.0
        what = "MeV" if unit == 1.0 else "GeV"
        seen = "" if ratio is None else f": they add up to {ratio:.3g} times the energy in GeV"
        self.notes = (*self.notes, f"cells are taken to be in {what}{seen}")
        return unit

    def _cells(self, start: int, stop: int) -> NDArray[np.float32]:
        cells = self._layers[start:stop].reshape(stop - start, self.detector.n_cells)
        scaled: NDArray[np.float32] = (cells * np.float64(self._unit)).astype(np.float32)
        return scaled

    def _incident(self, start: int, stop: int) -> Incident:
        return Incident.of(self._energy[start:stop].ravel() * np.float64(GEV), self._pdg)


def _groups(file: Arrays) -> list[str]:
    keys = file.keys()
    groups = [key.removesuffix("/layers") for key in keys if key.endswith("/layers")]
    return [group for group in groups if f"{group}/energy" in file]


def _write(path: Path, detector: Detector, parts: Iterable[Showers]) -> None:
    shapes = {layer.shape for layer in detector.layers}
    if len(shapes) != 1:
        raise ShowersError(
            "the format of Getting High holds layers of equal shape only",
            got=f"the detector {detector.name!r}",
            cure="write another format: --to caloforge",
        )
    group = "x".join(map(str, shapes.pop()))
    with GrowingFile.create(path) as file:
        for part in parts:
            energy = (part.incident.energy / np.float64(GEV)).astype(np.float32)
            file.append(f"{group}/energy", energy[:, None])
            file.append(f"{group}/layers", np.stack(part.layers(), axis=1))


FORMAT = Format(
    name="getting-high",
    about="DESY's Getting High: NxN/layers in MeV, NxN/energy in GeV",
    suffix=".getting-high.h5",
    keeps=frozenset({"energy"}),
    recognises=lambda file: bool(_groups(file)),
    open=GettingHighFile,
    write=_write,
    storage=(Hdf5File,),
)
