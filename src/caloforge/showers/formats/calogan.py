"""CaloGAN's HDF5 (arXiv:1705.02355): one image per layer in MeV, incident energy in GeV, overflow sums."""

from __future__ import annotations

__all__ = ["FORMAT", "CaloganFile"]

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from caloforge.hdf5 import Dataset
from caloforge.showers.container import Showers
from caloforge.showers.formats.base import GEV, ArraysFile, Format, GrowingFile, Shapes, check_images, rows_of
from caloforge.showers.formats.storage import Arrays
from caloforge.showers.formats.storage.npz import NpzArray
from caloforge.showers.incident import Incident

if TYPE_CHECKING:
    from caloforge.detector import Detector


class CaloganFile(ArraysFile):
    """Reads `layer_0`, `layer_1` ... (N, x, y) in MeV, `energy` (N, 1) in GeV, and `overflow` if there.

    Any number of layers is read; without a detector, their shapes must be those of a preset. The particle
    is not in the file. The branches of CaloGAN that vary position and angle write the gun's position `x0`,
    `y0`, `z0` in mm and the momentum `px`, `py`, `pz` (N, 1), too. Their Geant4 world has its origin in the
    middle of the calorimeter: from the gun, the particle flies straight to the front face.
    """

    format = "calogan"

    def _find(self, file: Arrays) -> tuple[int, Shapes]:
        self._energy, n = rows_of(file, "energy")
        names = file.keys()
        count = sum(name.startswith("layer_") for name in names)
        self._layers = [file.dataset(f"layer_{i}", (n, None, None)) for i in range(count)]
        self._outside = file.dataset("overflow", (n, count)) if "overflow" in file else None
        self._pdg = self._unknown_particle()
        self._momentum = self._vectors(file, ("px", "py", "pz"), n)
        self._origin = self._vectors(file, ("x0", "y0", "z0"), n)
        return n, [layer.shape[1:] for layer in self._layers]

    def _vectors(self, file: Arrays, names: Sequence[str], n: int) -> list[Dataset | NpzArray]:
        """Columns of three components; none if the file has none of them."""
        if not any(name in file for name in names):
            return []
        return [rows_of(file, name, n)[0] for name in names]

    def _cells(self, start: int, stop: int) -> NDArray[np.float32]:
        layers = [
            layer[start:stop].reshape(stop - start, layer.shape[1] * layer.shape[2]) for layer in self._layers
        ]
        return np.concatenate(layers, axis=1, dtype=np.float32)

    def _incident(self, start: int, stop: int) -> Incident:
        energy = self._energy[start:stop].ravel().astype(np.float64) * GEV
        px, py, pz = (
            _rows(self._momentum, start, stop) if self._momentum else (0.0, 0.0, np.ones_like(energy))
        )
        theta, phi = np.arctan2(np.hypot(px, py), pz), np.arctan2(py, px)
        if not self._origin:
            return Incident.of(energy, self._pdg, theta, phi)
        x, y, z = _rows(self._origin, start, stop)
        way = (-0.5 * self.detector.depth - z) / pz
        return Incident.of(energy, self._pdg, theta, phi, x + way * px, y + way * py)

    def _overflow(self, start: int, stop: int) -> NDArray[np.float32] | None:
        return None if self._outside is None else self._outside[start:stop].astype(np.float32)


def _rows(columns: Sequence[Dataset | NpzArray], start: int, stop: int) -> list[NDArray[np.float64]]:
    return [column[start:stop].ravel().astype(np.float64) for column in columns]


def write(path: Path, detector: Detector, parts: Iterable[Showers]) -> None:
    """Write the keys that CaloGAN's own training reads; `overflow` only where it was kept."""
    check_images(detector, "CaloGAN")
    with GrowingFile.create(path) as file:
        for part in parts:
            for i, layer in enumerate(part.layers()):
                file.append(f"layer_{i}", layer)
            file.append("energy", (part.incident.energy / np.float64(GEV)).astype(np.float32)[:, None])
            if part.overflow is not None:
                file.append("overflow", part.overflow)


FORMAT = Format(
    name="calogan",
    about="CaloGAN: layer_0, layer_1 ... in MeV, energy in GeV, overflow",
    suffix=".calogan.h5",
    keeps=frozenset({"energy", "overflow"}),
    recognises=lambda file: "layer_0" in file and "energy" in file,
    open=CaloganFile,
    write=write,
)
