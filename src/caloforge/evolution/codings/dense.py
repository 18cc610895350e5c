"""The genes are the weights."""

from __future__ import annotations

__all__ = ["DenseCoding"]

import numpy as np
from numpy.typing import NDArray

from caloforge.evolution.codings.base import DensePart, Part, PartwiseCoding


class DenseCoding(PartwiseCoding):
    """Every weight is a gene, in the order of the tensors; nothing is copied."""

    def _part(self, start: NDArray[np.float32], spread: float) -> Part:
        return DensePart(start, spread)
