"""What many critics say of the same showers, and what meetings of two populations come to."""

from __future__ import annotations

__all__ = ["Meetings", "readings_of_each"]

from typing import TYPE_CHECKING, NamedTuple

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


class Meetings(NamedTuple):
    """Losses of the players of one side, each a mean over those whom they met; smaller is better.

    Attributes:
        generators: Cross entropy of being called generated, where `real` is wanted: `(generators,)`.
        critics: Cross entropy of telling real from generated: `(critics,)`.
    """

    generators: Tensor
    critics: Tensor

    @classmethod
    def of(cls, real: Tensor, made: Tensor) -> Meetings:
        """Add up what critics said.

        Args:
            real: Logits of real showers, `(critics, n)`.
            made: Of those of each generator, `(critics, generators, n)`.
        """
        fooled = F.softplus(-made).mean(2)
        caught = F.softplus(made).mean(2)
        known = F.softplus(-real).mean(1)
        return cls(fooled.mean(0), known + caught.mean(1))
