"""CaloGAN's HDF5 (arXiv:1705.02355): one image per layer in MeV, incident energy in GeV, overflow sums."""

from __future__ import annotations

__all__ = ["FORMAT", "CaloganFile"]

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from caloforge.hdf5 import Hdf5File
from caloforge.showers.container import Showers
from caloforge.showers.formats.base import GEV, ForeignFile, Format, GrowingFile, rows_of
from caloforge.showers.incident import Incident

if TYPE_CHECKING:
    from caloforge.detector import Detector


class CaloganFile(ForeignFile):
    """Reads `layer_0`, `layer_1` ... (N, x, y) in MeV, `energy` (N, 1) in GeV, and `overflow` if there.

    Any number of layers is read; without a detector, their shapes must be those of a preset. The particle
    is not in the file.
    """

    format = "calogan"

    def _find(self, file: Hdf5File) -> tuple[int, list[tuple[int, ...]]]:
        self._energy, n = rows_of(file, "energy")
        names = file.keys()
        count = sum(name.startswith("layer_") for name in names)
        self._layers = [file.dataset(f"layer_{i}", (n, None, None)) for i in range(count)]
        self._outside = file.dataset("overflow", (n, count)) if "overflow" in file else None
        self._pdg = self._unknown_particle()
        return n, [layer.shape[1:] for layer in self._layers]

    def _cells(self, start: int, stop: int) -> NDArray[np.float32]:
        layers = [
            layer[start:stop].reshape(stop - start, layer.shape[1] * layer.shape[2]) for layer in self._layers
        ]
        return np.concatenate(layers, axis=1, dtype=np.float32)

    def _incident(self, start: int, stop: int) -> Incident:
        return Incident.of(self._energy[start:stop].ravel().astype(np.float64) * GEV, self._pdg)

    def _overflow(self, start: int, stop: int) -> NDArray[np.float32] | None:
        return None if self._outside is None else self._outside[start:stop].astype(np.float32)


def write(path: Path, detector: Detector, parts: Iterable[Showers]) -> None:  # noqa: ARG001
    """Write the keys that CaloGAN's own training reads; `overflow` only where it was kept."""
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
