"""What the cells of a shower have in common: a factor analysis of real showers."""

from __future__ import annotations

__all__ = ["CommonFactors"]

import math
from itertools import combinations

import torch
from torch import Tensor, nn

_FEWEST = 100  # showers that tell what goes together
_SPARE = 8  # axes beyond those wanted, with which these are found well
_ROUNDS = 4  # of finding them
_RELIABLE = 0.3  # share of a factor's variance that is no chance, below which it is none
_CERTAIN = 1e-3  # least variance of a cell that tells of a factor
_MOST = 0.9  # of a cell's variance that factors have
_FLAT = -0.3  # kurtosis of a factor that is spread evenly over a range, as an impact point is
_ENOUGH = 500  # showers that tell a kurtosis
_TURNS = 90  # angles that are tried


class CommonFactors(nn.Module):
    """Numbers of a shower that move many of its cells at once, as where its core lies and how wide it is.

    A cell's normal variable is the sum of what each factor moves it by and of noise of its own, of such a
    spread that it stays normal. Before `fit` there is noise alone.

    Where particles hit anywhere in a cell, two factors say where. They are spread evenly, and cores are as
    much wider as that is far from the middle: what factors have in common with products of such even ones is
    fitted, and what is left of them has nothing in common.

    Args:
        cells: How many.
        count: Of factors.
    """

    products: Tensor
    offset: Tensor

    def __init__(self, cells: int, count: int) -> None:
        super().__init__()
        self.count = min(count, cells)
        self.loadings = nn.Parameter(torch.zeros(self.count, cells))
        self.register_buffer("products", torch.zeros(self.count**2, self.count))
        self.register_buffer("offset", torch.zeros(self.count))

    def forward(self, factors: Tensor, noise: Tensor) -> Tensor:
        """Add `(n, count)`, as `loadings` say, to noise `(n, n_cells)`."""
        own = (1 - self.loadings.square().sum(0)).clamp_min(1 - _MOST).sqrt()
        whole = factors + _products(factors) @ self.products + self.offset
        return torch.addmm(own * noise, whole, self.loadings)

    @torch.no_grad()
    def fit(self, variables: Tensor, told: Tensor) -> Tensor:
        """Take what goes together in real showers.

        Axes are the principal ones; what showers have along them is found with axes of the other half of the
        showers, as each shower also bends its own. How much of that is chance is told by two halves of the
        cells.

        Args:
            variables: Normal variables of cells as far as showers tell them, `(n, n_cells)`: of cells without
                a hit their mean.
            told: What variance they so have on average, of the 1 of a variable that is always seen,
                `(n_cells,)`.

        Returns:
            Factors of these showers, `(n, count)`; those that are chance, and all of few showers, are 0.
        """
        for one in (self.loadings, self.products, self.offset):
            one.zero_()
        if len(variables) < _FEWEST:
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
        told = told.clamp_min(_CERTAIN)
        loadings = unit.T @ rest / len(rest) / told / reliable.clamp_min(_RELIABLE).sqrt().unsqueeze(1)
        chance = 1 / (len(rest) * told)
        loadings = loadings * (1 - chance / loadings.square().clamp_min(1e-12)).clamp_min(0)
        whole = loadings.square().sum(0)
        self.loadings.copy_(loadings * (_MOST / whole.clamp_min(_MOST)).sqrt())
        return self._even(unit) if len(unit) >= _ENOUGH else unit

    def _even(self, factors: Tensor) -> Tensor:
        """Turn even factors to where they have nothing in common; take what others have of their products."""
        flat = [i for i, kurtosis in enumerate(_kurtosis(factors).tolist()) if kurtosis < _FLAT]
        if not flat:
            return factors
        for pair in combinations(flat, 2):
            turn = _evenest(factors[:, pair])
            factors[:, pair] = factors[:, pair] @ turn
            self.loadings[pair, :] = turn.T @ self.loadings[pair, :]
        others = [i for i in range(self.count) if i not in flat and bool(factors[:, i].any())]
        if not others:
            return factors
        terms = [i * self.count + j for i in flat for j in flat if i <= j]
        values = torch.cat([_products(factors)[:, terms], torch.ones_like(factors[:, :1])], dim=1)
        found = torch.linalg.lstsq(values, factors[:, others], driver="gelsd").solution
        for row, term in zip(found, terms, strict=False):
            self.products[term, others] = row
        self.offset[others] = found[-1]
        factors[:, others] -= values @ found
        return factors


def _products(factors: Tensor) -> Tensor:
    """Return each factor times each, `(n, count * count)`."""
    return (factors.unsqueeze(2) * factors.unsqueeze(1)).flatten(1)


def _kurtosis(values: Tensor) -> Tensor:
    """Of each column; 0 of a normal variable and of one that never varies, less of an even one."""
    unit = _unit(values)
    return torch.where(values.any(0), unit.pow(4).mean(0) - 3, 0.0)


def _evenest(pair: Tensor) -> Tensor:
    """Return the turn, `(2, 2)`, after which two factors, `(n, 2)`, have the least kurtosis."""
    angles = torch.arange(_TURNS) * (0.5 * math.pi / _TURNS)
    cosine, sine = angles.cos(), angles.sin()
    turns = torch.stack([torch.stack([cosine, -sine]), torch.stack([sine, cosine])]).permute(2, 0, 1)
    turns = turns.to(pair)
    least: Tensor = turns[min(range(_TURNS), key=lambda i: float(_kurtosis(pair @ turns[i]).sum()))]
    return least


def _axes(values: Tensor, count: int) -> Tensor:
    """Return principal axes, `(n_cells, count)`, fewer of fewer cells."""
    axes: Tensor = torch.svd_lowrank(values, q=min(count + _SPARE, *values.shape), niter=_ROUNDS)[2]
    return axes[:, :count]


def _unit(values: Tensor) -> Tensor:
    values = values - values.mean(0)
    return values / values.std(0, correction=0).clamp_min(1e-12)
