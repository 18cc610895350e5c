"""Which cells a layer has: sums over it, and what all of its cells share."""

from __future__ import annotations

__all__ = ["LayerIndex"]

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from caloforge.detector import Detector


class LayerIndex(nn.Module):
    """The cells of each layer.

    Args:
        detector: Whose layers.

    Attributes:
        count: Layers.
        cells: Cells of all layers.
        spans: Where the cells of each layer stand among all.
        numbers: `(n_cells,)` number of each cell.
        layer: `(n_cells,)` layer of each cell.
    """

    numbers: Tensor
    layer: Tensor

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.sizes = [layer.n_cells for layer in detector.layers]
        self.count, self.cells = len(self.sizes), detector.n_cells
        ends = torch.tensor(self.sizes).cumsum(0).tolist()
        self.spans = [slice(end - size, end) for end, size in zip(ends, self.sizes, strict=True)]
        self.register_buffer("numbers", torch.arange(self.cells), persistent=False)
        layer = torch.repeat_interleave(torch.arange(self.count), torch.tensor(self.sizes))
        self.register_buffer("layer", layer, persistent=False)

    def sums(self, cells: Tensor) -> Tensor:
        """Add up the cells of each layer, `(n, n_cells)` to `(n, n_layers)`."""
        if self._equal:
            return cells.reshape(-1, self.count, self.sizes[0]).sum(2)
        return torch.cat([part.sum(1, keepdim=True) for part in torch.split(cells, self.sizes, dim=1)], dim=1)

    def maxima(self, cells: Tensor) -> Tensor:
        """Return the largest of the cells of each layer, `(n, n_cells)` to `(n, n_layers)`."""
        if self._equal:
            return cells.reshape(-1, self.count, self.sizes[0]).amax(2)
        return torch.cat(
            [part.amax(1, keepdim=True) for part in torch.split(cells, self.sizes, dim=1)], dim=1
        )

    def spread(self, values: Tensor) -> Tensor:
        """Repeat a value of each layer, `(n, n_layers)`, for each of its cells, `(n, n_cells)`."""
        if self._equal:
            return values.unsqueeze(2).expand(-1, -1, self.sizes[0]).flatten(1)
        return values.gather(1, self.layer.expand(values.shape[0], -1))

    @property
    def _equal(self) -> bool:
        return len(set(self.sizes)) == 1
