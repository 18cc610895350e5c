"""The noise that seeds showers, drawn without torch so that runs and bundles give the same showers."""

from __future__ import annotations

__all__ = ["draw_noise"]

from math import prod
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


_MANY = 512  # numbers of a shower from which on the transform is no slower
_UNIT = np.float32(2.0**-32)
_TURN = np.float32(2 * np.pi * 2.0**-32)


def draw_noise(rng: np.random.Generator, n: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Draw standard normal noise for `n` showers.

    Showers are drawn one after the other, so ten calls with `n=1` give the same as one with `n=10`.

    Args:
        rng: Source of randomness, advanced by the call.
        n: Number of showers.
        shape: Noise of one shower, a generator's `noise_shape`.

    Returns:
        Noise, shape `(n, *shape)`, float32.
    """
    size = prod(shape)
    if size < _MANY:
        return rng.standard_normal((n, *shape), dtype=np.float32)
    return _transformed(rng, n, size).reshape(n, *shape)


def _transformed(rng: np.random.Generator, n: int, size: int) -> NDArray[np.float32]:
    """Draw by the transform of Box and Muller (Ann. Math. Stat. 29 (1958) 610), two of 64 bits."""
    half = -(-size // 2)
    bits = rng.bit_generator.random_raw(n * half).view(np.uint32).reshape(n, 2, half)
    radius = np.multiply(bits[:, 0], _UNIT, dtype=np.float32, casting="unsafe")
    radius += _UNIT / 2  # its logarithm is finite
    np.log(radius, out=radius)
    radius *= np.float32(-2)
    np.sqrt(radius, out=radius)
    angle = np.multiply(bits[:, 1], _TURN, dtype=np.float32, casting="unsafe")
    noise = np.empty((n, 2, half), np.float32)
    np.cos(angle, out=noise[:, 0])
    np.sin(angle, out=noise[:, 1])
    noise *= radius[:, None]
    return noise.reshape(n, 2 * half)[:, :size]
