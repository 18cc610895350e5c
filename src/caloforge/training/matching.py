"""Observables of generated and real showers of the same incident particles, compared as distributions."""

from __future__ import annotations

__all__ = ["matching_loss"]

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from caloforge.models.processes import gather

_DIRECTIONS = 64
_STEADY = 1e-2  # spread of what was asked for, below which it says nothing


def matching_loss(made: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
    """Return how far a batch of generated showers is from the real ones of the same incident particles.

    The mean of several Wasserstein distances: of each observable by itself, of its product with what was
    asked for, so that it follows the incident energy, and of each view along random directions (sliced
    Wasserstein distance, arXiv:1804.01947), which sees how its numbers go together. A critic sees more, but
    says it less plainly, and forgets.

    Args:
        made: A critic's `views` of generated showers.
        real: Those of the real ones.
    """
    (seen, given, *cells), (truth, _, *true_cells) = (
        [gather(view) for view in side] for side in (made, real)
    )
    distances = [_distance(seen, truth), _distance(*(_products(view, given) for view in (seen, truth)))]
    for view, true_view in zip((seen, *cells), (truth, *true_cells), strict=True):
        directions = _directions(view.shape[1] + given.shape[1], view.device)
        sides = (torch.cat([x, given], dim=1) @ directions for x in (view, true_view))
        distances.append(_distance(*sides))
    return torch.stack(distances).mean()


def _products(seen: Tensor, given: Tensor) -> Tensor:
    """Multiply each observable with each number that was asked for, as these vary in the batch."""
    spread, mean = torch.std_mean(given, dim=0, correction=0)
    unit = (given - mean) / spread.clamp_min(_STEADY)
    return (seen.unsqueeze(2) * unit.unsqueeze(1)).flatten(1)


def _directions(size: int, device: torch.device) -> Tensor:
    """Return random unit vectors, `(size, _DIRECTIONS)`, whose components differ by sign alone.

    As good as normal ones in many dimensions, and cheaper to draw: 64 bits make eight of them.
    """
    bits = torch.empty(size * _DIRECTIONS // 8, dtype=torch.int64, device=device).random_(-(2**63), None)
    signs = (bits.view(torch.int8).view(size, _DIRECTIONS) < 0).float()
    return signs.sub_(0.5).mul_(2 / math.sqrt(size))


def _distance(made: Tensor, real: Tensor) -> Tensor:
    """Mean over the columns of the Wasserstein distance between two samples of the same size."""
    return (made.sort(dim=0).values - real.sort(dim=0).values).abs().mean()
