"""What an individual's own may be, besides a chain: one seed, or its genes."""

from __future__ import annotations

__all__ = ["packed_seed", "unpacked_genes", "unpacked_seed"]

import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from caloforge.errors import EvolutionError

_SEED = struct.Struct("<q")


def packed_seed(seed: int) -> bytes:
    """Return the body of a chromosome; a seed below 0 stands for the mirror image."""
    return _SEED.pack(seed)


def unpacked_seed(body: bytes) -> int:
    """Return the seed of a chromosome's body.

    Raises:
        EvolutionError: It is none.
    """
    _check_length("seed", body, _SEED.size)
    return int(_SEED.unpack(body)[0])


def unpacked_genes(bodies: Sequence[bytes], size: int) -> NDArray[np.float32]:
    """Return genes that are chromosomes' bodies, shape `(k, size)`.

    Raises:
        EvolutionError: One holds another number of genes.
    """
    genes = np.empty((len(bodies), size), np.float32)
    for row, body in zip(genes, bodies, strict=True):
        _check_length("row of genes", body, row.nbytes)
        row[:] = np.frombuffer(body, "<f4")
    return genes


def _check_length(what: str, body: bytes, expected: int) -> None:
    if len(body) != expected:
        raise EvolutionError(
            f"this chromosome is no {what}", got=f"{len(body)} bytes", expected=f"{expected} bytes"
        )
