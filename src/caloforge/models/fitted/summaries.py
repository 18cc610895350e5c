"""Four numbers of a shower that most cells follow: where its core lies, how wide it is, how many hits."""

from __future__ import annotations

__all__ = ["SUMMARIES", "Summaries"]

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from caloforge.detector import Detector

SUMMARIES = 4
_NARROWEST = 1e-3  # mm^2


class Summaries(nn.Module):
    """Centre of gravity along x and y (mm), logarithms of the width around it and of the number of hits.

    Args:
        detector: Where the cells lie.
    """

    places: Tensor

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.register_buffer(
            "places", torch.tensor(detector.positions[:, :2], dtype=torch.float32), persistent=False
        )

    def forward(self, cells: Tensor) -> Tensor:
        """Describe showers, `(n, n_cells)` MeV to `(n, 4)`; one without energy lies on the axis."""
        total = cells.sum(1, keepdim=True).clamp_min(1e-6)
        centre = cells @ self.places / total
        square = cells @ self.places.square().sum(1, keepdim=True) / total
        width = square - centre.square().sum(1, keepdim=True)
        hits = (cells > 0).float().sum(1, keepdim=True)
        return torch.cat([centre, 0.5 * torch.log(width.clamp_min(_NARROWEST)), torch.log1p(hits)], dim=1)
