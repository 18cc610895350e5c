"""What many critics say of the same showers, and what generators and critics are then worth."""

from __future__ import annotations

__all__ = ["critic_losses", "generator_losses", "readings_of_each"]

from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor

from caloforge.evolution.population.many import many

if TYPE_CHECKING:
    from caloforge.evolution.population.many import Weights
    from caloforge.models.base import Critic


def readings_of_each(critic: Critic, weights: Weights, count: int, cells: Tensor, incident: Tensor) -> Tensor:
    """Return how real many critics call the same showers.

    What critics look at is measured once; only what has weights is done for each.

    Args:
        critic: In evaluation mode; it must have `views` and `read` them.
        weights: Of each critic.
        count: Critics.
        cells: `(n, n_cells)` MeV.
        incident: `(n, k)`.

    Returns:
        Logits of being real, `(count, n)`.
    """
    views = critic.views(cells, incident)
    with many(critic, weights, count):
        rows = (view.expand(count, *view.shape).flatten(0, 1) for view in views)
        return critic.read(*rows)["logit"].reshape(count, -1)


def generator_losses(made: Tensor) -> Tensor:
    """Return the cross entropy of each generator's showers, where being called real is wanted.

    Args:
        made: Logits of critics, `(critics, generators, n)`.

    Returns:
        Means over the critics, `(generators,)`; smaller is better.
    """
    return F.softplus(-made).mean((0, 2))


def critic_losses(real: Tensor, made: Tensor) -> Tensor:
    """Return the cross entropies of each critic's telling real from generated.

    Args:
        real: Logits of real showers, `(critics, n)`.
        made: Of those of generators, `(critics, generators, n)`.

    Returns:
        That of real ones and the mean of the others', `(critics,)`; smaller is better.
    """
    return F.softplus(-real).mean(1) + F.softplus(made).mean((1, 2))
