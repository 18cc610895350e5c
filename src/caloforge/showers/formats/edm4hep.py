"""EDM4hep in ROOT: hits with places (`SimCalorimeterHit`) and particles (`MCParticle`); GeV and mm."""

from __future__ import annotations

__all__ = ["FORMAT", "Edm4hepFile"]

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from caloforge.errors import ShowersError
from caloforge.particles import known_particle
from caloforge.showers.container import Showers
from caloforge.showers.formats.base import GEV, Format, Shapes
from caloforge.showers.formats.deposits import fractions
from caloforge.showers.formats.hits import Hits, HitsFile, cell_at, layer_at
from caloforge.showers.formats.storage.root import RootFile, RootTable, jagged, new_root
from caloforge.showers.formats.storage.table import Lists, lists_alike
from caloforge.showers.formats.world import at_face, from_world, to_world, vectors_to_world
from caloforge.showers.incident import Incident
from caloforge.showers.sparse import Sparse

if TYPE_CHECKING:
    from caloforge.detector import Detector

_TREE, _HITS, _PARTICLES = "events", "CalorimeterHits", "MCParticles"
_PLACE = tuple(f"position.{axis}" for axis in "xyz")
_VECTORS = ("momentum", "vertex")
_PARTICLE = ("PDG", "generatorStatus", "mass", *(f"{name}.{axis}" for name in _VECTORS for axis in "xyz"))
_FINAL = 1  # generatorStatus of what the generator hands to the simulation


class Edm4hepFile(HitsFile[RootFile]):
    """Reads all collections of simulated calorimeter hits, each hit into the cell that its place lies in.

    A planar detector's coordinates are those of the file: +z into the calorimeter, whose front face is at
    z = 0, where a detector that begins elsewhere has a layer that begins there. A barrel lies around z, see
    `world.py`. The incident particle is the first of `MCParticles` with generatorStatus 1, or else the first;
    it flies straight to the front face.
    """

    format = "edm4hep"
    deposits = True
    _several = 0  # events with several incident particles

    def _find(self, file: RootFile) -> tuple[int, None]:
        self._table = file.table(_TREE)
        self._collections = _collections_of(self._table)
        if not self._collections:
            raise ShowersError(
                "the file holds no collection of simulated calorimeter hits",
                where=f"{self.path}, tree {_TREE!r}",
                expected=", ".join(f"NAME.{key}" for key in ("cellID", "energy", *_PLACE)),
            )
        found = _particles_of(self._table)
        self._particles = _PARTICLES if _PARTICLES in found else (found or [_PARTICLES])[0]
        for name in self._collections:
            self._table.take(*(f"{name}.{key}" for key in ("cellID", "energy", *_PLACE)))
        self._table.take(*(f"{self._particles}.{key}" for key in _PARTICLE))
        self.notes = (*self.notes, f"hits of {', '.join(self._collections)}; particles of {self._particles}")
        return len(self._table), None

    def _check_shapes(self, shapes: Shapes | None) -> None:  # noqa: ARG002
        _check_still(self.detector)

    def _hits(self, start: int, stop: int) -> Hits:
        parts = [self._hits_of(name, start, stop) for name in self._collections]
        shower = np.concatenate([np.repeat(np.arange(stop - start), np.diff(part.offset)) for part in parts])
        order = np.argsort(shower, kind="stable")
        cell, energy = (
            np.concatenate([getattr(p, name) for p in parts])[order] for name in ("cell", "energy")
        )
        offset = np.searchsorted(shower[order], np.arange(stop - start + 1))
        return Hits(offset, cell, energy)

    def _hits_of(self, name: str, start: int, stop: int) -> Hits:
        keys = [f"{name}.{key}" for key in ("energy", *_PLACE)]
        energy, *places = lists_alike(self._table, keys, start, stop, self.path)
        found = np.stack([lists.values for lists in places], axis=1)
        x, y, z = from_world(self.detector, found.astype(np.float64)).T
        layer = layer_at(self.detector, z)
        deposit = energy.values.astype(np.float64) * GEV
        return Hits(
            energy.offset, cell_at(self.detector, layer, x, y), deposit / fractions(self.detector, layer)
        )

    def _count(self, hits: Hits, start: int, stop: int) -> None:
        key = f"{self._particles}.generatorStatus"
        status = self._table.lists(key, min(stop, max(start, self._seen)), stop)
        event = _events(status, np.flatnonzero(status.values == _FINAL))
        self._several += int((np.bincount(event) > 1).sum())
        super()._count(hits, start, stop)

    def _counted(self) -> tuple[str, ...]:
        several = f"{self._several:,} events have several particles of generatorStatus 1: the first is taken"
        return (*super()._counted(), *[several] * (self._several > 0))

    def _incident(self, start: int, stop: int) -> Incident:
        keys = [f"{self._particles}.{key}" for key in _PARTICLE]
        columns = dict(zip(_PARTICLE, lists_alike(self._table, keys, start, stop, self.path), strict=True))
        row = _primary(columns["generatorStatus"])
        found = {key: _taken(lists.values, row) for key, lists in columns.items()}
        momentum, vertex = (np.stack([found[f"{v}.{axis}"] for axis in "xyz"], axis=1) for v in _VECTORS)
        pdg = np.nan_to_num(found["PDG"]).astype(np.int32) if self.pdg is None else self.pdg
        return _columns(pdg, found["mass"], *at_face(self.detector, vertex, momentum))


def _collections_of(table: RootTable) -> list[str]:
    """Collections of simulated hits; reconstructed ones have an error of the energy."""
    keys = table.keys()
    names = [key.removesuffix(".cellID") for key in keys if key.endswith(".cellID")]
    return [
        name
        for name in names
        if all(f"{name}.{key}" in table for key in ("energy", *_PLACE)) and f"{name}.energyError" not in table
    ]


def _particles_of(table: RootTable) -> list[str]:
    keys = table.keys()
    names = [key.removesuffix(".PDG") for key in keys if key.endswith(".PDG")]
    return [name for name in names if all(f"{name}.{key}" in table for key in _PARTICLE)]


def _check_still(detector: Detector) -> None:
    """Raise unless the cells have places of their own.

    Raises:
        ShowersError: They move with each particle.
    """
    readout = detector.readout
    moving = {
        "frame: particle": readout.frame == "particle",
        "centre: barycentre": readout.centre == "barycentre",
    }
    if any(moving.values()):
        raise ShowersError(
            f"hits of EDM4hep have places in the world, which the cells of {detector.name!r} have not",
            got=", ".join(what for what, there in moving.items() if there),
            expected="frame: detector and centre: axis",
            cure="give one whose cells stand still",
        )


def _recognises(file: RootFile) -> bool:
    if _TREE not in file.trees:
        return False
    table = file.table(_TREE)
    return bool(_collections_of(table) and _particles_of(table))


def _primary(status: Lists) -> NDArray[np.int64]:
    """Place of each event's incident particle, -1 where there is none."""
    final = np.flatnonzero(status.values == _FINAL)
    row = np.where(np.diff(status.offset) > 0, status.offset[:-1], -1)
    event, first = np.unique(_events(status, final), return_index=True)
    row[event] = final[first]
    return row


def _events(lists: Lists, places: NDArray[np.int64]) -> NDArray[np.int64]:
    """The row that each place in the values belongs to."""
    return np.searchsorted(lists.offset, places, side="right") - 1


def _taken(values: NDArray[Any], row: NDArray[np.int64]) -> NDArray[np.float64]:
    padded = np.append(values.astype(np.float64), np.nan)  # -1 takes the last
    return padded[row]


def _columns(
    pdg: NDArray[np.int32] | int,
    mass: NDArray[np.float64],
    place: NDArray[np.float64],
    momentum: NDArray[np.float64],
) -> Incident:
    """Columns of particles at the face, GeV and mm."""
    x, y, z = momentum.T
    size = np.sqrt((momentum**2).sum(axis=1))
    kinetic = size**2 / (np.hypot(size, mass) + mass)  # of small differences nothing is left
    theta, phi = np.arctan2(np.hypot(x, y), z), np.arctan2(y, x)
    return Incident.of(kinetic * GEV, pdg, theta, phi, *place.T[:2])


def _write(path: Path, detector: Detector, parts: Iterable[Showers]) -> None:
    _check_still(detector)
    hit = ", ".join(f'"{key}": float32' for key in ("energy", *_PLACE))
    particle = ", ".join(f'"{key}": float64' for key in _PARTICLE[2:])
    kinds = {
        _HITS: f'var * {{"cellID": uint64, {hit}}}',
        _PARTICLES: f'var * {{"PDG": int32, "generatorStatus": int32, {particle}}}',
    }
    with new_root(path) as file:
        tree = file.mktree(_TREE, kinds, title="GeV, mm", field_name=lambda outer, inner: f"{outer}.{inner}")
        for part in parts:
            tree.extend({_HITS: _hit_columns(part), _PARTICLES: _particle_columns(detector, part.incident)})


def _hit_columns(part: Showers) -> Any:
    hits = Sparse.of(part.incident, part.cells, None)
    deposit = hits.energy * fractions(part.detector, part.detector.layer_of_cell[hits.index]) / GEV
    places = to_world(part.detector, part.detector.positions)[hits.index].astype(np.float32).T
    values = (hits.index.astype(np.uint64), deposit.astype(np.float32), *places)
    return jagged(hits.offset, dict(zip(("cellID", "energy", *_PLACE), values, strict=True)))


def _particle_columns(detector: Detector, incident: Incident) -> Any:
    n = len(incident)
    theta, phi, energy, x, y = (
        getattr(incident, key).astype(np.float64) for key in ("theta", "phi", "energy", "x", "y")
    )
    mass = np.array([_mass(int(pdg)) for pdg in incident.pdg]) / GEV
    size = np.sqrt(energy / GEV * (energy / GEV + 2 * mass))
    along = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], axis=1)
    momentum = vectors_to_world(detector, x, size[:, None] * along)
    vertex = to_world(detector, np.stack([x, y, np.zeros(n)], axis=1))
    values = [incident.pdg, np.full(n, _FINAL, np.int32), mass, *momentum.T, *vertex.T]
    return jagged(np.arange(n + 1), dict(zip(_PARTICLE, values, strict=True)))


@lru_cache(maxsize=256)
def _mass(pdg: int) -> float:
    """In MeV; 0 of a particle that is not known."""
    try:
        return float(known_particle(pdg).mass or 0.0)
    except LookupError:
        return 0.0


FORMAT = Format(
    name="edm4hep",
    about="EDM4hep: SimCalorimeterHit and MCParticle in GeV and mm",
    suffix=".edm4hep.root",
    keeps=frozenset({"energy", "theta", "phi", "x", "y", "pdg"}),
    recognises=_recognises,
    open=Edm4hepFile,
    write=_write,
    storage=(RootFile,),
)
