"""LAGAN's jet images (arXiv:1701.05927): transverse momenta of 25 x 25 pixels in GeV, and whether it is a W.

Jets stand for showers: a boosted W boson is PDG id 24, and 21, the gluon, stands for all of the background,
jets of light quarks and gluons. The incident energy is the jet's transverse momentum.
"""

from __future__ import annotations

__all__ = ["FORMAT", "LaganFile"]

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from caloforge.errors import ShowersError
from caloforge.showers.container import Showers
from caloforge.showers.formats.base import GEV, ArraysFile, Format, GrowingFile, Shapes, check_images, rows_of
from caloforge.showers.formats.storage import Arrays
from caloforge.showers.incident import Incident

if TYPE_CHECKING:
    from caloforge.detector import Detector

SIGNAL, BACKGROUND = 24, 21


class LaganFile(ArraysFile):
    """Reads `image` (N, rows, columns) and `jet_pt` (N,) in GeV, and `signal` (N,), 1 or 0.

    Masses and substructure, which the published file has too, are left out. Without a detector, the shape of
    the images must be that of a preset of one layer.
    """

    format = "lagan"

    def _find(self, file: Arrays) -> tuple[int, Shapes]:
        self._image = file.dataset("image", (None, None, None))
        n = len(self._image)
        self._momentum, self._signal = rows_of(file, "jet_pt", n)[0], rows_of(file, "signal", n)[0]
        return n, [self._image.shape[1:]]

    def _cells(self, start: int, stop: int) -> NDArray[np.float32]:
        image = self._image[start:stop].reshape(stop - start, self.detector.n_cells)
        # Through float64: one rounding, so that the way back gives the same number or its neighbour.
        pixels: NDArray[np.float32] = (image * np.float64(GEV)).astype(np.float32)
        return pixels

    def _incident(self, start: int, stop: int) -> Incident:
        signal = self._signal[start:stop].ravel()
        energy = self._momentum[start:stop].ravel().astype(np.float64) * GEV
        return Incident.of(energy, np.where(signal > 0.5, SIGNAL, BACKGROUND))


def _write(path: Path, detector: Detector, parts: Iterable[Showers]) -> None:
    """Write the keys that LAGAN's own training reads, and `jet_pt`."""
    if len(detector.layers) != 1:
        raise ShowersError(
            "the LAGAN format holds images of one layer only",
            got=f"the detector {detector.name!r} with {len(detector.layers)} layers",
            cure="write another format: --to caloforge",
        )
    check_images(detector, "LAGAN")
    with GrowingFile.create(path) as file:
        for part in parts:
            pdg = part.incident.pdg
            strange = sorted({int(code) for code in pdg} - {SIGNAL, BACKGROUND})
            if strange:
                raise ShowersError(
                    "the LAGAN format knows signal and background only",
                    got="PDG ids " + ", ".join(map(str, strange)),
                    expected=f"{SIGNAL} (W, signal) and {BACKGROUND} (background)",
                    cure="write another format: --to caloforge",
                )
            file.append("image", (part.layers()[0] / np.float64(GEV)).astype(np.float32))
            file.append("signal", (pdg == SIGNAL).astype(np.float32))
            file.append("jet_pt", (part.incident.energy / np.float64(GEV)).astype(np.float32))


FORMAT = Format(
    name="lagan",
    about="LAGAN's jet images: image and jet_pt in GeV, signal",
    suffix=".lagan.h5",
    keeps=frozenset({"energy", "pdg"}),
    recognises=lambda file: all(key in file for key in ("image", "signal", "jet_pt")),
    open=LaganFile,
    write=_write,
)
