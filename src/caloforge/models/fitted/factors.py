"""What cells have in common beyond all trends: a factor analysis of variables that only hits show."""

from __future__ import annotations

__all__ = ["CommonFactors"]

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from caloforge.models.settings import FitSettings

_STEPS = 3  # of the expectation-maximisation algorithm for each time that empty cells are drawn
_LEAST = 0.02  # of a cell's variance that is its own
_ACROSS = 0.9  # of the way from factors to their mean, that those drawn next are beyond it
_SPARE = 8  # axes beyond those wanted, with which these are found well


class CommonFactors(nn.Module):
    r"""Factors :math:`f` that move many cells at once: :math:`z = \Lambda f + \sqrt{\psi}\, n`.

    Fitted by maximum likelihood (Rubin and Thayer, Psychometrika 47 (1982) 69), with the parameters expanded
    by the covariance of the factors, which gets there sooner (Liu, Rubin and Wu, Biometrika 85 (1998) 755).

    Args:
        cells: How many.
        settings: How many factors.
    """

    loadings: Tensor
    own: Tensor

    def __init__(self, cells: int, settings: FitSettings) -> None:
        super().__init__()
        self.count = min(settings.factors, cells)
        self.register_buffer("loadings", torch.zeros(self.count, cells))
        self.register_buffer("own", torch.ones(cells))

    def linked(self) -> Tensor:
        """Return the numbers of the cells that have something in common, `(k,)`."""
        return (self.loadings != 0).any(0).nonzero().squeeze(1)

    def begin(self, rest: Tensor) -> None:
        """Begin with the principal axes of what trends leave, `(n, n_cells)`."""
        wanted = min(self.count + _SPARE, *rest.shape)
        _, values, axes = torch.svd_lowrank(rest, q=wanted, niter=3)
        found = (axes * values / len(rest) ** 0.5).T[: self.count]
        self.loadings.zero_()
        self.loadings[: len(found)] = found
        self._own_of(rest.square().mean(0) - found.square().sum(0))

    def fit(self, rest: Tensor) -> None:
        """Take a few steps towards the most likely factors of `(n, n_cells)`."""
        square = rest.square().mean(0)
        for _ in range(_STEPS):
            weights, covariance = self._posterior()
            expected = rest @ weights
            both = expected.T @ rest
            square_of = expected.T @ expected + len(rest) * covariance
            found = torch.linalg.solve(square_of, both)
            self._own_of(square - (both * found).sum(0) / len(rest))
            self.loadings.copy_(torch.linalg.cholesky(square_of / len(rest)).T @ found)

    def drawn(
        self, rest: Tensor, cells: Tensor | slice = slice(None), before: Tensor | None = None
    ) -> Tensor:
        """Draw the factors of showers from what these tell of them, `(n, count)`.

        Args:
            rest: `(n, k)` what trends leave of the variables of cells.
            cells: Numbers `(k,)` of these, if they are not all.
            before: `(n, count)` factors that those drawn lie on the other side of, in a chain of draws: it
                forgets sooner where it began (Adler, Phys. Rev. D 23 (1981) 2901).
        """
        weights, covariance = self._posterior()
        mean: Tensor = rest @ weights[cells]
        noise = torch.randn(len(rest), self.count, device=rest.device)
        spread: Tensor = noise @ torch.linalg.cholesky(covariance).T
        if before is None:
            return mean + spread
        beyond: Tensor = mean + _ACROSS * (mean - before)
        return beyond + math.sqrt(1 - _ACROSS**2) * spread

    def forward(self, factors: Tensor, noise: Tensor) -> Tensor:
        """Add factors `(n, count)` to noise `(n, n_cells)`."""
        common: Tensor = factors @ self.loadings
        return self.own * noise + common

    def _own_of(self, variance: Tensor) -> None:
        self.own.copy_(variance.clamp_min(_LEAST).sqrt())

    def _posterior(self) -> tuple[Tensor, Tensor]:
        weights = self.loadings / self.own.square()
        precision = weights @ self.loadings.T + torch.eye(self.count, device=weights.device)
        covariance = torch.linalg.inv(precision.double()).float()
        return weights.T @ covariance, 0.5 * (covariance + covariance.T)
