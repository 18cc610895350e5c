"""How many showers to generate in one call: large detectors in small calls, so that memory stays bounded."""

from __future__ import annotations

__all__ = ["chunk_size"]

# Beyond a few hundred showers a call is no faster, only larger. Networks hold up to a hundred numbers for
# each cell, between layers: 2^20 cells (67 showers of CLIC, 15,625 cells) take some hundred MB.
_CELLS_PER_CALL = 1 << 20
_SHOWERS_PER_CALL = 256


def chunk_size(n_cells: int) -> int:
    """Return how many showers of `n_cells` cells to make in one call, at least one.

    Example:
        >>> chunk_size(504), chunk_size(15625), chunk_size(10_000_000)
        (256, 67, 1)
    """
    return max(1, min(_SHOWERS_PER_CALL, _CELLS_PER_CALL // n_cells))
