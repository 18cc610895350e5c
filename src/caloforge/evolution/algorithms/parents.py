"""Decoded parents, kept while they breed, so that a chain of seeds costs its length only once."""

from __future__ import annotations

__all__ = ["PARENTS", "Parents"]

from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray


class Parents:
    """Genes by what they were decoded from, in at most `limit` bytes; the longest unused go first.

    Deep GA wants room for the parents of two generations. With less, chains are decoded from further back.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._kept: OrderedDict[tuple[int, bytes], NDArray[np.float32]] = OrderedDict()
        self._bytes = 0

    def get(self, mark: int, chain: bytes) -> NDArray[np.float32] | None:
        """Return kept genes, or None."""
        genes = self._kept.get((mark, chain))
        if genes is not None:
            self._kept.move_to_end((mark, chain))
        return genes

    def keep(self, mark: int, chain: bytes, genes: NDArray[np.float32]) -> None:
        """Keep genes that are not kept yet, if they find room."""
        if genes.nbytes > self.limit:
            return
        genes.flags.writeable = False
        self._kept[mark, chain] = genes
        self._bytes += genes.nbytes
        while self._bytes > self.limit:
            self._bytes -= self._kept.popitem(last=False)[1].nbytes


PARENTS = Parents(limit=1 << 30)
"""Those of this process; whoever knows how much memory there is sets `limit`."""
