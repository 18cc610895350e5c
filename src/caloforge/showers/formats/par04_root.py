"""The ROOT ntuples of Geant4's example Par04: hits on its cylindrical mesh, energies in MeV.

Since Geant4 11.2 there are two, `global` and `virtualReadout`; before there was one, `events`.
"""

from __future__ import annotations

__all__ = ["FORMAT", "Par04RootFile"]

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from caloforge.detector.readout import MAX_LAYERS
from caloforge.errors import ShowersError
from caloforge.showers.container import Showers
from caloforge.showers.formats.base import Format, Shapes
from caloforge.showers.formats.deposits import fractions
from caloforge.showers.formats.hits import Hits, HitsFile
from caloforge.showers.formats.par04 import check_mesh
from caloforge.showers.formats.storage.root import RootFile, jagged, new_root
from caloforge.showers.formats.storage.table import lists_alike
from caloforge.showers.incident import Incident
from caloforge.showers.sparse import Sparse

if TYPE_CHECKING:
    from caloforge.detector import Detector

_NEW, _OLD = ("global", "virtualReadout"), ("events", "events")
_MESH = ("zCell", "phiCell", "rhoCell")
_LOOKED_AT = 1024  # showers, for the size of the mesh


class Par04RootFile(HitsFile[RootFile]):
    """Reads `EnergyMC` in MeV, and lists `EnergyCell` in MeV, `rhoCell`, `phiCell` and `zCell`.

    Without a detector, the mesh is that of a preset which has just the cells that are hit in the first 1,024
    showers. The file does not name the particle; the energy is the particle's total one.
    """

    format = "par04-root"
    deposits = True

    def _find(self, file: RootFile) -> tuple[int, Shapes | None]:
        particles, mesh = _trees(file) or _NEW
        self._particles, self._mesh = file.table(particles), file.table(mesh)
        self._particles.take("EnergyMC")
        self._mesh.take("EnergyCell", *_MESH)
        n = len(self._particles)
        if len(self._mesh) != n:
            raise ShowersError(
                "two trees of one file differ in length",
                where=self.path,
                got=f"{n} entries of {particles!r}, {len(self._mesh)} of {mesh!r}",
            )
        self._pdg = self._unknown_particle()
        return n, None

    def _preset(self, shapes: Shapes | None) -> Detector:  # noqa: ARG002
        layers, sectors, rings = (self._size(name) for name in _MESH)
        return super()._preset([(sectors, rings)] * min(layers, MAX_LAYERS + 1))

    def _size(self, name: str) -> int:
        places = self._mesh.lists(name, 0, min(len(self._mesh), _LOOKED_AT)).values.astype(np.float64)
        return int(places[np.isfinite(places)].max(initial=-1)) + 1

    def _check_shapes(self, shapes: Shapes | None) -> None:  # noqa: ARG002
        check_mesh(self.detector)

    def _hits(self, start: int, stop: int) -> Hits:
        sectors, rings = self.detector.layers[0].shape
        energy, *places = lists_alike(self._mesh, ("EnergyCell", *_MESH), start, stop, self.path)
        place = np.stack([lists.values.astype(np.int64) for lists in places])
        size = np.array([[self.detector.n_layers], [sectors], [rings]])
        inside = ((place >= 0) & (place < size)).all(axis=0)
        layer, sector, ring = place
        cell = np.where(inside, (layer * sectors + sector) * rings + ring, -1)
        share = fractions(self.detector, np.where(inside, layer, -1))
        return Hits(energy.offset, cell, energy.values.astype(np.float64) / share)

    def _incident(self, start: int, stop: int) -> Incident:
        return Incident.of(self._particles.flat("EnergyMC", start, stop), self._pdg)


def _trees(file: RootFile) -> tuple[str, str] | None:
    for particles, mesh in (_NEW, _OLD):
        wanted = [f"{particles}/EnergyMC", *(f"{mesh}/{name}" for name in ("EnergyCell", *_MESH))]
        if all(key in file for key in wanted):
            return particles, mesh
    return None


def _write(path: Path, detector: Detector, parts: Iterable[Showers]) -> None:
    check_mesh(detector)
    shape = (detector.n_layers, *detector.layers[0].shape)
    kind = ", ".join(f"{name}: int32" for name in _MESH)
    with new_root(path) as file:
        particles = file.mktree(_NEW[0], {"EnergyMC": np.float64}, title="MeV")
        mesh = file.mktree(
            _NEW[1],
            {"cells": f"var * {{EnergyCell: float64, {kind}}}"},
            title="hits of the mesh, MeV",
            field_name=lambda outer, inner: inner if outer else outer,
        )
        for part in parts:
            hits = Sparse.of(part.incident, part.cells, None)
            places = np.unravel_index(hits.index.astype(np.int64), shape)
            columns = {name: place.astype(np.int32) for name, place in zip(_MESH, places, strict=True)}
            particles.extend({"EnergyMC": part.incident.energy.astype(np.float64)})
            energy = hits.energy * fractions(detector, places[0])
            mesh.extend({"cells": jagged(hits.offset, {"EnergyCell": energy, **columns})})


FORMAT = Format(
    name="par04-root",
    about="Geant4's Par04: its ntuples EnergyMC, EnergyCell, rhoCell, phiCell, zCell in MeV",
    suffix=".par04.root",
    keeps=frozenset({"energy"}),
    recognises=lambda file: _trees(file) is not None,
    open=Par04RootFile,
    write=_write,
    storage=(RootFile,),
)
