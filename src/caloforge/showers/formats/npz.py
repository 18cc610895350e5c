"""numpy's npz: flat showers as in the CaloChallenge, with all that is known of the particles."""

from __future__ import annotations

__all__ = ["FORMAT", "NpzShowers"]

import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from caloforge.errors import ShowersError
from caloforge.showers.container import Showers
from caloforge.showers.formats.base import GEV, ArraysFile, Format, Shapes, rows_of
from caloforge.showers.formats.storage import Arrays
from caloforge.showers.formats.storage.npz import NpzFile
from caloforge.showers.formats.storage.npz_output import NpzOutput
from caloforge.showers.formats.units import FEW, response, same_unit
from caloforge.showers.incident import Incident

if TYPE_CHECKING:
    from caloforge.detector import Detector

_MEV = ("incident_energies", "incident_energy")
_EITHER = ("energy", "energies")
_COLUMNS = ("theta", "phi", "x", "y", "pdg")


class NpzShowers(ArraysFile):
    """Reads `showers` (N, cells) or (N, layers, a, b) in MeV, and `incident_energies` (N,) or (N, 1) in MeV.

    `energy` or `energies` may stand for `incident_energies`: they are in GeV where the cells would otherwise
    hold more than twice the energy of the particle. `theta`, `phi` (rad), `x`, `y` (mm), `pdg` may be there.
    """

    format = "npz"

    def _find(self, file: Arrays) -> tuple[int, Shapes]:
        names = [name for name in (*_MEV, *_EITHER) if name in file]
        if not names:
            raise ShowersError(
                "the file does not say the energies of the particles",
                where=self.path,
                got=", ".join(file.keys()[:30]),
                expected="incident_energies",
            )
        self._energy, n = rows_of(file, names[0])
        shape = file.shape("showers") or ()
        self._showers = file.dataset("showers", (n, *[None] * max(1, len(shape) - 1)))
        self._columns = {name: rows_of(file, name, n)[0] for name in _COLUMNS if name in file}
        self._pdg = 0 if "pdg" in self._columns else self._unknown_particle()
        self._unit = 1.0 if names[0] in _MEV else self._told(names[0], n)
        layered = len(shape) == 4
        return n, [shape[2:]] * shape[1] if layered else [(math.prod(shape[1:]),)]

    def _told(self, name: str, n: int) -> float:
        few = min(n, FEW)
        axes = tuple(range(1, len(self._showers.shape)))
        total = self._showers[:few].sum(axis=axes, dtype=np.float64)
        ratio = response(total, self._energy[:few])
        unit = 1.0 if same_unit(ratio) else GEV
        what = "MeV" if unit == 1.0 else "GeV"
        seen = "" if ratio is None else f", as the sum of the cells in MeV is {ratio:.3g} times it"
        self.notes = (*self.notes, f"{name!r} is in {what}{seen} (`incident_energies` is always in MeV)")
        return unit

    def _cells(self, start: int, stop: int) -> NDArray[np.float32]:
        return self._showers[start:stop].astype(np.float32).reshape(stop - start, self.detector.n_cells)

    def _incident(self, start: int, stop: int) -> Incident:
        columns = {name: column[start:stop].ravel() for name, column in self._columns.items()}
        if self.pdg is not None or "pdg" not in columns:
            columns["pdg"] = np.full(stop - start, self.pdg or self._pdg)
        return Incident.of(self._energy[start:stop].ravel() * np.float64(self._unit), **columns)


def _recognises(file: Arrays) -> bool:
    if "incident_energy" in file and len(file.shape("showers") or ()) == 4:
        return False  # Par04's, whose axes are others
    return "showers" in file and any(name in file for name in (*_MEV, *_EITHER))


def _write(path: Path, detector: Detector, parts: Iterable[Showers]) -> None:  # noqa: ARG001
    with NpzOutput.create(path) as file:
        for part in parts:
            file.append("showers", part.cells)
            file.append("incident_energies", part.incident.energy)
            for name in _COLUMNS:
                file.append(name, getattr(part.incident, name))


FORMAT = Format(
    name="npz",
    about="numpy's npz: showers (n, cells) and incident_energies in MeV",
    suffix=".npz",
    keeps=frozenset({"energy", *_COLUMNS}),
    recognises=_recognises,
    open=NpzShowers,
    write=_write,
    storage=(NpzFile,),
)
