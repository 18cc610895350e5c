"""What a network sees of the incident particle besides its energy: direction, impact point, kind."""

from __future__ import annotations

__all__ = ["Particles", "Placement", "incident_columns", "particle_shares", "showers_of_each"]

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from caloforge.detector import CartesianGrid
from caloforge.errors import DetectorError, RecipeError

if TYPE_CHECKING:
    from caloforge.detector import Detector

_ORDER = ("theta", "phi", "x", "y")
_EXACT = 2**24  # whole numbers up to here are told apart in float32
_FEWEST = 100  # showers of a particle that say what it leaves and where


def incident_columns(given: Collection[str], particles: Sequence[int]) -> tuple[str, ...]:
    """Return a generator's `conditions`: the energy, what else is given, and `pdg` if it must choose."""
    return ("energy", *(name for name in _ORDER if name in given), *(("pdg",) if len(particles) > 1 else ()))


class Placement(nn.Module):
    """Direction and impact point as numbers of the order of one, to be put beside a network's features.

    Angles stay in rad; the azimuth, which is periodic, gives its cosine and sine; a position is measured in
    the finest cells of the detector along its axis.

    Args:
        detector: Whose cells are the unit.
        columns: The generator's `conditions`.

    Attributes:
        width: How many numbers there are; 0 if nothing is given.

    Raises:
        DetectorError: A position is given, and the cells are not cartesian.
    """

    def __init__(self, detector: Detector, columns: Sequence[str]) -> None:
        super().__init__()
        self.places = {name: i for i, name in enumerate(columns) if name in _ORDER}
        self.units = {
            name: _finest_cell(detector, axis) for axis, name in enumerate("xy") if name in self.places
        }
        self.width = len(self.places) + ("phi" in self.places)

    def forward(self, incident: Tensor) -> Tensor:
        """Map incident columns `(n, k)` in rad and mm to `(n, width)`."""
        seen: list[Tensor] = []
        for name, place in self.places.items():
            column = incident[:, place : place + 1]
            seen += [column.cos(), column.sin()] if name == "phi" else [column / self.units.get(name, 1.0)]
        return torch.cat(seen, dim=1)


class Particles(nn.Module):
    """Tells which of the known particles a PDG id is; of an unknown one it says that it is none of them.

    Args:
        particles: PDG ids, all different.

    Raises:
        RecipeError: An id is there twice, or too large to be told apart in float32.
    """

    codes: Tensor

    def __init__(self, particles: Sequence[int]) -> None:
        super().__init__()
        if len(set(particles)) < len(particles) or any(abs(code) > _EXACT for code in particles):
            raise RecipeError(
                "a model cannot tell these particles apart",
                where="model.particles",
                got=", ".join(map(str, particles)),
                expected=f"different PDG ids, none beyond {_EXACT}",
            )
        # Not among the weights: the recipe says what they are.
        self.register_buffer("codes", torch.tensor(particles, dtype=torch.float32), persistent=False)

    def forward(self, pdg: Tensor) -> Tensor:
        """Map PDG ids `(n,)` to `(n, particles)`, 1 for the particle that it is and 0 for all others."""
        return (pdg.unsqueeze(1) == self.codes).to(self.codes.dtype)


def _finest_cell(detector: Detector, axis: int) -> float:
    """Smallest width of a cell along x (0) or y (1), mm."""
    for layer in detector.layers:
        if not isinstance(layer.grid, CartesianGrid):
            raise DetectorError(
                "an impact point in x and y needs cartesian layers",
                where=f"detector {detector.name}, layer {layer.name}",
                got=f"a {layer.grid.kind} grid",
                cure="leave x and y out of model.given",
            )
    return min(layer.grid.cell[axis] for layer in detector.layers if isinstance(layer.grid, CartesianGrid))


def showers_of_each(which: Tensor) -> list[Tensor]:
    """Return what showers say of each particle, `(n,)`: its own, or all where these are too few."""
    return [it_is if int(it_is.sum()) >= _FEWEST else torch.ones_like(it_is) for it_is in which.T > 0]


def particle_shares(which: Tensor) -> Tensor:
    """Give what is none of the particles the same share of each."""
    return which + (1 - which.sum(1, keepdim=True)) / which.shape[1]
