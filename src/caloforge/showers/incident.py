"""The incident particles of showers, as columns."""

from __future__ import annotations

__all__ = ["COLUMNS", "RANGED", "Incident"]

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from caloforge.errors import ShowersError, nearest
from caloforge.particles import pdg_id

COLUMNS: dict[str, tuple[str, str]] = {
    "energy": ("<f4", "MeV"),
    "theta": ("<f4", "rad"),
    "phi": ("<f4", "rad"),
    "x": ("<f4", "mm"),
    "y": ("<f4", "mm"),
    "pdg": ("<i4", "1"),
}
"""Each column with its type on disk and its unit."""

RANGED = tuple(name for name in COLUMNS if name != "pdg")
"""Columns of which a sample has a range; particles are listed."""


@dataclass(frozen=True, eq=False)
class Incident:
    """What hit the calorimeter: one particle per shower.

    Attributes:
        energy: Kinetic energy in MeV, shape `(n,)`, float32.
        theta: Angle to +z (0 is orthogonal incidence) in rad, shape `(n,)`, float32.
        phi: Azimuth of the direction in rad, shape `(n,)`, float32.
        x: Impact point on the front face in mm, shape `(n,)`, float32.
        y: Impact point on the front face in mm, shape `(n,)`, float32.
        pdg: PDG particle id, shape `(n,)`, int32; 0 where the particle is not known.

    Example:
        >>> Incident.of([1000.0, 2000.0], pdg="gamma").pdg
        array([22, 22], dtype=int32)
    """

    energy: NDArray[np.float32]
    theta: NDArray[np.float32]
    phi: NDArray[np.float32]
    x: NDArray[np.float32]
    y: NDArray[np.float32]
    pdg: NDArray[np.int32]

    def __post_init__(self) -> None:
        shapes = {column.name: getattr(self, column.name).shape for column in fields(self)}
        if len(set(shapes.values())) != 1 or self.energy.ndim != 1:
            raise _of_one_length(shapes)

    @classmethod
    def of(
        cls,
        energy: ArrayLike,
        pdg: ArrayLike = 11,
        theta: ArrayLike = 0.0,
        phi: ArrayLike = 0.0,
        x: ArrayLike = 0.0,
        y: ArrayLike = 0.0,
    ) -> Incident:
        """Make columns from values in MeV, rad and mm; a single value holds for every shower.

        Particles are PDG ids or names, `-11` or `"e+"`.

        Raises:
            ParticleError: No such particle.
            ShowersError: Columns of different lengths.
        """
        given = {"energy": energy, "theta": theta, "phi": phi, "x": x, "y": y, "pdg": _ids(pdg)}
        sizes = {name: np.size(value) for name, value in given.items()}
        n = max(sizes.values()) if sizes["energy"] else 0
        if any(size not in (1, n) for size in sizes.values()):
            raise _of_one_length(sizes)
        columns = {
            name: np.ascontiguousarray(np.broadcast_to(np.asarray(value, COLUMNS[name][0]).ravel(), (n,)))
            for name, value in given.items()
        }
        return cls(**columns)

    @classmethod
    def concat(cls, parts: Sequence[Incident]) -> Incident:
        """Join columns one after the other."""
        return cls(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in COLUMNS})

    def __len__(self) -> int:
        return len(self.energy)

    def __getitem__(self, rows: Any) -> Incident:
        """Rows by slice, mask or index array."""
        return Incident(**{name: getattr(self, name)[rows] for name in COLUMNS})

    def values(self) -> list[NDArray[Any]]:
        """The columns in the order of `COLUMNS`."""
        return [getattr(self, name) for name in COLUMNS]

    def items(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """Name and values of each column."""
        return zip(COLUMNS, self.values(), strict=True)

    def matrix(self, names: Sequence[str]) -> NDArray[np.float32]:
        """The named columns side by side, shape `(n, len(names))`, in MeV, rad and mm.

        Raises:
            ShowersError: No such column.
        """
        for name in names:
            if name not in COLUMNS:
                raise ShowersError(
                    "no such incident column",
                    got=name,
                    expected=", ".join(COLUMNS),
                    near=nearest(name, COLUMNS),
                )
        matrix = np.empty((len(self), len(names)), np.float32)
        for column, name in enumerate(names):
            matrix[:, column] = getattr(self, name)
        return matrix


def _of_one_length(got: object) -> ShowersError:
    return ShowersError("the incident columns differ in length", got=got, expected="one value per shower")


def _ids(particles: ArrayLike) -> ArrayLike:
    """PDG ids of names; ids are taken as they are, also those of no particle (0 is "not known")."""
    given = np.asarray(particles)
    if given.dtype.kind != "U":
        return given
    names, rows = np.unique(given, return_inverse=True)
    return np.array([pdg_id(name, "pdg") for name in names.tolist()], np.int32)[rows]
