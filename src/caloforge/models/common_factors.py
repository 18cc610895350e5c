"""What the cells of a shower have in common: a factor analysis of real showers."""

from __future__ import annotations

__all__ = ["CommonFactors"]

import torch
from torch import Tensor, nn

_FEWEST = 100  # showers that tell what goes together
_SPARE = 8  # axes beyond those wanted, with which these are found well
_ROUNDS = 4  # of finding them
_RELIABLE = 0.3  # share of a factor's variance that is no chance, below which it is none
_CERTAIN = 1e-3  # least variance of a cell that tells of a factor
_MOST = 0.9  # of a cell's variance that factors have


class CommonFactors(nn.Module):
    """Numbers of a shower that move many of its cells at once, as where its core lies and how wide it is.

    A cell's normal variable is the sum of what each factor moves it by and of noise of its own, of such a
    spread that it stays normal. Before `fit` there is noise alone.

    Args:
        cells: How many.
        count: Of factors.
    """

    def __init__(self, cells: int, count: int) -> None:
        super().__init__()
        self.count = min(count, cells)
        self.loadings = nn.Parameter(torch.zeros(self.count, cells))

    def forward(self, factors: Tensor, noise: Tensor) -> Tensor:
        """Add `(n, count)`, as `loadings` say, to noise `(n, n_cells)`."""
        own = (1 - self.loadings.square().sum(0)).clamp_min(1 - _MOST).sqrt()
        return torch.addmm(own * noise, factors, self.loadings)

    @torch.no_grad()
    def fit(self, variables: Tensor) -> Tensor:
        """Take what goes together in real showers.

        Axes are the principal ones; what showers have along them is found with axes of the other half of the
        showers, as each shower also bends its own. How much of that is chance is told by two halves of the
        cells.

        Args:
            variables: Normal variables of cells as far as showers tell them, `(n, n_cells)`: of cells without
                a hit their mean.

        Returns:
            Factors of these showers, `(n, count)`, of spread 1; those that are chance, and all of few
            showers, are 0.
        """
        if len(variables) < _FEWEST:
            self.loadings.zero_()
            return variables.new_zeros(len(variables), self.count)
        rest = variables - variables.mean(0)
        axes = _axes(rest, self.count)
        weights = rest.new_zeros(2, len(rest), self.count)
        first = torch.arange(rest.shape[1], device=rest.device) % 2 == 0
        for half in (slice(0, None, 2), slice(1, None, 2)):
            other = _axes(rest[1 - (half.start or 0) :: 2], self.count + _SPARE)
            near = other @ (other.T @ axes)
            for part, mine in enumerate((first, ~first)):
                weights[part, half] = rest[half] @ (near * mine.unsqueeze(1))
        factors = weights.sum(0)
        spread = factors.std(0).clamp_min(1e-12)
        alike = (_unit(weights[0]) * _unit(weights[1])).mean(0)
        # Of halves; the whole tells more (Spearman and Brown).
        reliable = 2 * alike / (1 + alike).clamp_min(1e-6)
        real = reliable > _RELIABLE
        unit = torch.where(real, factors / spread, 0.0)
        # Cells whose hits are rare tell little, and move by as much more as they tell less.
        told = rest.square().mean(0).clamp_min(_CERTAIN)
        loadings = unit.T @ rest / len(rest) / told / reliable.clamp_min(_RELIABLE).sqrt().unsqueeze(1)
        chance = 1 / (len(rest) * told)
        loadings = loadings * (1 - chance / loadings.square().clamp_min(1e-12)).clamp_min(0)
        whole = loadings.square().sum(0)
        self.loadings.copy_(loadings * (_MOST / whole.clamp_min(_MOST)).sqrt())
        return unit


def _axes(values: Tensor, count: int) -> Tensor:
    """Return principal axes, `(n_cells, count)`, fewer of fewer cells."""
    axes: Tensor = torch.svd_lowrank(values, q=min(count + _SPARE, *values.shape), niter=_ROUNDS)[2]
    return axes[:, :count]


def _unit(values: Tensor) -> Tensor:
    values = values - values.mean(0)
    return values / values.std(0, correction=0).clamp_min(1e-12)
