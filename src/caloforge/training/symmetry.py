"""Mirror images of showers: a calorimeter that looks the same in a mirror makes each shower worth several."""

from __future__ import annotations

__all__ = ["Mirrors", "mirrors_of"]

import math
from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from caloforge.detector import Fan, NearestGrid, PolarGrid, Row
from caloforge.errors import RecipeError

if TYPE_CHECKING:
    from caloforge.detector import Detector, Grid
    from caloforge.training.facts import Facts

_TOLERANCE = 0.05  # of the spread: by how much the particles may differ from their mirror images
_CLOSE = 1e-6  # mm; centres that are meant to be one


class Mirror(NamedTuple):
    """First x and y change places or not, then each keeps its sign or not."""

    swap: bool
    x: int
    y: int

    @property
    def name(self) -> str:
        """What becomes of (x, y), such as `(-y, x)`."""
        x, y = "yx" if self.swap else "xy"
        return f"({'-' * (self.x < 0)}{x}, {'-' * (self.y < 0)}{y})"

    @property
    def matrix(self) -> NDArray[np.float64]:
        """What it makes of a vector across the axis, shape `(2, 2)`."""
        turned = np.eye(2)[::-1] if self.swap else np.eye(2)
        return np.asarray([[self.x], [self.y]] * turned)

    @property
    def azimuth(self) -> tuple[float, float]:
        """Factor and summand that make the new azimuth of the old one."""
        factor, summand = (-1.0, math.pi / 2) if self.swap else (1.0, 0.0)
        if self.x < 0:
            factor, summand = -factor, math.pi - summand
        return (-factor, -summand) if self.y < 0 else (factor, summand)

    def cells(self, detector: Detector) -> NDArray[np.int64]:
        """Number of the cell whose energy each cell gets, shape `(n_cells,)`."""
        layers = []
        for layer, image in zip(
            detector.layers, detector.split(np.arange(detector.n_cells)[None]), strict=True
        ):
            if isinstance(layer.grid, NearestGrid):
                layers.append(image[:, self.polygons(layer.grid)])
                continue
            turned = image.transpose(0, 2, 1) if self.swap else image
            layers.append(turned[:, :: self.x, :: self.y])
        numbers: NDArray[np.int64] = detector.join(layers)[0]
        return numbers

    def polygons(self, grid: NearestGrid) -> NDArray[np.int64]:
        """Number of the polygon at whose mirrored centre each lies, shape `(n_cells,)`; -1 for none."""
        return grid.index(*(grid.centres() @ self.matrix).T)


_ALL = [Mirror(swap, x, y) for swap, x, y in product((False, True), (1, -1), (1, -1))]


def mirrors_of(detector: Detector, facts: Facts) -> list[Mirror]:
    """Find the mirror images that might have been measured as well; the first is the shower itself.

    A mirror must map the cells onto cells, and the incident particles onto particles that come as often:
    electrons that all lean towards +y have no mirror image in y.

    Args:
        detector: Whose grids must be symmetric.
        facts: What is known of the incident particles.

    Raises:
        RecipeError: There are none.
    """
    polar = [layer.name for layer in detector.layers if isinstance(layer.grid, PolarGrid)]
    if polar:
        raise _not_symmetric(f"a polar grid in layer {polar[0]}", "cartesian or hexagonal grids")
    if not any(_maps_cells(mirror, detector) for mirror in _ALL[1:]):
        raise _not_symmetric("cells that no mirror maps onto each other", "grids with a symmetry")
    found = [mirror for mirror in _ALL if _maps_stack(mirror, detector) and _maps_cells(mirror, detector)]
    found = [mirror for mirror in found if _maps_particles(mirror, facts)]
    if len(found) < 2:
        raise _not_symmetric(
            "particles that lean, or enter, more to one side, or plates that differ from side to side",
            "as many for each side",
        )
    return found


def _maps_stack(mirror: Mirror, detector: Detector) -> bool:
    """Whether rows and fans of plates look the same in it."""
    rows = [slab for slab in detector.slabs if isinstance(slab, Row)]
    fans = any(isinstance(slab, Fan) for slab in detector.slabs)
    if mirror.swap or (fans and mirror.x < 0):
        return not (rows or fans)
    turned = {axis for axis in ("x", "y") if getattr(mirror, axis) < 0}
    return all(_symmetric(row) for row in rows if row.across in turned)


def _symmetric(row: Row) -> bool:
    contents = [plate.content for plate in row.plates]
    return contents == contents[::-1]


def _maps_cells(mirror: Mirror, detector: Detector) -> bool:
    if not all(_maps_grid(mirror, grid) for grid in {layer.grid for layer in detector.layers}):
        return False
    size = detector.size or (1.0, 1.0)
    return not mirror.swap or (detector.shape == "planar" and size[0] == size[-1])


def _maps_grid(mirror: Mirror, grid: Grid) -> bool:
    if isinstance(grid, NearestGrid):
        cell, areas = mirror.polygons(grid), grid.areas()
        centred = bool(np.allclose(grid.centres()[cell], grid.centres() @ mirror.matrix, atol=_CLOSE))
        return bool(cell.min() >= 0) and centred and np.allclose(areas[cell], areas)
    # a cartesian grid is centred on the axis
    return not mirror.swap or (grid.shape[0] == grid.shape[1] and grid.reach[0] == grid.reach[1])


def _maps_particles(mirror: Mirror, facts: Facts) -> bool:
    """Whether mean and covariance of impact points and directions stay what they are."""
    allowed = _TOLERANCE + 4 / math.sqrt(facts.showers)  # and what chance does to few showers
    turn = mirror.matrix
    for mean, square in facts.across:
        scale = math.sqrt(np.trace(square))
        moved = np.abs(turn @ mean - mean).max() > allowed * scale
        if moved or np.abs(turn @ square @ turn.T - square).max() > allowed * scale**2:
            return False
    return True


class Mirrors:
    """Makes mirror images of the showers of a batch.

    Args:
        mirrors: Those to choose from.
        detector: Whose cells change places.
        conditions: The incident columns, which change along.
        lowest: Azimuth from which those of the images are counted, rad.
        device: Where the batches are.

    Attributes:
        names: What becomes of (x, y) in each.
        cells: `(mirrors, n_cells)` number of the cell whose energy each cell gets.
    """

    def __init__(
        self,
        mirrors: Sequence[Mirror],
        detector: Detector,
        conditions: Sequence[str],
        lowest: float,
        device: torch.device,
    ) -> None:
        self.names = [mirror.name for mirror in mirrors]
        self.cells = torch.from_numpy(np.stack([mirror.cells(detector) for mirror in mirrors])).to(device)
        self._turn = _table([mirror.matrix for mirror in mirrors], device)
        self._azimuth = _table([mirror.azimuth for mirror in mirrors], device)
        self._place = {name: i for i, name in enumerate(conditions)}
        self._lowest = lowest

    def draw(self, n: int, random: np.random.Generator) -> NDArray[np.int64]:
        """Choose a mirror for each of `n` showers, each as likely."""
        return random.integers(len(self.names), size=n)

    def __call__(self, cells: Tensor, incident: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Return cells `(n, n_cells)` and incident columns `(n, k)` of the images `chosen` `(n,)`."""
        return cells.gather(1, self.cells[chosen]), self._particles(incident, chosen)

    def _particles(self, incident: Tensor, chosen: Tensor) -> Tensor:
        incident = incident.clone()
        if "phi" in self._place:
            column = self._place["phi"]
            phi = self._azimuth[chosen, 0] * incident[:, column] + self._azimuth[chosen, 1]
            incident[:, column] = self._lowest + torch.remainder(phi - self._lowest, 2 * math.pi)
        places = [self._place.get(name) for name in "xy"]
        before = torch.stack(
            [torch.zeros_like(incident[:, 0]) if p is None else incident[:, p] for p in places], dim=1
        )
        after = (self._turn[chosen] @ before[:, :, None]).squeeze(2)
        for i, place in enumerate(places):
            if place is not None:
                incident[:, place] = after[:, i]
        return incident


def _table(rows: Sequence[Any], device: torch.device) -> Tensor:
    return torch.from_numpy(np.asarray(rows, np.float32)).to(device)


def _not_symmetric(got: str, expected: str) -> RecipeError:
    return RecipeError(
        "these showers have no mirror images that might have been measured as well",
        where="data.mirror",
        got=got,
        expected=expected,
        cure="train without them: --set data.mirror=false",
    )
