"""Normal random numbers by seed, the same bits on every machine: what chromosomes of seeds are made of."""

from __future__ import annotations

__all__ = ["normal", "random_generator"]

from functools import cache
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np
from numpy.random.bit_generator import ISeedSequence

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LEVELS = 1 << 16
_STEP = 2.0**-11  # far coarser than what the logarithms of two machines may differ by
_BLOCK = 16  # numbers of one step of Philox: four of 64 bits, each four of 16 bits
_PIECE = 1 << 15  # numbers drawn at once; their indices stay in the cache
_NORMAL = int.from_bytes(b"normal16", "little")


def normal(seed: int, count: int, first: int = 0) -> NDArray[np.float32]:
    """Return the numbers `[first, first + count)` of the stream of standard normal numbers of a seed.

    Sixteen bits of Philox (Salmon et al., SC11, doi:10.1145/2063384.2063405) choose one of 65,536 quantiles.
    So the numbers are multiples of 2^-11, within 4.33, and their variance is 0.99998; and nothing on the way
    is calculated in a way that machines may differ in.

    Args:
        seed: 0 to 2^63 - 1.
        count: How many.
        first: Numbers of the stream that are left out; a piece is as it is in the whole.

    Returns:
        Numbers, shape `(count,)`.
    """
    skipped, offset = divmod(first, _BLOCK)
    bits = np.random.Philox(_Key(seed)).advance(skipped)  # type: ignore[arg-type]
    numbers = np.empty(-(-(offset + count) // _BLOCK) * _BLOCK, np.float32)
    for piece in range(0, len(numbers), _PIECE):
        part = numbers[piece : piece + _PIECE]
        words = bits.random_raw(len(part) // 4).astype("<u8", copy=False)
        _quantiles().take(words.view("<u2"), out=part, mode="wrap")
    return numbers[offset : offset + count]


def random_generator(seed: int, generation: int) -> np.random.Generator:
    """Return the random numbers of one generation of an evolution; no two share any."""
    return np.random.Generator(np.random.Philox(key=np.array([seed, generation], np.uint64)))


class _Key(ISeedSequence):
    """Philox's key itself: with `Philox(key=...)` the system is asked for randomness, which takes longest."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def generate_state(self, n_words: int, dtype: object = np.uint64) -> NDArray[np.uint64]:  # noqa: ARG002
        return np.array([self.seed, _NORMAL], np.uint64)


@cache
def _quantiles() -> NDArray[np.float32]:
    """Return the normal distribution's quantiles at `(i + 1/2) / 65536`, in multiples of 2^-11."""
    inverse = NormalDist().inv_cdf
    upper = np.array([inverse((i + 0.5) / _LEVELS) for i in range(_LEVELS // 2, _LEVELS)])
    rounded = np.rint(upper / _STEP) * _STEP
    return np.concatenate([-rounded[::-1], rounded]).astype(np.float32)
