"""How many showers to generate in one call: large detectors in small calls, so that memory stays bounded."""

from __future__ import annotations

__all__ = ["chunks"]

from collections.abc import Iterator

# Beyond a few hundred showers a call is no faster, only larger. What works on more than 2^18 cells (16
# showers of CLIC, 15,625 cells) does not stay in the processor's caches: a shower then takes longer.
_CELLS_PER_CALL = 1 << 18
_SHOWERS_PER_CALL = 256


def chunks(n: int, n_cells: int, batch: int | None = None) -> Iterator[slice]:
    """Cut `n` showers of `n_cells` cells into what is made in one call: `batch` if it is known, at least one.

    Example:
        >>> list(chunks(40, 15625))
        [slice(0, 16, None), slice(16, 32, None), slice(32, 40, None)]
    """
    size = max(1, min(batch or _SHOWERS_PER_CALL, _CELLS_PER_CALL // n_cells))
    return (slice(start, min(n, start + size)) for start in range(0, n, size))
