"""What lies beside what in a layer, and along which axes: images, and polygons.

Layers are volumes `(n, layers, x, y)`; those of polygons have their cells along x, and 1 along y.
"""

from __future__ import annotations

__all__ = ["Image", "Polygons", "plane_of"]

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from caloforge.detector import NearestGrid

if TYPE_CHECKING:
    from caloforge.detector import Layer

_ROUGH = 0.1  # square of a difference of logarithms, of pairs where there are none


def plane_of(layer: Layer) -> tuple[int, int] | NearestGrid:
    """Return what layers have in common that are looked at together: the shape, or the grid of polygons."""
    return layer.grid if isinstance(layer.grid, NearestGrid) else layer.shape


class Image(nn.Module):
    """Layers of rows and columns.

    Args:
        shape: Cells along x and y.

    Attributes:
        bins: Bins of a profile along x, and along y.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        super().__init__()
        self.shape = self.bins = shape

    def profiles(self, volume: Tensor) -> tuple[Tensor, Tensor]:
        """Add up energies along the other axis: `(n, layers, bins)`, along x and along y."""
        return volume.sum(3), volume.sum(2)

    def alone(self, hits: Tensor) -> Tensor:
        """Return how many hits of each layer have none beside them, over one more than all, `(n, layers)`.

        The border is one for polar grids, too, whose first and last azimuths are neighbours.
        """
        # Sums of slices: pooling and its way back take many times as long on a processor.
        framed = F.pad(hits, (1, 1, 1, 1))
        rows = framed[..., :-2] + framed[..., 1:-1] + framed[..., 2:]
        around = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:] - hits
        return (hits * torch.relu(1 - around)).sum((2, 3)) / (1 + hits.sum((2, 3)))

    def pairs(self, hits: Tensor, logarithms: Tensor) -> tuple[Tensor, Tensor]:
        """Describe pairs of cells side by side that are both hit, of volumes `(n, layers, x, y)`.

        Returns:
            `(n, layers)`: pairs, over one more than the hits; logarithm of the mean square difference.
        """
        number, difference = hits.new_zeros(hits.shape[:2]), hits.new_zeros(hits.shape[:2])
        for axis, size in ((2, hits.shape[2]), (3, hits.shape[3])):
            if size < 2:
                continue
            both = hits.narrow(axis, 1, size - 1) * hits.narrow(axis, 0, size - 1)
            step = logarithms.narrow(axis, 1, size - 1) - logarithms.narrow(axis, 0, size - 1)
            number = number + both.sum((2, 3))
            difference = difference + (both * step * step).sum((2, 3))
        return number / (1 + hits.sum((2, 3))), torch.log((difference + _ROUGH) / (number + 1))


class Polygons(nn.Module):
    """Layers of polygons.

    Args:
        grid: Their grid.

    Attributes:
        bins: Bins of a profile along x, and along y.
    """

    sides: Tensor
    rows: Tensor
    columns: Tensor

    def __init__(self, grid: NearestGrid) -> None:
        super().__init__()
        self.shape = grid.shape
        self.register_buffer("sides", torch.tensor(grid.sides().T.copy()), persistent=False)
        for name, axis in (("columns", 0), ("rows", 1)):
            edges, number = grid.bins(axis)
            members = F.one_hot(torch.tensor(number), len(edges) - 1).float()
            self.register_buffer(name, members, persistent=False)
        self.bins = self.columns.shape[1], self.rows.shape[1]

    def profiles(self, volume: Tensor) -> tuple[Tensor, Tensor]:
        """Add up energies in rows of cells: `(n, layers, bins)`, along x and along y."""
        cells = volume[..., 0]
        return cells @ self.columns, cells @ self.rows

    def alone(self, hits: Tensor) -> Tensor:
        """Return how many hits of each layer have none beside them, over one more than all."""
        one, other = self.sides
        cells = hits[..., 0]
        around = torch.zeros_like(cells).index_add(2, one, cells[..., other])
        around = around.index_add(2, other, cells[..., one])
        return (cells * torch.relu(1 - around)).sum(2) / (1 + cells.sum(2))

    def pairs(self, hits: Tensor, logarithms: Tensor) -> tuple[Tensor, Tensor]:
        """Describe pairs of cells side by side that are both hit, see `Image`."""
        one, other = self.sides
        both = hits[..., one, 0] * hits[..., other, 0]
        step = logarithms[..., one, 0] - logarithms[..., other, 0]
        number = both.sum(2)
        rough = torch.log(((both * step * step).sum(2) + _ROUGH) / (number + 1))
        return number / (1 + hits.sum((2, 3))), rough
