"""The LCD files of CERN's 3DGAN (arXiv:1912.06794, EPJC 82:386): `ECAL` images of CLIC's calorimeter.

Two dialects. `lcd`: orthogonal electrons, cells in GeV, `target` = [PDG id, energy in GeV]. `lcd-angle`:
cells in 50 x GeV (so that their sum is about the energy), `energy` in GeV, `theta` in rad, and `mtheta`, the
angle measured from the image, which the original training reads.

Their `theta` is the angle to the beam axis, see `beam.py`.
"""

from __future__ import annotations

__all__ = ["ANGLE", "FORMAT", "LcdFile", "measured_theta"]

import math
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from caloforge.errors import ShowersError
from caloforge.showers.container import Showers
from caloforge.showers.formats.base import GEV, ArraysFile, Format, GrowingFile, Shapes, check_images, rows_of
from caloforge.showers.formats.beam import beam_theta, from_beam_theta
from caloforge.showers.formats.storage import Arrays
from caloforge.showers.formats.units import FEW, response
from caloforge.showers.incident import Incident

if TYPE_CHECKING:
    from caloforge.detector import Detector

_ANGLE_UNIT = GEV / 50  # MeV per unit of a cell


class LcdFile(ArraysFile):
    """Reads `ECAL` (N, x, y, layer) with `target` (N, 2 or more), or with `energy`, `theta` and `pdgID`.

    Without `theta`, `eta` says the angle if it is there. The unit of the cells is that of the dialect asked
    for; if none was, keys tell it: GeV with `target`, 50 x GeV with `theta` or `mtheta`. With neither it is
    told from the sum of the cells over the incident energy, about 0.02 for GeV and 1 for 50 x GeV.

    Args:
        file: The open file.
        detector: What was hit; by default `clic` or `clic-angle`, by the shape.
        pdg: PDG id where the file does not say.
        unit: MeV per unit of a cell, or None to tell from the data.
    """

    def __init__(
        self, file: Arrays, detector: Detector | None, pdg: int | None, unit: float | None = None
    ) -> None:
        super().__init__(file, detector, pdg)
        self._unit = unit or self._said_unit or self._tell_unit()
        self.format = "lcd-angle" if self._unit == _ANGLE_UNIT else "lcd"

    def _find(self, file: Arrays) -> tuple[int, Shapes]:
        self._ecal = file.dataset("ECAL", (None, None, None, None))
        n, x, y, layers = self._ecal.shape
        self._target = self._ids = None
        self._said_unit = None
        if "target" in file:
            self._said_unit = GEV
            self._target = file.dataset("target", (n, None))
            if self._target.shape[1] < 2:
                raise ShowersError(
                    "a dataset has the wrong shape",
                    where=f"{self.path}, key 'target'",
                    got=self._target.shape,
                    expected=f"({n}, 2 or more): PDG id, energy in GeV",
                )
        else:
            self._energy, _ = rows_of(file, "energy", n)
            if "pdgID" in file and self.pdg is None:
                self._ids = rows_of(file, "pdgID", n)[0]
            else:
                self._pdg = self._unknown_particle()
        self._theta = rows_of(file, "theta", n)[0] if "theta" in file else None
        self._eta = rows_of(file, "eta", n)[0] if "eta" in file and self._theta is None else None
        if self._target is None and ("theta" in file or "mtheta" in file):
            self._said_unit = _ANGLE_UNIT
        return n, [(x, y)] * layers

    def _tell_unit(self) -> float:
        n = min(self._n, FEW)
        total = self._ecal[:n].sum(axis=(1, 2, 3), dtype=np.float64)
        ratio = response(total, self._incident(0, n).energy / GEV)
        if ratio is None:
            return GEV  # none of them is possible: whoever reads them will say so
        unit = GEV if ratio < 0.2 else _ANGLE_UNIT
        what, other = ("GeV", "lcd-angle") if unit == GEV else ("50 x GeV", "lcd")
        note = (
            f"cells are in {what}, as their sum is {ratio:.3g} of the energy in GeV (if not: --from {other})"
        )
        self.notes = (*self.notes, note)
        return unit

    def _cells(self, start: int, stop: int) -> NDArray[np.float32]:
        cells = self._ecal[start:stop].transpose(0, 3, 1, 2).reshape(stop - start, self.detector.n_cells)
        # Through float64: one rounding, so that the way back gives the same number or its neighbour.
        scaled: NDArray[np.float32] = (cells * np.float64(self._unit)).astype(np.float32)
        return scaled

    def _incident(self, start: int, stop: int) -> Incident:
        pdg: int | NDArray[np.int32]
        if self._target is not None:
            target = self._target[start:stop][:, :2]
            pdg = self._exact(target[:, 0], "target") if self.pdg is None else self.pdg
            energy = target[:, 1].astype(np.float64)
        else:
            energy = self._energy[start:stop].ravel().astype(np.float64)
            pdg = self._pdg if self._ids is None else self._exact(self._ids[start:stop].ravel(), "pdgID")
        return Incident.of(energy * GEV, pdg, *from_beam_theta(self._beam_theta(start, stop)))

    def _beam_theta(self, start: int, stop: int) -> NDArray[np.float64]:
        if self._theta is not None:
            return self._theta[start:stop].ravel().astype(np.float64)
        if self._eta is not None:
            return math.pi / 2 - np.arcsin(np.tanh(self._eta[start:stop].ravel().astype(np.float64)))
        return np.full(stop - start, math.pi / 2)

    def _exact(self, ids: NDArray[Any], key: str) -> NDArray[np.int32]:
        """PDG ids, unless the file's numbers have too few digits for them."""
        lost = ids.dtype.kind == "f" and np.abs(ids) >= 2.0 ** np.finfo(ids.dtype).nmant
        if np.any(lost):
            raise ShowersError(
                "PDG ids in this file are rounded: its numbers have too few digits for those of ions",
                where=f"{self.path}, key {key!r}",
                got=f"{ids[lost][0]:.0f} as {ids.dtype}",
                cure="say which particle it is: --particle",
            )
        return ids.astype(np.int32)


def measured_theta(ecal: NDArray[np.float32]) -> NDArray[np.float64]:
    """The `mtheta` of 3DGAN: the mean over layers, weighted by depth, of the slope from the barycentre.

    Args:
        ecal: Images (n, x, y, layer) in any unit.

    Returns:
        Shape `(n,)`, rad if cells were cubes; 100 for an empty image.
    """
    energy = ecal.astype(np.float64)
    x, y, z = (np.arange(size) + 0.5 for size in ecal.shape[1:])
    along_x, along_y = energy.sum(axis=2), energy.sum(axis=1)  # (n, x, layer), (n, y, layer)
    layer = along_x.sum(axis=1)
    total = np.maximum(layer.sum(axis=1), np.finfo(np.float64).tiny)[:, None]
    filled = layer > 0
    safe = np.where(filled, layer, 1.0)
    x_mid = np.where(filled, np.einsum("nxl,x->nl", along_x, x) / safe, 0.0)
    y_mid = np.where(filled, np.einsum("nyl,y->nl", along_y, y) / safe, 0.0)
    x_ref, y_ref, z_ref = ((layer * mid).sum(axis=1, keepdims=True) / total for mid in (x_mid, y_mid, z))
    projected = np.sqrt(np.maximum((x_mid - x_ref) ** 2 + (z - z_ref) ** 2, 1e-7))
    slope = (y_mid - y_ref) / projected * np.where(z < z_ref, -1.0, 1.0)
    weight = z * filled
    angle = (weight * (math.pi / 2 - np.arctan(slope))).sum(axis=1)
    depth = weight.sum(axis=1)
    return np.where(depth > 0, angle / np.where(depth > 0, depth, 1.0), 100.0)


def _images(part: Showers, unit: float) -> NDArray[np.float32]:
    check_images(part.detector, "LCD")
    layers = part.layers()
    if len({layer.shape for layer in layers}) != 1:
        raise ShowersError(
            "the LCD format holds layers of equal shape only",
            got=f"the detector {part.detector.name!r}",
            cure="write another format: --to caloforge",
        )
    return (np.stack(layers, axis=-1) / np.float64(unit)).astype(np.float32)


def _write_target(path: Path, detector: Detector, parts: Iterable[Showers]) -> None:  # noqa: ARG001
    with GrowingFile.create(path) as file:
        for part in parts:
            file.append("ECAL", _images(part, GEV))
            energy = part.incident.energy / np.float64(GEV)
            target = np.stack([part.incident.pdg, energy], axis=1).astype(np.float32)
            ions = part.incident.pdg[target[:, 0] != part.incident.pdg]
            if len(ions):
                raise ShowersError(
                    "the LCD format has too few digits for the PDG ids of ions",
                    got=f"PDG id {ions[0]}",
                    cure="write another format: --to caloforge, or lcd-angle, which holds no particle",
                )
            file.append("target", target)


def _write_angle(path: Path, detector: Detector, parts: Iterable[Showers]) -> None:  # noqa: ARG001
    with GrowingFile.create(path) as file:
        for part in parts:
            images = _images(part, _ANGLE_UNIT)
            file.append("ECAL", images)
            file.append("energy", part.incident.energy / np.float64(GEV))
            file.append("theta", beam_theta(part.incident))
            file.append("mtheta", measured_theta(images))


FORMAT = Format(
    name="lcd",
    about="3DGAN, orthogonal: ECAL in GeV, target = [PDG id, energy in GeV]",
    suffix=".lcd.h5",
    keeps=frozenset({"energy", "pdg"}),
    recognises=lambda file: "ECAL" in file,
    open=partial(LcdFile, unit=GEV),
    write=_write_target,
)

ANGLE = Format(
    name="lcd-angle",
    about="3DGAN, any angle: ECAL in 50 x GeV, energy in GeV, theta and mtheta in rad (90 deg is orthogonal)",
    suffix=".lcd-angle.h5",
    keeps=frozenset({"energy", "theta", "phi"}),
    recognises=lambda _: False,  # told from `lcd` by its unit, in LcdFile
    open=partial(LcdFile, unit=_ANGLE_UNIT),
    write=_write_angle,
)
