"""The correction by two-dimensional convolutions, computed where most hits are."""

from __future__ import annotations

__all__ = ["CroppedPlanes", "Window", "window_of"]

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from caloforge.models.inference.odd import HALF, Correction
from caloforge.models.tuned.trunks import MAPS, SLOPE, PlanesGenerator

_HALO = 3  # cells that three convolutions look beyond a window


class Window(NamedTuple):
    """Rows and columns of all layers, from `start` to before `end`."""

    start: int
    end: int


def window_of(hits: Tensor, coarser: Sequence[int], outside: float) -> Window | None:
    """Return the smallest window in the middle that leaves at most a share of the hits outside.

    It begins at an odd row and has an even number of them, so that the cells that it looks at are doubled
    ones of the coarser image.

    Args:
        hits: `(rows, columns)` how many there are.
        coarser: Rows and columns of the coarser image.
        outside: Share of the hits.

    Returns:
        The window, or None if there is none but the whole.
    """
    rows, columns = hits.shape
    if rows != columns or any(row * coarser[0] // rows != row // 2 for row in range(rows)):
        return None
    for start in range(rows // 2 - rows // 2 % 2 + 1, _HALO - 1, -2):
        end = rows - start + (rows - 2 * start) % 2
        inside = hits[start : rows - start, start : rows - start].sum()
        if rows - 2 * start > 0 and end + _HALO <= rows and inside >= (1 - outside) * hits.sum():
            return Window(start, end)
    return None


class CroppedPlanes(Correction):
    """The correction by `PlanesGenerator` in a window, and nothing outside.

    Args:
        trunk: A trained one.
        inputs: Numbers that it sees.
        given: How many of these, the last, keep their sign.
        window: Where.
    """

    last: Tensor
    turned: Tensor

    def __init__(self, trunk: PlanesGenerator, inputs: int, given: int, window: Window) -> None:
        super().__init__(trunk, inputs, given)
        self.planes, self.window = trunk, window
        self.maps = window.end - window.start + _HALO + 1
        self.noise = MAPS * self.maps**2
        # Of the coarser image: what the cells that the first convolution looks at are copies of.
        first, last = (window.start - _HALO) // 2, (window.end + _HALO - 1) // 2
        self.around = slice(first - 1, last + 2)
        self.register_buffer("last", HALF * trunk.out.weight.detach())
        self.register_buffer("turned", torch.tensor([[1.0], [-1.0]]))

    def forward(self, to: Tensor, seed: Tensor, noise: Tensor) -> Tensor:
        trunk = self.planes
        x = F.leaky_relu(trunk.first(self.both(seed)), SLOPE).reshape(-1, trunk.channels, *trunk.start)
        x = F.leaky_relu(trunk.coarse(x), SLOPE)
        x = F.interpolate(x, trunk.between)[:, :, self.around, self.around]
        x = F.leaky_relu(F.conv2d(x, trunk.middle.weight, trunk.middle.bias), SLOPE)
        x = F.interpolate(x, scale_factor=2.0)
        x = F.leaky_relu(F.conv2d(x, trunk.fine.weight, trunk.fine.bias), SLOPE)
        maps = (noise.unsqueeze(1) * self.turned).reshape(-1, MAPS, self.maps, self.maps)
        x = torch.cat([x, maps], dim=1)
        x = F.leaky_relu(F.conv2d(x, trunk.mix.weight, trunk.mix.bias), SLOPE)
        both = x.reshape(-1, 2 * trunk.channels, *x.shape[2:])
        one, opposite = torch.split(both, trunk.channels, dim=1)
        added = F.conv2d(one - opposite, self.last)
        before, after = self.window.start, trunk.grid[0] - self.window.end
        return to + F.pad(added, (before, after, before, after)).flatten(1)
