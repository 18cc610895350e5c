"""Observables of generated and real showers of the same incident particles, compared as distributions."""

from __future__ import annotations

__all__ = ["matching_loss"]

from collections.abc import Sequence

import torch
from torch import Tensor

from caloforge.models.blocks.energy_distance import directions, energy_distance, of_the_same
from caloforge.models.blocks.processes import gather


def matching_loss(made: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
    """Return how far a batch of generated showers is from the real ones of the same incident particles.

    The mean of several energy distances: those of the observables (`of_the_same`), and of each other view
    along random directions. A critic sees more, but says it less plainly, and forgets.

    Args:
        made: A critic's `views` of generated showers.
        real: Those of the real ones.
    """
    (seen, given, *cells), (truth, _, *true_cells) = (
        [gather(view) for view in side] for side in (made, real)
    )
    distances = [*of_the_same(seen, truth, given)]
    for view, true_view in zip(cells, true_cells, strict=True):
        along = directions(view.shape[1] + given.shape[1], view.device)
        distances.append(energy_distance(*(torch.cat([x, given], dim=1) @ along for x in (view, true_view))))
    return torch.stack(distances).mean()
