"""How means and spreads of what describes a shower follow the incident particle."""

from __future__ import annotations

__all__ = ["fit_terms", "terms"]

import torch
from torch import Tensor


def terms(given: Tensor) -> Tensor:
    """Return a constant, all that is given, and square and cube of its first, the logarithm of the energy."""
    first = given[:, :1]
    return torch.cat([torch.ones_like(first), given, first**2, first**3], dim=1)


def fit_terms(of: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Fit means of values, and logarithms of their spreads up to a constant.

    Args:
        of: `(n, terms)` from `terms`.
        values: `(n, variables)`.

    Returns:
        Coefficients of both, `(terms, variables)` each.
    """
    means = torch.linalg.lstsq(of, values, driver="gelsd").solution
    # The logarithm of the spread: half of that of the squares, whose mean is off by a constant.
    squares = torch.log((values - of @ means).square() + 1e-8)
    return means, 0.5 * torch.linalg.lstsq(of, squares, driver="gelsd").solution
