"""Chromosomes as bytes: whose they are, how many genes, and a checksum, so that a wrong one is an error."""

from __future__ import annotations

__all__ = ["mark_of", "opened", "sealed"]

import struct
import zlib
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.errors import EvolutionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_MAGIC = b"cfg1"
_HEADER = struct.Struct("<4s4sQI")
_SUM = struct.Struct("<I")


def mark_of(shared: Sequence[NDArray[Any]]) -> int:
    """Return 64 bits that tell apart what chromosomes are decoded with."""
    digest = blake2b(digest_size=8)
    for array in shared:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return int.from_bytes(digest.digest(), "little")


def sealed(code: bytes, size: int, mark: int, body: bytes) -> bytes:
    """Return the chromosome with a body.

    Args:
        code: Four bytes of the algorithm.
        size: Genes.
        mark: Of what it is decoded with.
        body: What is the individual's own.
    """
    whole = _HEADER.pack(_MAGIC, code, mark, size) + body
    return whole + _SUM.pack(zlib.crc32(whole))


def opened(code: bytes, size: int, mark: int, chromosome: bytes) -> bytes:
    """Return a chromosome's body.

    Raises:
        EvolutionError: It was changed, or is of another algorithm, size or evolution.
    """
    if len(chromosome) < _HEADER.size + _SUM.size or chromosome[:4] != _MAGIC:
        raise EvolutionError(
            "this is no chromosome", got=f"{len(chromosome)} bytes", expected=f"{_MAGIC!r} ..."
        )
    whole, checksum = chromosome[: -_SUM.size], chromosome[-_SUM.size :]
    if _SUM.pack(zlib.crc32(whole)) != checksum:
        raise EvolutionError("this chromosome was changed", cure="take it from where it was made")
    _, its_code, its_mark, its_size = _HEADER.unpack_from(whole)
    for what, got, expected in (
        ("algorithm", its_code.decode("ascii", "replace"), code.decode()),
        ("number of genes", its_size, size),
        ("evolution or generation", f"{its_mark:016x}", f"{mark:016x}"),
    ):
        if got != expected:
            raise EvolutionError(f"this chromosome is of another {what}", got=got, expected=expected)
    return whole[_HEADER.size :]
