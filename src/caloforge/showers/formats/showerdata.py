"""The HDF5 of the package showerdata (FLC-QU-hep): showers as points `x, y, z, energy`.

Its functions take z as the number of the layer and x and y in mm, and compare energies of points with
thresholds in GeV.
"""

from __future__ import annotations

__all__ = ["FORMAT", "ShowerdataFile"]

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from caloforge.errors import ShowersError
from caloforge.hdf5 import Hdf5File
from caloforge.showers.container import Showers
from caloforge.showers.formats.base import GEV, Format, GrowingFile, rows_of
from caloforge.showers.formats.hits import Hits, HitsFile, cell_at
from caloforge.showers.formats.smear import smeared
from caloforge.showers.incident import Incident
from caloforge.showers.sparse import Sparse

if TYPE_CHECKING:
    from caloforge.detector import Detector

Places = Callable[["Detector", Sparse, int], NDArray[np.float32]]

_LAYOUT = "0.7.0"  # of showerdata: the layout that is written
_NEAR = 0.1  # of a layer: how far below its number z may be, as in showerdata


class ShowerdataFile(HitsFile[Hdf5File]):
    """Reads `showers`, N lists of points (x, y, z, energy) or (x, y, z, energy, time), and their particles.

    `energies` (N, 1) in GeV, `directions` (N, 3), `pdg` (N,); `shape` says how many columns a point has.
    Points are put into the cells that they lie in: z is the number of the layer. Times are left out.
    """

    format = "showerdata"

    def _find(self, file: Hdf5File) -> tuple[int, None]:
        self._energy, n = rows_of(file, "energies")
        self._points = file.lists("showers", n)
        self._direction = file.dataset("directions", (n, 3))
        self._ids = rows_of(file, "pdg", n)[0]
        columns = file.dataset("shape", (3,))[0:3][2]
        file.taken.add("num_points")
        if columns not in (4, 5):
            raise ShowersError(
                "points have 4 or 5 columns",
                where=f"{self.path}, key 'shape'",
                got=columns,
                expected="x, y, z, energy, and a time where it is known",
            )
        self._columns = int(columns)
        if self._columns == 5:
            self.notes = (*self.notes, "left out: times")
        self.notes = (*self.notes, "energies are in GeV, and z is the number of the layer, as in showerdata")
        return n, None

    def _hits(self, start: int, stop: int) -> Hits:
        counts, values = self._points.rows(start, stop)
        if (counts % self._columns).any():
            raise ShowersError(
                "a shower does not consist of whole points",
                where=f"{self.path}, key 'showers'",
                got=f"{counts[counts % self._columns > 0][0]} numbers",
                expected=f"a multiple of {self._columns}",
            )
        x, y, z, energy = values.reshape(-1, self._columns)[:, :4].T
        cell = cell_at(self.detector, _layer(z, self.detector.n_layers), x, y)
        offset = np.concatenate([[0], np.cumsum(counts // self._columns)])
        return Hits(offset, cell, energy.astype(np.float64) * GEV)

    def _incident(self, start: int, stop: int) -> Incident:
        x, y, z = self._direction[start:stop].astype(np.float64).T
        energy = self._energy[start:stop].ravel() * np.float64(GEV)
        pdg = self._ids[start:stop].ravel() if self.pdg is None else self.pdg
        return Incident.of(energy, pdg, np.arctan2(np.hypot(x, y), z), np.arctan2(y, x))


def _layer(z: NDArray[np.floating], layers: int) -> NDArray[np.int64]:
    with np.errstate(invalid="ignore"):
        number = np.floor(z + _NEAR)
        inside = (number >= 0) & (number < layers)
    return np.where(inside, number, -1).astype(np.int64)


def _write(path: Path, detector: Detector, parts: Iterable[Showers], places: Places) -> None:
    n = most = 0
    with GrowingFile.create(path) as file:
        for part in parts:
            hits = Sparse.of(part.incident, part.cells, None)
            points = _points(detector, hits, places(detector, hits, n))
            file.append_lists("showers", points)
            counts = np.array([len(shower) // 4 for shower in points], np.int32)
            for key, column in _particles(part.incident).items():
                file.append(key, column)
            file.append("shower_ids", np.arange(n, n + len(part), dtype=np.int32))
            file.append("num_points", counts)
            n, most = n + len(part), max(most, int(counts.max()))
        file.append("shape", np.array([n, most, 4], np.int64))
        file.attribute("showerdata_version", _LAYOUT)


def _particles(incident: Incident) -> dict[str, NDArray[Any]]:
    theta, phi = incident.theta.astype(np.float64), incident.phi.astype(np.float64)
    direction = [np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)]
    return {
        "energies": (incident.energy / np.float64(GEV)).astype(np.float32)[:, None],
        "directions": np.stack(direction, axis=1).astype(np.float32),
        "pdg": incident.pdg,
    }


def _middles(detector: Detector, hits: Sparse, first: int) -> NDArray[np.float32]:  # noqa: ARG001
    return detector.positions[hits.index, :2].astype(np.float32)


def _points(detector: Detector, hits: Sparse, places: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """One flat array of points per shower."""
    points = np.empty((len(hits.index), 4), np.float32)
    points[:, :2] = places
    points[:, 2] = detector.layer_of_cell[hits.index]
    points[:, 3] = hits.energy / np.float64(GEV)
    return [shower.ravel() for shower in np.split(points, hits.offset[1:-1])]


FORMAT = Format(
    name="showerdata",
    about="showerdata: points (x, y, layer, energy) and energies in GeV",
    suffix=".showerdata.h5",
    keeps=frozenset({"energy", "theta", "phi", "pdg"}),
    recognises=lambda file: all(key in file for key in ("showers", "energies", "directions", "shape")),
    open=ShowerdataFile,
    write=partial(_write, places=_middles),
    smear=partial(_write, places=smeared),
    storage=(Hdf5File,),
)
